"""Gates that hear the input alone, so that the state is affine in its past."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ostinato.cells.base import Cell

__all__ = ["MinGRU", "MinLSTM"]


class MinGRU(Cell):
    r"""Minimal GRU.

        z    = sigmoid(W_z x[t] + b_z)
        n    = W_n x[t] + b_n
        h[t] = (1 - z) h[t-1] + z n

    Source: Feng, Tung, Ahmed, Bengio, Hajimirsadeghi (2024), arXiv:2410.01201.

    Args:
        input_size: I, width of one input vector.
        hidden_size: H, width of the state.
        bias: whether there is b.

    Shapes: x [B, I], h [B, H] -> h [B, H]. Parameters, under `gates`, rows z n: weight [2H, I],
    bias [2H].

    Example:
        >>> cell = MinGRU(3, 4)
        >>> cell(torch.ones(2, 3), *cell.initial_state(2)).shape
        torch.Size([2, 4])
    """

    def __init__(self, input_size: int, hidden_size: int, *, bias: bool = True) -> None:
        super().__init__(input_size, hidden_size)
        self.gates = nn.Linear(input_size, 2 * hidden_size, bias=bias)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        drive: Tensor = self.gates(x)
        z, n = drive.chunk(2, dim=-1)
        z = torch.sigmoid(z)
        return (1 - z) * h + z * n


class MinLSTM(Cell):
    r"""Minimal LSTM: the two gates are scaled to add up to one.

        f    = sigmoid(W_f x[t] + b_f)
        i    = sigmoid(W_i x[t] + b_i)
        n    = W_n x[t] + b_n
        h[t] = f / (f + i) h[t-1] + i / (f + i) n

    Source: Feng, Tung, Ahmed, Bengio, Hajimirsadeghi (2024), arXiv:2410.01201.

    Args:
        input_size: I, width of one input vector.
        hidden_size: H, width of the state.
        bias: whether there is b.

    Shapes: x [B, I], h [B, H] -> h [B, H]. Parameters, under `gates`, rows f i n: weight [3H, I],
    bias [3H].

    Example:
        >>> cell = MinLSTM(3, 4)
        >>> cell(torch.ones(2, 3), *cell.initial_state(2)).shape
        torch.Size([2, 4])
    """

    def __init__(self, input_size: int, hidden_size: int, *, bias: bool = True) -> None:
        super().__init__(input_size, hidden_size)
        self.gates = nn.Linear(input_size, 3 * hidden_size, bias=bias)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        drive: Tensor = self.gates(x)
        f, i, n = drive.chunk(3, dim=-1)
        f = torch.sigmoid(f)
        i = torch.sigmoid(i)
        keep = f / (f + i)
        write = i / (f + i)
        return keep * h + write * n
