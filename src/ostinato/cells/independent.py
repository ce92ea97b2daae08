"""Units that hear the input and themselves, but not each other."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ostinato.cells.activations import Activation, activation_function
from ostinato.cells.base import Cell

__all__ = ["IndRNN"]


class IndRNN(Cell):
    r"""Independently recurrent network: one recurrent weight a unit.

        h[t] = act(W x[t] + u h[t-1] + b)

    Source: Li, Li, Cook, Zhu, Gao (2018), arXiv:1803.04831.

    Args:
        input_size: I, width of one input vector.
        hidden_size: H, width of the state.
        activation: act, by name or any function of a tensor.
        bias: whether there is b.

    Shapes: x [B, I], h [B, H] -> h [B, H]. Parameters: drive.weight [H, I], drive.bias [H],
    weight_hh [H], which starts in U(0, 1).

    Raises:
        ValueError: `activation` is unknown.

    Example:
        >>> cell = IndRNN(3, 4)
        >>> cell(torch.ones(2, 3), *cell.initial_state(2)).shape
        torch.Size([2, 4])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        activation: str | Activation = "relu",
        bias: bool = True,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.activation = activation_function(activation)
        self.drive = nn.Linear(input_size, hidden_size, bias=bias)
        self.weight_hh = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As nn.Linear, and u from U(0, 1)."""
        self.drive.reset_parameters()
        nn.init.uniform_(self.weight_hh, 0, 1)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        return self.activation(self.drive(x) + self.weight_hh * h)
