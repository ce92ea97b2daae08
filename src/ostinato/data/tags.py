"""Sentences with a tag for each word: CoNLL-U, and two columns separated by a tab.

Read line by line, so that a file may be larger than memory.

Source of the rules for CoNLL-U: universaldependencies.org/format.html.
"""

from __future__ import annotations

import gzip
import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias

from ostinato.config import nearest

__all__ = [
    "COLUMNS",
    "Sentence",
    "TagError",
    "TagSource",
    "conllu_lines",
    "numbered_lines",
    "read_sentences",
]

# the columns of CoNLL-U that can serve as tags, by number
COLUMNS = {"lemma": 2, "upos": 3, "xpos": 4, "feats": 5, "deprel": 7, "misc": 9}

_FIELDS = 10
_GZIP_MAGIC = b"\x1f\x8b"
_WORD_ID = re.compile(r"[1-9][0-9]*")
# multiword tokens (3-4) and empty nodes (5.1): neither is a word of the sentence
_OTHER_ID = re.compile(r"[0-9]+[-.][1-9][0-9]*")
# here an underscore says that there is none, which is a value like others
_MAY_BE_EMPTY = ("feats", "misc")


class TagError(ValueError):
    """A file of tags that cannot be used as it is; the message names file and line."""


@dataclass(frozen=True)
class Sentence:
    """Words in order, each with its tag.

    Attributes:
        words: T of them.
        tags: as many; empty where they were not asked for.
        name: the file it came from.
        lines: where each word stands in the file, counted from 1; empty where there is no file.
        text: the lines of the file that hold it, where they were asked for.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...] = ()
    name: str = "sentence"
    lines: tuple[int, ...] = ()
    text: tuple[str, ...] = ()

    def place(self, k: int) -> str:
        """Where the k-th word stands, for messages."""
        return f"{self.name}, line {self.lines[k]}" if self.lines else f"{self.name}, word {k + 1}"


# files ("-" is standard input), or sentences that are there already
TagSource: TypeAlias = "str | Path | Iterable[str | Path | Sentence | Sequence[tuple[str, str]]]"


def read_sentences(
    source: TagSource, *, column: str = "upos", tagged: bool = True, keep: bool = False
) -> Iterator[Sentence]:
    r"""Read sentences one by one.

    A file is CoNLL-U if its first line of words has ten fields, and else must have two, word and
    tag, with an empty line between sentences. gz files are known by their content. Of CoNLL-U,
    words are what counts: multiword tokens (3-4) and empty nodes (5.1) are passed over.

    Args:
        source: files, or sentences: `Sentence`, or rows of (word, tag).
        column: which column of CoNLL-U is the tag.
        tagged: tags are needed; else they are passed over, and may be missing.
        keep: keep the lines, too, as `Sentence.text`.

    Raises:
        FileNotFoundError: there is no such file.
        TagError: a line does not fit; the message names file and line.

    Example:
        >>> list(read_sentences([[("Time", "NOUN"), ("flies", "VERB")]]))[0].words
        ('Time', 'flies')
    """
    if column not in COLUMNS:
        raise TagError(f"There is no column {column!r}{nearest(column, COLUMNS)}")
    single = isinstance(source, (str, Path, Sentence))
    found = False
    for item in [source] if single else source:  # type: ignore[union-attr]
        for sentence in _read(item, column, tagged, keep):  # type: ignore[arg-type]
            found = True
            yield sentence
    if not found:
        raise TagError("There is no sentence to read: the source is empty. Name a file.")


def _read(
    item: str | Path | Sentence | Sequence[tuple[str, str]], column: str, tagged: bool, keep: bool
) -> Iterator[Sentence]:
    if isinstance(item, Sentence):
        yield item
    elif isinstance(item, (str, Path)):
        yield from _Reader(str(item), column, tagged, keep).sentences()
    else:
        yield _given(item)


def _given(row: Sequence[tuple[str, str]]) -> Sentence:
    try:
        pairs = [(str(word), str(tag)) for word, tag in row]
    except (TypeError, ValueError) as error:
        raise TagError(
            f"A sentence is a row of (word, tag), got {row!r:.80}. Give pairs, or name a file."
        ) from error
    if not pairs:
        raise TagError("A sentence has no words. Leave it out.")
    words, tags = zip(*pairs, strict=True)
    return Sentence(tuple(words), tuple(tags))


def conllu_lines(sentence: Sentence, tags: Sequence[str], *, column: str = "upos") -> list[str]:
    r"""A sentence as lines of CoNLL-U, the tags in their column.

    Where the lines are those of a CoNLL-U file (`keep`), all else in them stays as it is; otherwise
    what is not known is an underscore.

    Example:
        >>> conllu_lines(Sentence(("Hi",)), ["INTJ"])
        ['1\tHi\t_\tINTJ\t_\t_\t_\t_\t_\t_']
    """
    place = COLUMNS[column]
    lines = list(sentence.text)
    if not any(line.count("\t") == _FIELDS - 1 for line in lines):
        blank = ["_"] * (_FIELDS - 2)
        lines = ["\t".join([str(k), w, *blank]) for k, w in enumerate(sentence.words, start=1)]
    walk = iter(tags)
    for k, line in enumerate(lines):
        fields = line.split("\t")
        if _WORD_ID.fullmatch(fields[0]) and len(fields) == _FIELDS:
            fields[place] = next(walk)
            lines[k] = "\t".join(fields)
    return lines


class _Reader:
    def __init__(self, name: str, column: str, tagged: bool, keep: bool) -> None:
        self.name = "standard input" if name == "-" else name
        self._path = name
        self._column = column
        self._tagged = tagged
        self._keep = keep
        self._fields = 0

    def sentences(self) -> Iterator[Sentence]:
        """Blocks of lines, cut where a line is empty."""
        block: list[tuple[int, str]] = []
        found = False
        for number, line in numbered_lines(self._path):
            if line.strip():
                block.append((number, line))
                continue
            for sentence in self._sentence(block):
                found = True
                yield sentence
            block = []
        for sentence in self._sentence(block):
            found = True
            yield sentence
        if not found:
            raise TagError(f"{self.name} holds no sentence. Give CoNLL-U, or word TAB tag.")

    def _sentence(self, block: Sequence[tuple[int, str]]) -> Iterator[Sentence]:
        self._settle(block)
        words: list[str] = []
        tags: list[str] = []
        lines: list[int] = []
        for number, line in block:
            if self._is_comment(line):
                continue
            fields = line.split("\t")
            self._check(number, fields)
            if self._fields == _FIELDS and not self._is_word(number, fields[0], len(words)):
                continue
            words.append(fields[1 if self._fields == _FIELDS else 0])
            tags += self._tag(number, fields)
            lines.append(number)
        if words:
            text = tuple(line for _, line in block) if self._keep else ()
            yield Sentence(tuple(words), tuple(tags), self.name, tuple(lines), text)

    def _is_comment(self, line: str) -> bool:
        # in two columns, a word may begin with this sign
        return line.startswith("#") and not (self._fields == 2 and "\t" in line)

    def _settle(self, block: Sequence[tuple[int, str]]) -> None:
        rows = [row for row in block if not row[1].startswith("#")]
        rows = rows or [row for row in block if "\t" in row[1]]
        if self._fields or not rows:
            return
        number, line = rows[0]
        self._fields = line.count("\t") + 1
        if self._fields not in (_FIELDS, 2):
            raise TagError(
                f"{self.name}, line {number}: {self._fields} field(s) between tabs. CoNLL-U has "
                f"{_FIELDS}, a list of words with their tags has 2: word, tab, tag."
            )

    def _check(self, number: int, fields: Sequence[str]) -> None:
        if len(fields) != self._fields:
            kind = "CoNLL-U" if self._fields == _FIELDS else "this file"
            raise TagError(
                f"{self.name}, line {number}: {len(fields)} field(s), and a line of {kind} has "
                f"{self._fields}, separated by tabs. Mend the line."
            )
        if not all(fields):
            empty = next(k for k, text in enumerate(fields, start=1) if not text)
            raise TagError(
                f"{self.name}, line {number}: field {empty} is empty. Fill it, or take out the line"
                + (" (CoNLL-U writes an underscore)." if self._fields == _FIELDS else ".")
            )

    def _is_word(self, number: int, label: str, before: int) -> bool:
        if _OTHER_ID.fullmatch(label):
            return False
        if not _WORD_ID.fullmatch(label) or int(label) != before + 1:
            raise TagError(
                f"{self.name}, line {number}: a word numbered {label!r} stands where {before + 1} "
                "is due. Number words 1, 2, ...; an empty line ends a sentence."
            )
        return True

    def _tag(self, number: int, fields: Sequence[str]) -> list[str]:
        if not self._tagged:
            return []
        if self._fields == 2:
            return [fields[1]]
        tag = fields[COLUMNS[self._column]]
        if tag == "_" and self._column not in _MAY_BE_EMPTY:
            filled = [name for name, place in COLUMNS.items() if fields[place] != "_"]
            raise TagError(
                f"{self.name}, line {number}: {fields[1]!r} has no {self._column}. Fill it, or "
                f"choose another column (filled here: {', '.join(filled) or 'none'})."
            )
        return [tag]


def numbered_lines(path: str) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file, plain or gz, without their ends, counted from 1; "-" is stdin.

    Raises:
        FileNotFoundError: there is no such file.
        TagError: it is a folder, is damaged, or is not UTF-8; the message says where.
    """
    name = "standard input" if path == "-" else path
    number = 0
    try:
        with _opened(path) as file:
            for raw in file:
                number += 1
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise TagError(
            f"{name}, line {number}: byte 0x{error.object[error.start]:02x} is not UTF-8. Convert "
            "the file."
        ) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise TagError(
            f"{name} is a damaged gz file, after line {number}: {error}. Get it again."
        ) from error


@contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    if path == "-":
        yield sys.stdin.buffer
        return
    place = Path(path)
    if place.is_dir():
        raise TagError(f"{path} is a folder. Name the files in it.")
    if not place.exists():
        raise FileNotFoundError(f"There is no file {path}. Check the name.")
    with place.open("rb") as file:
        magic = file.read(2)
        file.seek(0)
        if magic != _GZIP_MAGIC:
            yield file
            return
        with gzip.open(file, "rb") as unpacked:
            yield unpacked  # type: ignore[misc]
