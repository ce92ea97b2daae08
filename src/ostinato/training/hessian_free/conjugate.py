"""Conjugate gradients on a quadratic, with a preconditioner, stopped where progress ends.

    q(x) = 1/2 x' A x + g' x,  of which A x = -g is the minimum

Sources: Martens (2010), "Deep learning via Hessian-free optimization", for the stop by relative
progress and the iterates that are kept for back-tracking; Martens and Sutskever (2012),
doi:10.1007/978-3-642-35289-8_27, algorithm 2, for the preconditioned form.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

__all__ = ["Solution", "conjugate_gradients", "kept_iterations", "too_slow"]

_GROWTH = 1.3
_SHORTEST, _SHARE = 10, 0.1


@dataclass
class Solution:
    """What conjugate gradients leave.

    Attributes:
        iterates: some x [N] on the way, the last one included, in order.
        iterations: the number of each of them, counted from 1.
        values: q at the start and after every iteration.
        reason: why it stopped: "progress" (too little), "iterations" (no more allowed), "solved",
            "curvature" (a direction along which q does not rise) or "not finite".
    """

    iterates: list[Tensor] = field(default_factory=list)
    iterations: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    reason: str = "iterations"

    @property
    def count(self) -> int:
        """Iterations done."""
        return len(self.values) - 1


def conjugate_gradients(
    product: Callable[[Tensor], Tensor],
    gradient: Tensor,
    start: Tensor,
    *,
    preconditioner: Tensor | None = None,
    iterations: int = 250,
    progress: float = 5e-4,
) -> Solution:
    """Minimise q(x) = 1/2 x' A x + g' x.

    Args:
        product: A x of x [N], for a positive A.
        gradient: g [N].
        start: the first x [N].
        preconditioner: the diagonal [N] of a matrix that resembles A; None: the identity.
        iterations: how many at most.
        progress: stop once q has fallen, over the last k = max(10, i / 10) of i iterations, by a
            smaller share of itself than k times this; 0: do not stop for that.

    Returns:
        The iterates numbered 1, 2, 3, 4, 5, 7, ... (each 1.3 times the one before, rounded up) and
        the last. Where A x is not finite, the ones before.

    Example:
        >>> A = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
        >>> found = conjugate_gradients(A.mv, torch.tensor([-2.0, -1.0]), torch.zeros(2))
        >>> torch.allclose(found.iterates[-1], torch.ones(2)), found.reason
        (True, 'solved')
    """
    scale = torch.ones_like(gradient) if preconditioner is None else preconditioner
    keep = kept_iterations(iterations)
    x = start.clone()
    residual = product(x) + gradient
    found = Solution(values=[_value(x, residual, gradient)])
    smallest = torch.finfo(gradient.dtype).eps * gradient.norm().item()
    inner = torch.dot(residual, residual / scale).item()
    direction = -residual / scale
    for i in range(1, iterations + 1):
        if residual.norm().item() <= smallest:
            found.reason = "solved"
            break
        curved = product(direction)
        bend = torch.dot(direction, curved).item()
        if not math.isfinite(bend) or not math.isfinite(inner):
            found.reason = "not finite"
            break
        if bend <= 0:
            found.reason = "curvature"
            break
        x = x + (inner / bend) * direction
        residual = residual + (inner / bend) * curved
        found.values.append(_value(x, residual, gradient))
        if i in keep:
            _keep(found, x)
        if too_slow(found.values, progress):
            found.reason = "progress"
            break
        before, inner = inner, torch.dot(residual, residual / scale).item()
        direction = -residual / scale + (inner / before) * direction
    if not found.iterations or found.iterations[-1] != found.count:
        _keep(found, x)
    return found


def kept_iterations(most: int) -> set[int]:
    """The iterations whose x is kept: 1.3^j, rounded up."""
    count = math.ceil(math.log(max(most, 1)) / math.log(_GROWTH)) + 1
    return {min(math.ceil(_GROWTH**j), most) for j in range(count)}


def too_slow(values: list[float], progress: float) -> bool:
    """Whether q, by its values so far, falls too little to go on."""
    if not progress:
        return False
    i = len(values) - 1
    k = max(_SHORTEST, int(_SHARE * i))
    if i <= k or values[-1] >= 0:
        return False
    return (values[-1] - values[-1 - k]) / values[-1] < k * progress


def _keep(found: Solution, x: Tensor) -> None:
    found.iterates.append(x)
    found.iterations.append(found.count)


def _value(x: Tensor, residual: Tensor, gradient: Tensor) -> float:
    """Q at x, from A x + g."""
    return 0.5 * torch.dot(x, residual + gradient).item()
