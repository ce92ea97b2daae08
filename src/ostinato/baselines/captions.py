"""What a captioner has to beat: the most frequent text, and the text of the nearest vector."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["most_frequent_exact", "nearest_exact"]

# distances that are held at a time
_CELLS = 1 << 24


def most_frequent_exact(seen: Sequence[str], asked: Sequence[str]) -> float:
    """Always the most frequent text; returns the share of rows with exactly that.

    Example:
        >>> most_frequent_exact(["one", "two", "two"], ["two", "one"])
        0.5
    """
    guess = Counter(seen).most_common(1)[0][0]
    return sum(text == guess for text in asked) / len(asked)


def nearest_exact(
    vectors: NDArray[Any], texts: Sequence[str], rows: NDArray[Any], asked: Sequence[str]
) -> float:
    """The text of the training vector that is nearest; returns the share of rows that is right.

    Args:
        vectors: of the training rows, [N, F].
        texts: theirs.
        rows: vectors to be named, [M, F].
        asked: what they are called.

    Example:
        >>> seen = np.array([[0.0, 0.0], [1.0, 1.0]])
        >>> nearest_exact(seen, ["low", "high"], np.array([[0.9, 0.7]]), ["high"])
        1.0
    """
    squares = np.square(vectors).sum(axis=1)
    right = 0
    size = max(_CELLS // len(vectors), 1)
    for first in range(0, len(rows), size):
        some = rows[first : first + size]
        # without the squares of the rows, which change no order
        nearest = (squares - 2 * some @ vectors.T).argmin(axis=1)
        right += sum(texts[k] == asked[first + n] for n, k in enumerate(nearest.tolist()))
    return right / len(asked)
