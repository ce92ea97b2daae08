"""Intrinsic plasticity: units that learn, each by itself, to use the range they have."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.reservoirs.cell import ReservoirCell

__all__ = ["intrinsic_plasticity"]


@torch.no_grad()
def intrinsic_plasticity(
    cell: ReservoirCell,
    x: Tensor,
    *,
    mean: float | None = None,
    deviation: float = 0.2,
    rate: float = 5e-4,
    epochs: int = 1,
) -> tuple[Tensor, Tensor]:
    r"""Fit a gain g and a bias c to each unit, y = act(g z + c), z being what it hears.

    The values of a tanh unit are driven towards a normal distribution, those of a sigmoid unit
    towards an exponential one:

        tanh:     dc = -rate (-m/s^2 + y/s^2 (2 s^2 + 1 - y^2 + m y)),    dg = rate / g + dc z
        sigmoid:  dc = rate (1 - (2 + 1/m) y + y^2 / m),                  dg = rate / g + dc z

    with mean m and deviation s. Gains and biases become part of the cell's weights, so that the
    cell stays what it is; the spectral radius is then another.

    Source: Schrauwen, Wardermann, Verstraeten, Steil, Stroobandt (2008),
    doi:10.1016/j.neucom.2007.12.020, for tanh; Triesch (2005), doi:10.1007/11550822_11, and Steil
    (2007), doi:10.1016/j.neunet.2007.04.011, for sigmoid units. With a leak, y is what is mixed in.

    Args:
        cell: with activation "tanh" or "sigmoid"; its weights change in place.
        x: inputs [T, I] that are like those to come.
        mean: m; 0 for tanh and 0.2 for sigmoid unless given.
        deviation: s, for tanh.
        rate: size of a step.
        epochs: how often x is walked through.

    Returns:
        Gains and biases, [H] each.

    Raises:
        ValueError: another activation, or a value out of range.

    Example:
        >>> cell = ReservoirCell(1, 50, input_scaling=0.01, seed=0)
        >>> gain, bias = intrinsic_plasticity(cell, torch.rand(500, 1).double(), rate=0.01)
        >>> bool(gain.mean() > 1)
        True
    """
    name = cell.activation_name
    if name not in ("tanh", "sigmoid"):
        raise ValueError(
            f"intrinsic_plasticity: there is a rule for tanh and sigmoid, not for {name!r}."
        )
    if deviation <= 0 or rate <= 0 or epochs < 1:
        raise ValueError(
            "intrinsic_plasticity: deviation and rate must be positive and epochs at least 1, got "
            f"{deviation}, {rate} and {epochs}."
        )
    m = (0.0 if name == "tanh" else 0.2) if mean is None else mean
    if name == "sigmoid" and m <= 0:
        raise ValueError(f"intrinsic_plasticity: a sigmoid's mean must be positive, got {m}.")
    gain, bias = torch.ones_like(cell.bias), torch.zeros_like(cell.bias)
    inward = F.linear(x.to(cell.bias), cell.weight_ih, cell.bias)
    for _ in range(epochs):
        h = torch.zeros_like(cell.bias)
        for driven in inward:
            z = driven + cell.weight_hh @ h
            y = cell.activation(gain * z + bias)
            down = _slope_tanh(y, m, deviation) if name == "tanh" else _slope_sigmoid(y, m)
            gain, bias = gain + rate * (1 / gain + down * z), bias + rate * down
            h = (1 - cell.leak) * h + cell.leak * y
    cell.weight_ih.mul_(gain[:, None])
    cell.weight_hh.mul_(gain[:, None])
    cell.bias.mul_(gain).add_(bias)
    return gain, bias


def _slope_tanh(y: Tensor, m: float, s: float) -> Tensor:
    return -(-m / s**2 + y / s**2 * (2 * s**2 + 1 - y**2 + m * y))


def _slope_sigmoid(y: Tensor, m: float) -> Tensor:
    return 1 - (2 + 1 / m) * y + y**2 / m
