"""Pairs of lines: two aligned files, or one with two columns; plain or gz, read as a stream."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import zip_longest
from pathlib import Path
from typing import TypeAlias

__all__ = ["PairError", "PairSource", "Pairs", "read_lines", "read_pairs"]

# two aligned files, a file of two columns, or the pairs themselves
PairSource: TypeAlias = "str | Path | Sequence[str | Path] | Sequence[Sequence[str]] | Pairs"

_GZIP_MAGIC = b"\x1f\x8b"


class PairError(ValueError):
    """Pairs that cannot be used as they are; the message names the file and the line."""


class Pairs:
    """Pairs (source, target) that can be walked over again and again, a line at a time.

    Made by `read_pairs`. Lines are stripped of blanks at both ends. Where both sides are empty, the
    pair is left out.

    Args:
        source: two files, one file, or pairs.
        encoding: how the bytes of files spell characters.
        skip_empty: also leave out pairs of which one side is empty.
    """

    def __init__(
        self,
        source: Sequence[Path] | Sequence[tuple[str, str]],
        *,
        encoding: str = "utf-8",
        skip_empty: bool = False,
    ) -> None:
        self._source = source
        self._encoding = encoding
        self._skip_empty = skip_empty

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for line, (left, right) in enumerate(self._lines(), 1):
            source, target = left.strip(), right.strip()
            if source and target:
                yield source, target
            elif (source or target) and not self._skip_empty:
                raise PairError(
                    f"{self._place(line, bool(source))} is empty, and its partner is not: "
                    f"{source or target!r}. Take the pair out, or leave out such pairs "
                    "(skip_empty)."
                )

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @property
    def name(self) -> str:
        """Where they come from, for messages."""
        files = [str(part) for part in self._source if isinstance(part, Path)]
        return " and ".join(files) or "the pairs"

    def _lines(self) -> Iterator[tuple[str, str]]:
        files = [part for part in self._source if isinstance(part, Path)]
        if len(files) == 2:
            return _aligned(files[0], files[1], self._encoding)
        if files:
            return _columns(files[0], self._encoding)
        return iter(self._source)  # type: ignore[arg-type]

    def _place(self, line: int, target: bool) -> str:
        files = [part for part in self._source if isinstance(part, Path)]
        if len(files) == 2:
            return f"{files[int(target)]}, line {line}"
        side = "target" if target else "source"
        return f"{files[0]}, line {line}: the {side}" if files else f"Pair {line}: the {side}"


def read_pairs(source: PairSource, *, encoding: str = "utf-8", skip_empty: bool = False) -> Pairs:
    r"""Pairs of lines, as a stream.

    Args:
        source: two aligned files (line k of one belongs to line k of the other); one file with two
            columns, separated by a tab; or the pairs themselves. A gz file is known by its content.
        encoding: how the bytes spell characters.
        skip_empty: leave out pairs of which one side is empty; else they are an error. Pairs that
            are empty on both sides are always left out.

    Raises:
        FileNotFoundError: there is no such file.
        PairError: there are more than two files, or no pairs. While they are read: files of unequal
            length, a line without two columns, a half-empty pair, wrongly encoded text.

    Example:
        >>> list(read_pairs([("a man", "ein Mann"), ("two men", "zwei Männer")]))
        [('a man', 'ein Mann'), ('two men', 'zwei Männer')]
    """
    if isinstance(source, Pairs):
        return source
    parts = [source] if isinstance(source, (str, Path)) else list(source)
    if all(isinstance(part, (str, Path)) for part in parts) and parts:
        files = [Path(str(part)) for part in parts]
        if len(files) > 2:
            raise PairError(
                f"Give two aligned files, or one with two columns, got {len(files)} files. "
                "Join files of one language first."
            )
        for path in files:
            if not path.is_file():
                what = "is a folder" if path.is_dir() else "does not exist"
                raise FileNotFoundError(f"{path} {what}. Name a file of lines.")
        return Pairs(files, encoding=encoding, skip_empty=skip_empty)
    if not parts:
        raise PairError("There are no pairs: the list is empty. Give at least one.")
    for k, part in enumerate(parts, 1):
        if isinstance(part, (str, Path)) or len(part) != 2:
            raise PairError(f"Pair {k} must be two texts, got {part!r}.")
    return Pairs([(str(a), str(b)) for a, b in parts], skip_empty=skip_empty)  # type: ignore[misc]


def read_lines(path: str | Path, *, encoding: str = "utf-8") -> Generator[str, None, None]:
    """The lines of a file, plain or gz, without their ends; read as they are asked for.

    Raises:
        FileNotFoundError: there is no such file.
        PairError: it is no text of that encoding, or a damaged gz file; names the line.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist, or is no file. Name a file of lines.")
    with path.open("rb") as file:
        zipped = file.read(2) == _GZIP_MAGIC
    with gzip.open(path) if zipped else path.open("rb") as raw:
        yield from _decoded(raw, path, encoding)


def _decoded(raw: Iterable[bytes], path: Path, encoding: str) -> Iterator[str]:
    line = 0
    try:
        for line, content in enumerate(raw, 1):
            text = content.decode("utf-8-sig" if line == 1 and _is_utf8(encoding) else encoding)
            if "\0" in text:
                raise PairError(
                    f"{path}, line {line} holds a zero byte: it is no {encoding} text. Name its "
                    "encoding (for example latin-1), or give a plain text file."
                )
            yield text.rstrip("\r\n")
    except LookupError as error:
        raise PairError(f"There is no encoding {encoding!r}. Try 'utf-8' or 'latin-1'.") from error
    except UnicodeDecodeError as error:
        raise PairError(
            f"{path}, line {line} is not {encoding} text: byte 0x{error.object[error.start]:02x} "
            "does not fit. Name its encoding (for example latin-1)."
        ) from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise PairError(
            f"{path} is a damaged gz file: after line {line}, {error}. Get it again."
        ) from error


def _is_utf8(encoding: str) -> bool:
    return encoding.lower().replace("_", "-") in ("utf-8", "utf8")


def _aligned(left: Path, right: Path, encoding: str) -> Iterator[tuple[str, str]]:
    with (
        closing(read_lines(left, encoding=encoding)) as sources,
        closing(read_lines(right, encoding=encoding)) as targets,
    ):
        for line, (source, target) in enumerate(zip_longest(sources, targets), 1):
            if source is None or target is None:
                short, long = (left, right) if source is None else (right, left)
                text = str(target if source is None else source)
                raise PairError(
                    f"{short} ends after line {line - 1}, and {long} goes on. Line {line} of "
                    f"{long} is the first without a partner: {_short(text)!r}. Aligned files must "
                    "have as many lines; see which one is missing."
                )
            yield source, target


def _columns(path: Path, encoding: str) -> Iterator[tuple[str, str]]:
    with closing(read_lines(path, encoding=encoding)) as lines:
        for line, text in enumerate(lines, 1):
            columns = text.split("\t")
            if len(columns) != 2 and text.strip():
                raise PairError(
                    f"{path}, line {line} has {len(columns)} column(s), and two are needed, "
                    f"separated by a tab: {_short(text)!r}. Give source and target, or two "
                    "aligned files."
                )
            yield (columns[0], columns[1]) if text.strip() else ("", "")


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
