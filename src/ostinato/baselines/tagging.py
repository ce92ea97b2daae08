"""The most frequent tag of each word: what a tagger has to beat."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

__all__ = ["MostFrequentTag"]

Longs = NDArray[np.int64]


class MostFrequentTag:
    """Gives each word the tag it has most often had.

    A word that was never seen gets the most frequent tag of the words of its kind that were seen
    once; where its kind has none, the most frequent tag of all. Of equally frequent tags, the one
    with the lower number is taken.

    Args:
        pieces: words and their tags, as numbers, [N] each, some at a time.
        words: how many different words there may be.
        tags: K, how many different tags there are.
        kinds: what sort of word each one is, [words], e.g. 1 where it has a capital; all are of one
            kind unless given.

    Raises:
        ValueError: there is no word.

    Example:
        >>> guess = MostFrequentTag([(np.array([0, 0, 1, 0]), np.array([1, 1, 2, 0]))], 4, 3)
        >>> guess.predict(np.array([0, 1, 3])).tolist()
        [1, 2, 2]
    """

    def __init__(
        self,
        pieces: Iterable[tuple[Longs, Longs]],
        words: int,
        tags: int,
        kinds: Longs | None = None,
    ) -> None:
        pairs = counts = np.empty(0, dtype=np.int64)
        for some_words, some_tags in pieces:
            found, times = np.unique(some_words * tags + some_tags, return_counts=True)
            pairs, place = np.unique(np.concatenate([pairs, found]), return_inverse=True)
            counts = np.bincount(place, np.concatenate([counts, times])).astype(np.int64)
        if not len(pairs):
            raise ValueError("MostFrequentTag: there is no word to count. Give a training part.")
        word, tag = np.divmod(pairs, tags)
        overall = np.bincount(tag, counts, minlength=tags).argmax()
        kinds = np.zeros(words, dtype=np.int64) if kinds is None else kinds
        once = np.bincount(word, counts, minlength=words)[word] == 1
        of_kind = np.zeros((int(kinds.max()) + 1, tags), dtype=np.int64)
        np.add.at(of_kind, (kinds[word[once]], tag[once]), 1)
        self.best = np.where(of_kind.any(axis=1), of_kind.argmax(axis=1), overall)[kinds]
        # the last of a word's pairs is kept: the most frequent, of these the lowest tag
        order = np.lexsort((-tag, counts))
        self.best[word[order]] = tag[order]

    def predict(self, words: Longs) -> Longs:
        """A tag for each word, [N]."""
        return self.best[words]

    def accuracy(self, pieces: Iterable[tuple[Longs, Longs]]) -> float:
        """The share of words whose tag is guessed."""
        right = total = 0
        for words, tags in pieces:
            right += int((self.predict(words) == tags).sum())
            total += len(words)
        return right / max(total, 1)
