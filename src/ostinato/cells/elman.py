"""The simple recurrent network."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.cells.activations import Activation, activation_function
from ostinato.cells.base import Cell, TorchKernel, keeps_equations
from ostinato.cells.gates import Gates

__all__ = ["Elman"]


class Elman(Cell):
    r"""Simple recurrent network: the hidden layer hears itself one step later.

        h[t] = act(W x[t] + U h[t-1] + b)

    Source: Elman (1990), doi:10.1207/s15516709cog1402_1. Layer norm, which is not in it, is that
    of `Gates`.

    Args:
        input_size: I, width of one input vector.
        hidden_size: H, width of the state.
        activation: act, by name ("tanh", "relu", ...) or any function of a tensor.
        bias: True for b, "both" for one beside each matrix (as torch.nn.RNN has), or False.
        joint: one matrix on [h, x] in place of two.
        layer_norm: normalise W x and U h.

    Shapes: x [B, I], h [B, H] -> h [B, H]. Parameters, under `gates`: weight_ih [H, I] and
    weight_hh [H, H], or weight [H, H+I]; bias [H], or bias_ih and bias_hh [H].

    Raises:
        ValueError: `activation` or `bias` is unknown, or two biases for one matrix.

    Example:
        >>> cell = Elman(3, 4, activation="relu")
        >>> cell(torch.ones(2, 3), *cell.initial_state(2)).shape
        torch.Size([2, 4])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        activation: str | Activation = "tanh",
        bias: bool | str = True,
        joint: bool = False,
        layer_norm: bool = False,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.activation = activation_function(activation)
        self.gates = Gates(
            "h", input_size, hidden_size, bias=bias, joint=joint, layer_norm=layer_norm
        )

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        (drive,) = self.gates(x, h)
        return self.activation(drive)

    def torch_kernel(self) -> TorchKernel | None:
        """torch.nn.RNN's kernel, for tanh and relu without layer norm."""
        if not keeps_equations(self, Elman) or self.gates.layer_norm:
            return None
        if self.activation is torch.tanh:
            return TorchKernel("rnn_tanh", self.gates.torch_weights())
        if self.activation in (torch.relu, F.relu):
            return TorchKernel("rnn_relu", self.gates.torch_weights())
        return None
