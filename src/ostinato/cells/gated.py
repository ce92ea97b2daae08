"""One gate that chooses between keeping the state and renewing it."""

from __future__ import annotations

import torch
from torch import Tensor

from ostinato.cells.base import Cell
from ostinato.cells.gates import Gates

__all__ = ["MGU", "Gated"]


class Gated(Cell):
    r"""Single-gate unit: a gate of its own for each unit, and a plain candidate.

        g    = sigmoid(W_g x[t] + U_g h[t-1] + b_g)
        n    = tanh(W_n x[t] + U_n h[t-1] + b_n)
        h[t] = (1 - g) h[t-1] + g n

    Source: the update-gate RNN of Collins, Sohl-Dickstein, Sussillo (2017), arXiv:1611.09913,
    whose gate is 1 - g. `MGU` has the gate inside the candidate, too.

    Args:
        input_size: I, width of one input vector.
        hidden_size: H, width of the state.
        bias: True for b, "both" for one beside each matrix, or False.
        joint: one matrix on [h, x] in place of two.

    Shapes: x [B, I], h [B, H] -> h [B, H]. Parameters, under `gates`, rows g n: weight_ih [2H, I]
    and weight_hh [2H, H], or weight [2H, H+I]; bias [2H].

    Raises:
        ValueError: `bias` is unknown, or two biases for one matrix.

    Example:
        >>> cell = Gated(3, 4)
        >>> cell(torch.ones(2, 3), *cell.initial_state(2)).shape
        torch.Size([2, 4])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool | str = True,
        joint: bool = False,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.gates = Gates("g n", input_size, hidden_size, bias=bias, joint=joint)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        g, n = self.gates(x, h)
        g = torch.sigmoid(g)
        n = torch.tanh(n)
        return (1 - g) * h + g * n


class MGU(Cell):
    r"""Minimal gated unit: one gate, which also closes off the state that the candidate hears.

        f    = sigmoid(W_f x[t] + U_f h[t-1] + b_f)
        n    = tanh(W_n x[t] + U_n (f h[t-1]) + b_n)
        h[t] = (1 - f) h[t-1] + f n

    Source: Zhou, Wu, Zhang, Zhou (2016), arXiv:1603.09420. `Gated` has no gate inside the
    candidate.

    Args:
        input_size: I, width of one input vector.
        hidden_size: H, width of the state.
        bias: True for b, "both" for one beside each matrix, or False.
        joint: one matrix on [h, x] in place of two.

    Shapes: x [B, I], h [B, H] -> h [B, H]. Parameters, under `gate` and under `candidate`:
    weight_ih [H, I] and weight_hh [H, H], or weight [H, H+I]; bias [H].

    Raises:
        ValueError: `bias` is unknown, or two biases for one matrix.

    Example:
        >>> cell = MGU(3, 4)
        >>> cell(torch.ones(2, 3), *cell.initial_state(2)).shape
        torch.Size([2, 4])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool | str = True,
        joint: bool = False,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.gate = Gates("f", input_size, hidden_size, bias=bias, joint=joint)
        self.candidate = Gates("n", input_size, hidden_size, bias=bias, joint=joint)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        (f,) = self.gate(x, h)
        f = torch.sigmoid(f)
        (n,) = self.candidate(x, f * h)
        n = torch.tanh(n)
        return (1 - f) * h + f * n
