"""A long short-term memory whose recurrence depends on the input."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ostinato.cells.base import Cell
from ostinato.cells.gates import Gates
from ostinato.cells.lstm import check_forget_bias, has_bias

__all__ = ["MultiplicativeLSTM"]


class MultiplicativeLSTM(Cell):
    r"""Multiplicative LSTM: each input chooses its own recurrent matrix.

        m    = (W_m x[t]) (U_m h[t-1])
        i    = sigmoid(W_i x[t] + U_i m + b_i)
        f    = sigmoid(W_f x[t] + U_f m + b_f)
        g    = tanh(W_g x[t] + U_g m + b_g)
        o    = sigmoid(W_o x[t] + U_o m + b_o)
        c[t] = f c[t-1] + i g
        h[t] = o tanh(c[t])

    Source: Krause, Lu, Murray, Renals (2016), arXiv:1609.07959. The forget gate's bias starts at
    `forget_bias`, as `LSTM` says.

    Args:
        input_size: I, width of one input vector.
        hidden_size: H, width of both states.
        forget_bias: start of the forget gate's bias.
        bias: True for b, "both" for one beside each matrix, or False.
        joint: one matrix on [m, x] in place of two.

    Shapes: x [B, I], h [B, H], c [B, H] -> (h, c). Parameters: input_factor.weight [H, I],
    state_factor.weight [H, H]; under `gates`, rows i f g o: weight_ih [4H, I] and weight_hh
    [4H, H], or weight [4H, H+I]; bias [4H].

    Raises:
        ValueError: `bias` is unknown, two biases for one matrix, or a `forget_bias` other than 1
            without a bias to start.

    Example:
        >>> cell = MultiplicativeLSTM(3, 4)
        >>> h, c = cell(torch.ones(2, 3), *cell.initial_state(2))
        >>> h.shape, c.shape
        (torch.Size([2, 4]), torch.Size([2, 4]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        forget_bias: float = 1.0,
        bias: bool | str = True,
        joint: bool = False,
    ) -> None:
        sizes, names = (hidden_size, hidden_size), ("h", "c")
        super().__init__(input_size, hidden_size, state_sizes=sizes, state_names=names)
        check_forget_bias(self, forget_bias, bias)
        self.forget_bias = forget_bias
        self.input_factor = nn.Linear(input_size, hidden_size, bias=False)
        self.state_factor = nn.Linear(hidden_size, hidden_size, bias=False)
        self.gates = Gates("i f g o", input_size, hidden_size, bias=bias, joint=joint)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As `Gates`, the forget bias set; input factor Glorot, state factor orthogonal."""
        nn.init.xavier_uniform_(self.input_factor.weight)
        nn.init.orthogonal_(self.state_factor.weight)
        self.gates.reset_parameters()
        if has_bias(self.gates):
            self.gates.start_bias("f", self.forget_bias)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        m = self.input_factor(x) * self.state_factor(h)
        i, f, g, o = self.gates(x, m)
        i = torch.sigmoid(i)
        f = torch.sigmoid(f)
        g = torch.tanh(g)
        o = torch.sigmoid(o)
        c = f * c + i * g
        h = o * torch.tanh(c)
        return h, c
