"""Dropout whose mask does not change from step to step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["LockedDropout", "check_rate", "locked_dropout"]


def check_rate(name: str, rate: float, *, top: bool = False) -> float:
    """The rate as a float; ValueError unless it lies in [0, 1), or in [0, 1] with `top`."""
    if isinstance(rate, bool) or not (0 <= rate < 1 or (top and rate == 1)):
        raise ValueError(f"{name} must be in [0, 1{']' if top else ')'}, got {rate}.")
    return float(rate)


def locked_dropout(x: Tensor, rate: float) -> Tensor:
    """Drop each number of a row at all steps or at none; the others are divided by 1 - rate.

    Source: Gal, Ghahramani (2016), "A Theoretically Grounded Application of Dropout in Recurrent
    Neural Networks", NeurIPS 29.

    Args:
        x: [T, B, I].
        rate: share that is dropped, in [0, 1).
    """
    kept = torch.empty_like(x[:1]).bernoulli_(1 - rate) if len(x) else x
    return x * (kept / (1 - rate))


class LockedDropout(nn.Module):
    """`locked_dropout` as a module, at work in training only.

    Args:
        rate: share that is dropped, in [0, 1).
        batch_first: x is [B, T, I], not [T, B, I].

    Example:
        >>> y = LockedDropout(0.5)(torch.ones(7, 2, 3))
        >>> bool((y == y[0]).all())
        True
    """

    def __init__(self, rate: float, *, batch_first: bool = False) -> None:
        super().__init__()
        self.rate = check_rate("LockedDropout: rate", rate)
        self.batch_first = batch_first

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        if self.batch_first:
            return locked_dropout(x.transpose(0, 1), self.rate).transpose(0, 1)
        return locked_dropout(x, self.rate)

    def extra_repr(self) -> str:
        return f"{self.rate}"
