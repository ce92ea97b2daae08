"""Units with a time constant."""

from __future__ import annotations

from torch import Tensor

from ostinato.cells.activations import Activation, activation_function
from ostinato.cells.base import Cell
from ostinato.cells.gates import Gates

__all__ = ["LeakyRNN"]


class LeakyRNN(Cell):
    r"""Leaky-integrator unit: each unit low-pass filters its drive.

        h[t] = (1 - a) h[t-1] + a act(W x[t] + U h[t-1] + b)

    Source: Jaeger, Lukosevicius, Popovici, Siewert (2007), doi:10.1016/j.neunet.2007.04.016.

    Args:
        input_size: I, width of one input vector.
        hidden_size: H, width of the state.
        leak: a in (0, 1], the share of the state renewed at each step.
        activation: act, by name or any function of a tensor.
        bias: True for b, "both" for one beside each matrix, or False.
        joint: one matrix on [h, x] in place of two.

    Shapes: x [B, I], h [B, H] -> h [B, H]. Parameters, under `gates`: weight_ih [H, I] and
    weight_hh [H, H], or weight [H, H+I]; bias [H].

    Raises:
        ValueError: `leak` is outside (0, 1], or `activation` or `bias` is unknown.

    Example:
        >>> import torch
        >>> cell = LeakyRNN(3, 4, leak=0.1)
        >>> cell(torch.ones(2, 3), *cell.initial_state(2)).shape
        torch.Size([2, 4])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        leak: float = 0.5,
        activation: str | Activation = "tanh",
        bias: bool | str = True,
        joint: bool = False,
    ) -> None:
        super().__init__(input_size, hidden_size)
        if not 0 < leak <= 1:
            raise ValueError(f"LeakyRNN: leak must be in (0, 1], got {leak}.")
        self.leak = leak
        self.activation = activation_function(activation)
        self.gates = Gates("h", input_size, hidden_size, bias=bias, joint=joint)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        (drive,) = self.gates(x, h)
        return (1 - self.leak) * h + self.leak * self.activation(drive)
