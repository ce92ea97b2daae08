"""Word vectors of one's own text, and vectors of a file in a task's embedding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ostinato.data.text import Source, TextError, read_documents
from ostinato.data.tokenizers import END, most_frequent
from ostinato.data.vectors import VectorError, WordVectors, matrix_for, read_vectors
from ostinato.data.words import WordTokenizer
from ostinato.training.glove import count_pairs, glove
from ostinato.training.word2vec import word2vec

__all__ = ["METHODS", "fit_vectors", "use_vectors"]

METHODS = ("glove", "word2vec")

Watch = Callable[[int, float], object]


def fit_vectors(
    source: Source,
    *,
    method: str = "glove",
    dimensions: int = 100,
    min_count: int = 5,
    size: int | None = None,
    window: int | None = None,
    epochs: int | None = None,
    lower: bool = True,
    seed: int = 0,
    watch: Watch | None = None,
) -> WordVectors:
    r"""Fit vectors to the words of a text.

    Args:
        source: files, folders, "-", or the text itself; see `ostinato.data.text`.
        method: "glove" (counts of near words) or "word2vec" (skip-gram; extra `vectors`).
        dimensions: E.
        min_count: rarer words get no vector.
        size: words at most, the most frequent.
        window: the farthest neighbour; None: 10 of glove, 5 of word2vec.
        epochs: None: 25 of glove, 5 of word2vec.
        lower: read all in lower case.
        seed: of everything drawn.
        watch: called after each pass with its number and the loss.

    Raises:
        FileNotFoundError, ValueError: the text or a setting cannot be used.

    Example:
        >>> vectors = fit_vectors("the cat sat.\nthe dog sat.\n" * 9, dimensions=4, epochs=1)
        >>> sorted(vectors.words)
        ['.', 'cat', 'dog', 'sat', 'the']
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}.")
    texts = [document.text for document in read_documents(source)]
    cutter = WordTokenizer([], lower=lower)
    counts = Counter(word for text in texts for word in _words(cutter, text))
    words = most_frequent(counts, min_count, size)
    if len(words) < 2:
        raise TextError(
            f"Only {len(words)} word(s) of the text occur {min_count} times or more. Give a longer "
            "text, or a lower min_count."
        )
    window = window or (10 if method == "glove" else 5)
    epochs = epochs or (25 if method == "glove" else 5)
    if method == "word2vec":
        lines = _Lines(cutter, texts)
        matrix = word2vec(
            lines,
            words,
            dimensions=dimensions,
            epochs=epochs,
            window=window,
            seed=seed,
            watch=watch,
        )
        return WordVectors(words, matrix)
    # 0 stands for the words without a vector, which keep their places between the others
    numbers = {word: n for n, word in enumerate(words, start=1)}
    documents = (
        np.fromiter((numbers.get(word, 0) for word in _words(cutter, text)), np.int64)
        for text in texts
    )
    pairs = count_pairs(documents, len(words) + 1, window=window, skip=0)
    matrix = glove(pairs, dimensions=dimensions, epochs=epochs, seed=seed, watch=watch)
    return WordVectors(words, matrix[1:])


def use_vectors(
    embedding: nn.Embedding,
    words: Sequence[str],
    vectors: str | Path | WordVectors,
    *,
    first: int = 0,
    seed: int = 0,
) -> float:
    """Put the vectors of a file into an embedding; the words without one keep a drawn one.

    Args:
        embedding: changed in place; its width must be that of the vectors.
        words: those whose numbers are `first`, `first` + 1, ... in the embedding.
        vectors: a file, of which only the rows of these words are read, or vectors.
        first: number of the first word.
        seed: of what is drawn.

    Returns:
        The share of the words that have a vector.

    Raises:
        FileNotFoundError, VectorError: the file cannot be used, or has vectors of another width,
            or none for any of the words.
    """
    if not isinstance(vectors, WordVectors):
        wanted = {*words, *(word.lower() for word in words)}
        vectors = read_vectors(vectors, only=wanted)
    if vectors.size != embedding.embedding_dim:
        raise VectorError(
            f"The vectors have {vectors.size} entries and the embedding "
            f"{embedding.embedding_dim}. Give embedding_size={vectors.size}."
        )
    matrix, found = matrix_for(vectors, words, seed=seed)
    if not found.any():
        raise VectorError(
            "None of the words of the training data has a vector in the file. Is it of the same "
            "language?"
        )
    with torch.no_grad():
        embedding.weight[first : first + len(words)] = torch.from_numpy(matrix).to(embedding.weight)
    return float(found.mean())


class _Lines(Sequence[Sequence[str]]):
    def __init__(self, cutter: WordTokenizer, texts: Sequence[str]) -> None:
        self.cutter = cutter
        self.lines = [line for text in texts for line in text.splitlines() if line.strip()]

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, n: int) -> list[str]:  # type: ignore[override]
        return list(_words(self.cutter, self.lines[n]))


def _words(cutter: WordTokenizer, text: str) -> Iterator[str]:
    return (piece for piece in cutter.pieces(text) if piece != END)
