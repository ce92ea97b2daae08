"""A reservoir that hears its own outputs: reservoir and readout as one cell."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ostinato.reservoirs.cell import ReservoirCell

__all__ = ["FreeRunning"]


class FreeRunning(nn.Module):
    """Layers of cells, a linear readout, and its output as the last inputs of the first layer.

        h[t] = cell([x[t], y[t-1]], h[t-1]),    y[t] = W [h[t], x[t], y[t-1]] + b

    A cell like any: its states are those of its cells, and y.

    Args:
        cells: layer by layer.
        weight: W [O, F].
        bias: b [O].
        inputs: I, width of x; 0: there is none, and what is given in its place is not read.
        direct: whether the readout sees x[t] and y[t-1], too.
    """

    def __init__(
        self,
        cells: Sequence[ReservoirCell],
        weight: Tensor,
        bias: Tensor,
        *,
        inputs: int,
        direct: bool,
    ) -> None:
        super().__init__()
        self.cells = nn.ModuleList(cells)
        self.weight = nn.Parameter(weight.clone(), requires_grad=False)
        self.bias = nn.Parameter(bias.clone(), requires_grad=False)
        self.inputs, self.direct = inputs, direct
        self.input_size = max(1, inputs)
        self.state_sizes = (*(cell.hidden_size for cell in cells), len(bias))

    def initial_state(self, batch_size: int) -> tuple[Tensor, ...]:
        """Zeros."""
        return tuple(self.bias.new_zeros(batch_size, size) for size in self.state_sizes)

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        *old, y = state
        given = torch.cat([x, y], dim=-1) if self.inputs else y
        heard, new = given, []
        for cell, h in zip(self.cells, old, strict=True):
            heard = cell(heard, h)
            new.append(heard)
        seen = torch.cat([*new, given], dim=-1) if self.direct else torch.cat(new, dim=-1)
        y = F.linear(seen, self.weight, self.bias)
        return y, (*new, y)
