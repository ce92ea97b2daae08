"""Limits on the gradient of a state: the step is as without, its reverse cuts what flows back.

`limit_gradient` is the operation as a cell (or what stands around it) uses it; `Limit` is what a
traced step knows of it, and `limited` its reverse in the algebra. Forward mode does not see it, and
a state with a limit has to be walked.

How often a limit has cut is the gradient of a tally: a tensor of zeros that nobody reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from ostinato.engine.algebra import add, cat, const, div, mul, pointwise, sum_
from ostinato.engine.expressions import Node, make

__all__ = ["Limit", "limit_gradient", "limited", "tally_size"]


@dataclass(frozen=True)
class Limit:
    """The limit of one state.

    Attributes:
        bound: the largest norm of a row, or the largest entry.
        norm: it is a norm.
        static: number of the static tensor that is the tally.
    """

    bound: float
    norm: bool
    static: int

    @property
    def how(self) -> tuple[float, bool]:
        """The last arguments of `limit_gradient`."""
        return self.bound, self.norm


def tally_size(width: int, norm: bool) -> int:
    """Numbers in a tally: how many were cut, then how many were not 0; by entry a pair a unit."""
    return 2 if norm else 2 * width


def limit_gradient(value: Tensor, tally: Tensor, bound: float, norm: bool) -> Tensor:
    """The value itself; its gradient is limited on its way back.

    By norm, g * min(1, bound / |g|) for each row g; else each entry is cut at plus and minus the
    bound. The gradient of the tally is how many rows (or entries, unit by unit) have been cut, and
    then how many were not 0.

    Args:
        value: [B, S].
        tally: [2], or [2 * S]; see `tally_size`.
        bound: the limit, above 0.
        norm: limit the norm of each row.

    Example:
        >>> h, tally = torch.ones(1, 2, requires_grad=True), torch.zeros(2, requires_grad=True)
        >>> (limit_gradient(h, tally, 1.0, True) * torch.tensor([3.0, 4.0])).sum().backward()
        >>> h.grad, tally.grad
        (tensor([[0.6000, 0.8000]]), tensor([1., 1.]))
    """
    if torch.compiler.is_exporting():
        # an exported graph has to show it as one operation
        shown: Tensor = torch.ops.ostinato.limit_gradient(value, tally, bound, norm)
        return shown
    result: Tensor = _Limited.apply(value, tally, bound, norm)  # type: ignore[no-untyped-call]
    return result


def _cut(g: Tensor, bound: float, norm: bool) -> tuple[Tensor, Tensor]:
    """The limited gradient, and that of the tally."""
    if norm:
        size = torch.linalg.vector_norm(g, dim=-1, keepdim=True)
        counts = torch.cat([size > bound, size != 0], dim=-1)
        return g * (bound / size).clamp(max=1), counts.to(g.dtype).sum(0)
    counts = torch.cat([g.abs() > bound, g != 0], dim=-1)
    return g.clamp(-bound, bound), counts.to(g.dtype).sum(0)


class _Limited(torch.autograd.Function):
    @staticmethod
    def forward(value: Tensor, tally: Tensor, bound: float, norm: bool) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.how = inputs[2:]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return *_cut(grads[0], *ctx.how), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        # torch wants a view's tangent to be a view, too
        return tangents[0].view_as(tangents[0])


@torch.library.custom_op("ostinato::limit_gradient", mutates_args=())
def _shown(value: Tensor, tally: Tensor, bound: float, norm: bool) -> Tensor:
    return value.clone()


@_shown.register_fake
def _(value: Tensor, tally: Tensor, bound: float, norm: bool) -> Tensor:
    return torch.empty_like(value)


def _keep(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.how = inputs[2:]


def _formula(ctx: Any, grad: Tensor) -> Any:
    return *_cut(grad, *ctx.how), None, None


_shown.register_autograd(_formula, setup_context=_keep)


# in the algebra


def limited(limit: Limit, state: int, widths: Sequence[int]) -> tuple[Node, list[tuple[int, Node]]]:
    """What a limit leaves of the gradient of a new state.

    Args:
        limit: of the state.
        state: its number.
        widths: of the pieces that the new state is made of, side by side.

    Returns:
        The limited gradient, and the gradient of the tally: nodes, each with its first number.
    """
    starts = [sum(widths[:k]) for k in range(len(widths))]
    whole = sum(widths)
    pieces = [
        make("gradient", (), width, (state, start))
        for start, width in zip(starts, widths, strict=True)
    ]
    bound, zero = const(limit.bound), const(0.0)
    if not limit.norm:
        low, high = const(-limit.bound), const(limit.bound)
        cut = [pointwise("minimum", pointwise("maximum", g, low), high) for g in pieces]
        counts = []
        for g, start in zip(pieces, starts, strict=True):
            counts.append((start, pointwise("gt", pointwise("abs", g), bound)))
            counts.append((whole + start, pointwise("ne", g, zero)))
        return cat(cut), counts
    size = pointwise("sqrt", reduce(add, (sum_(mul(g, g)) for g in pieces)))
    share = pointwise("minimum", div(bound, size), const(1.0))
    counts = [(0, pointwise("gt", size, bound)), (1, pointwise("ne", size, zero))]
    return cat(mul(g, share) for g in pieces), counts
