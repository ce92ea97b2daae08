"""Text files too long for memory: measured once, then read anew whenever they are walked."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ostinato.data.text import Document, TextError, check_encoding, refuse_binary

__all__ = ["LongDocument", "is_long", "read_long"]

# bytes from which on a file is not held in memory (packed text is three to four times longer)
LONG = 64 << 20
_PACKED = 4
_BLOCK = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class LongDocument(Document):
    """A part of a file, which is read as often as it is walked.

    Attributes:
        text: empty; `pieces` has it.
        path: of the file.
        encoding: of its bytes.
        start: first character.
        stop: the character behind the last.
    """

    path: Path = field(default_factory=Path)
    encoding: str = "utf-8"
    start: int = 0
    stop: int = 0

    def __len__(self) -> int:
        return self.stop - self.start

    def part(self, start: int, stop: int) -> LongDocument:
        first = min(self.start + max(start, 0), self.stop)
        last = min(self.start + max(stop, 0), self.stop)
        return LongDocument("", self.name, self.path, self.encoding, first, max(first, last))

    def pieces(self) -> Iterator[str]:
        position, held = 0, ""
        for block in _characters(self.path, self.encoding):
            begin, end = max(self.start - position, 0), self.stop - position
            position += len(block)
            held += block[begin:end]
            if position >= self.stop:
                break
            if held:
                cut = _between(held)
                if cut:
                    yield held[:cut]
                held = held[cut:]
        if held:
            yield held


def is_long(path: Path) -> bool:
    """This file is better not held in memory."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            packed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    except OSError:
        # what is wrong is said where it is read
        return False
    return size * (_PACKED if packed else 1) > LONG


def read_long(path: Path, separator: str | None, encoding: str) -> list[Document]:
    """The documents of a long file, of which only the places are kept.

    Raises:
        TextError: it cannot be read as text; or no text is in it.
    """
    check_encoding(encoding)
    ends, total, blank = _measure(path, separator or "", encoding)
    if blank:
        raise TextError(f"{path} holds nothing but blanks. Give a file with text in it.")
    length = len(separator or "")
    starts = [0, *(end + length for end in ends)]
    spans = zip(starts, [*ends, total], strict=True)
    whole = LongDocument("", str(path), path, encoding, 0, total)
    if not separator:
        return [whole]
    parts = (whole.part(start, stop) for start, stop in spans if start < stop)
    told = [part for part in parts if any(piece.strip() for piece in part.pieces())]
    return [
        LongDocument("", f"{path}, part {k + 1}", path, encoding, part.start, part.stop)
        for k, part in enumerate(told)
    ]


def _measure(path: Path, separator: str, encoding: str) -> tuple[list[int], int, bool]:
    # where the separators stand, how many characters there are, and whether all are blank
    ends: list[int] = []
    total, blank, tail = 0, True, ""
    for block in _characters(path, encoding):
        blank = blank and not block.strip()
        if separator:
            # a separator may stand across two blocks
            seen = tail + block
            at = seen.find(separator)
            while at >= 0:
                ends.append(total - len(tail) + at)
                at = seen.find(separator, at + len(separator))
            last = ends[-1] + len(separator) - (total - len(tail)) if ends else 0
            tail = seen[max(last, len(seen) - len(separator) + 1, 0) :]
        total += len(block)
    return ends, total, blank


def _characters(path: Path, encoding: str) -> Iterator[str]:
    name = "utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding
    try:
        with _open(path) as file:
            refuse_binary(file.peek(_BLOCK)[:_BLOCK], str(path), encoding)
            text = io.TextIOWrapper(file, name)
            try:
                while block := text.read(_BLOCK):
                    yield block
            except UnicodeDecodeError as error:
                raise TextError(
                    f"{path} is not {encoding} text: byte 0x{error.object[error.start]:02x} before "
                    f"position {file.tell()} does not fit. Name its encoding (for example latin-1)."
                ) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise TextError(f"{path} is a damaged gz file: {error}. Get it again.") from error
    except OSError as error:
        raise TextError(f"{path} cannot be read: {error.strerror or error}.") from error


def _open(path: Path) -> Any:
    file = path.open("rb")
    if not file.peek(len(_GZIP_MAGIC)).startswith(_GZIP_MAGIC):
        return file
    file.close()
    return gzip.open(path, "rb")


def _between(text: str) -> int:
    # behind the last line end, or else before the last blank; 0: there is neither
    at = text.rfind("\n", len(text) // 2)
    return at + 1 if at >= 0 else max(text.rfind(" ", len(text) // 2), 0)
