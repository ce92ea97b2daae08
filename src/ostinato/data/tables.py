"""Rows with labels, from tables: texts, or sequences of numbers, each with one label or several.

Everything is read a block of rows at a time, so that a file may be larger than memory.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ostinato.data.columns import (
    Block,
    Place,
    TableError,
    TableSource,
    need_columns,
    read_blocks,
)
from ostinato.data.sequences import Layout, Values, long_sequences, wide_sequences

__all__ = ["Labels", "LabelledSource", "Rows", "TableError", "read_rows", "rows_of", "table_blocks"]

# what a row is labelled with; several where rows may have any number of labels
Labels: TypeAlias = tuple[str, ...]

# tables, or rows themselves: (text or numbers [T, I], label or labels)
LabelledSource: TypeAlias = "TableSource | Iterable[tuple[Any, Any]]"

_JSON_NAMES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
_BLOCK_LINES = 1 << 15
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class Rows:
    """Some rows.

    Attributes:
        inputs: a text, or numbers float32 [T, I], a row.
        labels: of each row; None: they were not asked for.
        places: where each row stands, for messages.
        several: labels came as lists, so that a row may have any number of them.
    """

    inputs: Sequence[str | Values]
    labels: Sequence[Labels] | None
    places: Sequence[tuple[Place, int]]
    several: bool = False

    def where(self, row: int) -> str:
        """Where a row stands, in words."""
        place, number = self.places[row]
        return place.where(number)


def read_rows(source: LabelledSource, layout: Layout, *, labelled: bool = True) -> Iterator[Rows]:
    """Read rows from beginning to end, in memory that does not grow with them.

    A table is CSV, TSV (plain or gz), Parquet, JSON lines (.jsonl, .ndjson, plain or gz), a data
    frame, a mapping of columns, or several of them. Rows may also come as pairs of input and label.

    Args:
        source: what to read.
        layout: which columns hold what.
        labelled: read the labels, too.

    Raises:
        FileNotFoundError: there is no such file.
        TableError: a column is missing, a text is empty, a label or a number is missing; the
            message names file and line.

    Example:
        >>> table = {"text": ["good", "bad"], "label": [1, 0]}
        >>> [(rows.inputs, rows.labels) for rows in read_rows(table, Layout())]
        [(['good', 'bad'], [('1',), ('0',)])]
    """
    pairs, tables = _pairs(source)
    if pairs is not None:
        yield from _pair_rows(pairs, layout)
        return
    blocks = table_blocks(tables)
    if layout.id is not None:
        for group in long_sequences(blocks, layout, labelled=labelled):
            label = None if group.label is None else _split(group.label, layout)
            yield from _one_row(group.values, label, group.place, group.row, layout)
        return
    for block in blocks:
        frame, place = block.frame, block.place
        need_columns(layout.plain_columns(labelled), frame.columns, place.name)
        if not frame.height:
            continue
        inputs: Sequence[str | Values]
        if layout.values:
            inputs = wide_sequences(frame, layout, place)
        else:
            inputs = _texts(frame[layout.text], place)
        labels, several = None, False
        if labelled:
            labels, several = _labels(frame[layout.label], layout, place)
        yield Rows(inputs, labels, [(place, k) for k in range(frame.height)], several)


def rows_of(inputs: Iterable[Any], labels: Iterable[Any] | None = None) -> Rows:
    """Rows that are at hand, e.g. to be classified.

    Args:
        inputs: a text, or numbers [T, I] or [T], a row.
        labels: of each row one, or a list of them.

    Raises:
        TableError: a text is empty, or numbers have another form.

    Example:
        >>> rows_of(["good", "bad"]).where(1)
        'the rows, row 1'
    """
    place = Place("the rows", 0)
    taken = [_input(one, place, k) for k, one in enumerate(inputs)]
    told, several = None, False
    if labels is not None:
        given = list(labels)
        several = any(isinstance(one, (list, tuple, set, frozenset)) for one in given)
        told = [_as_labels(one, place, k) for k, one in enumerate(given)]
    return Rows(taken, told, [(place, k) for k in range(len(taken))], several)


def table_blocks(source: TableSource) -> Iterator[Block]:
    """`read_blocks`, for JSON lines, too: an object a line, whose keys are the columns."""
    if isinstance(source, (str, Path)) and str(source).lower().endswith(_JSON_NAMES):
        path = Path(source)
        if not path.exists():
            raise FileNotFoundError(f"There is no file {path}. Check the name.")
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP_MAGIC
            file.seek(0)
            if packed:
                with gzip.open(file) as unpacked:
                    yield from _json_blocks(unpacked, str(path))
            else:
                yield from _json_blocks(file, str(path))
    elif isinstance(source, (str, Path, pl.DataFrame, Mapping)):
        yield from read_blocks(source)
    else:
        parts = list(source)
        if not parts:
            raise TableError("There is no table to read: the list of files is empty. Name a file.")
        for part in parts:
            yield from table_blocks(part)


# what holds rows themselves


def _pairs(source: Any) -> tuple[Iterator[Any] | None, Any]:
    if isinstance(source, (str, Path, pl.DataFrame, Mapping)):
        return None, source
    walk = iter(source)
    first = next(walk, None)
    if isinstance(first, tuple) and len(first) == 2:
        return chain([first], walk), None
    return None, [first, *walk] if first is not None else []


def _pair_rows(pairs: Iterator[Any], layout: Layout) -> Iterator[Rows]:
    start = 0
    while taken := list(islice(pairs, _BLOCK_LINES)):
        for k, pair in enumerate(taken):
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise TableError(f"the rows, row {start + k}: not a pair of input and label.")
        rows = rows_of((one for one, _ in taken), (label for _, label in taken))
        text = isinstance(rows.inputs[0], str)
        if text == bool(layout.values):
            need = "numbers: leave out values" if text else "text: name the columns in values"
            raise TableError(f"the rows, row {start}: the settings say that rows are not {need}.")
        places = [(Place("the rows", start), k) for k in range(len(taken))]
        yield Rows(rows.inputs, rows.labels, places, rows.several)
        start += len(taken)


def _input(one: Any, place: Place, k: int) -> Any:
    if isinstance(one, str):
        if not one.strip():
            raise TableError(f"{place.where(k)}: the text is empty. Leave the row out.")
        return one
    try:
        values: NDArray[Any] = np.asarray(one, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise TableError(
            f"{place.where(k)}: give a text, or numbers [time, features], got {type(one).__name__}."
        ) from error
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2 or not len(values):
        raise TableError(
            f"{place.where(k)}: numbers must be [time, features], got {list(values.shape)}."
        )
    if not np.isfinite(values).all():
        raise TableError(f"{place.where(k)}: a number is missing (NaN) or infinite.")
    return values


def _as_labels(given: Any, place: Place, k: int) -> Labels:
    if isinstance(given, (list, tuple, set, frozenset)):
        return tuple(dict.fromkeys(sorted(map(str, given))))
    if given is None or not str(given).strip():
        raise TableError(f"{place.where(k)}: there is no label. Give one, or leave the row out.")
    return (str(given),)


# columns of a block


def _one_row(
    values: Values, labels: Labels | None, place: Place, row: int, layout: Layout
) -> Iterator[Rows]:
    if labels is not None and not labels and layout.separator is None:
        raise TableError(f"{place.where(row)}: there is no label. Give one, or leave it out.")
    several = layout.separator is not None
    yield Rows([values], None if labels is None else [labels], [(place, row)], several)


def _texts(column: pl.Series, place: Place) -> list[str]:
    texts = column.cast(pl.String)
    empty = (texts.is_null() | (texts.str.strip_chars().str.len_bytes() == 0)).arg_true()
    if len(empty):
        raise TableError(
            f"{place.where(int(empty[0]))}: the text (column {column.name!r}) is empty. Leave the "
            "row out."
        )
    return texts.to_list()


def _labels(column: pl.Series, layout: Layout, place: Place) -> tuple[list[Labels], bool]:
    if isinstance(column.dtype, (pl.List, pl.Array)):
        lists = column.to_list()
        return [tuple(dict.fromkeys(map(str, one or ()))) for one in lists], True
    if column.dtype.is_float() and bool(
        (column.drop_nulls().round(0) == column.drop_nulls()).all()
    ):
        column = column.cast(pl.Int64)
    names = column.cast(pl.String).fill_null("").str.strip_chars().to_list()
    labels = [_split(name, layout) for name in names]
    if layout.separator is not None:
        return labels, True
    for k, one in enumerate(labels):
        if not one:
            raise TableError(
                f"{place.where(k)}: there is no label (column {column.name!r}). Give one, or leave "
                "the row out."
            )
    return labels, False


def _split(name: str, layout: Layout) -> Labels:
    parts = [name] if layout.separator is None else name.split(layout.separator)
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


# JSON lines


def _json_blocks(file: Iterable[bytes], name: str) -> Iterator[Block]:
    walk, first, found = iter(file), 1, False
    while lines := list(islice(walk, _BLOCK_LINES)):
        place = Place(name, first, "line")
        kept = [k for k, line in enumerate(lines) if line.strip()]
        objects = [_json_object(lines[k], place, k) for k in kept]
        found = found or bool(objects)
        if len(kept) == len(lines):
            yield Block(_json_frame(objects), place)
        else:
            # one by one where lines are empty, so that the numbers of lines stay right
            for k, one in zip(kept, objects, strict=True):
                yield Block(_json_frame([one]), Place(name, first + k, "line"))
        first += len(lines)
    if not found:
        raise TableError(f"{name} is empty. Give a file with an object a line.")


def _json_object(line: bytes, place: Place, k: int) -> dict[str, Any]:
    try:
        told = json.loads(line)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise TableError(f"{place.where(k)}: not JSON ({error}). Mend the line.") from error
    if not isinstance(told, dict):
        raise TableError(
            f'{place.where(k)}: not a JSON object, such as {{"text": ..., "label": ...}}.'
        )
    return told


def _json_frame(objects: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    names = dict.fromkeys(chain.from_iterable(objects))
    return pl.DataFrame([_json_column(name, [one.get(name) for one in objects]) for name in names])


def _json_column(name: str, entries: list[Any]) -> pl.Series:
    if any(isinstance(entry, list) for entry in entries):
        rows = [e if isinstance(e, list) or e is None else [e] for e in entries]
        inner = list(chain.from_iterable(row for row in rows if row))
        if any(isinstance(part, list) for part in inner):
            return pl.Series(name, rows, dtype=pl.List(pl.List(pl.Float64)), strict=False)
        if all(_is_number(part) for part in inner):
            kind = pl.Int64 if all(isinstance(part, int) for part in inner) else pl.Float64
            return pl.Series(name, rows, dtype=pl.List(kind), strict=False)
        return pl.Series(name, [None if row is None else list(map(str, row)) for row in rows])
    if all(_is_number(entry) for entry in entries):
        return pl.Series(name, entries, strict=False)
    return pl.Series(name, [None if e is None else str(e) for e in entries], dtype=pl.String)


def _is_number(entry: Any) -> bool:
    return entry is None or (isinstance(entry, (int, float)) and not isinstance(entry, bool))
