"""Words as vectors: read from GloVe's and word2vec's files, written, compared."""

from __future__ import annotations

import mmap
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ostinato.config import nearest as spelt_like

__all__ = ["VectorError", "WordVectors", "matrix_for", "read_vectors"]

Matrix = NDArray[np.float32]
Kind = Literal["text", "binary"]

# a header of two whole numbers, and the longest word that is believed to be one
_HEADER = 2
_LONGEST = 1000


class VectorError(ValueError):
    """A file that holds no word vectors, or a word that has none."""


@dataclass(frozen=True)
class WordVectors:
    """Words and their vectors.

    Attributes:
        words: each once, N of them.
        matrix: their vectors, float32 [N, E].

    Example:
        >>> vectors = WordVectors(["king", "man", "woman", "queen", "tree"], np.float32(
        ...     [[1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [-1, 0, 0.1]]))
        >>> [word for word, _ in vectors.analogy("man", "king", "woman", count=1)]
        ['queen']
    """

    words: Sequence[str]
    matrix: Matrix

    def __post_init__(self) -> None:
        if self.matrix.ndim != 2 or len(self.matrix) != len(self.words):
            raise VectorError(
                f"WordVectors: {len(self.words)} words need a matrix [{len(self.words)}, E], got "
                f"{list(self.matrix.shape)}."
            )
        object.__setattr__(self, "_rows", {word: n for n, word in enumerate(self.words)})

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self._numbers

    def __getitem__(self, word: str) -> Matrix:
        row: Matrix = self.matrix[self._row(word)]
        return row

    @property
    def size(self) -> int:
        """E, width of a vector."""
        return int(self.matrix.shape[1])

    def nearest(self, word: str | Matrix, count: int = 10) -> list[tuple[str, float]]:
        """The words of the most similar direction, with the cosine of the angle between.

        Args:
            word: one that has a vector (which is left out), or a vector [E].
            count: how many.

        Raises:
            VectorError: the word has no vector.
        """
        if isinstance(word, str):
            return self._nearest(self[word], {self._row(word)}, count)
        return self._nearest(np.asarray(word, np.float32), set(), count)

    def analogy(self, a: str, b: str, c: str, count: int = 10) -> list[tuple[str, float]]:
        """What is to `c` as `b` is to `a`: the words nearest to b - a + c.

        Of vectors of length 1, and without the three themselves: 3CosAdd of Levy and Goldberg
        (2014), W14-1618.

        Raises:
            VectorError: a word has no vector.
        """
        one = {word: _unit(self[word][None])[0] for word in (a, b, c)}
        return self._nearest(one[b] - one[a] + one[c], {self._row(w) for w in (a, b, c)}, count)

    def save(self, path: str | Path) -> None:
        """Write them: .bin as word2vec's binary format, else its text (a header, a line a word).

        Raises:
            VectorError: a word holds a blank or a line end, which the formats cannot say.
            OSError: it cannot be written.
        """
        wrong = next((word for word in self.words if not word or len(word.split()) != 1), None)
        if wrong is not None:
            raise VectorError(f"A word in a file of vectors holds no blank, got {wrong!r}.")
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        binary = path.suffix == ".bin"
        with path.open("wb") as file:
            file.write(f"{len(self)} {self.size}\n".encode())
            for word, row in zip(self.words, self.matrix, strict=True):
                numbers = row.astype("<f4").tobytes() if binary else _spelt(row)
                file.write(word.encode() + b" " + numbers + b"\n")

    @property
    def _numbers(self) -> dict[str, int]:
        rows: dict[str, int] = self._rows  # type: ignore[attr-defined]
        return rows

    def _row(self, word: str) -> int:
        if word not in self._numbers:
            raise VectorError(f"There is no vector for {word!r}{_like(word, self.words)}")
        return self._numbers[word]

    def _nearest(
        self, vector: Matrix, without: Collection[int], count: int
    ) -> list[tuple[str, float]]:
        if count < 1:
            raise ValueError(f"nearest: count must be at least 1, got {count}.")
        cosines = _unit(self.matrix) @ _unit(vector[None])[0]
        cosines[list(without)] = -np.inf
        count = min(count, len(self) - len(without))
        best = np.argsort(-cosines, kind="stable")[:count]
        return [(self.words[n], float(cosines[n])) for n in best]


def read_vectors(path: str | Path, *, only: Iterable[str] | None = None) -> WordVectors:
    """Read GloVe's text, word2vec's text or word2vec's binary file, whichever it is.

    The file is mapped into memory and read once; only the rows that are asked for are kept.

    Args:
        path: of the file.
        only: the words to keep; None: all.

    Raises:
        FileNotFoundError: there is no such file.
        VectorError: it holds no word vectors; the message says in which line.
    """
    path = Path(path)
    wanted = None if only is None else set(only)
    words: dict[str, int] = {}
    rows: list[Matrix] = []
    with _mapped(path) as data:
        size, start, kind = _form(data, path)
        entries = _binary(data, path, size, start) if kind == "binary" else _text(data, path, start)
        for word, numbers, where in entries:
            if (wanted is not None and word not in wanted) or word in words:
                continue
            row = numbers if isinstance(numbers, np.ndarray) else _numbers_of(numbers, where)
            if len(row) != size:
                raise VectorError(f"{where}: {word!r} has {len(row)} numbers, others have {size}.")
            words[word] = len(words)
            rows.append(row)
    matrix = np.stack(rows) if rows else np.zeros((0, size), np.float32)
    return WordVectors(list(words), matrix)


def matrix_for(
    vectors: WordVectors, words: Sequence[str], *, seed: int = 0, lower: bool = True
) -> tuple[Matrix, NDArray[np.bool_]]:
    """Vectors for a vocabulary, for an embedding to begin with.

    Args:
        vectors: as read.
        words: the vocabulary, V words.
        seed: words without a vector get one drawn with the mean and spread of the others.
        lower: a word without a vector takes that of its lower case.

    Returns:
        [V, E], and which words have a vector of their own, [V].
    """
    rows = [_find(vectors, word, lower) for word in words]
    found = np.array([row is not None for row in rows])
    known = np.array([row for row in rows if row is not None], np.int64)
    draws = np.random.default_rng(seed)
    spread, mean = 0.1, 0.0
    if len(known):
        spread, mean = float(vectors.matrix[known].std()), float(vectors.matrix[known].mean())
    matrix = draws.normal(mean, spread, (len(words), vectors.size)).astype(np.float32)
    matrix[found] = vectors.matrix[known]
    return matrix, found


def _find(vectors: WordVectors, word: str, lower: bool) -> int | None:
    row = vectors._numbers.get(word)
    return vectors._numbers.get(word.lower()) if row is None and lower else row


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {str(path)!r} of word vectors.")
    if path.stat().st_size == 0:
        raise VectorError(f"{path} is empty.")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[:2] == b"\x1f\x8b":
            raise VectorError(f"{path} is packed with gzip. Unpack it first: gunzip {path}")
        yield data


def _form(data: mmap.mmap, path: Path) -> tuple[int, int, Kind]:
    # width, where the entries begin, and how they are written
    end = data.find(b"\n")
    first = data[: end if end >= 0 else len(data)].split()
    if len(first) == _HEADER and all(part.isdigit() for part in first):
        size, start = int(first[1]), end + 1
        if size < 1:
            raise VectorError(f"{path}: the header says that vectors have {size} entries.")
        stop = data.find(b" ", start, start + _LONGEST)
        line = data[stop + 1 : data.find(b"\n", stop) if stop >= 0 else 0]
        return size, start, "text" if stop >= 0 and _spells(line, size) else "binary"
    if len(first) < _HEADER or not _spells(b" ".join(first[1:]), len(first) - 1):
        raise VectorError(
            f"{path}: line 1 is neither a word with its numbers (GloVe) nor how many words and "
            "numbers there are (word2vec)."
        )
    return len(first) - 1, 0, "text"


def _spells(line: bytes, size: int) -> bool:
    try:
        return len([float(part) for part in line.split()]) == size
    except ValueError:
        return False


def _text(data: mmap.mmap, path: Path, start: int) -> Iterator[tuple[str, bytes, str]]:
    data.seek(start)
    number = 1 if start else 0
    while line := data.readline():
        number += 1
        where = f"{path}, line {number}"
        word, blank, numbers = line.strip(b"\n\r ").partition(b" ")
        if not blank:
            if not word:
                continue
            raise VectorError(f"{where}: a line is a word and its numbers, got {word[:40]!r}.")
        yield _word(word, where), numbers, where


def _binary(
    data: mmap.mmap, path: Path, size: int, start: int
) -> Iterator[tuple[str, Matrix, str]]:
    number, width = 0, 4 * size
    while start < len(data):
        number += 1
        where = f"{path}, word {number}"
        blank = data.find(b" ", start, start + _LONGEST)
        if blank < 0 and not data[start : start + _LONGEST].strip():
            return
        if blank < 0 or blank + 1 + width > len(data):
            raise VectorError(f"{where}: the file ends in the middle of it. Fetch it again.")
        # some writers end each entry with a line end, some do not
        word = _word(data[start:blank].lstrip(b"\n"), where)
        row = np.frombuffer(data[blank + 1 : blank + 1 + width], "<f4").astype(np.float32)
        yield word, row, where
        start = blank + 1 + width


def _word(word: bytes, where: str) -> str:
    try:
        return word.decode("utf-8")
    except UnicodeDecodeError as error:
        raise VectorError(f"{where}: the word is not UTF-8: {error}.") from error


def _numbers_of(numbers: bytes, where: str) -> Matrix:
    try:
        return np.array(numbers.split(), np.float32)
    except ValueError as error:
        raise VectorError(f"{where}: {error}.") from error


def _spelt(row: Matrix) -> bytes:
    return " ".join(f"{value:.6g}" for value in row.tolist()).encode()


def _unit(matrix: Matrix) -> Matrix:
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    unit: Matrix = matrix / np.maximum(lengths, 1e-12)
    return unit


def _like(word: str, words: Sequence[str]) -> str:
    # of very many words, all would be no help
    said = spelt_like(word, words)
    return said if "Did you mean" in said else "."
