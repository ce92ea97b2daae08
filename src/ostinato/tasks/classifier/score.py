"""How well a classifier does: over all rows, and label by label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LabelScore"]

Longs = NDArray[np.int64]
Flags = NDArray[np.bool_]

_LEAST = 1e-12


@dataclass
class LabelScore:
    """Counts of what was right, added up batch by batch.

    Attributes:
        labels: names, by number.
        several: a row may have any number of labels.
        rows: how many there were.
        right: rows with the right label; where there may be several, with all of them and no other.
        nats: -ln of the probability of the right labels, over all rows.
        confusion: of rows with a label (row), how many were given which (column), [K, K]; of no
            meaning where there may be several.
        hits, given, asked: of each label, how often it was given rightly, given, and right, [K].

    Example:
        >>> score = LabelScore(["bad", "good"])
        >>> score.add([[0], [1]], np.array([[0.9, 0.1], [0.8, 0.2]]))
        >>> score.accuracy, score.confusion.tolist()
        (0.5, [[1, 0], [1, 0]])
    """

    labels: Sequence[str]
    several: bool = False
    rows: int = 0
    right: int = 0
    nats: float = 0.0
    confusion: Longs = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int64))
    hits: Longs = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    given: Longs = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    asked: Longs = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def __post_init__(self) -> None:
        size = len(self.labels)
        if len(self.hits) != size:
            self.confusion = np.zeros((size, size), dtype=np.int64)
            self.hits, self.given, self.asked = np.zeros((3, size), dtype=np.int64)

    def add(self, gold: Sequence[Sequence[int]], probabilities: NDArray[Any]) -> None:
        """Count some rows.

        Args:
            gold: numbers of each row's labels.
            probabilities: of each label, [B, K].
        """
        told = probabilities.astype(np.float64)
        asked: Flags = np.zeros(told.shape, dtype=bool)
        for b, row in enumerate(gold):
            asked[b, list(row)] = True
        if self.several:
            given: Flags = told >= 0.5
            right = np.where(asked, told, 1 - told)
            self.nats -= float(np.log(np.maximum(right, _LEAST)).sum())
        else:
            best = told.argmax(axis=1)
            given = np.zeros_like(asked)
            given[np.arange(len(best)), best] = True
            self.nats -= float(np.log(np.maximum(told[asked], _LEAST)).sum())
            np.add.at(self.confusion, (asked.argmax(axis=1), best), 1)
        self.rows += len(gold)
        self.right += int((asked == given).all(axis=1).sum())
        self.hits += (asked & given).sum(axis=0)
        self.given += given.sum(axis=0)
        self.asked += asked.sum(axis=0)

    @property
    def accuracy(self) -> float:
        """The share of rows that are right."""
        return self.right / max(self.rows, 1)

    @property
    def by_label(self) -> dict[str, dict[str, float]]:
        """Precision, recall, F1 and number of rows, label by label."""
        return {
            label: _rates(int(self.hits[k]), int(self.given[k]), int(self.asked[k]))
            for k, label in enumerate(self.labels)
        }

    @property
    def macro_f1(self) -> float:
        """The mean of the labels' F1, of those that occur."""
        told = [one["f1"] for one in self.by_label.values() if one["rows"]]
        return sum(told) / max(len(told), 1)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        told: dict[str, Any] = {
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "nats": self.nats / max(self.rows, 1),
            "rows": self.rows,
            "by_label": self.by_label,
        }
        if self.several:
            total = _rates(int(self.hits.sum()), int(self.given.sum()), int(self.asked.sum()))
            told["micro_f1"] = total["f1"]
        else:
            told["confusion"] = self.confusion.tolist()
        return told


def _rates(hits: int, given: int, asked: int) -> dict[str, float]:
    return {
        "precision": hits / max(given, 1),
        "recall": hits / max(asked, 1),
        "f1": 2 * hits / max(given + asked, 1),
        "rows": asked,
    }
