"""Groups of units that tick at different rates."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ostinato.cells.activations import Activation, activation_function
from ostinato.cells.base import Cell
from ostinato.cells.gates import Gates

__all__ = ["ClockworkRNN"]


class ClockworkRNN(Cell):
    r"""Clockwork network: group k runs at every T_k-th step and holds its state between.

        n       = act(W x[t] + U h[t-1] + b)
        h_k[t]  = n_k  if t mod T_k = 0,  h_k[t-1]  otherwise

    A group hears only groups as slow as itself or slower (U is zero elsewhere). The step t is a
    second state: it starts at 0, where every group runs, and starts again where a row is reset. It
    is kept modulo the least common multiple of the periods, so that it stays a small whole number.

    Source: Koutnik, Greff, Gomez, Schmidhuber (2014), arXiv:1402.3511.

    Args:
        input_size: I, width of one input vector.
        hidden_size: H, width of the state h; a multiple of the number of periods.
        periods: T_k of each group, in steps; the groups share the units equally, in this order.
        activation: act, by name or any function of a tensor.
        bias: True for b, "both" for one beside each matrix, or False.
        joint: one matrix on [h, x] in place of two.

    Shapes: x [B, I], h [B, H], t [B, 1] -> (h, t). Parameters, under `gates`: weight_ih [H, I] and
    weight_hh [H, H], or weight [H, H+I]; bias [H].

    Raises:
        ValueError: no period, one below 1, or H is no multiple of their number; an unknown
            `activation` or `bias`.

    Example:
        >>> cell = ClockworkRNN(3, 4, periods=(1, 2))
        >>> h, t = cell(torch.ones(5, 3), *cell.initial_state(5))
        >>> h.shape, t[0]
        (torch.Size([5, 4]), tensor([1.]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        periods: Sequence[int] = (1, 2, 4, 8),
        activation: str | Activation = "tanh",
        bias: bool | str = True,
        joint: bool = False,
    ) -> None:
        super().__init__(
            input_size, hidden_size, state_sizes=(hidden_size, 1), state_names=("h", "t")
        )
        if not periods or min(periods) < 1:
            raise ValueError(f"ClockworkRNN: periods must be whole steps >= 1, got {periods}.")
        if hidden_size % len(periods):
            raise ValueError(
                f"ClockworkRNN: hidden_size must be a multiple of the {len(periods)} periods, "
                f"got {hidden_size}. Change either."
            )
        self.activation = activation_function(activation)
        self.cycle = math.lcm(*periods)
        of_unit = torch.tensor(periods).repeat_interleave(hidden_size // len(periods))
        self.period: Tensor
        self.register_buffer("period", of_unit.to(torch.get_default_dtype()), persistent=False)
        hears = of_unit[None, :] >= of_unit[:, None]
        self.gates = Gates("h", input_size, hidden_size, bias=bias, joint=joint, mask=hears)

    def forward(self, x: Tensor, h: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        (drive,) = self.gates(x, h)
        n = self.activation(drive)
        ticks = torch.remainder(t, self.period) == 0
        h = torch.where(ticks, n, h)
        t = torch.remainder(t + 1, self.cycle)
        return h, t
