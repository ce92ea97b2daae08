"""What stands for a tensor while a graph is traced, and views of it.

A view operation is not modelled one by one: torch applies it to an array of positions, and the
result tells which units were taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from ostinato.engine.algebra import cat, slice_, widen
from ostinato.engine.expressions import Matrix, Node

__all__ = ["Batch", "Opaque", "Rows", "Static", "Unfit", "new_static", "view_rows", "view_static"]

# rows of the array of positions; every size that follows the batch takes this value
ROWS = 2
# a value in more pieces than this is no longer vector work
MAX_RUNS = 512


class Unfit(Exception):  # noqa: N818 - it says what is not so, not that something broke
    """An operation does not fit the algebra; the tracer adds its name and line."""


@dataclass(frozen=True)
class Rows:
    """[B, *shape]: a vector a row, units in row-major order; a node of width 1 fills any shape."""

    node: Node
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def full(self) -> Node:
        return widen(self.node, self.size)


@dataclass(frozen=True)
class Static:
    """A tensor that no step changes: what the graph has at `origin`, a view of that at `base`."""

    origin: fx.Node
    base: fx.Node
    view: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.view.shape)


@dataclass(frozen=True)
class Opaque:
    """A value that depends on x alone, to be computed before the walk."""

    origin: fx.Node


@dataclass(frozen=True)
class Batch:
    """A number that follows the batch size; its value for ROWS rows."""

    value: int


def new_static(origin: fx.Node) -> Static:
    """What the graph computes at a node, as a tensor of its own."""
    shape = tuple(origin.meta["val"].shape)
    return Static(origin, origin, torch.empty(shape, device="meta"))


def view_static(value: Static, apply: Callable[[Tensor], Any]) -> Any:
    """A view of a static tensor, or a list of them; None if it takes a copy."""
    views = apply(value.view)
    parts = views if isinstance(views, (tuple, list)) else (views,)
    base = value.view if value.view._base is None else value.view._base
    if not all(part is base or part._base is base for part in parts):
        return None
    found = [replace(value, view=part) for part in parts]
    return found if isinstance(views, (tuple, list)) else found[0]


def as_matrix(value: Static, index: int) -> Matrix | None:
    """The view as `linear` takes it, of a static tensor [rows, columns]; None if it is not one."""
    view = value.view
    base = view if view._base is None else view._base
    if view.dim() != 2 or base.dim() != 2:
        return None
    (rows, columns), pitch = view.shape, base.shape[1]
    row, column = divmod(int(view.storage_offset()), pitch)

    def strides(first: int, second: int) -> bool:
        wanted = zip(view.shape, view.stride(), (first, second), strict=True)
        return all(size == 1 or stride == want for size, stride, want in wanted)

    # a single row or column fits both ways, but may not leave the base
    if strides(pitch, 1) and column + columns <= pitch:
        return Matrix(index, row, column, rows, columns)
    if strides(1, pitch) and column + rows <= pitch:
        return Matrix(index, row, column, columns, rows, transposed=True)
    return None


def as_vector(value: Static) -> tuple[int, int] | None:
    """(start, width) of the view in a static vector; None if it is not one."""
    view = value.view
    base = view if view._base is None else view._base
    if base.dim() > 1 or view.dim() > 1 or (view.numel() > 1 and view.stride() != (1,)):
        return None
    return int(view.storage_offset()), view.numel()


def view_rows(values: Sequence[Rows], apply: Callable[[list[Tensor]], Any]) -> Any:
    """The view that torch makes of some values: Rows, or a list of them.

    Raises:
        Unfit: rows of the batch are mixed or moved.
    """
    total = sum(value.size for value in values)
    taken = apply(positions([value.shape for value in values]))
    source = cat(value.full() for value in values)
    return pytree.tree_map(lambda part: _take(source, units_taken(part, total), part), taken)


def positions(shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    """The position of each unit among all those of some values, as [ROWS, *shape] for each."""
    sizes = [math.prod(shape) for shape in shapes]
    grid = torch.arange(ROWS * sum(sizes)).reshape(ROWS, sum(sizes))
    pairs = zip(torch.split(grid, sizes, dim=1), shapes, strict=True)
    return [part.reshape(ROWS, *shape) for part, shape in pairs]


def units_taken(positions: Tensor, total: int) -> list[int]:
    """The units of each row that a view took, of `total`.

    Raises:
        Unfit: rows of the batch are mixed or moved.
    """
    steady = positions.dim() > 0 and positions.shape[0] == ROWS
    if not steady or not torch.equal(positions[1], positions[0] + total):
        raise Unfit("it moves or mixes the rows of the batch")
    if positions.numel() == 0:
        raise Unfit("it gives a value of no units")
    units: list[int] = positions[0].flatten().tolist()
    if min(units) < 0 or max(units) >= total:
        raise Unfit("it mixes the rows of the batch")
    return units


def _take(source: Node, units: list[int], positions: Tensor) -> Rows:
    runs = list(_runs(units))
    if len(runs) > MAX_RUNS:
        raise Unfit(f"it scatters the units into {len(runs)} pieces, more than {MAX_RUNS}")
    shape = tuple(positions.shape[1:])
    return Rows(cat(widen(slice_(source, a, b), n) for a, b, n in runs), shape)


def _runs(units: list[int]) -> Iterator[tuple[int, int, int]]:
    """Stretches of units as (start, stop, width): one after the other, or one repeated."""
    at = 0
    while at < len(units):
        first, end = units[at], at + 1
        step = units[end] - first if end < len(units) else 1
        while step in (0, 1) and end < len(units) and units[end] == first + step * (end - at):
            end += 1
        yield first, first + 1 + step * (end - at - 1) * (step in (0, 1)), end - at
        at = end
