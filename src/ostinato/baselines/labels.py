"""What a classifier of rows has to beat: the most frequent labels, and models without time."""

from __future__ import annotations

import importlib.util
import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ostinato.baselines.hidden_markov import quiet_hmm
from ostinato.baselines.lagged import one_thread
from ostinato.extras import needed

__all__ = [
    "BoostedLabels",
    "FeedForwardLabels",
    "HiddenMarkovLabels",
    "LabelGuess",
    "LabelRegression",
    "MostFrequentLabel",
    "can_regress",
    "majority_accuracy",
    "regression_accuracy",
]

Targets = NDArray[np.int64]
Flags = NDArray[np.bool_]
# texts, or rows of numbers [N, F]
Plain: TypeAlias = "Sequence[str] | NDArray[Any]"

# the inverse of the ridge: on the validation parts of movie-review polarity, the best of 1, 4, 10
_STRENGTH = 10.0


class LabelGuess(ABC):
    """A model of rows with labels that is fitted and asked like all others.

    Attributes:
        name: what it is called in a table.
        looks_back: steps of a row whose order it minds; 0: it minds none; None: it has a state.
        parameters: how many numbers were learned.
    """

    name: str
    looks_back: int | None = 0
    parameters: int

    @abstractmethod
    def fit(self, rows: Any, targets: Targets) -> LabelGuess:
        """Learn from rows and their labels, 0 or 1, [N, K]."""

    @abstractmethod
    def predict(self, rows: Any) -> Flags:
        """Whether each row has each label, [M, K]."""


class MostFrequentLabel(LabelGuess):
    """Always the most frequent label; where there may be several, those that half of all rows have.

    Example:
        >>> guess = MostFrequentLabel().fit("abc", np.array([[1, 0], [1, 0], [0, 1]]))
        >>> guess.predict("de").tolist()
        [[True, False], [True, False]]
    """

    name = "most frequent label"

    def fit(self, rows: Any, targets: Targets) -> MostFrequentLabel:
        shares = targets.mean(axis=0)
        self._guess: Flags = shares >= 0.5
        if (targets.sum(axis=1) == 1).all():
            self._guess = np.arange(targets.shape[1]) == shares.argmax()
        self.parameters = targets.shape[1]
        return self

    def predict(self, rows: Any) -> Flags:
        return np.tile(self._guess, (len(rows), 1))


class _Classifier(LabelGuess):
    """One of scikit-learn's classifiers; where there may be several labels, one for each.

    Args:
        several: a row may have any number of labels, each guessed by itself.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """

    def __init__(self, *, several: bool = False) -> None:
        needed("sklearn", extra="baselines", why="Baselines")
        self.several = several

    def fit(self, rows: Plain, targets: Targets) -> LabelGuess:
        # a label that all rows have, or none, has nothing to be told from
        self._varied = targets.any(axis=0) & ~targets.all(axis=0)
        self._always = targets.all(axis=0)
        self._size = targets.shape[1]
        model, told = self._made(rows), targets.argmax(axis=1)
        if self.several:
            from sklearn.multiclass import OneVsRestClassifier

            model.steps[-1] = ("labels", OneVsRestClassifier(model.steps[-1][1]))
            told = targets[:, self._varied]
        self._model: Any = model
        if self._varied.any():
            with warnings.catch_warnings(), one_thread():
                # that training ended at its last step is no fault
                warnings.simplefilter("ignore")
                model.fit(rows, told)
        self.parameters = self._count() if self._varied.any() else 0
        return self

    def predict(self, rows: Plain) -> Flags:
        guess = np.tile(self._always, (len(rows), 1))
        if not self._varied.any():
            return guess
        with one_thread():
            found = np.asarray(self._model.predict(rows))
        if self.several:
            guess[:, self._varied] = found.reshape(len(rows), -1)
            return guess
        best: Flags = found[:, None] == np.arange(self._size)
        return best

    @abstractmethod
    def _made(self, rows: Plain) -> Any:
        """A pipeline that reads such rows."""

    @abstractmethod
    def _numbers(self, learned: Any) -> int:
        """How many numbers a classifier has learned."""

    def _count(self) -> int:
        learned = self._model.steps[-1][1]
        each = learned.estimators_ if self.several else [learned]
        return sum(self._numbers(one) for one in each if hasattr(one, "n_features_in_"))


class LabelRegression(_Classifier):
    """Logistic regression: of texts, on tf-idf of words and pairs of words; of numbers, scaled.

    Example:
        >>> rows, targets = ["good day", "bad day"] * 9, np.eye(2, dtype=np.int64)[[0, 1] * 9]
        >>> LabelRegression().fit(rows, targets).predict(["a bad year"]).tolist()
        [[False, True]]
    """

    name = "logistic regression"

    def fit(self, rows: Plain, targets: Targets) -> LabelGuess:
        if _texts(rows):
            self.name = "bag of words and pairs, logistic regression"
            self.looks_back = 1
        return super().fit(rows, targets)

    def _made(self, rows: Plain) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        texts = _texts(rows)
        enter = StandardScaler()
        if texts:
            enter = TfidfVectorizer(ngram_range=(1, 2), token_pattern=_pattern(rows))
        regression = LogisticRegression(C=_STRENGTH if texts else 1.0, max_iter=2000)
        return make_pipeline(enter, regression)

    def _numbers(self, learned: Any) -> int:
        return int(learned.coef_.size + learned.intercept_.size)


class BoostedLabels(_Classifier):
    """Boosted trees on rows of numbers: scikit-learn's `HistGradientBoostingClassifier`.

    Example:
        >>> rows = np.linspace(-1, 1, 200)[:, None]
        >>> targets = np.eye(2, dtype=np.int64)[(rows[:, 0] > 0.25).astype(int)]
        >>> BoostedLabels().fit(rows, targets).predict(np.array([[0.0], [0.5]])).tolist()
        [[True, False], [False, True]]
    """

    name = "gradient boosting"

    def _made(self, rows: Plain) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.pipeline import make_pipeline

        return make_pipeline(
            HistGradientBoostingClassifier(max_iter=100, early_stopping=True, random_state=0)
        )

    def _numbers(self, learned: Any) -> int:
        return int(sum(len(tree.nodes) for stage in learned._predictors for tree in stage))


class FeedForwardLabels(_Classifier):
    """A feed-forward network on rows of numbers: scikit-learn's `MLPClassifier`, 64 hidden units.

    Example:
        >>> rows = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]] * 50)
        >>> targets = np.eye(2, dtype=np.int64)[[0, 1, 1, 0] * 50]
        >>> FeedForwardLabels().fit(rows, targets).predict(rows[:4]).argmax(axis=1).tolist()
        [0, 1, 1, 0]
    """

    name = "feed-forward network"

    def _made(self, rows: Plain) -> Any:
        from sklearn.neural_network import MLPClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        network = MLPClassifier(hidden_layer_sizes=(64,), max_iter=200, random_state=0)
        return make_pipeline(StandardScaler(), network)

    def _numbers(self, learned: Any) -> int:
        return int(sum(part.size for part in (*learned.coefs_, *learned.intercepts_)))


class HiddenMarkovLabels(LabelGuess):
    """A hidden Markov model of each label's rows: the label whose model finds a row likeliest.

    hmmlearn's `GaussianHMM` on rows of numbers [T, I], of one label each; labels as probable
    beforehand as they are frequent. Needs the extra `baselines`.

    Args:
        states: of each model.
        iterations: of Baum and Welch, at most.
        seed: of the first means.

    Raises:
        MissingExtraError: hmmlearn is not installed.

    Example:
        >>> up, down = np.array([[0.0], [1]] * 4), np.array([[1.0], [0]] * 4)
        >>> noise = np.random.default_rng(0).normal(0, 0.1, (40, 8, 1))
        >>> rows = [(up, down)[k % 2] + noise[k] for k in range(40)]
        >>> guess = HiddenMarkovLabels(2).fit(rows, np.eye(2, dtype=np.int64)[[0, 1] * 20])
        >>> guess.predict([up, down]).argmax(axis=1).tolist()
        [0, 1]
    """

    name = "hidden Markov model for each label"
    looks_back = None

    def __init__(self, states: int = 4, *, iterations: int = 20, seed: int = 0) -> None:
        self.states = states
        self.iterations = iterations
        self.seed = seed

    def fit(self, rows: Sequence[NDArray[Any]], targets: Targets) -> HiddenMarkovLabels:
        shares = targets.mean(axis=0)
        self._before = np.log(np.maximum(shares, 1e-12))
        self._models: list[Any] = []
        self.parameters = targets.shape[1] - 1
        for label in range(targets.shape[1]):
            some = [rows[k] for k in np.flatnonzero(targets[:, label]).tolist()]
            self._models.append(self._learned(some) if some else None)
        return self

    def predict(self, rows: Sequence[NDArray[Any]]) -> Flags:
        found = np.full((len(rows), len(self._models)), -np.inf)
        for label, model in enumerate(self._models):
            if model is not None:
                likely = [model.score(row) for row in rows]
                found[:, label] = np.asarray(likely) + self._before[label]
        best: Flags = found.argmax(axis=1)[:, None] == np.arange(len(self._models))
        return best

    def _learned(self, rows: Sequence[NDArray[Any]]) -> Any:
        joined = np.concatenate(rows)
        states = min(self.states, len(joined))
        with quiet_hmm() as hmm, one_thread():
            model = hmm.GaussianHMM(states, n_iter=self.iterations, random_state=self.seed)
            model.fit(joined, [len(row) for row in rows])
        # a state that was never left, or never entered, is left for any and entered by chance
        model.transmat_ = _possible(model.transmat_)
        model.startprob_ = _possible(model.startprob_)
        self.parameters += states - 1 + states * (states - 1) + 2 * states * joined.shape[1]
        return model


def majority_accuracy(seen: Targets, asked: Targets) -> float:
    """The share of rows of which `MostFrequentLabel` knows all labels.

    Args:
        seen: labels of the training rows, 0 or 1, [N, K].
        asked: of the rows to be guessed, [M, K].

    Example:
        >>> majority_accuracy(np.array([[1, 0], [1, 0], [0, 1]]), np.array([[1, 0], [0, 1]]))
        0.5
    """
    return _accuracy(MostFrequentLabel().fit(seen, seen).predict(asked), asked)


def can_regress() -> bool:
    """Whether scikit-learn (extra `baselines`) is installed."""
    return importlib.util.find_spec("sklearn") is not None


def regression_accuracy(
    seen: Plain, targets: Targets, rows: Plain, asked: Targets, *, several: bool = False
) -> float:
    """The share of rows of which `LabelRegression` finds all labels.

    Args:
        seen: training rows: texts, or numbers [N, F].
        targets: their labels, 0 or 1, [N, K].
        rows: to be guessed.
        asked: their labels, [M, K].
        several: a row may have any number of labels, each guessed by itself.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    guess = LabelRegression(several=several).fit(seen, targets)
    return _accuracy(guess.predict(rows), asked)


def _accuracy(guess: Flags, asked: Targets) -> float:
    return float((guess == asked.astype(bool)).all(axis=1).mean())


def _texts(rows: Plain) -> bool:
    return len(rows) > 0 and isinstance(rows[0], str)


def _pattern(rows: Plain) -> str:
    """What a word is: two letters or more, as scikit-learn has it, or, if there are none, one."""
    longer = re.compile(r"\b\w\w+\b")
    return r"(?u)\b\w\w+\b" if any(longer.search(row) for row in rows) else r"(?u)\b\w+\b"


def _possible(shares: NDArray[Any]) -> NDArray[Any]:
    some: NDArray[Any] = np.where(np.isfinite(shares), shares, 0) + 1e-6
    some /= some.sum(axis=-1, keepdims=True)
    return some
