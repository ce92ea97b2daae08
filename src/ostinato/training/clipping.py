"""Gradient clipping that tells how often it had to clip."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

__all__ = ["Clipper"]


class Clipper:
    """Clip gradients by their common norm or entry by entry, and keep count.

    By norm: where the norm of all gradients together exceeds the limit, all are scaled so that it
    equals the limit (Pascanu, Mikolov, Bengio 2013, arXiv:1211.5063). By value: each entry is cut
    at plus and minus the limit.

    Args:
        limit: the largest norm or entry; None: measure and count, but clip nothing.
        by: "norm" or "value".

    Raises:
        ValueError: the limit is not above 0, or `by` is unknown.

    Attributes:
        norm: gradient norm of the last step before clipping, a scalar tensor; None at the start.
        steps: steps seen.

    Example:
        >>> p = torch.nn.Parameter(torch.zeros(2)); p.grad = torch.tensor([3.0, 4.0])
        >>> clipper = Clipper(1.0)
        >>> float(clipper([p])), p.grad
        (5.0, tensor([0.6000, 0.8000]))
        >>> clipper.share
        1.0
    """

    def __init__(self, limit: float | None, by: str = "norm") -> None:
        if limit is not None and not limit > 0:
            raise ValueError(f"Clipper: limit must be above 0, got {limit}. None: no clipping.")
        if by not in ("norm", "value"):
            raise ValueError(f'Clipper: by must be "norm" or "value", got {by!r}.')
        self.limit = limit
        self.by = by
        self.steps = 0
        self.norm: Tensor | None = None
        # a tensor on the gradients' device, so that counting never waits for the device
        self._clipped: Tensor | float = 0.0
        self._told = (0, 0.0)

    @torch.no_grad()
    def __call__(self, parameters: Iterable[Tensor]) -> Tensor:
        """Clip the gradients of `parameters` in place; those without one are passed over.

        Returns:
            The norm of all gradients together before clipping.
        """
        grads = [p.grad for p in parameters if p.grad is not None]
        self.steps += 1
        if not grads:
            self.norm = torch.zeros(())
            return self.norm
        norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))
        self.norm = norm
        if self.limit is not None:
            self._clipped = self._clipped + self._cut(grads, norm, self.limit)
        return norm

    def _cut(self, grads: list[Tensor], norm: Tensor, limit: float) -> Tensor:
        if self.by == "norm":
            torch._foreach_mul_(grads, (limit / norm.clamp(min=1e-12)).clamp(max=1.0))
            return (norm > limit).float()
        largest = torch.stack(torch._foreach_norm(grads, float("inf"))).max()
        torch._foreach_clamp_max_(grads, limit)
        torch._foreach_clamp_min_(grads, -limit)
        return (largest > limit).float()

    @property
    def share(self) -> float:
        """Share of steps so far whose gradients were clipped, in 0..1."""
        return float(self._clipped) / max(self.steps, 1)

    def take_share(self) -> float:
        """Share of clipped steps since this was last asked."""
        steps, clipped = self.steps - self._told[0], float(self._clipped) - self._told[1]
        self._told = (self.steps, float(self._clipped))
        return clipped / max(steps, 1)

    def state_dict(self) -> dict[str, Any]:
        """The counts, as plain values."""
        return {"steps": self.steps, "clipped": float(self._clipped), "told": self._told}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what `state_dict` gave."""
        self.steps = state["steps"]
        self._clipped, self._told = state["clipped"], tuple(state["told"])
