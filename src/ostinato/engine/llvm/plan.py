"""What is known of a call before its tensors: the frame's numbers, and where buffers stand.

One plan serves every call of a kernel on a batch of one shape. All that a call borrows lies in a
few large buffers, at places that the plan has worked out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ostinato.engine.llvm.batch import Layout, dense
from ostinato.engine.llvm.kernel import Kernel, Packing
from ostinato.engine.llvm.sharing import FEW, Ways

__all__ = ["Area", "Plan", "plan_of"]

# records of about this many bytes are filled and walked in one go, so that they stay in the cache
_NEAR = 1 << 20
_LINE = 64
# bytes between buffers: those of one size, a power of two, would fall on the same lines of a cache
_APART = 5 * _LINE
# multiply-adds in a step that are worth a meeting of the threads after it
_BUSY = 32_000
# steps after which threads that share units look whether they should
_LOOK = 128


class Area:
    """One buffer that holds several, each from a cache line of its own.

    Attributes:
        size: elements in all.
        index: frame indices of the parts.
        offset: bytes from the buffer's address to each part.
    """

    def __init__(self, kernel: Kernel, parts: Iterable[tuple[str, int]]) -> None:
        width, at = kernel.module.bytes, 0
        index, offset = [], []
        for name, size in parts:
            if name in kernel.frame.slots:
                index.append(kernel.frame.slots[name])
                offset.append(at)
                at += -(-size * width // _LINE) * _LINE + _APART
        self.size = at // width + _LINE
        self.index = np.array(index, dtype=np.int64)
        self.offset = np.array(offset, dtype=np.int64)

    def place(self, words: NDArray[np.int64], buffer: Tensor) -> None:
        """Enter the addresses of the parts."""
        if len(self.index):
            address = -(-buffer.data_ptr() // _LINE) * _LINE
            words[self.index] = self.offset + address


@dataclass
class Chunk:
    """Some steps that are worked off in one go.

    Attributes:
        numbers: of the frame: how many steps, first and last row.
        steps: line of the table of steps that is the first.
        first: rows of the whole batch before them.
        busy: multiply-adds in a step whose units the threads may share; 0: they may not.
        work: addresses of the tables of who works on what; None: the same in all chunks.
        ended: where buffers are used again, the first and the last but one of the sequences that
            end here while others go on, and in which rows of a state's buffer.
    """

    numbers: tuple[int, int, int]
    steps: int
    first: int
    busy: int = 0
    work: tuple[int, int] | None = None
    ended: tuple[int, int, Tensor] | None = None


class Plan:
    """A kernel on batches of one layout.

    Args:
        kernel: the code.
        layout: of the batch.
        wanted: states whose sequences are asked for.
        threads: how many may work.
    """

    def __init__(
        self, kernel: Kernel, layout: Layout, wanted: tuple[int, ...], threads: int
    ) -> None:
        self.kernel, self.layout, self.wanted, self.threads = kernel, layout, wanted, threads
        self.slots = kernel.frame.slots
        self.words = np.zeros(len(self.slots), dtype=np.int64)
        self.kept: list[Tensor] = []
        B, N = layout.batch, layout.rows
        self._set(B=B, lone=int(B <= 2 and layout.even), threads=threads)
        self.row_work = self._row_work() if threads > 1 else 0
        self.shareable = self._busy(B) > 0
        if layout.even:
            blocks, shares = layout.work(0, layout.length, threads, kernel.most)
            self._point(blocks=blocks, shares=shares)
        if kernel.backward is not None:
            self._set(chunk_count=len(layout.chunks) - 1)
            self._point(runs=layout.runs, chunks=layout.chunks)
        for s, shape in enumerate(kernel.program.statics):
            self._set(**{f"wS{s}": shape[-1]})
        for s, twin in kernel.twins.items():
            self._set(**{f"wS{twin}": kernel.program.statics[s][0]})
        self.hidden = [i for i in range(len(kernel.program.states)) if i not in wanted]
        self.reuse, self.chunks, steps = self._cut()
        self.deal(self.chunks)
        self.rows = max(chunk.numbers[2] for chunk in self.chunks) if self.reuse else N
        self._set(N=self.rows)
        self._point(steps=steps)
        self.records = self._records(kernel.forward.slots, self.rows)
        self._lay_out()

    def _row_work(self) -> int:
        """Multiply-adds in a step of one row, or 0 where threads cannot share its units: sums."""
        kernel = self.kernel
        blocks = [*kernel.forward.walk.values()]
        if kernel.backward is not None:
            blocks += kernel.backward.walk.values()
        if any(block.sums for block in blocks):
            return 0
        return sum(m.rows * m.columns for b in blocks for g in b.groups for m in g.matrices)

    def _busy(self, live: int) -> int:
        """Multiply-adds in a step of so many rows, if they are few and that is much; or 0."""
        work = live * self.row_work
        enough = work >= (_BUSY if self.kernel.backward is None else 2 * _BUSY)
        return work if live <= FEW and enough else 0

    def _set(self, **numbers: int) -> None:
        for name, number in numbers.items():
            if name in self.slots:
                self.words[self.slots[name]] = number

    def _point(self, **tables: Tensor) -> None:
        for name, table in tables.items():
            table = table.contiguous()
            self.kept.append(table)
            self._set(**{name: table.data_ptr()})

    def deal(self, chunks: Iterable[Chunk]) -> None:
        """Share out the sequences anew in each chunk, for the threads meet after it."""
        layout = self.layout
        for chunk in chunks:
            live = layout.batch if layout.even else layout.lines[chunk.steps][2]
            chunk.busy = self._busy(live)
            if not layout.even:
                stop = chunk.steps + chunk.numbers[0]
                work = layout.work(chunk.steps, stop, self.threads, self.kernel.most)
                self.kept += work
                chunk.work = work[0].data_ptr(), work[1].data_ptr()

    def _cut(self) -> tuple[bool, list[Chunk], Tensor]:
        """Chunks of steps whose records stay in the cache, whether all use the same buffers, and
        the table of steps.
        """
        layout, kernel = self.layout, self.kernel
        T = layout.length
        row = sum(
            -(-kernel.widths[name] // kernel.lanes) * kernel.slots[name] * kernel.lanes
            for name in kernel.forward.slots
        )
        B, train = layout.batch, kernel.train
        # without a reverse walk nothing is kept, and what one chunk needs does for all
        row += 0 if train else sum(kernel.program.states[i] for i in self.hidden)
        most = max(1, _NEAR // max(1, row * kernel.module.bytes * max(1, B)))
        alone = train and not kernel.forward.flat
        count = 1 if alone else -(-T // max(most, -(-T // 4096)))
        size = -(-T // count)
        size = min(size, _LOOK) if self.shareable else size
        starts = range(0, T, size)
        if train or len(starts) == 1:
            first = range(0, (T + 1) * B, B) if layout.even else [line[0] for line in layout.lines]
            chunks = [
                Chunk((min(size, T - t), first[t], first[min(t + size, T)]), t, first[t])
                for t in starts
            ]
            return False, chunks, layout.steps
        # the buffers move along with the steps, and the table does, too
        if layout.even:
            each = [min(size, T - t) for t in starts]
            chunks = [Chunk((n, 0, n * B), 0, t * B) for n, t in zip(each, starts, strict=True)]
            return True, chunks, dense(size, B).steps
        return True, *_cut_ragged(layout, size)

    def _records(self, names: Iterable[str], rows: int) -> list[tuple[str, int]]:
        kernel = self.kernel
        return [
            (n, -(-kernel.widths[n] // kernel.lanes) * rows * kernel.slots[n] * kernel.lanes)
            for n in names
        ]

    def _lay_out(self) -> None:
        kernel, B, N = self.kernel, self.layout.batch, self.layout.rows
        states = kernel.program.states
        own = [
            (name, (N if row == "cur" else B) * width)
            for name, (row, width) in kernel.forward.buffers.items()
        ]
        hidden = [(f"Y{i}", (B + self.rows) * states[i]) for i in self.hidden]
        self.work = Area(kernel, [*self.records, *own, *hidden])
        self.packs = Area(kernel, kernel.packing.sizes.items())
        back = kernel.backward
        if back is None:
            return
        names = [n for n in back.slots if n not in kernel.alias]
        rows = [
            (name, (N if row == "cur" else B) * width)
            for name, (row, width) in back.buffers.items()
        ]
        self.back_work = Area(kernel, [*self._records(names, N), *rows])
        sizes = dict(kernel.back_packing.sizes)
        for packing in kernel.input_packings:
            sizes.update(packing.sizes)
        self.back_packs = Area(kernel, sizes.items())
        self.alias = [(self.slots[d], self.slots[r]) for d, r in kernel.alias.items()]
        self.alias_sizes = self._records(kernel.alias, N)

    @property
    def bytes(self) -> int:
        """Size of all buffers of one call."""
        areas = [self.work, self.packs]
        if self.kernel.backward is not None:
            areas += [self.back_work, self.back_packs]
        return sum(area.size for area in areas) * self.kernel.module.bytes

    def ways(self, name: str, chunk: Chunk) -> Ways | None:
        """What is known of the ways to walk such steps; None: there is but one."""
        return self.kernel.ways[name, chunk.busy] if chunk.busy else None

    def share(self, words: NDArray[np.int64], shared: bool) -> None:
        """Enter whether the threads share units in the walk that comes next."""
        words[self.slots["shared"]] = int(shared)
        words[self.slots["meeting"]] = 0

    def jobs(self, words: NDArray[np.int64], packing: Packing) -> None:
        """Enter a table of packing jobs."""
        words[self.slots["jobs"]] = packing.table.data_ptr()
        words[self.slots["job_count"]] = len(packing.jobs)


def _cut_ragged(layout: Layout, size: int) -> tuple[list[Chunk], Tensor]:
    """Chunks of about as many rows each as `size` steps of the whole batch, rows counted anew in
    each, and the table of steps that counts them so.
    """
    T, B = layout.length, layout.batch
    first, _, live = zip(*layout.lines, strict=True)
    bounds = [0]
    for t in range(1, T):
        enough = live[bounds[-1]] <= FEW and t - bounds[-1] >= _LOOK
        if enough or first[t + 1] - first[bounds[-1]] > size * B:
            bounds.append(t)
    bounds.append(T)
    steps = layout.steps.numpy().copy()
    starts, ends = np.array(bounds[:-1]), np.array(bounds[1:])
    steps[:T, :2] -= np.repeat(layout.steps.numpy()[starts, 0], ends - starts)[:, None]
    last = torch.from_numpy(B + steps[np.array(layout.sizes) - 1, 0] + np.arange(B))
    chunks = []
    for t, end in pairwise(bounds):
        low, high = live[end], live[t]
        ended = (low, high, last[low:high]) if low < high else None
        chunks.append(Chunk((end - t, 0, first[end] - first[t]), t, first[t], ended=ended))
    return chunks, torch.from_numpy(steps)


def plan_of(kernel: Kernel, layout: Layout, wanted: tuple[int, ...], threads: int) -> Plan:
    """The plan for such calls, made once."""
    key = (id(kernel), wanted, threads)
    found: Plan | None = layout.plans.get(key)
    if found is None:
        found = layout.plans[key] = Plan(kernel, layout, wanted, threads)
    return found
