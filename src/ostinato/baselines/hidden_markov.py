r"""Hidden Markov models: a state out of K, that the last one alone decides, and what it shows.

hmmlearn learns them (Baum and Welch) and finds the best states (Viterbi). What it does not offer is
the *filtered* state, which knows what came before and nothing of what comes after:

    f[t] ~ (A' f[t-1]) b(x[t]),    f[0] ~ start * b(x[0])

with A the probabilities of state after state and b those of what is seen in each state; each f sums
to 1. Forecasts come from it: A' f[t] are the states of the next step.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.baselines.tracks import Floats, Longs, SeriesGuess, Track
from ostinato.extras import needed

__all__ = ["HiddenMarkovSeries", "HiddenMarkovText", "filtered", "quiet_hmm"]

_WHY = "Hidden Markov models"
# a probability below this is taken for this: what was never seen is improbable, not impossible
_LEAST = 1e-12


@contextmanager
def quiet_hmm() -> Iterator[Any]:
    """The `hmm` module of hmmlearn, within whose block it does not tell when it stops early.

    Raises:
        MissingExtraError: hmmlearn is not installed.
    """
    library = needed("hmmlearn.hmm", extra="baselines", why=_WHY)
    logger = logging.getLogger("hmmlearn")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            # of few different values, some states begin alike
            warnings.simplefilter("ignore")
            yield library
    finally:
        logger.setLevel(before)


def filtered(start: Floats, moves: Floats, seen: Floats) -> Floats:
    """The probability of each state at each step, given what was seen up to it.

    Args:
        start: of the first state, [K].
        moves: of state after state, [K, K], each row summing to 1.
        seen: of what was seen, in each state, up to a factor for each step, [T, K].

    Returns:
        [T, K], each row summing to 1.

    Example:
        >>> stay = np.array([[0.9, 0.1], [0.1, 0.9]])
        >>> filtered(np.array([0.5, 0.5]), stay, np.array([[1.0, 0.0], [1.0, 1.0]]))
        array([[1. , 0. ],
               [0.9, 0.1]])
    """
    found = np.empty(seen.shape)
    state = start
    for t, step in enumerate(seen):
        joint = state * step
        total = joint.sum()
        # what no state explains tells nothing of the state
        found[t] = joint / total if total > 0 else state
        state = found[t] @ moves
    return found


class HiddenMarkovSeries(SeriesGuess):
    """Each state has a mean and a spread of the targets; needs the extra `baselines`.

    hmmlearn's `GaussianHMM`. The forecast is the mean of all states, each as probable as its chain
    makes it.

    Args:
        states: K.
        rows: rows that are learned from, the last ones of all series.
        iterations: of Baum and Welch, at most.
        seed: of the first means.

    Raises:
        MissingExtraError: hmmlearn is not installed.

    Example:
        >>> steps = np.repeat([0.0, 5.0] * 20, 10)[:, None] + 0.01 * np.arange(400)[:, None] % 0.1
        >>> guess = HiddenMarkovSeries(2, seed=1).fit([Track(steps)], 1)
        >>> guess.predict(Track(steps), np.array([15])).round()
        array([[[5.]]])
    """

    looks_back = None

    def __init__(
        self, states: int = 12, *, rows: int = 20_000, iterations: int = 40, seed: int = 0
    ) -> None:
        if states < 1:
            raise ValueError(f"HiddenMarkovSeries: states must be at least 1, got {states}.")
        self.states = states
        self.rows = rows
        self.iterations = iterations
        self.seed = seed
        self.name = f"hidden Markov model, {states} states"

    def fit(self, tracks: Sequence[Track], horizon: int) -> HiddenMarkovSeries:
        self.horizon = horizon
        kept = _last_rows([track.targets for track in tracks], self.rows)
        with quiet_hmm() as hmm:
            self.model = hmm.GaussianHMM(
                self.states, n_iter=self.iterations, random_state=self.seed
            )
            self.model.fit(np.concatenate(kept), [len(one) for one in kept])
        return self

    def predict(self, track: Track, origins: Longs) -> Floats:
        model = self.model
        # log densities, moved so that the largest of each step is 1
        logs = _gaussian_logs(track.targets, model.means_, model._covars_)
        seen = np.exp(logs - logs.max(axis=1, keepdims=True))
        state = filtered(model.startprob_, model.transmat_, seen)[origins - 1]
        ahead = []
        for _ in range(self.horizon):
            state = state @ model.transmat_
            ahead.append(state @ model.means_)
        return np.stack(ahead, axis=1)

    @property
    def parameters(self) -> int:
        K, width = self.model.means_.shape
        return int(K - 1 + K * (K - 1) + 2 * K * width)


class HiddenMarkovText:
    """A hidden Markov model of tokens: hmmlearn's `CategoricalHMM`; needs the extra `baselines`.

    Args:
        tokens: training text, whole numbers in 0..V-1, [N].
        vocabulary_size: V.
        states: K.
        most: tokens that are learned from, the last ones.
        iterations: of Baum and Welch, at most.
        prior: added to the count of each token in each state, so that none is impossible.
        starts: how often it is learned from other first probabilities; the likeliest is kept.
        seed: of the first probabilities.

    Raises:
        MissingExtraError: hmmlearn is not installed.

    Example:
        >>> text = np.array([0, 1] * 100)
        >>> model = HiddenMarkovText(text, 2, states=2)
        >>> bool(model.nats(text[:50])[10:].mean() < 0.05)
        True
    """

    looks_back = None

    def __init__(
        self,
        tokens: Longs,
        vocabulary_size: int,
        *,
        states: int = 16,
        most: int = 50_000,
        iterations: int = 30,
        prior: float = 0.01,
        starts: int = 3,
        seed: int = 0,
    ) -> None:
        self.name = f"hidden Markov model, {states} states"
        seen = np.asarray(tokens, dtype=np.int64)[-most:, None]
        found = []
        with quiet_hmm() as hmm:
            for start in range(starts):
                model = hmm.CategoricalHMM(
                    states,
                    n_iter=iterations,
                    emissionprob_prior=1 + prior,
                    random_state=seed + start,
                    n_features=vocabulary_size,
                    implementation="scaling",
                )
                model.fit(seen)
                found.append((float(model.score(seen)), model))
        self.model: Any = max(found, key=lambda pair: pair[0])[1]

    def nats(self, tokens: Longs) -> Floats:
        """-ln p of each token given those before it in `tokens`, [N]."""
        model = self.model
        told = np.asarray(model.emissionprob_)[:, tokens].T
        state = filtered(model.startprob_, model.transmat_, told)
        expected = np.concatenate([model.startprob_[None], state[:-1] @ model.transmat_])
        nats: Floats = -np.log(np.maximum((expected * told).sum(axis=1), _LEAST))
        return nats

    @property
    def parameters(self) -> int:
        """How many probabilities were learned."""
        K, size = self.model.emissionprob_.shape
        return int(K - 1 + K * (K - 1) + K * (size - 1))


def _last_rows(parts: Sequence[Floats], most: int) -> list[Floats]:
    """The last parts, of so many rows in all."""
    kept: list[Floats] = []
    for part in reversed(parts):
        if most <= 0:
            break
        kept.insert(0, part[-most:])
        most -= len(kept[0])
    return kept


def _gaussian_logs(rows: Floats, means: Floats, spreads: Floats) -> NDArray[np.float64]:
    """Log densities of rows [T, Y] in each state, [T, K]; variances [K, Y], no covariances."""
    spreads = np.asarray(spreads).reshape(means.shape)
    away = (rows[:, None] - means) ** 2 / spreads
    found: NDArray[np.float64] = -0.5 * (away + np.log(2 * np.pi * spreads)).sum(axis=-1)
    return found
