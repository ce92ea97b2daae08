"""Tables read a block of rows at a time: CSV (plain or gz), Parquet, data frames, mappings."""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

import polars as pl

__all__ = [
    "Block",
    "Place",
    "TableError",
    "TableSource",
    "need_columns",
    "read_blocks",
    "table_name",
]

TableSource: TypeAlias = (
    "str | Path | pl.DataFrame | Mapping[str, Any] | Sequence[str | Path | pl.DataFrame]"
)

_BLOCK_BYTES = 1 << 23
_BLOCK_ROWS = 1 << 17
_LONGEST_FIELD = 1 << 23
_SEPARATORS = (",", ";", "\t", "|")
_GZIP_MAGIC = b"\x1f\x8b"
_PARQUET_MAGIC = b"PAR1"


class TableError(ValueError):
    """A table that cannot be used as it is; the message names the file and the line."""


@dataclass(frozen=True)
class Place:
    """Where rows came from.

    Attributes:
        name: of the file, or "the table".
        first: number of the first row, as a person counts: lines of a CSV from 1, its header
            included; rows of anything else from 0.
        unit: "line" or "row"; "about line" where a field of the block spans lines.
    """

    name: str
    first: int
    unit: str = "row"

    def where(self, row: int) -> str:
        """Row number `row` of these, in words.

        Example:
            >>> Place("ett.csv", 2, "line").where(3)
            'ett.csv, line 5'
        """
        return f"{self.name}, {self.unit} {self.first + row}"


@dataclass(frozen=True)
class Block:
    """Some rows of a table; columns of a CSV are still text.

    Attributes:
        frame: the rows.
        place: where they stand.
    """

    frame: pl.DataFrame
    place: Place


def table_name(source: TableSource) -> str:
    """What messages call a source."""
    first = source[0] if isinstance(source, Sequence) and not isinstance(source, str) else source
    if isinstance(first, (str, Path)):
        return "standard input" if str(first) == "-" else str(first)
    return "the table"


def read_blocks(source: TableSource) -> Iterator[Block]:
    """Read a table from its beginning to its end, in memory that does not grow with it.

    A file is CSV (comma, semicolon, tab or bar between fields, whichever its header has most of),
    plain or gz, or Parquet; "-" is a CSV on standard input. Several are read one after the other.

    Args:
        source: what to read.

    Raises:
        FileNotFoundError: there is no such file.
        TableError: it is empty, or a line has more fields than the header.

    Example:
        >>> [(block.frame.shape, block.place.name) for block in read_blocks({"x": [1, 2, 3]})]
        [((3, 1), 'the table')]
    """
    if isinstance(source, pl.DataFrame):
        yield from _frame_blocks(source)
    elif isinstance(source, Mapping):
        yield from _frame_blocks(pl.DataFrame(dict(source)))
    elif isinstance(source, (str, Path)):
        yield from _file_blocks(source)
    else:
        parts = list(source)
        if not parts:
            raise TableError("There is no table to read: the list of files is empty. Name a file.")
        for part in parts:
            yield from read_blocks(part)


def need_columns(names: Sequence[str], found: Sequence[str], table: str) -> None:
    """See that a table has all of these columns.

    Raises:
        TableError: one is missing; the message names those found.

    Example:
        >>> need_columns(["OT"], ["date", "ot"], "ett.csv")
        Traceback (most recent call last):
        ostinato.data.columns.TableError: ett.csv has no column 'OT'. It has: date, ot.
    """
    for name in names:
        if name not in found:
            raise TableError(f"{table} has no column {name!r}. It has: {', '.join(found)}.")


def _frame_blocks(frame: pl.DataFrame) -> Iterator[Block]:
    for first in range(0, max(frame.height, 1), _BLOCK_ROWS):
        yield Block(frame.slice(first, _BLOCK_ROWS), Place("the table", first))


def _file_blocks(source: str | Path) -> Iterator[Block]:
    if str(source) == "-":
        yield from _csv_blocks(sys.stdin.buffer, "standard input")
        return
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}. Check the name.")
    if path.is_dir():
        raise TableError(f"{path} is a folder. Name the files in it.")
    with path.open("rb") as file:
        magic = file.read(4)
        file.seek(0)
        if magic == _PARQUET_MAGIC:
            yield from _parquet_blocks(path)
        elif magic.startswith(_GZIP_MAGIC):
            with gzip.open(file) as unpacked:
                yield from _csv_blocks(unpacked, str(path))
        else:
            yield from _csv_blocks(file, str(path))


def _parquet_blocks(path: Path) -> Iterator[Block]:
    lazy = pl.scan_parquet(path)
    try:
        rows = int(lazy.select(pl.len()).collect().item())
        for first in range(0, max(rows, 1), _BLOCK_ROWS):
            yield Block(lazy.slice(first, _BLOCK_ROWS).collect(), Place(str(path), first))
    except pl.exceptions.PolarsError as error:
        raise TableError(f"{path} is no readable Parquet file: {error}. Get it again.") from error


def _csv_blocks(file: IO[bytes] | gzip.GzipFile, name: str) -> Iterator[Block]:
    header, before = b"", 0
    while not header.strip():
        header = file.readline()
        before += 1
        if not header:
            raise TableError(f"{name} is empty. Give a table with a header and rows.")
    header = header.removeprefix(b"\xef\xbb\xbf")
    if b"\0" in header:
        raise TableError(f"{name} is a binary file. Give a CSV or a Parquet file.")
    separator = max(_SEPARATORS, key=header.decode("utf-8", "replace").count)
    line = before + 1
    while True:
        rows = file.read(_BLOCK_BYTES)
        rows += file.readline()
        rows += _rest_of_quotes(file, rows)
        if not rows and line > before + 1:
            return
        lines = rows.count(b"\n") + (0 if rows.endswith(b"\n") or not rows else 1)
        frame = _parse(header, rows, separator, name, line)
        unit = "line" if frame.height == lines else "about line"
        yield Block(frame, Place(name, line, unit))
        line += lines
        if not rows:
            return


def _rest_of_quotes(file: IO[bytes] | gzip.GzipFile, rows: bytes) -> bytes:
    """The lines in which a field in quotes goes on that a block of rows ends in."""
    open_quote, rest, size = rows.count(b'"') % 2, [], 0
    # a single quote that nothing closes must not draw the whole file into memory
    while open_quote and size < _LONGEST_FIELD and (more := file.readline()):
        rest.append(more)
        size += len(more)
        open_quote ^= more.count(b'"') % 2
    return b"".join(rest)


def _parse(header: bytes, rows: bytes, separator: str, name: str, line: int) -> pl.DataFrame:
    if not header.endswith(b"\n"):
        header += b"\n"
    try:
        return pl.read_csv(
            io.BytesIO(header + rows), separator=separator, infer_schema=False, encoding="utf8"
        )
    except pl.exceptions.PolarsError as error:
        raise TableError(_why(error, header, rows, separator, name, line)) from error


def _why(error: Exception, header: bytes, rows: bytes, separator: str, name: str, line: int) -> str:
    mark = separator.encode()
    fields = header.count(mark) + 1
    for number, text in enumerate(rows.split(b"\n"), start=line):
        found = text.count(mark) + 1
        if found > fields and b'"' not in text:
            return (
                f"{name}, line {number}: {found} fields, but the header names {fields}. Put "
                "quotes around fields that hold the separator, or mend the line."
            )
        try:
            text.decode()
        except UnicodeDecodeError:
            return f"{name}, line {number}: not UTF-8. Save the file as UTF-8."
    reason = str(error).splitlines()[0]
    return f"{name} cannot be read as a table: {reason}. Give a CSV or a Parquet file."
