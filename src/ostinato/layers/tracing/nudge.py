"""Nothing, added to each new state: its gradient is d loss / d state, through all of time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ostinato.engine import Call, State, split_result
from ostinato.layers.wrapper import Wrapper

__all__ = ["Nudged"]


class Nudged(Wrapper):
    """Around a cell: adds the last columns of x to the new states and to the output.

    With zeros there, nothing changes, and any engine can give their gradient: that of a state as it
    is handed on, to the next step and (where it is the output) to what comes after time.

    Args:
        cell: the cell inside.
        sizes: widths of the states that are nudged; further states go through.
        output: width of an output that is no state, or 0.

    Shapes: x [B, I + n], n the sum of `sizes` and `output`; states as the cell's.
    """

    def __init__(self, cell: nn.Module, sizes: Sequence[int], output: int = 0) -> None:
        super().__init__(cell, sizes)
        self.widths = [*self.sizes, output] if output else [*self.sizes]

    def zeros(self, call: Call) -> State:
        """What is added to each state and to the output, [T, B, S]; asks for its gradient."""
        like, (T, B) = call.state[0].detach(), call.x.shape[:2]
        return tuple(like.new_zeros(T, B, width).requires_grad_() for width in self.widths)

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, State]:
        total = sum(self.widths)
        x, nudges = torch.split(x, [x.shape[-1] - total, total], dim=-1)
        each = torch.split(nudges, self.widths, dim=-1)
        output, new = split_result(self.cell(x, *state), len(state))
        count = len(self.sizes)
        moved = tuple(a + b for a, b in zip(new[:count], each, strict=False))
        output = moved[0] if output is new[0] else output + each[count]
        return output, (*moved, *new[count:])
