"""What comes next from the last values alone, by well-known regressions; no state, no time."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ostinato.baselines.tracks import Floats, Longs, SeriesGuess, Track, lagged
from ostinato.extras import needed

__all__ = [
    "BoostingOnLags",
    "FeedForwardOnLags",
    "LaggedRegression",
    "PenalisedLags",
    "one_thread",
]


@contextmanager
def one_thread() -> Iterator[None]:
    """Let trees grow on one thread: on cores that others use, several wait for each other.

    Raises:
        MissingExtraError: scikit-learn is not installed, and threadpoolctl with it.
    """
    library = needed("threadpoolctl", extra="baselines", why="Boosted trees")
    with library.threadpool_limits(1, user_api="openmp"):
        yield


class LaggedRegression(SeriesGuess):
    """Base of regressions on the last values; one model for all targets.

    What is read: the last `lags` values of a target less the very last, the covariates of the last
    row, and what is known in advance of each step to come. What is told: by how much each step
    differs from the last value.

    Args:
        lags: values that are looked at.
        windows: windows that are learned from at most, spread evenly.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """

    _kind: str

    def __init__(self, lags: int, *, windows: int = 20_000) -> None:
        if lags < 1:
            raise ValueError(f"{type(self).__name__}: lags must be at least 1, got {lags}.")
        needed("sklearn", extra="baselines", why="Regressions on lags")
        self.lags = self.looks_back = lags
        self.windows = windows
        self.name = f"{self._kind} on {lags} lag{'s' if lags > 1 else ''}"

    def fit(self, tracks: Sequence[Track], horizon: int) -> LaggedRegression:
        self.horizon = horizon
        found = [self._origins(track, sum(map(len, tracks))) for track in tracks]
        pairs = [
            (self._design(track, origins), self._moves(track, origins))
            for track, origins in zip(tracks, found, strict=True)
            if len(origins)
        ]
        if not pairs:
            raise ValueError(
                f"{self.name}: no series has {self.lags} rows of past and {horizon} to forecast. "
                "Give longer series, or fewer lags."
            )
        read, told = (np.concatenate(part) for part in zip(*pairs, strict=True))
        with warnings.catch_warnings():
            # that training ended at its last step is no fault
            warnings.simplefilter("ignore")
            self._learn(read, told)
        return self

    def predict(self, track: Track, origins: Longs) -> Floats:
        told = self._ask(self._design(track, origins))
        last = track.targets[origins - 1]
        moves = told.reshape(len(origins), -1, self.horizon).transpose(0, 2, 1)
        return np.asarray(last[:, None] + moves)

    @abstractmethod
    def _learn(self, read: Floats, told: Floats) -> None:
        """From [N, F] and [N, H]."""

    @abstractmethod
    def _ask(self, read: Floats) -> Floats:
        """[N, F] -> [N, H]."""

    def _origins(self, track: Track, rows: int) -> Longs:
        stop = len(track) - self.horizon + 1
        every = max(-(-rows // self.windows), 1)
        return np.arange(self.lags, stop, every, dtype=np.int64)

    def _design(self, track: Track, origins: Longs) -> Floats:
        """What is read: a row for each origin and, within it, each target, [n * Y, F]."""
        past = lagged(track.targets, origins, self.lags).transpose(0, 2, 1)
        count, targets = past.shape[:2]
        parts = [(past[..., :-1] - past[..., -1:]).reshape(count * targets, -1)]
        shared = []
        if track.covariates.size:
            shared.append(track.covariates[origins - 1])
        if track.known.size:
            ahead = origins[:, None] + np.arange(self.horizon)
            shared.append(track.known[ahead].reshape(count, -1))
        if shared:
            parts.append(np.repeat(np.concatenate(shared, axis=1), targets, axis=0))
        # with a single lag there may be nothing to read: a constant then
        design = np.concatenate(parts, axis=1)
        return design if design.shape[1] else np.zeros((len(design), 1))

    def _moves(self, track: Track, origins: Longs) -> Floats:
        ahead = track.targets[origins[:, None] + np.arange(self.horizon)]
        moves = ahead - track.targets[origins - 1][:, None]
        return np.asarray(moves.transpose(0, 2, 1).reshape(-1, self.horizon))


class PenalisedLags(LaggedRegression):
    """A ridge: scikit-learn's `RidgeCV`, its penalty the best by leaving one window out.

    Example:
        >>> track = Track(np.arange(50.0)[:, None])
        >>> PenalisedLags(4).fit([track], 2).predict(track, np.array([9])).round(2)[0, :, 0]
        array([ 9., 10.])
    """

    _kind = "ridge"

    def _learn(self, read: Floats, told: Floats) -> None:
        from sklearn.linear_model import RidgeCV

        self._model: Any = RidgeCV(alphas=np.logspace(-3, 4, 15)).fit(read, told)

    def _ask(self, read: Floats) -> Floats:
        return np.asarray(self._model.predict(read)).reshape(len(read), -1)

    @property
    def parameters(self) -> int:
        return int(np.size(self._model.coef_) + np.size(self._model.intercept_))


class BoostingOnLags(LaggedRegression):
    """Boosted trees: scikit-learn's `HistGradientBoostingRegressor`, the step ahead an input.

    Example:
        >>> track = Track((np.arange(400) % 7 == 0).astype(float)[:, None])
        >>> guess = BoostingOnLags(7).fit([track], 1)
        >>> guess.predict(track, np.array([70, 71])).round(1).ravel().tolist()
        [1.0, 0.0]
    """

    _kind = "gradient boosting"

    def __init__(self, lags: int, *, windows: int = 3_000) -> None:
        super().__init__(lags, windows=windows)

    def _learn(self, read: Floats, told: Floats) -> None:
        from sklearn.ensemble import HistGradientBoostingRegressor

        model = HistGradientBoostingRegressor(
            max_iter=200, early_stopping=True, validation_fraction=0.1, random_state=0
        )
        with one_thread():
            self._model: Any = model.fit(self._stepped(read), told.ravel())

    def _ask(self, read: Floats) -> Floats:
        with one_thread():
            told = self._model.predict(self._stepped(read))
        return np.asarray(told).reshape(len(read), -1)

    def _stepped(self, read: Floats) -> Floats:
        steps = np.tile(np.arange(self.horizon, dtype=float), len(read))[:, None]
        return np.concatenate([np.repeat(read, self.horizon, axis=0), steps], axis=1)

    @property
    def parameters(self) -> int:
        """A threshold for each branching and a value for each leaf of all trees."""
        trees = [tree for stage in self._model._predictors for tree in stage]
        return int(sum(len(tree.nodes) for tree in trees))


class FeedForwardOnLags(LaggedRegression):
    """A feed-forward network: scikit-learn's `MLPRegressor`, one hidden layer of 64.

    Example:
        >>> track = Track((np.arange(400) % 7 == 0).astype(float)[:, None])
        >>> guess = FeedForwardOnLags(7).fit([track], 1)
        >>> guess.predict(track, np.array([70, 71])).round().ravel().tolist()
        [1.0, 0.0]
    """

    _kind = "feed-forward network"

    def _learn(self, read: Floats, told: Floats) -> None:
        from sklearn.neural_network import MLPRegressor
        from sklearn.preprocessing import StandardScaler

        self._scale: Any = StandardScaler().fit(read)
        # a small set has no tenth to spare for when to stop
        spare = len(read) >= 200
        model = MLPRegressor(
            hidden_layer_sizes=(64,),
            max_iter=100,
            early_stopping=spare,
            n_iter_no_change=8,
            random_state=0,
        )
        told = told[:, 0] if told.shape[1] == 1 else told
        self._model: Any = model.fit(self._scale.transform(read), told)

    def _ask(self, read: Floats) -> Floats:
        told = self._model.predict(self._scale.transform(read))
        return np.asarray(told).reshape(len(read), -1)

    @property
    def parameters(self) -> int:
        return int(sum(part.size for part in (*self._model.coefs_, *self._model.intercepts_)))
