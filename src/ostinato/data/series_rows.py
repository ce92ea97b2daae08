"""From the blocks of a table to times, series and numbers, every fault named with its line."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ostinato.data.clock import Times, parse_times
from ostinato.data.columns import (
    Block,
    Place,
    TableError,
    TableSource,
    need_columns,
    read_blocks,
    table_name,
)
from ostinato.data.store import RowWriter

__all__ = ["RawRows", "SeriesColumns", "read_rows"]

_TIME_NAMES = ("date", "datetime", "time", "timestamp", "ds")
_MISSING = ("", "na", "n/a", "nan", "null", "none", "-", "?")


@dataclass(frozen=True)
class SeriesColumns:
    """What the columns of a table mean.

    Attributes:
        targets: what is to be forecast.
        time: when; None: a column of a usual name ("date", "time", "timestamp", ...), or, where
            there is none, rows are counted.
        id: which series a row belongs to; None: all rows are one series.
        past: known as far as the targets are.
        known: known beyond, as a timetable is.
        time_format: how times are spelled, e.g. "%d.%m.%Y %H:%M"; None: found out.
    """

    targets: tuple[str, ...] = ()
    time: str | None = None
    id: str | None = None
    past: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    time_format: str | None = None

    @property
    def values(self) -> tuple[str, ...]:
        """The columns that hold numbers, in the order in which they are kept."""
        return self.targets + self.past + self.known

    def resolved(self, found: Sequence[str], table: str) -> SeriesColumns:
        """The same, with what was left open settled by the columns that a table has.

        Raises:
            TableError: a column is missing, named twice, or the target is not clear.
        """
        time = self.time
        if time is None:
            time = next((name for name in found if name.lower() in _TIME_NAMES), None)
        targets = self.targets
        if not targets:
            others = [n for n in found if n not in {time, self.id, *self.past, *self.known}]
            if len(others) != 1:
                raise TableError(
                    f"{table}: name the column(s) to forecast (target). It has: {', '.join(found)}."
                )
            targets = (others[0],)
        named = [n for n in (time, self.id, *targets, *self.past, *self.known) if n is not None]
        need_columns(named, found, table)
        twice = next((name for name in named if named.count(name) > 1), None)
        if twice is not None:
            raise TableError(f"{table}: column {twice!r} is named for two things. Name it once.")
        return replace(self, time=time, targets=targets)


@dataclass
class RawRows:
    """The rows of a table in its own order, on disk.

    Attributes:
        columns: what they mean, all settled.
        codes: number of the series of each row, int32 [N].
        times: int64 [N]; see `parse_times`. Without a column of times, the row's place in its
            series.
        values: float64 [N, C], in the order of `columns.values`; NaN where missing.
        ids: names of the series, in the order in which they appear.
        dates: times are dates, not plain numbers.
        name: of the table.
        places: (number of the first row, where it stands) of each block.
    """

    columns: SeriesColumns
    codes: NDArray[np.int32]
    times: Times
    values: NDArray[np.float64]
    ids: tuple[str, ...]
    dates: bool
    name: str
    places: list[tuple[int, Place]] = field(repr=False)
    # what keeps the files of the arrays
    kept: object = field(repr=False, default=None)

    def __len__(self) -> int:
        return len(self.times)

    def where(self, row: int) -> str:
        """Where a row stands, in words."""
        starts = [start for start, _ in self.places]
        start, place = self.places[bisect_right(starts, row) - 1]
        return place.where(row - start)

    def blocks(self, rows: int = 1 << 17) -> Iterator[slice]:
        """Slices that together are all rows."""
        return (slice(k, min(k + rows, len(self))) for k in range(0, len(self), rows))


def read_rows(source: TableSource, columns: SeriesColumns) -> RawRows:
    """Read a table once, and keep its rows in temporary files.

    Raises:
        FileNotFoundError, TableError: the table cannot be used; see `SeriesColumns.resolved`, and
            for what stands in it: a time or a number that is none, with its line.
    """
    name = table_name(source)
    settled: SeriesColumns | None = None
    reader: _Reader | None = None
    with (
        RowWriter(dtype=np.int32) as codes,
        RowWriter(dtype=np.int64) as times,
        RowWriter(dtype=np.float64) as values,
    ):
        for block in read_blocks(source):
            if settled is None or reader is None:
                settled = columns.resolved(block.frame.columns, block.place.name)
                reader = _Reader(settled)
            need_columns(_named(settled), block.frame.columns, block.place.name)
            if block.frame.height:
                one_codes, one_times, one_values = reader.read(block)
                codes.add(one_codes)
                times.add(one_times)
                values.add(one_values.reshape(-1))
    if settled is None or reader is None or not reader.rows:
        raise TableError(f"{name} has a header, but no rows. Give a table with rows.")
    return RawRows(
        settled,
        codes.store.values,
        times.store.values,
        values.store.values.reshape(reader.rows, len(settled.values)),
        tuple(reader.ids),
        bool(reader.dates),
        name,
        reader.places,
        (codes.store, times.store, values.store),
    )


def _named(columns: SeriesColumns) -> list[str]:
    return [n for n in (columns.time, columns.id, *columns.values) if n is not None]


class _Reader:
    """Blocks to numbers, one after the other."""

    def __init__(self, columns: SeriesColumns) -> None:
        self.columns = columns
        self.ids: dict[str, int] = {}
        self.counts: list[int] = []
        self.dates: bool | None = None
        self.places: list[tuple[int, Place]] = []
        self.rows = 0
        self._sample = ""

    def read(self, block: Block) -> tuple[NDArray[np.int32], Times, NDArray[np.float64]]:
        codes = self._codes(block)
        times = self._counted(codes) if self.columns.time is None else self._times(block)
        names = self.columns.values
        values = np.stack([_numbers(block, name) for name in names], axis=1)
        self.places.append((self.rows, block.place))
        self.rows += block.frame.height
        return codes, times, values

    def _codes(self, block: Block) -> NDArray[np.int32]:
        if self.columns.id is None:
            self.ids.setdefault("", 0)
            return np.zeros(block.frame.height, dtype=np.int32)
        column = block.frame[self.columns.id].cast(pl.String)
        if column.null_count():
            row = int(column.is_null().arg_true()[0])
            raise TableError(
                f"{block.place.where(row)}: {self.columns.id} is empty. Name the series."
            )
        for name in column.unique(maintain_order=True):
            self.ids.setdefault(name, len(self.ids))
        found: Mapping[str, int] = {name: self.ids[name] for name in column.unique()}
        return column.replace_strict(found, return_dtype=pl.Int32).to_numpy()

    def _counted(self, codes: NDArray[np.int32]) -> Times:
        self.dates = False
        self.counts += [0] * (len(self.ids) - len(self.counts))
        times = np.empty(len(codes), dtype=np.int64)
        for code in np.unique(codes).tolist():
            mine = codes == code
            count = int(mine.sum())
            times[mine] = self.counts[code] + np.arange(count)
            self.counts[code] += count
        return times

    def _times(self, block: Block) -> Times:
        name = str(self.columns.time)
        column = block.frame[name]
        times, dates, bad = parse_times(column, self.columns.time_format)
        if self.dates is None:
            self.dates = dates
            self._sample = str(column[0])
        if bad is None and dates != self.dates:
            bad = 0
        if bad is not None:
            likeness = f" like {self._sample!r} above" if bad or self.rows else ""
            raise TableError(
                f"{block.place.where(bad)}: {name} is {column[bad]!r}, which is no time{likeness}. "
                "Mend it, or say how times are spelled (time_format, e.g. '%d.%m.%Y %H:%M')."
            )
        return times


def _numbers(block: Block, name: str) -> NDArray[np.float64]:
    column = block.frame[name]
    if column.dtype == pl.String:
        text = column.str.strip_chars()
        numbers = text.cast(pl.Float64, strict=False)
        wrong = numbers.is_null() & text.is_not_null()
        if wrong.any():
            wrong = wrong & ~text.str.to_lowercase().is_in(_MISSING)
    elif column.dtype.is_numeric() or column.dtype == pl.Boolean:
        numbers = column.cast(pl.Float64)
        wrong = numbers.is_null() & False
    else:
        numbers, wrong = pl.Series([None] * len(column), dtype=pl.Float64), column.is_not_null()
    wrong = wrong | numbers.is_infinite().fill_null(False)
    if wrong.any():
        row = int(wrong.arg_true()[0])
        raise TableError(
            f"{block.place.where(row)}: {name} is {column[row]!r}, which is no number. Mend it, or "
            "leave the field empty where the value is missing."
        )
    return numbers.fill_null(np.nan).to_numpy()
