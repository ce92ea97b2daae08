"""Files, folders, gz archives and standard input, read as text documents."""

from __future__ import annotations

import codecs
import errno
import gzip
import io
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

__all__ = [
    "Document",
    "Source",
    "TextError",
    "check_encoding",
    "read_documents",
    "refuse_binary",
]

Source: TypeAlias = "str | Path | Document | Sequence[str | Path | Document]"

_SUFFIXES = (".txt", ".text", ".md", ".rst")
_GZIP_MAGIC = b"\x1f\x8b"
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
_LOOK_AHEAD = 1 << 16


class TextError(ValueError):
    """Text that cannot be used as it is: empty, binary, in another encoding, too short."""


@dataclass(frozen=True)
class Document:
    """A text that stands alone: nothing is carried over from the document before it.

    Attributes:
        text: what it says.
        name: where it came from, for messages.
    """

    text: str
    name: str = "text"

    def __len__(self) -> int:
        """Characters."""
        return len(self.text)

    def part(self, start: int, stop: int) -> Document:
        """The characters from `start` up to `stop`, as a document."""
        return Document(self.text[start:stop], self.name)

    def pieces(self) -> Iterator[str]:
        """The text, cut between lines or words, in pieces that fit into memory."""
        if self.text:
            yield self.text


def read_documents(
    source: Source, *, separator: str | None = None, encoding: str = "utf-8"
) -> list[Document]:
    r"""Read every document that `source` names.

    A `Path` or a string of one line is a file, a folder (all its `.txt`, `.text`, `.md` and `.rst`
    files, plain or gz, in the order of their names) or "-" for standard input. A string that
    holds a line break is the text itself, and so is a `Document`. A sequence may mix them. A gz
    file is known by its content. Line ends become "\n" and a byte-order mark is dropped. A file
    that is longer than 64 MB is not kept in memory, but read again whenever it is walked.

    Args:
        source: what to read.
        separator: cut each text into documents wherever this string stands; None: one a file.
        encoding: how the bytes spell characters.

    Raises:
        FileNotFoundError: there is no such file or folder.
        TextError: a text is empty, binary, or not in `encoding`; a folder holds no text; a string
            of one line cannot be the name of a file.

    Example:
        >>> [document.text for document in read_documents("one\n--\ntwo\n", separator="--\n")]
        ['one\n', 'two\n']
    """
    sources = [source] if isinstance(source, (str, Path, Document)) else list(source)
    documents = [part for item in sources for part in _read(item, separator, encoding)]
    if not documents:
        raise TextError("There is no text to read: the list of sources is empty. Name a file.")
    return documents


def _read(
    source: str | Path | Document, separator: str | None, encoding: str
) -> Iterator[Document]:
    if isinstance(source, Document):
        yield from _cut(source, separator)
    elif isinstance(source, str) and "\n" in source:
        yield from _cut(Document(source), separator)
    elif str(source) == "-":
        yield from _cut(_decode(sys.stdin.buffer.read(), "standard input", encoding), separator)
    else:
        from ostinato.data.long_text import is_long, read_long

        for path in _files(Path(source)):
            if is_long(path):
                yield from read_long(path, separator, encoding)
            else:
                yield from _cut(_decode(_bytes(path), str(path), encoding), separator)


def _files(path: Path) -> list[Path]:
    if not _could_be_a_name(path):
        raise TextError(
            f"This is no name of a file: {str(path)[:40]!r}... ({len(str(path)):,} characters). "
            'Text itself, in place of a file, must hold a line break: put "\\n" at its end, or '
            "give it as a Document."
        )
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.is_file() and _is_text_name(p))
        if not found:
            raise TextError(
                f"{path} holds no text: none of its files ends in {', '.join(_SUFFIXES)} "
                "(or one of these with .gz). Name the files themselves."
            )
        return found
    if not path.exists():
        raise FileNotFoundError(
            f"There is no file or folder {path}. Check the name (text itself, in place of a file, "
            "must hold a line break)."
        )
    return [path]


def _could_be_a_name(path: Path) -> bool:
    """Whether the system takes it for the name of anything, be it there or not."""
    try:
        path.stat()
    except ValueError:
        return False
    except OSError as error:
        return error.errno != errno.ENAMETOOLONG
    return True


def _is_text_name(path: Path) -> bool:
    name = path.name.lower().removesuffix(".gz")
    return name.endswith(_SUFFIXES) and not name.startswith(".")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TextError(f"{path} cannot be read: {error.strerror or error}.") from error


def _decode(raw: bytes, name: str, encoding: str) -> Document:
    if raw.startswith(_GZIP_MAGIC):
        raw = _unzip(raw, name)
    if not raw:
        raise TextError(f"{name} is empty. Give a file with text in it.")
    refuse_binary(raw, name, encoding)
    check_encoding(encoding)
    try:
        text = raw.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except UnicodeDecodeError as error:
        raise TextError(
            f"{name} is not {encoding} text: byte 0x{raw[error.start]:02x} at position "
            f"{error.start} does not fit. Name its encoding (for example latin-1)."
        ) from error
    text = io.IncrementalNewlineDecoder(None, translate=True).decode(text, final=True)
    if not text.strip():
        raise TextError(f"{name} holds nothing but blanks. Give a file with text in it.")
    return Document(text, name)


def _unzip(raw: bytes, name: str) -> bytes:
    try:
        return gzip.decompress(raw)
    except (EOFError, OSError, zlib.error) as error:
        raise TextError(f"{name} is a damaged gz file: {error}. Get it again.") from error


def check_encoding(encoding: str) -> None:
    """See that Python knows an encoding.

    Raises:
        TextError: it does not.
    """
    try:
        codecs.lookup(encoding)
    except LookupError as error:
        raise TextError(f"There is no encoding {encoding!r}. Try 'utf-8' or 'latin-1'.") from error


def refuse_binary(raw: bytes, name: str, encoding: str) -> None:
    """See that the first bytes of a file look like text.

    Raises:
        TextError: they do not.
    """
    if encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32")):
        return
    if raw.startswith(_WIDE_MARKS):
        raise TextError(
            f"{name} looks like UTF-16 text, not {encoding}. Name its encoding: utf-16."
        )
    if b"\0" in raw[:_LOOK_AHEAD]:
        raise TextError(f"{name} is a binary file, not text. Give a plain text file.")


def _cut(document: Document, separator: str | None) -> Iterable[Document]:
    if not separator:
        return [document]
    texts = [text for text in document.text.split(separator) if text.strip()]
    return [Document(text, f"{document.name}, part {k + 1}") for k, text in enumerate(texts)]
