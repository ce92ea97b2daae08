"""Time series from a table: rows put in their places, gaps found, on disk and memory-mapped."""

from __future__ import annotations

import tempfile
import weakref
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ostinato.data.clock import Clock, Times, clock_of, infer_clock
from ostinato.data.columns import TableError, TableSource
from ostinato.data.fill import FILLS, fill_missing, missing_runs
from ostinato.data.series_rows import RawRows, SeriesColumns, read_rows

__all__ = ["SeriesColumns", "SeriesStore", "read_series"]

# rows from which the step of a table is found out
_LOOK = 1 << 16


@dataclass
class SeriesStore:
    """S series, each with a row a step, one after the other in a file that is mapped into memory.

    Attributes:
        values: float64 [N, C], in the order of `columns.values`.
        offsets: where each series begins, and the end of the last, int64 [S + 1].
        observed: rows of each series whose targets are known, int64 [S]; those behind them have
            only what is known in advance.
        starts: step of the first row of each series on the clock, int64 [S].
        ids: names of the series; ("",) where there is no column of names.
        columns: what the columns mean.
        clock: from rows to times.
        name: of the table.
        filled: values that were missing and have been filled.
    """

    values: NDArray[np.float64]
    offsets: NDArray[np.int64]
    observed: NDArray[np.int64]
    starts: NDArray[np.int64]
    ids: tuple[str, ...]
    columns: SeriesColumns
    clock: Clock
    name: str
    filled: int = 0
    # what keeps the files of the arrays
    kept: object = field(repr=False, default=None)

    def __len__(self) -> int:
        return len(self.ids)

    def series(self, number: int) -> NDArray[np.float64]:
        """The rows of one series, [T, C]."""
        return self.values[self.offsets[number] : self.offsets[number + 1]]

    def times(self, number: int, rows: NDArray[np.int64]) -> Times:
        """The times of some rows of a series, which may lie beyond its end."""
        return self.clock.times(self.starts[number] + rows)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Rows of each series, [S]."""
        return np.diff(self.offsets)

    def title(self, number: int) -> str:
        """A series in words, for messages."""
        return self.name if len(self) == 1 else f"{self.name}, series {self.ids[number]!r}"


def read_series(
    source: TableSource,
    columns: SeriesColumns,
    *,
    frequency: str | None = None,
    fill: str | None = None,
    separate: bool = False,
    clock: Clock | None = None,
) -> SeriesStore:
    """Read a table of one series or of several, and see that each has a row for every step.

    Rows of several series may stand in any order among each other; those of one must be in the
    order of their times. Rows at the end whose targets are all empty are no part of the past: they
    tell what is known in advance.

    Args:
        source: see `ostinato.data.columns.read_blocks`.
        columns: what the columns mean.
        frequency: the step, e.g. "1h"; None: the most frequent one.
        fill: what is put where rows or values are missing: "forward", "linear", "zero" or
            "seasonal"; None: they are an error.
        separate: each target is a series of its own, and not one of several values at a time.
        clock: the step that is expected, in place of `frequency`.

    Raises:
        FileNotFoundError, TableError: the table cannot be used; the message says where and why.

    Example:
        >>> store = read_series({"t": [3, 4, 5], "x": [1.0, 2.0, 4.0]}, SeriesColumns(time="t"))
        >>> store.series(0)[:, 0].tolist(), store.clock.spell(store.times(0, np.array([3])))
        ([1.0, 2.0, 4.0], ['6'])
    """
    if fill is not None and fill not in FILLS:
        raise ValueError(f"fill must be one of {', '.join(FILLS)}, got {fill!r}.")
    raw = read_rows(source, columns)
    clock = _clock(raw, frequency, clock)
    starts, lengths, ordered = _check_order(raw, clock, fill)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    store = SeriesStore(
        raw.values, offsets, lengths, starts, raw.ids, raw.columns, clock, raw.name, kept=raw
    )
    if not ordered or fill is not None:
        _put_in_place(store, raw)
    store.observed = _observed(store)
    _fill(store, raw, fill)
    return _separated(store) if separate and len(store.columns.targets) > 1 else store


def _clock(raw: RawRows, frequency: str | None, expected: Clock | None) -> Clock:
    if expected is not None:
        if (expected.kind == "index") == raw.dates:
            wanted = "plain numbers" if expected.kind == "index" else "dates"
            raise TableError(
                f"{raw.name}: the times of its rows are not {wanted}, as those were that the "
                f"model learned from. Name the column that holds {wanted} (time)."
            )
        return replace(expected, origin=int(raw.times[0]))
    if frequency is not None:
        if not raw.dates:
            raise TableError(
                f"{raw.name}: frequency is {frequency!r}, but its times are plain numbers. Leave "
                "frequency out, or name a column of dates (time)."
            )
        return clock_of(frequency, int(raw.times[0]))
    codes = raw.codes[:_LOOK]
    most = np.bincount(codes).argmax()
    found = infer_clock(raw.times[:_LOOK][codes == most], raw.dates)
    if found is None:
        raise TableError(
            f"{raw.name}: no step can be found, as no series has two rows in order. Sort it by "
            "time, name the column of series (id), or give more rows."
        )
    return found


def _check_order(
    raw: RawRows, clock: Clock, fill: str | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], bool]:
    """First step and length of each series, and whether the rows stand as they should."""
    last = np.full(len(raw.ids), np.iinfo(np.int64).min)
    first = last.copy()
    counts = np.zeros(len(raw.ids), dtype=np.int64)
    ordered = True
    for block in raw.blocks():
        codes, times = raw.codes[block], raw.times[block]
        ticks, off = clock.ticks(times)
        before = _before(codes, ticks, last)
        begins = before == np.iinfo(np.int64).min
        step = np.where(begins, 1, ticks - before)
        wrong = off | (step < 1) | ((step > 1) if fill is None else False)
        if wrong.any():
            row = int(wrong.argmax())
            raise _disorder(raw, clock, block.start + row, int(before[row]), bool(off[row]))
        first[codes[begins]] = ticks[begins]
        last[codes] = ticks
        counts += np.bincount(codes, minlength=len(counts))
        ordered = ordered and bool((np.diff(codes) >= 0).all())
        ordered = ordered and (block.start == 0 or raw.codes[block.start - 1] <= codes[0])
    lengths = last - first + 1
    return first, lengths, ordered and bool((counts == lengths).all())


def _before(codes: NDArray[np.int32], ticks: Times, last: Times) -> Times:
    """The step of the row before, of the same series."""
    order = np.argsort(codes, kind="stable")
    sorted_codes, sorted_ticks = codes[order], ticks[order]
    before = np.empty_like(sorted_ticks)
    before[1:] = sorted_ticks[:-1]
    heads = np.concatenate([[True], np.diff(sorted_codes) != 0])
    before[heads] = last[sorted_codes[heads]]
    result = np.empty_like(before)
    result[order] = before
    return result


def _disorder(raw: RawRows, clock: Clock, row: int, before: int, off: bool) -> TableError:
    where, code = raw.where(row), int(raw.codes[row])
    who = "" if len(raw.ids) == 1 else f" of series {raw.ids[code]!r}"
    (now,) = clock.spell(raw.times[row : row + 1])
    rows = np.flatnonzero(raw.codes == code)[:_LOOK]
    mine = raw.times[rows]
    back = np.flatnonzero(np.diff(mine) < 0)
    if len(back):
        first = rows[back[0] + 1]
        past, now = clock.spell(mine[back[0] : back[0] + 2])
        return TableError(
            f"{raw.where(int(first))}: {now}{who} comes after {past}. Sort the rows by time."
        )
    own = infer_clock(mine, raw.dates)
    # a single series is not mixed: its step was asked for, and rows of it are missing
    if own is not None and str(own) != str(clock) and len(raw.ids) > 1:
        return TableError(
            f"{where}: mixed frequencies: the rows{who} are {own} apart, others {clock}. Bring "
            "them to one step, or fit the series of each step on their own."
        )
    if off:
        return TableError(
            f"{where}: {now}{who} is not a whole number of steps ({clock}) after the first row. "
            "Bring the rows to one step, or name it (frequency)."
        )
    tick = int(clock.ticks(raw.times[row : row + 1])[0][0])
    (past,) = clock.spell(clock.times(np.array([before])))
    if tick == before:
        advice = "" if raw.columns.id else " If there are several series, name their column (id)."
        return TableError(f"{where}: {now}{who} stands there twice. Keep one of them.{advice}")
    if tick < before:
        return TableError(f"{where}: {now}{who} comes after {past}. Sort the rows by time.")
    missing = tick - before - 1
    return TableError(
        f"{where}: {missing} row(s){who} are missing between {past} and {now}. Add them, or have "
        f"them filled (fill: {', '.join(FILLS)})."
    )


def _put_in_place(store: SeriesStore, raw: RawRows) -> None:
    """Copy the rows, each to where its step is; what has no row is missing."""
    values, keeper = _scratch((int(store.offsets[-1]), raw.values.shape[1]))
    values[:] = np.nan
    for block in raw.blocks():
        values[_positions(store, raw, block)] = raw.values[block]
    store.values, store.kept = values, keeper


def _positions(store: SeriesStore, raw: RawRows, block: slice) -> NDArray[np.int64]:
    codes = raw.codes[block]
    ticks, _ = store.clock.ticks(raw.times[block])
    return store.offsets[codes] + ticks - store.starts[codes]


def _scratch(shape: tuple[int, int]) -> tuple[NDArray[np.float64], object]:
    folder = tempfile.TemporaryDirectory(prefix="ostinato-series-")
    path = Path(folder.name) / "values"
    try:
        values = np.memmap(path, np.float64, mode="w+", shape=shape)
    except OSError as error:
        folder.cleanup()
        raise OSError(
            error.errno,
            f"The rows cannot be written to {folder.name}: {error.strerror}. Make room there, or "
            "name another folder in the environment variable TMPDIR",
        ) from error
    weakref.finalize(values, folder.cleanup)
    return values, values


def _observed(store: SeriesStore) -> NDArray[np.int64]:
    """Rows up to the last one with a target."""
    targets = len(store.columns.targets)
    observed = store.lengths.copy()
    for number in range(len(store)):
        rows = store.series(number)
        stop = len(rows)
        while stop:
            begin = max(stop - _LOOK, 0)
            known = np.flatnonzero(~np.isnan(rows[begin:stop, :targets]).all(axis=1))
            if len(known):
                stop = begin + int(known[-1]) + 1
                break
            stop = begin
        if not stop:
            raise TableError(f"{store.title(number)}: there is no value to learn from at all.")
        observed[number] = stop
    return observed


def _fill(store: SeriesStore, raw: RawRows, fill: str | None) -> None:
    known_from = len(store.columns.targets) + len(store.columns.past)
    season = store.clock.season or 1
    for number in range(len(store)):
        rows = store.series(number)
        for place, name in enumerate(store.columns.values):
            stop = len(rows) if place >= known_from else int(store.observed[number])
            column = rows[:stop, place]
            runs = missing_runs(column)
            if not runs:
                continue
            if fill is None:
                row = int(store.offsets[number]) + runs[0][0]
                count = sum(stop - first for first, stop in runs)
                raise TableError(
                    f"{_where(store, raw, row)}: {name} is missing ({count} value(s) of this "
                    f"column are). Add it, or have it filled (fill: {', '.join(FILLS)})."
                )
            if runs == [(0, stop)]:
                raise TableError(f"{store.title(number)}: {name} has no value at all.")
            store.filled += fill_missing(column, fill, season=season)


def _where(store: SeriesStore, raw: RawRows, position: int) -> str:
    for block in raw.blocks():
        found = np.flatnonzero(_positions(store, raw, block) == position)
        if len(found):
            return raw.where(block.start + int(found[0]))
    return store.name


def _separated(store: SeriesStore) -> SeriesStore:
    """The same with a series for each target of each series."""
    targets = len(store.columns.targets)
    columns = store.values.shape[1] - targets + 1
    values, keeper = _scratch((targets * int(store.offsets[-1]), columns))
    ids, position = [], 0
    for number, name in enumerate(store.ids):
        rows = store.series(number)
        for place, target in enumerate(store.columns.targets):
            mine = values[position : position + len(rows)]
            mine[:, 0] = rows[:, place]
            mine[:, 1:] = rows[:, targets:]
            ids.append(f"{name}/{target}" if name else target)
            position += len(rows)
    lengths = np.repeat(store.lengths, targets)
    return replace(
        store,
        values=values,
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        observed=np.repeat(store.observed, targets),
        starts=np.repeat(store.starts, targets),
        ids=tuple(ids),
        columns=replace(store.columns, targets=("value",)),
        kept=keeper,
    )
