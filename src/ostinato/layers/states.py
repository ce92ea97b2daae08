"""The state of a layer as users see it, and cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ostinato.cells.base import Cell
from ostinato.engine import State
from ostinato.layers.initial import Sizes

__all__ = ["StateForm", "sizes_of"]


class StateForm:
    """Turns a layer's public state into one tuple of [B, S] tensors for each cell, and back.

    A cell with one state tensor has it bare, one with several has a tuple of them. A layer of one
    cell (`alone`) shows that; a layer of N cells shows each tensor as [N, B, S], layer by layer and
    direction inside; where the cells differ in width, it shows a tuple with the state of each.

    Args:
        name: the layer's, for messages.
        cells: the layer's cells.
        sizes: for each cell the widths of its states; () where nobody knows them.
        alone: show the state of a single cell without a leading axis.
    """

    def __init__(self, name: str, cells: Sequence[nn.Module], sizes: Sizes, alone: bool) -> None:
        self.name = name
        self.sizes = sizes
        self.alone = alone and len(sizes) == 1
        self.even = len(set(sizes)) == 1
        names = getattr(cells[0], "state_names", None) or [f"state {i} " for i in range(9)]
        self.names = tuple(f"{part}0" for part in names)
        # where nothing else is said, zeros are made here, which is quicker than by the cell
        self._plain = tuple(
            getattr(type(cell), "initial_state", Cell.initial_state) is Cell.initial_state
            for cell in cells
        )

    @property
    def zeros(self) -> bool:
        """Whether all cells start from zeros of known widths when nothing else is said."""
        return all(self._plain) and all(self.sizes)

    def first(self, place: int, cell: nn.Module, batch_size: int, like: Tensor) -> State:
        """What one cell starts from when nobody says otherwise."""
        sizes = self.sizes[place]
        if sizes and self._plain[place]:
            return tuple(like.new_zeros(batch_size, size) for size in sizes)
        own = getattr(cell, "initial_state", None)
        if own is None:
            raise ValueError(
                f"{self.name}: {type(cell).__name__} does not say how wide its states are. Pass "
                "the state, or state_sizes when the layer is built."
            )
        made = own(batch_size)
        return tuple(part.to(like) for part in ((made,) if isinstance(made, Tensor) else made))

    def split(self, state: Any, batch_size: int, unbatched: bool = False) -> list[State]:
        """The public state cell by cell.

        Raises:
            TypeError: it is not made of tensors.
            ValueError: a wrong number of tensors, or a wrong shape.
        """
        if not self.even:
            self._check_cells(state)
            each = zip(state, self.sizes, strict=True)
            return [self._split_one(part, sizes, batch_size, unbatched) for part, sizes in each]
        if self.alone:
            return [self._split_one(state, self.sizes[0], batch_size, unbatched)]
        parts = self._parts(state, len(self.sizes[0]))
        if unbatched:
            parts = tuple(part.unsqueeze(-2) for part in parts)
        for i, (part, size) in enumerate(zip(parts, self.sizes[0], strict=True)):
            wanted = (len(self.sizes), batch_size, size)
            if part.shape != wanted:
                raise self._wrong(i, part, wanted, "layers x directions, batch, hidden", unbatched)
        if len(self.sizes) == 1:
            return [tuple(part.squeeze(0) for part in parts)]
        return list(zip(*(part.unbind(0) for part in parts), strict=True))

    def join(self, states: list[State], unbatched: bool = False) -> Any:
        """The public form of a state that is given cell by cell."""
        if unbatched:
            states = [tuple(part.squeeze(-2) for part in parts) for parts in states]
        if not self.even:
            return tuple(parts[0] if len(parts) == 1 else parts for parts in states)
        if self.alone:
            parts = states[0]
        elif len(states) == 1:
            parts = tuple(part.unsqueeze(0) for part in states[0])
        else:
            parts = tuple(torch.stack(part) for part in zip(*states, strict=True))
        return parts[0] if len(parts) == 1 else parts

    def _split_one(
        self, state: Any, sizes: tuple[int, ...], batch_size: int, unbatched: bool
    ) -> State:
        parts = self._parts(state, len(sizes))
        if unbatched:
            parts = tuple(part.unsqueeze(-2) for part in parts)
        for i, (part, size) in enumerate(zip(parts, sizes, strict=False)):
            if part.shape != (batch_size, size):
                raise self._wrong(i, part, (batch_size, size), "batch, hidden", unbatched)
        return parts

    def _parts(self, state: Any, count: int) -> State:
        parts = (state,) if isinstance(state, Tensor) else state
        if not isinstance(parts, (tuple, list)) or not all(isinstance(p, Tensor) for p in parts):
            raise TypeError(
                f"{self.name}: the state must be {self._wanted(count)}, got "
                f"{type(state).__name__}. Pass what the layer returned, or tensors of that form."
            )
        if count and len(parts) != count:
            raise ValueError(
                f"{self.name}: the state must be {self._wanted(count)}, got {len(parts)} tensor(s)."
            )
        return tuple(parts)

    def _wanted(self, count: int) -> str:
        if count == 1:
            return f"one tensor, {self.names[0]}"
        return f"a tuple ({', '.join(self.names[:count])})" if count else "a tensor or a tuple"

    def _check_cells(self, state: Any) -> None:
        if not isinstance(state, (tuple, list)) or len(state) != len(self.sizes):
            raise ValueError(
                f"{self.name}: its {len(self.sizes)} cells differ in width, so the state must be a "
                "tuple with the state of each. Pass what the layer returned."
            )

    def _wrong(
        self, i: int, part: Tensor, wanted: tuple[int, ...], axes: str, unbatched: bool
    ) -> ValueError:
        got = list(part.shape)
        shape = list(wanted)
        hint = " Pass it layer first." if sorted(got) == sorted(shape) and len(shape) == 3 else ""
        if unbatched:
            del got[-2], shape[-2]
            axes = axes.replace("batch, ", "")
        return ValueError(
            f"{self.name}: {self.names[i]} must be {shape} ({axes}), got {got}.{hint}"
        )


def sizes_of(cell: nn.Module, given: Sequence[int] | None = None) -> tuple[int, ...]:
    """Widths of a cell's states, or () where neither the caller nor the cell says them."""
    if given is not None:
        return tuple(given)
    known = getattr(cell, "state_sizes", None)
    if known is not None:
        return tuple(known)
    own = getattr(cell, "initial_state", None)
    if own is None:
        return ()
    with torch.no_grad():
        made = own(1)
    return tuple(part.shape[-1] for part in ((made,) if isinstance(made, Tensor) else made))
