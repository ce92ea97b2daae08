"""Cells around cells: how an option acts inside time while every engine sees only a cell."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ostinato.engine import Call, State

__all__ = ["Wrapper"]


class Wrapper(nn.Module):
    """Base of the cells that stand around another cell and change what it reads or writes.

    What changes from step to step comes as extra columns at the end of x; what stays for a whole
    walk comes as extra states at the end of the state, which go through unchanged.

    Args:
        cell: the cell inside.
        sizes: widths of its states, without those that it has extra itself.
    """

    def __init__(self, cell: nn.Module, sizes: Sequence[int]) -> None:
        super().__init__()
        self.cell = cell
        self.sizes = tuple(sizes)

    def columns(self, call: Call, like: Tensor) -> Tensor | None:
        """The extra columns [T, B, n], of the device and type of `like`, or None."""
        return None

    def extra_state(self, call: Call, like: Tensor) -> State:
        """The extra states, each [B, n]."""
        return ()
