"""Packing a batch: rows ordered by length, steps side by side, and who works on what.

A reset in the middle of a row ends one sequence and begins another, so a kernel knows neither
padding nor resets: only sequences of some length, the longest first.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

__all__ = ["Layout", "Ragged", "Work", "dense", "ragged", "runs_of"]

# rows summed at once for the gradients of weights; 128 measured as good as any
_CHUNK = 128
# sequences a thread, up to which they are dealt one by one
_ALONE = 32
# share of steps that are live from which on all sequences of some steps count as equally long
_FULL = 0.95


# row blocks [n, 2]: first row, how many; bounds of each thread's blocks
Work = tuple[Tensor, Tensor]


@dataclass
class Layout:
    """Where the steps of a packed batch stand.

    Tables are made when they are first asked for: a long walk in parts needs none of its own.

    Attributes:
        length: T, steps of the longest sequence.
        batch: B, sequences of at least one step.
        rows: N, rows of all steps.
        even: all sequences are of one length.
        sizes: steps of each sequence, the longest first; empty where they are even.
        make_steps: makes the first of the following, and
        make_runs: from that one, the other two.
        steps: [T + 1, 3] int64: first row of the step, first row of its old states (in a buffer
            that begins with the B initial ones), how many sequences are live; a last line of none.
        runs: [R, 3] int64: rows that stand side by side: first, first of the old states, how many.
        chunks: [C + 1] int64: bounds of the runs that are summed together.
        shares: work by (sequences, threads, most rows of a block), as asked for.
        plans: what calls of this shape have in common, likewise.
    """

    length: int
    batch: int
    rows: int
    even: bool
    sizes: Sequence[int]
    make_steps: Callable[[], Tensor]
    make_runs: Callable[[Tensor], tuple[Tensor, Tensor]]
    shares: dict[tuple[int, int, int], Work] = field(default_factory=dict)
    plans: dict[Any, Any] = field(default_factory=dict)

    @functools.cached_property
    def steps(self) -> Tensor:
        return self.make_steps()

    @functools.cached_property
    def lines(self) -> list[tuple[int, int, int]]:
        """The table of steps as numbers."""
        found: list[tuple[int, int, int]] = self.steps.tolist()
        return found

    @functools.cached_property
    def _runs(self) -> tuple[Tensor, Tensor]:
        return self.make_runs(self.steps)

    @property
    def runs(self) -> Tensor:
        return self._runs[0]

    @property
    def chunks(self) -> Tensor:
        return self._runs[1]

    def work(self, start: int, stop: int, threads: int, most: int) -> Work:
        """Who works on what in steps start..stop, with no thought of others."""
        live = self.batch
        if not self.even:
            (first, _, live), (end, _, _) = self.lines[start], self.lines[stop]
            if end - first < _FULL * live * (stop - start):
                sizes = [min(size, stop) - start for size in self.sizes[:live]]
                return _deal_ragged(sizes, threads, most)
        key = (live, threads, most)
        if key not in self.shares:
            self.shares[key] = _deal_even(live, threads, most)
        return self.shares[key]


@dataclass
class Ragged:
    """A batch of unlike lengths, and how to reach it from rows as the user has them.

    Attributes:
        layout: of the packed batch.
        source: [N] index into x [T * B] of each packed row.
        starts: [Bk] index of each sequence's first state in cat([state, reset_state]).
        last: [Bk] packed row of each sequence's last step.
        final: [B] for each user's row, the sequence that ends it, or Bk + row where it has none.
        place: [T * B] packed row of each of the user's rows, and any for padding.
        padding: the user's rows that no sequence has.
    """

    layout: Layout
    source: Tensor
    starts: Tensor
    last: Tensor
    final: Tensor
    place: Tensor
    padding: Tensor


@functools.lru_cache(maxsize=256)
def dense(T: int, B: int) -> Layout:
    """All B sequences have T steps."""

    def steps() -> Tensor:
        first = torch.arange(T + 1) * B
        live = torch.full((T + 1,), B)
        live[T] = 0
        return torch.stack([first, first, live], 1)

    return Layout(T, B, T * B, True, (), steps, lambda _: _even_runs(0, T * B))


def _even_runs(low: int, high: int) -> tuple[Tensor, Tensor]:
    """(runs, chunks) of packed rows low..high, where all sequences are of one length."""
    bounds = torch.arange(low, high, _CHUNK)
    size = (high - bounds).clamp(max=_CHUNK)
    runs = torch.stack([bounds, bounds, size], 1)
    return runs, torch.arange(len(runs) + 1)


def runs_of(layout: Layout, start: int, stop: int) -> tuple[Tensor, Tensor]:
    """(runs, chunks) of steps start..stop alone; see `Layout`."""
    if layout.even:
        return _even_runs(int(layout.steps[start, 0]), int(layout.steps[stop, 0]))
    return _step_runs(layout.steps[start:stop])


def ragged(T: int, B: int, lengths: Tensor | None, reset: Tensor | None, reverse: bool) -> Ragged:
    """Sequences of unlike lengths: rows cut at their ends and at their resets.

    The layers and directions of a stack ask for the same: a few answers are kept.

    Args:
        T: steps of x.
        B: rows of x.
        lengths: [B] steps of each row, or None: T.
        reset: [T, B] bool, where a sequence begins anew, or None.
        reverse: walked from the end of each row.
    """
    return _ragged(T, B, _listed(lengths), _listed(reset), reverse)


def _listed(table: Tensor | None) -> bytes | None:
    return None if table is None else table.to("cpu", torch.int64).numpy().tobytes()


def _table(listed: bytes, *shape: int) -> Tensor:
    return torch.frombuffer(bytearray(listed), dtype=torch.int64).view(shape)


@functools.lru_cache(maxsize=16)
@torch.inference_mode(False)
def _ragged(T: int, B: int, lengths: bytes | None, reset: bytes | None, reverse: bool) -> Ragged:
    whole = torch.full((B,), T) if lengths is None else _table(lengths, B)
    marks = None if reset is None else _table(reset, T, B) != 0
    row, begin, size, fresh = _sequences(T, whole, marks, reverse)
    order = torch.argsort(size, descending=True, stable=True)
    row, begin, size, fresh = (part[order] for part in (row, begin, size, fresh))
    count, longest = len(size), int(size[0]) if len(size) else 0
    live = (size[None, :] > torch.arange(longest)[:, None]).sum(1)
    first = torch.cat([live.new_zeros(1), live.cumsum(0)])
    N = int(first[-1])
    step = torch.repeat_interleave(torch.arange(longest), live)
    rank = torch.arange(N) - first[step]
    time = begin[rank] + (size[rank] - 1 - step if reverse else step)
    if longest * count == N:
        layout = dense(longest, count)
    else:
        layout = _layout(first, live, size.tolist(), N)
    source = time * B + row[rank]
    place = torch.full((T * B,), N)
    place[source] = torch.arange(N)
    padding = (place == N).nonzero()[:, 0]
    place[padding] = 0
    final = count + torch.arange(B)
    ends = begin if reverse else begin + size
    closing = (ends == 0) if reverse else (ends == whole[row])
    final[row[closing]] = torch.arange(count)[closing]
    last = first[:-1][size - 1] + torch.arange(count) if count else size
    return Ragged(layout, source, row + B * fresh, last, final, place, padding)


def _sequences(
    T: int, whole: Tensor, reset: Tensor | None, reverse: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(row, first step, length, 1 if it starts from the reset state) of each sequence."""
    B = len(whole)
    if reset is None:
        row = torch.arange(B)[whole > 0]
        return row, torch.zeros_like(row), whole[row], torch.zeros_like(row)
    marks = reset & (torch.arange(T)[:, None] < whole[None, :])
    cut = torch.zeros(T + 1, B, dtype=torch.bool)
    if reverse:
        # walking back, a mark at t stands before step t: the sequence of later steps ends at t + 1
        cut[1:] = marks
        cut[0] = whole > 0
    else:
        cut[:T] = marks
        cut[0] |= whole > 0
    cut[whole, torch.arange(B)] = True
    row, step = cut.t().nonzero(as_tuple=True)
    same = row[1:] == row[:-1]
    begin, end, row = step[:-1][same], step[1:][same], row[:-1][same]
    fresh = marks[end - 1, row] if reverse else marks[begin, row]
    return row, begin, end - begin, fresh.to(torch.int64)


def _layout(first: Tensor, live: Tensor, sizes: list[int], N: int) -> Layout:
    longest, count = len(live), len(sizes)
    before = torch.zeros(longest + 1, dtype=torch.int64)
    before[1:] = count + first[:longest]
    steps = torch.stack([first, before, torch.cat([live, live.new_zeros(1)])], 1)
    return Layout(longest, count, N, False, sizes, lambda: steps, lambda s: _step_runs(s[:longest]))


def _step_runs(steps: Tensor) -> tuple[Tensor, Tensor]:
    """(runs, chunks): a run for each step, so many to a chunk as make up its rows."""
    number = torch.div(steps[:, 0], _CHUNK, rounding_mode="floor")
    edge = torch.ones(len(steps), dtype=torch.bool)
    edge[1:] = number[1:] != number[:-1]
    bounds = torch.cat([edge.nonzero()[:, 0], torch.tensor([len(steps)])])
    return steps.contiguous(), bounds


def _deal_even(B: int, threads: int, most: int) -> Work:
    """Neighbouring rows for each thread; none for some where there are few."""
    busy = max(1, min(threads, B // 3)) if B > 2 else 1
    blocks: list[tuple[int, int]] = []
    shares = [0]
    for thread in range(threads):
        if thread < busy:
            blocks += _blocks(B * thread // busy, B * (thread + 1) // busy, most)
        shares.append(len(blocks))
    return torch.tensor(blocks), torch.tensor(shares)


def _blocks(low: int, high: int, most: int) -> list[tuple[int, int]]:
    """Row blocks of about one size: many rows at once hide the latency of a sum, few do not."""
    count = -(-(high - low) // most)
    bounds = [low + (high - low) * n // count for n in range(count + 1)]
    return [(a, b - a) for a, b in pairwise(bounds)]


def _deal_ragged(sizes: Sequence[int], threads: int, most: int) -> Work:
    """Neighbouring sequences for each thread, so many that all end at about the same time.

    Beside the work for each of its steps, a row block has to read the weights once a step, which
    was measured to be worth half a row. Where there are many, whole blocks are dealt.
    """
    unit = 1 if len(sizes) <= _ALONE * threads else most
    heads = sizes[::unit]
    work: list[float] = [sum(sizes[n : n + unit]) for n in range(0, len(sizes), unit)]
    if unit > 1:
        work = [own + head / 2 for own, head in zip(work, heads, strict=True)]
    each = most if unit == 1 else 0
    low, high = sum(work) / threads, 2.0 * sum(work)
    # the least load that does for all, within a hundredth
    while high - low > low / 100:
        middle = (low + high) / 2
        fits = len(_parts(work, middle, each)) <= threads
        low, high = (low, middle) if fits else (middle, high)
    bounds = [min(bound * unit, len(sizes)) for bound in (0, *_parts(work, high, each))]
    bounds += [len(sizes)] * (threads + 1 - len(bounds))
    dealt: list[tuple[int, int]] = []
    shares = [0]
    for a, b in pairwise(bounds):
        dealt += _blocks(a, b, most) if a < b else []
        shares.append(len(dealt))
    return torch.tensor(dealt).reshape(-1, 2), torch.tensor(shares)


def _parts(work: Sequence[float], limit: float, each: int) -> list[int]:
    """Ends of neighbouring parts none of which is above `limit`, if it has two units or more.

    With `each`, half a unit more is counted for the first and every so many-th.
    """
    ends, begin, load = [], 0, 0.0
    for n, own in enumerate(work):
        more = own / 2 if each and (n - begin) % each == 0 else 0
        if n > begin and load + own + more > limit:
            ends.append(n)
            begin, load, more = n, 0.0, own / 2 if each else 0
        load += own + more
    return [*ends, len(work)] if work else []
