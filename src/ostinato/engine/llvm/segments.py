"""Cutting a walk into segments, whose buffers are those of one.

Row numbers count on over the whole batch, as the tables have them; the addresses that a kernel is
given lie so far in front of the buffers that the rows of a segment meet them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ostinato.engine.llvm.batch import runs_of
from ostinato.engine.llvm.plan import Area, Chunk, Plan

__all__ = ["Segment", "Segments"]


@dataclass
class Segment:
    """Some steps between two kept states.

    Rows of a state's sequence are counted from the first states on, all others without those.

    Attributes:
        first: row of its first step.
        rows: how many.
        before: row of its old states in their sequences.
        after: likewise of the states that it leaves to those that go on.
        live: sequences that its first step has.
        going: sequences that go on after it.
        chunks: its steps as the walk takes them.
        runs: rows that stand side by side, see `Layout`.
        bounds: of the runs that are summed together.
    """

    first: int
    rows: int
    before: int
    after: int
    live: int
    going: int
    chunks: list[Chunk]
    runs: Tensor
    bounds: Tensor

    def __post_init__(self) -> None:
        self.tables = self.runs.data_ptr(), self.bounds.data_ptr(), len(self.bounds) - 1


def _cut(plan: Plan, every: int) -> list[Segment]:
    steps = plan.layout.lines
    T, size = plan.layout.length, plan.chunks[0].numbers[0]
    found = []
    for start in range(0, T, every):
        stop = min(start + every, T)
        (first, before, live), (end, after, going) = steps[start], steps[stop]
        chunks = []
        for t in range(start, stop, size):
            last = min(t + size, stop)
            chunks.append(Chunk((last - t, steps[t][0], steps[last][0]), t, steps[t][0]))
        plan.deal(chunks)
        tables = runs_of(plan.layout, start, stop)
        found.append(Segment(first, end - first, before, after, live, going, chunks, *tables))
    return found


class Segments:
    """A plan cut into segments of `every` steps, and where the buffers of one stand.

    Attributes:
        capacity: rows of records: behind those of a segment is place for one step of the next.
        work: what a walk forward needs.
        back_work: what the reverse needs besides.
        moving: names of the addresses that move from segment to segment.
        offsets: by how many bytes, [segments, names].
    """

    def __init__(self, plan: Plan, every: int) -> None:
        self.plan, self.kernel = plan, plan.kernel
        self.segments = _cut(plan, every)
        kernel, program, back = plan.kernel, plan.kernel.program, plan.kernel.backward
        assert back is not None
        batch, most = plan.layout.batch, max(segment.rows for segment in self.segments)
        self.capacity = most + batch
        rows = {"cur": most, "local": batch}
        own = [(name, rows[row] * width) for name, (row, width) in kernel.forward.buffers.items()]
        states = [(f"Y{i}", (batch + most) * width) for i, width in enumerate(program.states)]
        emits = [(f"E{k}", most * node.width) for k, node in enumerate(program.emits)]
        self.work = Area(kernel, [*self._records(kernel.forward.slots), *own, *states, *emits])
        names = [name for name in back.slots if name not in kernel.alias]
        own = [(name, batch * width) for name, (_, width) in back.buffers.items()]
        self.back_work = Area(kernel, [*self._records(names), *own])
        self.moving, self.offsets = self._offsets()

    def _offsets(self) -> tuple[list[str], NDArray[np.int64]]:
        kernel, slots = self.kernel, self.plan.slots
        buffers, program = kernel.forward.buffers, kernel.program
        rows = {name: width for name, (row, width) in buffers.items() if row == "cur"}
        rows |= {f"E{k}": node.width for k, node in enumerate(program.emits)}
        rows |= {name: self.row(name) for name in kernel.slots}
        states = {f"{kind}{i}": w for kind in "YV" for i, w in enumerate(program.states)}
        rows = {name: width for name, width in rows.items() if name in slots}
        states = {name: width for name, width in states.items() if name in slots}
        first = np.array([[segment.first] for segment in self.segments])
        before = np.array([[segment.before] for segment in self.segments])
        moved = [first * list(rows.values()), before * list(states.values())]
        offsets = np.concatenate(moved, axis=1) * kernel.module.bytes
        return [*rows, *states], offsets

    def _records(self, names: Iterable[str]) -> list[tuple[str, int]]:
        return [(name, self.blocks(name) * self.capacity * self.row(name)) for name in names]

    def blocks(self, name: str) -> int:
        """Unit blocks of a record buffer."""
        return -(-self.kernel.widths[name] // self.kernel.lanes)

    def row(self, name: str) -> int:
        """Elements that a record has for one row and unit block."""
        return self.kernel.slots[name] * self.kernel.lanes
