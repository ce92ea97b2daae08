r"""Taggers without a network: one that chains tags, and one that looks at the words around.

`HiddenMarkovTags` is a hidden Markov model whose states are the tags:

    best tags = argmax  p(t[1]) prod p(t[i] | t[i-1]) p(w[i] | t[i])

counted in the training part, with a little added to the counts of tags and of the kinds of words; a
word that was never seen is read as one of its kind that was seen once. `WordsAround` is a logistic
regression on the words, endings and looks of a word and of those near it: as much as can be had
without a memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ostinato.baselines.hidden_markov import quiet_hmm
from ostinato.extras import needed

__all__ = ["HiddenMarkovTags", "WordsAround"]

Longs = NDArray[np.int64]
Sentence = tuple[Longs, Longs]

_FEATURES = 1 << 18


class HiddenMarkovTags:
    """A chain of tags, decoded by hmmlearn's `CategoricalHMM`; needs the extra `baselines`.

    Args:
        sentences: words and their tags, as numbers, [T] each.
        words: how many different words there may be.
        tags: K, how many different tags there are.
        kinds: what sort of word each one is, [words].
        prior: added to each count of a tag (at the beginning, after another) and of a kind of word.

    Raises:
        ValueError: there is no word.
        MissingExtraError: hmmlearn is not installed.

    Example:
        >>> rows = [(np.array([0, 1, 2]), np.array([0, 1, 0]))] * 9
        >>> chain = HiddenMarkovTags(rows, 4, 2, np.zeros(4, dtype=np.int64))
        >>> [tags.tolist() for tags in chain.predict([np.array([0, 3, 2])])]
        [[0, 1, 0]]
    """

    name = "hidden Markov model"
    looks_back = None

    def __init__(
        self,
        sentences: Iterable[Sentence],
        words: int,
        tags: int,
        kinds: Longs,
        *,
        prior: float = 0.01,
    ) -> None:
        start, moves = np.zeros(tags), np.zeros((tags, tags))
        shown = np.zeros((tags, words))
        for some_words, some_tags in sentences:
            if not len(some_words):
                continue
            start[some_tags[0]] += 1
            np.add.at(moves, (some_tags[:-1], some_tags[1:]), 1)
            np.add.at(shown, (some_tags, some_words), 1)
        if not shown.any():
            raise ValueError("HiddenMarkovTags: there is no word to count. Give a training part.")
        self._words = self._numbers(shown, kinds)
        by_kind = np.zeros((tags, int(kinds.max()) + 1))
        once = shown.sum(axis=0) == 1
        np.add.at(by_kind.T, kinds[once], shown[:, once].T)
        seen = shown.sum(axis=0) > 0
        emitted = np.concatenate([shown[:, seen], by_kind + prior], axis=1)
        with quiet_hmm() as hmm:
            self._model: Any = hmm.CategoricalHMM(tags, n_features=emitted.shape[1])
        self._model.startprob_ = _shares(start + prior)
        self._model.transmat_ = _shares(moves + prior)
        self._model.emissionprob_ = _shares(emitted)

    def _numbers(self, shown: NDArray[Any], kinds: Longs) -> Longs:
        """What the chain calls each word: seen ones first, then the kinds of unseen ones."""
        seen = shown.sum(axis=0) > 0
        return np.where(seen, np.cumsum(seen) - 1, seen.sum() + kinds)

    def predict(self, rows: Sequence[Longs]) -> Iterator[Longs]:
        """The best tags of each sentence, given as the numbers of its words."""
        if not rows:
            return
        lengths = [len(row) for row in rows]
        found = self._model.predict(self._words[np.concatenate(rows)][:, None], lengths)
        yield from np.split(np.asarray(found, dtype=np.int64), np.cumsum(lengths)[:-1])

    @property
    def parameters(self) -> int:
        """How many probabilities were counted."""
        K, size = self._model.emissionprob_.shape
        return int(K - 1 + K * (K - 1) + K * (size - 1))


class WordsAround:
    """A logistic regression on the words around; needs the extra `baselines`.

    Scikit-learn's `SGDClassifier` on hashed features: the word, its first letter and last ones,
    its look, and the words and endings of those up to `reach` words away.

    Args:
        reach: words that are looked at on each side.
        epochs: passes over the training part.

    Raises:
        MissingExtraError: scikit-learn is not installed.

    Example:
        >>> rows = [["a", "b"], ["c", "b"]] * 20
        >>> tagger = WordsAround(1).fit(rows, [[0, 1], [0, 2]] * 20)
        >>> [tags.tolist() for tags in tagger.predict(rows[:2])]
        [[0, 1], [0, 2]]
    """

    def __init__(self, reach: int = 2, *, epochs: int = 5) -> None:
        needed("sklearn", extra="baselines", why="Taggers by regression")
        self.reach = self.looks_back = reach
        self.epochs = epochs
        around = f"and {reach} on each side" if reach else "alone"
        self.name = f"logistic regression on the word {around}"

    def fit(self, rows: Sequence[Sequence[str]], tags: Sequence[ArrayLike]) -> WordsAround:
        """Learn from sentences and their tags."""
        from sklearn.linear_model import SGDClassifier

        told = np.concatenate([np.asarray(row, dtype=np.int64) for row in tags])
        self._only = int(told[0]) if (told == told[0]).all() else None
        if self._only is None:
            self._model: Any = SGDClassifier(
                loss="log_loss",
                alpha=1e-6,
                max_iter=self.epochs,
                tol=None,
                average=True,
                random_state=0,
            ).fit(self._hashed(rows), told)
        return self

    def predict(self, rows: Sequence[Sequence[str]]) -> Iterator[Longs]:
        """The tags of each sentence."""
        if not rows:
            return
        lengths = [len(row) for row in rows]
        if self._only is not None:
            found = np.full(sum(lengths), self._only)
        else:
            found = self._model.predict(self._hashed(rows))
        yield from np.split(np.asarray(found, dtype=np.int64), np.cumsum(lengths)[:-1])

    @property
    def parameters(self) -> int:
        """How many weights are not 0."""
        return 0 if self._only is not None else int(np.count_nonzero(self._model.coef_))

    def _hashed(self, rows: Sequence[Sequence[str]]) -> Any:
        from sklearn.feature_extraction import FeatureHasher

        hasher = FeatureHasher(_FEATURES, input_type="string", alternate_sign=False)
        return hasher.transform(self._features(row, k) for row in rows for k in range(len(row)))

    def _features(self, row: Sequence[str], place: int) -> list[str]:
        word = row[place]
        small = word.lower()
        found = [f"word {small}", f"first {word[:1]}", f"look {_look(word)}", "any"]
        found += [f"end {small[-k:]}" for k in (1, 2, 3, 4)]
        for away in range(-self.reach, self.reach + 1):
            if not away:
                continue
            near = row[place + away].lower() if 0 <= place + away < len(row) else "<none>"
            found += [f"{away} word {near}", f"{away} end {near[-3:]}"]
        return found


def _look(word: str) -> str:
    """Capitals, digits and signs as A, 0 and -, one for a run of them."""
    look = ""
    for letter in word:
        sign = (
            "0"
            if letter.isdigit()
            else "A"
            if letter.isupper()
            else "a"
            if letter.isalpha()
            else "-"
        )
        if not look.endswith(sign):
            look += sign
    return look


def _shares(counts: NDArray[Any]) -> NDArray[Any]:
    """Counts, and what each is of its row."""
    shares: NDArray[Any] = counts / counts.sum(axis=-1, keepdims=True)
    return shares
