"""How well a tagger does: over all words, tag by tag, and in spans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["TagScore", "is_spans", "spans"]

Longs = NDArray[np.int64]


@dataclass
class TagScore:
    """Counts of what was right, added up sentence by sentence.

    Attributes:
        tags: names, by number.
        sentences, words: how many there were.
        unknown: words that the vocabulary lacks.
        unknown_correct: how many of them got the right tag.
        confusion: of words with a tag (row), how many were given which (column), [K, K].
        unseen: words whose tag training did not have, by tag; they count as wrong.
        right, given, asked: spans that were found rightly, found, and there to be found, by name.
    """

    tags: Sequence[str]
    sentences: int = 0
    words: int = 0
    unknown: int = 0
    unknown_correct: int = 0
    confusion: Longs = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int64))
    unseen: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    given: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._numbers = {tag: k for k, tag in enumerate(self.tags)}
        self._in_spans = is_spans(self.tags)
        if not self.confusion.size:
            self.confusion = np.zeros((len(self.tags), len(self.tags)), dtype=np.int64)

    def add(self, gold: Sequence[str], given: Longs, known: NDArray[np.bool_]) -> None:
        """Count one sentence.

        Args:
            gold: its tags.
            given: the model's, as numbers, [T].
            known: which words the vocabulary has, [T].
        """
        asked = np.array([self._numbers.get(tag, -1) for tag in gold], dtype=np.int64)
        self.unseen.update(tag for tag in gold if tag not in self._numbers)
        seen = asked >= 0
        np.add.at(self.confusion, (asked[seen], given[seen]), 1)
        self.sentences += 1
        self.words += len(gold)
        self.unknown += int((~known).sum())
        self.unknown_correct += int((asked == given)[~known].sum())
        if self._in_spans:
            there, found = set(spans(gold)), set(spans([self.tags[k] for k in given]))
            self.right.update(name for name, *_ in there & found)
            self.given.update(name for name, *_ in found)
            self.asked.update(name for name, *_ in there)

    @property
    def accuracy(self) -> float:
        """The share of words that got the right tag."""
        return int(self.confusion.trace()) / max(self.words, 1)

    @property
    def by_tag(self) -> dict[str, dict[str, float]]:
        """Precision, recall, F1 and number of words, tag by tag, most frequent first."""
        right = self.confusion.diagonal()
        given, asked = self.confusion.sum(axis=0), self.confusion.sum(axis=1)
        order = sorted(range(len(self.tags)), key=lambda k: -asked[k])
        return {
            self.tags[k]: {**_rates(right[k], given[k], asked[k]), "words": int(asked[k])}
            for k in order
        }

    @property
    def by_span(self) -> dict[str, dict[str, float]]:
        """Precision, recall, F1 and number of spans, by name and over "all"; empty without any."""
        if not self.asked and not self.given:
            return {}
        names = sorted(self.asked | self.given)
        found = {name: (self.right[name], self.given[name], self.asked[name]) for name in names}
        found["all"] = (self.right.total(), self.given.total(), self.asked.total())
        return {name: {**_rates(*n), "spans": n[2]} for name, n in found.items()}

    def to_dict(self) -> dict[str, Any]:
        """Plain values: accuracy, words, sentences, and all the rest by tag and by span."""
        by_tag = self.by_tag
        present = [told["f1"] for told in by_tag.values() if told["words"]]
        told: dict[str, Any] = {
            "accuracy": self.accuracy,
            "macro_f1": sum(present) / max(len(present), 1),
            "words": self.words,
            "sentences": self.sentences,
            "unknown_words": self.unknown,
            "unknown_accuracy": self.unknown_correct / max(self.unknown, 1),
            "by_tag": by_tag,
        }
        if self.unseen:
            told["unseen_tags"] = dict(self.unseen)
        if self.by_span:
            told["span_f1"] = self.by_span["all"]["f1"]
            told["by_span"] = self.by_span
        return told


def is_spans(tags: Iterable[str]) -> bool:
    """Whether tags mark spans: B-name, I-name, O.

    Example:
        >>> is_spans(["O", "B-PER", "I-PER"]), is_spans(["NOUN", "O"])
        (True, False)
    """
    found = list(tags)
    return any(tag.startswith("B-") for tag in found) and all(
        tag == "O" or tag.startswith(("B-", "I-")) for tag in found
    )


def spans(tags: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """Spans as (name, first, last). An I- that continues nothing begins a span.

    Source: conlleval, the CoNLL-2000 script, as seqeval (chakki-works) has its rules.

    Example:
        >>> list(spans(["B-PER", "I-PER", "O", "I-LOC", "B-LOC"]))
        [('PER', 0, 1), ('LOC', 3, 3), ('LOC', 4, 4)]
    """
    name, start = "", 0
    for k, tag in enumerate([*tags, "O"]):
        kind, _, own = tag.partition("-")
        goes_on = kind == "I" and own == name
        if name and not goes_on:
            yield name, start, k - 1
            name = ""
        if kind in ("B", "I") and own and not goes_on:
            name, start = own, k


def _rates(right: int, given: int, asked: int) -> dict[str, float]:
    return {
        "precision": int(right) / max(int(given), 1),
        "recall": int(right) / max(int(asked), 1),
        "f1": 2 * int(right) / max(int(given) + int(asked), 1),
    }
