"""What a classifier of rows has to beat: the most frequent labels, and models without time."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.extras import needed

__all__ = ["can_regress", "majority_accuracy", "regression_accuracy"]

Targets = NDArray[np.int64]

# the inverse of the ridge: on the validation parts of movie-review polarity, the best of 1, 4, 10
_STRENGTH = 10.0


def majority_accuracy(seen: Targets, asked: Targets) -> float:
    """Always the most frequent label; where there may be several, those that half of all rows have.

    Args:
        seen: labels of the training rows, 0 or 1, [N, K].
        asked: of the rows to be guessed, [M, K].

    Returns:
        The share of rows with all their labels right.

    Example:
        >>> majority_accuracy(np.array([[1, 0], [1, 0], [0, 1]]), np.array([[1, 0], [0, 1]]))
        0.5
    """
    shares = seen.mean(axis=0)
    guess = shares >= 0.5
    if (seen.sum(axis=1) == 1).all():
        guess = np.arange(seen.shape[1]) == shares.argmax()
    return float((asked.astype(bool) == guess).all(axis=1).mean())


def can_regress() -> bool:
    """Whether scikit-learn (extra `baselines`) is installed."""
    return importlib.util.find_spec("sklearn") is not None


def regression_accuracy(
    seen: Sequence[str] | NDArray[Any],
    targets: Targets,
    rows: Sequence[str] | NDArray[Any],
    asked: Targets,
    *,
    several: bool = False,
) -> float:
    """Logistic regression: of texts, on tf-idf of words and pairs of words; of numbers, scaled.

    Args:
        seen: training rows: texts, or numbers [N, F].
        targets: their labels, 0 or 1, [N, K].
        rows: to be guessed.
        asked: their labels, [M, K].
        several: a row may have any number of labels, each guessed by itself.

    Returns:
        The share of rows with all their labels right.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    needed("sklearn", extra="baselines", why="Baselines")
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    texts = len(seen) > 0 and isinstance(seen[0], str)
    enter = TfidfVectorizer(ngram_range=(1, 2)) if texts else StandardScaler()
    regression: Any = LogisticRegression(C=_STRENGTH if texts else 1.0, max_iter=2000)
    if several:
        # a label that all rows have, or none, has nothing to be told from
        varied = targets.any(axis=0) & ~targets.all(axis=0)
        model = make_pipeline(enter, OneVsRestClassifier(regression))
        guess = np.tile(targets.all(axis=0), (len(asked), 1))
        guess[:, varied] = model.fit(seen, targets[:, varied]).predict(rows)
        return float((guess == asked.astype(bool)).all(axis=1).mean())
    model = make_pipeline(enter, regression)
    found = model.fit(seen, targets.argmax(axis=1)).predict(rows)
    return float((found == asked.argmax(axis=1)).mean())
