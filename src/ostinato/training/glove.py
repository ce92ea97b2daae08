"""GloVe: word vectors from how often words stand near each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

__all__ = ["CoOccurrences", "count_pairs", "glove"]

# pairs that are counted before they are merged with those before
_CHUNK = 4_000_000


@dataclass(frozen=True)
class CoOccurrences:
    """The entries of the matrix X that are not 0: how often, by distance, j stands near i.

    Attributes:
        rows: i of each entry, int64 [N].
        columns: j of each entry, int64 [N].
        counts: X_ij, float32 [N].
        size: V, words in all.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    counts: NDArray[np.float32]
    size: int


def count_pairs(
    documents: Iterable[ArrayLike], size: int, *, window: int = 10, skip: int | None = None
) -> CoOccurrences:
    """Count pairs of words, each by 1 / their distance, both ways.

    Memory grows with the number of different pairs, not with the text.

    Args:
        documents: numbers of words, [T] each; pairs do not reach over a document's end.
        size: V, words in all.
        window: the farthest distance that counts.
        skip: a word that counts in no pair, such as that of the unknown; it keeps its place.

    Raises:
        ValueError: the window is less than 1, or there is no pair at all.

    Example:
        >>> pairs = count_pairs([[0, 1, 2]], 3)
        >>> [(int(i), int(j), float(n)) for i, j, n in zip(pairs.rows, pairs.columns, pairs.counts)]
        [(0, 1, 1.0), (0, 2, 0.5), (1, 0, 1.0), (1, 2, 1.0), (2, 0, 0.5), (2, 1, 1.0)]
    """
    if window < 1:
        raise ValueError(f"GloVe: window must be at least 1, got {window}.")
    keys, sums = np.zeros(0, np.int64), np.zeros(0)
    waiting: list[tuple[NDArray[np.int64], float]] = []
    held = 0
    for document in documents:
        tokens = np.asarray(document, np.int64)
        for distance in range(1, min(window, len(tokens) - 1) + 1):
            left, right = tokens[:-distance], tokens[distance:]
            if skip is not None:
                told = (left != skip) & (right != skip)
                left, right = left[told], right[told]
            waiting += [(left * size + right, 1 / distance), (right * size + left, 1 / distance)]
            held += 2 * len(left)
        if held >= _CHUNK:
            keys, sums = _merge(keys, sums, waiting)
            waiting, held = [], 0
    keys, sums = _merge(keys, sums, waiting)
    if not len(keys):
        raise ValueError("GloVe: no two words stand near each other. Give a longer text.")
    return CoOccurrences(keys // size, keys % size, sums.astype(np.float32), size)


def glove(
    pairs: CoOccurrences,
    *,
    dimensions: int = 100,
    epochs: int = 25,
    x_max: float = 100.0,
    alpha: float = 0.75,
    lr: float = 0.05,
    batch_size: int = 8192,
    seed: int = 0,
    watch: Callable[[int, float], object] | None = None,
) -> NDArray[np.float32]:
    r"""Fit word vectors to the logarithms of the counts by weighted least squares.

        J = sum over X_ij > 0 of f(X_ij) (w_i . w~_j + b_i + b~_j - ln X_ij)^2
        f(x) = min((x / x_max)^alpha, 1)

    Source: Pennington, Socher, Manning (2014), "GloVe: Global Vectors for Word Representation",
    D14-1162: AdaGrad over the entries drawn at random, and w + w~ as the vectors. Here the step is
    taken for `batch_size` entries at once, from their summed gradients.

    Args:
        pairs: the counts.
        dimensions: E.
        epochs: passes over the entries.
        x_max: a count from which on all weigh the same.
        alpha: how fast the weight grows below.
        lr: AdaGrad's learning rate.
        batch_size: entries a step.
        seed: of the first vectors and the order.
        watch: called after each pass with its number and the mean of the weighted squares.

    Returns:
        float32 [V, E]; rows of words without any pair stay as they were drawn.

    Raises:
        ValueError: a size is less than 1.
    """
    for name, value in (("dimensions", dimensions), ("epochs", epochs), ("batch_size", batch_size)):
        if value < 1:
            raise ValueError(f"GloVe: {name} must be at least 1, got {value}.")
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.from_numpy(pairs.rows), torch.from_numpy(pairs.columns)
    logs = torch.from_numpy(pairs.counts).log()
    weights = (torch.from_numpy(pairs.counts) / x_max).pow(alpha).clamp(max=1)
    # the last entry of each vector is its bias, beside a 1 in the other's
    sides = [_Side(pairs.size, dimensions, generator, lr) for _ in range(2)]
    for epoch in range(epochs):
        order = torch.randperm(len(logs), generator=generator)
        total = 0.0
        for some in torch.split(order, batch_size):
            i, j = rows[some], columns[some]
            (w, b), (w2, b2) = sides[0].take(i), sides[1].take(j)
            error = (w * w2).sum(1) + b + b2 - logs[some]
            pull = weights[some] * error
            total += float((pull * error).sum())
            sides[0].step(i, pull[:, None] * w2, pull)
            sides[1].step(j, pull[:, None] * w, pull)
        if watch is not None:
            watch(epoch, total / len(logs))
    return (sides[0].vectors + sides[1].vectors).numpy()


class _Side:
    """Vectors and biases of the words as one side of a pair, under AdaGrad."""

    def __init__(self, size: int, width: int, generator: torch.Generator, lr: float) -> None:
        self.vectors = (torch.rand(size, width, generator=generator) - 0.5) / width
        self.biases = (torch.rand(size, generator=generator) - 0.5) / width
        self.lr = lr
        self._squares = torch.ones(size, width), torch.ones(size)

    def take(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        return self.vectors[rows], self.biases[rows]

    def step(self, rows: Tensor, vectors: Tensor, biases: Tensor) -> None:
        found, place = torch.unique(rows, return_inverse=True)
        for values, squares, gradients in (
            (self.vectors, self._squares[0], vectors),
            (self.biases, self._squares[1], biases),
        ):
            summed = torch.zeros(len(found), *gradients.shape[1:]).index_add_(0, place, gradients)
            seen = squares[found] + summed.square()
            squares[found] = seen
            values[found] -= self.lr * summed / seen.sqrt()


def _merge(
    keys: NDArray[np.int64], sums: NDArray[np.float64], more: list[tuple[NDArray[np.int64], float]]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    if not more:
        return keys, sums
    all_keys = np.concatenate([keys, *(part for part, _ in more)])
    all_sums = np.concatenate([sums, *(np.full(len(part), weight) for part, weight in more)])
    found, place = np.unique(all_keys, return_inverse=True)
    merged = np.bincount(place, weights=all_sums, minlength=len(found))
    return found, merged.astype(np.float64)
