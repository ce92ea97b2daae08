"""Connections that skip steps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ostinato.cells.activations import Activation, activation_function
from ostinato.cells.base import Cell
from ostinato.cells.gates import Gates

__all__ = ["NARX"]


class NARX(Cell):
    r"""NARX-style network: the hidden layer hears itself as it was k steps ago, for several k.

        h[t] = act(W x[t] + sum_k U_k h[t-k] + b)

    Sources: Lin, Horne, Tino, Giles (1996), doi:10.1109/72.548162, where outputs are fed back; in
    hidden states: DiPietro, Rupprecht, Navab, Hager (2017), arXiv:1702.07805.

    Args:
        input_size: I, width of one input vector.
        hidden_size: H, width of each state.
        delays: the k, in steps, each once.
        activation: act, by name or any function of a tensor.
        bias: True for b, "both" for one beside each matrix, or False.
        joint: one matrix on [h[t-k] ..., x] in place of two.

    Shapes: x [B, I], K states h1 .. hK [B, H] -> the K new ones, K the longest delay; hk is the
    state of k steps ago. Parameters, under `gates`, D delays side by side: weight_ih [H, I] and
    weight_hh [H, D*H], or weight [H, D*H+I]; bias [H].

    Raises:
        ValueError: no delay, one below 1 or given twice; an unknown `activation` or `bias`.

    Example:
        >>> cell = NARX(3, 4, delays=(1, 3))
        >>> states = cell(torch.ones(2, 3), *cell.initial_state(2))
        >>> len(states), states[0].shape
        (3, torch.Size([2, 4]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        delays: Sequence[int] = (1, 2),
        activation: str | Activation = "tanh",
        bias: bool | str = True,
        joint: bool = False,
    ) -> None:
        steps = tuple(delays)
        if not steps or min(steps) < 1 or len(set(steps)) < len(steps):
            raise ValueError(f"NARX: delays must be different steps >= 1, got {delays}.")
        longest = max(steps)
        super().__init__(
            input_size,
            hidden_size,
            state_sizes=(hidden_size,) * longest,
            state_names=tuple(f"h{k}" for k in range(1, longest + 1)),
        )
        self.delays = steps
        self.activation = activation_function(activation)
        width = len(steps) * hidden_size
        self.gates = Gates("h", input_size, hidden_size, state_size=width, bias=bias, joint=joint)

    def forward(self, x: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        heard = torch.cat([past[k - 1] for k in self.delays], dim=-1)
        (drive,) = self.gates(x, heard)
        h = self.activation(drive)
        return h, *past[:-1]
