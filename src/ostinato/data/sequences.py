"""Sequences of numbers from tables: a row a sequence (wide), or a row a step (long)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ostinato.data.columns import Block, Place, TableError, need_columns

__all__ = ["FILLS", "Layout", "LongRow", "Values", "long_sequences", "wide_sequences"]

# numbers of one sequence, [T, I]
Values: TypeAlias = NDArray[np.float32]
Matrix: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]

# what to do where a number is missing
FILLS = ("no", "zero", "forward")


@dataclass(frozen=True)
class Layout:
    """Which columns of a table hold what.

    Attributes:
        text: column of the texts.
        values: columns of numbers, in place of a text; "p*" stands for all whose names fit, in
            their order. A column may hold lists, of numbers or of lists of I numbers.
        label: column of the labels.
        separator: stands between the labels of a row that may have several; None: a row has one
            (or the column holds lists).
        id: column that says which sequence a row is a step of (long form); None: a row is a whole
            sequence (wide form).
        time: column of the steps' times, which must rise; long form only.
        width: I, numbers to a step, where a row is a whole sequence.
        fill: where a number is missing: "no" refuses it, "zero" writes 0, "forward" repeats the
            one before it (or, at the beginning, the first that is there).
    """

    text: str = "text"
    values: tuple[str, ...] = ()
    label: str = "label"
    separator: str | None = None
    id: str | None = None
    time: str | None = None
    width: int = 1
    fill: str = "no"

    def plain_columns(self, labelled: bool) -> list[str]:
        """The columns that a table must have, patterns aside."""
        names = [] if self.values else [self.text]
        names += [name for name in (self.id, self.time) if name is not None]
        return [*names, self.label] if labelled else names

    def value_columns(self, found: Sequence[str], table: str) -> list[str]:
        """The columns of numbers, patterns spelled out.

        Raises:
            TableError: one is missing, or a pattern fits none.

        Example:
            >>> Layout(values=("p*", "x")).value_columns(["x", "p1", "p2"], "a.csv")
            ['p1', 'p2', 'x']
        """
        names: list[str] = []
        for name in self.values:
            if name in found or not set(name) & set("*?["):
                names.append(name)
                continue
            fitting = [column for column in found if fnmatchcase(column, name)]
            if not fitting:
                raise TableError(f"{table} has no column like {name!r}. It has: {_shown(found)}.")
            names += fitting
        need_columns(names, found, table)
        return names


def wide_sequences(frame: pl.DataFrame, layout: Layout, place: Place) -> list[Values]:
    """One sequence a row: [C / width, width] from C columns, or what the lists of a column hold.

    In columns, a sequence may end early: steps that are missing at its end are not there.

    Raises:
        TableError: a number is missing or is none, or the columns do not make whole steps.

    Example:
        >>> frame = pl.DataFrame({"a": [1, 5], "b": [2, 6], "c": [3, None]})
        >>> rows = wide_sequences(frame, Layout(values=("*",)), Place("t", 0))
        >>> [row.ravel().tolist() for row in rows]
        [[1.0, 2.0, 3.0], [5.0, 6.0]]
    """
    names = layout.value_columns(frame.columns, place.name)
    if len(names) == 1 and isinstance(frame[names[0]].dtype, (pl.List, pl.Array)):
        return [
            _from_list(one, layout, place, k) for k, one in enumerate(frame[names[0]].to_list())
        ]
    if len(names) % layout.width:
        raise TableError(
            f"{place.name}: {len(names)} columns of numbers do not make steps of width "
            f"{layout.width}. Choose a width that divides them, or other columns."
        )
    table = _matrix(frame, names, place)
    steps = table.reshape(len(table), -1, layout.width)
    if np.isfinite(steps).all():
        return list(steps.astype(np.float32))
    there: Flags = np.logical_or.reduce(~np.isnan(steps), axis=2)
    ends = np.where(there.any(axis=1), steps.shape[1] - there[:, ::-1].argmax(axis=1), 0)
    for k in np.flatnonzero(ends == 0).tolist():
        raise TableError(f"{place.where(k)}: there is no number at all. Leave the row out.")
    rows = [row[:end] for row, end in zip(steps, ends, strict=True)]
    return [_filled(row, layout, place, [k], names) for k, row in enumerate(rows)]


@dataclass(frozen=True)
class LongRow:
    """A sequence from several rows.

    Attributes:
        values: float32 [T, I].
        label: as it stands in the table; None: not asked for.
        place, row: where its first step stands.
    """

    values: Values
    label: str | None
    place: Place
    row: int


def long_sequences(blocks: Iterable[Block], layout: Layout, *, labelled: bool) -> Iterator[LongRow]:
    """One sequence for each run of rows with the same id.

    Raises:
        TableError: an id comes back after others, times do not rise within an id, its rows have
            different labels, or a number is missing or is none.

    Example:
        >>> frame = pl.DataFrame({"id": [1, 1, 2], "x": [0.1, 0.2, 0.3], "label": ["a", "a", "b"]})
        >>> layout = Layout(values=("x",), id="id")
        >>> rows = long_sequences([Block(frame, Place("t", 0))], layout, labelled=True)
        >>> [(len(row.values), row.label) for row in rows]
        [(2, 'a'), (1, 'b')]
    """
    seen: set[str] = set()
    rest: pl.DataFrame | None = None
    place = Place("the table", 0)
    for block in blocks:
        need_columns(layout.plain_columns(labelled), block.frame.columns, block.place.name)
        frame, here = block.frame, block.place
        if rest is not None and here.name == place.name:
            # rows are numbered through within a file
            frame = pl.concat([rest, frame], how="vertical_relaxed")
            here = Place(here.name, here.first - rest.height, here.unit)
        elif rest is not None:
            yield from _groups(rest, place, layout, labelled, seen)
        if not frame.height:
            rest = None
            continue
        # one that is missing is refused with its group
        ids = _text(frame, layout.id).fill_null("")
        last = int((ids != ids[-1]).to_numpy()[::-1].argmax()) if ids.n_unique() > 1 else None
        cut = 0 if last is None else frame.height - last
        if cut:
            yield from _groups(frame[:cut], here, layout, labelled, seen)
        rest, place = frame[cut:], Place(here.name, here.first + cut, here.unit)
    if rest is not None and rest.height:
        yield from _groups(rest, place, layout, labelled, seen)


def _groups(
    frame: pl.DataFrame, place: Place, layout: Layout, labelled: bool, seen: set[str]
) -> Iterator[LongRow]:
    ids = _text(frame, layout.id)
    begins = np.ones(len(ids), dtype=bool)
    begins[1:] = (ids[1:] != ids[:-1]).to_numpy()
    if ids.null_count():
        k = int(ids.is_null().arg_true()[0])
        raise TableError(f"{place.where(k)}: the id (column {layout.id!r}) is missing.")
    names = layout.value_columns(frame.columns, place.name)
    table = _matrix(frame, names, place)
    labels = _text(frame, layout.label).fill_null("") if labelled else None
    if layout.time is not None:
        _check_times(frame[layout.time], begins, place)
    if labels is not None:
        differs = ~begins[1:] & (labels[1:] != labels[:-1]).to_numpy()
        for k in np.flatnonzero(differs).tolist():
            raise TableError(
                f"{place.where(k + 1)}: label {labels[k + 1]!r}, but the row before, of the same "
                f"id, has {labels[k]!r}. A sequence has one label in all its rows."
            )
    starts: list[int] = np.flatnonzero(begins).tolist()
    for start, stop in zip(starts, [*starts[1:], len(ids)], strict=True):
        one = ids[start]
        if one in seen:
            raise TableError(
                f"{place.where(start)}: id {one!r} comes back after others. Sort the table by "
                f"{layout.id!r}, so that the rows of an id stand together."
            )
        seen.add(one)
        rows = range(start, stop)
        values = _filled(table[start:stop], layout, place, rows, names)
        yield LongRow(values, None if labels is None else labels[start], place, start)


def _check_times(column: pl.Series, begins: Flags, place: Place) -> None:
    times = column
    if times.dtype == pl.String:
        numbers = times.cast(pl.Float64, strict=False)
        # dates as ISO 8601 writes them are in order as text
        times = times if numbers.null_count() else numbers
    if times.null_count():
        k = int(times.is_null().arg_true()[0])
        raise TableError(f"{place.where(k)}: the time (column {column.name!r}) is missing.")
    wrong = ~begins[1:] & (times[1:] <= times[:-1]).to_numpy()
    for k in np.flatnonzero(wrong).tolist():
        now, before = column[k + 1], column[k]
        why = "comes twice" if now == before else f"comes after {before}"
        raise TableError(
            f"{place.where(k + 1)}: time {now} {why} in the same sequence. Sort the rows of each "
            "id by time, and leave out doubles."
        )


def _text(frame: pl.DataFrame, name: str | None) -> pl.Series:
    assert name is not None
    column = frame[name]
    return column.cast(pl.String).str.strip_chars()


def _matrix(frame: pl.DataFrame, names: Sequence[str], place: Place) -> Matrix:
    columns = []
    for name in names:
        column = frame[name]
        given = column.str.strip_chars() if column.dtype == pl.String else column
        numbers = given.cast(pl.Float64, strict=False)
        broken = numbers.is_null() & given.is_not_null()
        if given.dtype == pl.String:
            broken = broken & (given != "")
        for k in broken.arg_true():
            raise TableError(
                f"{place.where(int(k))}: {column[int(k)]!r} (column {name!r}) is no number."
            )
        columns.append(numbers.fill_null(float("nan")).to_numpy())
    return np.stack(columns, axis=1) if columns else np.zeros((frame.height, 0))


def _filled(
    values: Matrix, layout: Layout, place: Place, rows: Sequence[int], names: Sequence[str]
) -> Values:
    missing = ~np.isfinite(values)
    if not missing.any():
        return values.astype(np.float32)
    if layout.fill == "no":
        step, entry = (int(where) for where in np.argwhere(missing)[0])
        row = rows[step] if len(rows) == len(values) else rows[0]
        column = names[entry if len(rows) == len(values) else step * values.shape[1] + entry]
        raise TableError(
            f"{place.where(row)}: column {column!r} holds no finite number. Mend it, or fill what "
            "is missing: fill=zero or fill=forward."
        )
    filled = values.copy()
    if layout.fill == "zero":
        filled[missing] = 0
    else:
        for entry in np.flatnonzero(missing.any(axis=0)).tolist():
            filled[:, entry] = _carried(values[:, entry])
    return filled.astype(np.float32)


def _carried(entries: NDArray[np.float64]) -> NDArray[np.float64]:
    there = np.flatnonzero(np.isfinite(entries))
    if not len(there):
        return np.zeros_like(entries)
    nearest = np.searchsorted(there, np.arange(len(entries)), side="right") - 1
    carried: NDArray[np.float64] = entries[there[np.maximum(nearest, 0)]]
    return carried


def _from_list(given: Any, layout: Layout, place: Place, k: int) -> Values:
    rows = [] if given is None else [float("nan") if one is None else one for one in given]
    if not rows:
        raise TableError(f"{place.where(k)}: there is no number at all. Leave the row out.")
    try:
        values = np.asarray(rows, dtype=np.float64)
        values = values.reshape(-1, layout.width) if values.ndim == 1 else values
    except (TypeError, ValueError) as error:
        raise TableError(
            f"{place.where(k)}: the list makes no steps of width {layout.width}: {error}."
        ) from error
    names = [f"{layout.values[0]}[{n}]" for n in range(values.size)]
    return _filled(values, layout, place, [k], names)


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
