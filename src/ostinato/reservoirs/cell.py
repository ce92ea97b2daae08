"""The units of an echo state network, as a cell."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Self

from ostinato.cells.activations import Activation, activation_function
from ostinato.cells.base import Cell
from ostinato.reservoirs.topology import input_matrix, recurrent_matrix, uniform

__all__ = ["ReservoirCell"]


class ReservoirCell(Cell):
    r"""Leaky units with fixed random weights, drawn once.

        h[t] = (1 - a) h[t-1] + a act(W x[t] + U h[t-1] + b)

    Source: Jaeger (2001), GMD report 148; the leak as in Lukosevicius (2012), "A practical guide to
    applying echo state networks", section 2.

    The parameters want no gradient, so that an optimiser over a model leaves them alone; with
    `cell.requires_grad_()` they can be trained like any.

    Args:
        input_size: I, width of one input vector.
        hidden_size: H, number of units.
        spectral_radius: largest absolute eigenvalue of U.
        leak: a in (0, 1], the share of the state renewed at each step.
        density: the share of the units that each one hears; 10 of them unless given.
        topology: "random", "ring", "small_world", or a matrix [H, H], which is scaled, too.
        input_scaling: W is from U(-input_scaling, input_scaling).
        input_density: the share of the inputs that each unit hears.
        bias_scaling: b is from U(-bias_scaling, bias_scaling).
        activation: act, by name or any function of a tensor.
        seed: of the weights; None: drawn from torch's generator.
        dtype: of the parameters.

    Shapes: x [B, I], h [B, H] -> h [B, H]. Parameters: weight_ih [H, I], weight_hh [H, H] and
    bias [H].

    Raises:
        ValueError: an option is out of range, or the matrix is nilpotent.

    Example:
        >>> cell = ReservoirCell(3, 50, spectral_radius=0.8, seed=0)
        >>> print(f"{torch.linalg.eigvals(cell.weight_hh).abs().max():.12f}")
        0.800000000000
        >>> cell(torch.ones(2, 3).double(), *cell.initial_state(2)).shape
        torch.Size([2, 50])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        spectral_radius: float = 0.9,
        leak: float = 1.0,
        density: float | None = None,
        topology: str | Tensor = "random",
        input_scaling: float = 1.0,
        input_density: float = 1.0,
        bias_scaling: float = 0.2,
        activation: str | Activation = "tanh",
        seed: int | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__(input_size, hidden_size)
        if not 0 < leak <= 1:
            raise ValueError(f"ReservoirCell: leak must be in (0, 1], got {leak}.")
        self.leak = leak
        self.activation = activation_function(activation)
        self.activation_name = activation if isinstance(activation, str) else None
        self.seed = int(torch.randint(2**62, (1,))) if seed is None else seed
        self._others = 0
        generator = torch.Generator().manual_seed(self.seed)
        inward = input_matrix(
            hidden_size,
            input_size,
            scaling=input_scaling,
            density=input_density,
            generator=generator,
        )
        bias = uniform(hidden_size, generator=generator) * bias_scaling
        recurrent = recurrent_matrix(
            hidden_size,
            topology=topology,
            density=min(1.0, 10 / hidden_size) if density is None else density,
            radius=spectral_radius,
            generator=generator,
        )
        self.weight_ih = _fixed(inward, dtype)
        self.weight_hh = _fixed(recurrent, dtype)
        self.bias = _fixed(bias, dtype)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        drive = F.linear(x, self.weight_ih, self.bias) + F.linear(h, self.weight_hh)
        if self.leak == 1:
            return self.activation(drive)
        return (1 - self.leak) * h + self.leak * self.activation(drive)

    def rebuild(self, input_size: int) -> Self:
        """A cell with the same options for inputs of another width, and other random weights."""
        self._others += 1
        args, kwargs = self._arguments
        try:
            self._arguments = (args, {**kwargs, "seed": _another(self.seed, self._others)})
            return super().rebuild(input_size)
        finally:
            self._arguments = (args, kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        # the arguments are no part of the module's state
        if name == "_arguments":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)


def _fixed(values: Tensor, dtype: torch.dtype) -> nn.Parameter:
    return nn.Parameter(values.to(dtype), requires_grad=False)


def _another(seed: int, number: int) -> int:
    return (seed + 0x9E3779B97F4A7C15 * number) % 2**63
