"""What simple models of series have in common: a series as they read it, and how they are asked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.baselines.series import copy_last, seasonal_naive

__all__ = ["CopyLast", "SeasonalNaive", "SeriesGuess", "Track", "lagged"]

Floats = NDArray[np.floating[Any]]
Longs = NDArray[np.int64]


def _none() -> Floats:
    return np.zeros((0, 0))


@dataclass(frozen=True)
class Track:
    """One series, standardised as the network reads it.

    Attributes:
        targets: what is to be forecast, [T, Y].
        covariates: what is known of the past only, [T, P]; nothing unless given.
        known: what is known in advance, [T, K]; nothing unless given.
    """

    targets: Floats
    covariates: Floats = field(default_factory=_none)
    known: Floats = field(default_factory=_none)

    def __len__(self) -> int:
        return len(self.targets)


class SeriesGuess(ABC):
    """A model of series that is fitted and asked like all others.

    Attributes:
        name: what it is called in a table.
        looks_back: rows of the past that it reads at most; None: all of them, by a state.
    """

    name: str
    looks_back: int | None

    @abstractmethod
    def fit(self, tracks: Sequence[Track], horizon: int) -> SeriesGuess:
        """Learn from some series to forecast `horizon` steps.

        Raises:
            ValueError: they are too short.
        """

    @abstractmethod
    def predict(self, track: Track, origins: Longs) -> Floats:
        """The forecasts that begin at some rows of a series, each knowing all rows before its own.

        Args:
            track: the series, which was not learned from.
            origins: rows [n], of which each has as many rows before it as the model looks back.

        Returns:
            [n, H, Y].
        """

    @property
    @abstractmethod
    def parameters(self) -> int:
        """How many numbers were learned."""


def lagged(values: Floats, origins: Longs, lags: int) -> Floats:
    """The last rows before each origin, oldest first, [n, lags, Y].

    Raises:
        ValueError: an origin has fewer rows before it.

    Example:
        >>> lagged(np.arange(5.0)[:, None], np.array([2, 4]), 2)[..., 0].tolist()
        [[0.0, 1.0], [2.0, 3.0]]
    """
    if len(origins) and origins.min() < lags:
        raise ValueError(
            f"A forecast from row {int(origins.min())} has fewer than the {lags} rows before it "
            "that are looked at. Ask from a later row."
        )
    found: Floats = values[origins[:, None] + np.arange(-lags, 0)]
    return found


class CopyLast(SeriesGuess):
    """The last value, for every step.

    Example:
        >>> guess = CopyLast().fit([], 2)
        >>> guess.predict(Track(np.arange(5.0)[:, None]), np.array([3]))[0, :, 0].tolist()
        [2.0, 2.0]
    """

    name = "copy last"
    looks_back = 1
    parameters = 0

    def fit(self, tracks: Sequence[Track], horizon: int) -> CopyLast:
        self.horizon = horizon
        return self

    def predict(self, track: Track, origins: Longs) -> Floats:
        return copy_last(lagged(track.targets, origins, 1), self.horizon)


class SeasonalNaive(SeriesGuess):
    """The value a season before, the last season over and over.

    Args:
        season: its rows.

    Example:
        >>> guess = SeasonalNaive(2).fit([], 3)
        >>> guess.predict(Track(np.arange(5.0)[:, None]), np.array([4]))[0, :, 0].tolist()
        [2.0, 3.0, 2.0]
    """

    name = "seasonal naive"
    parameters = 0

    def __init__(self, season: int) -> None:
        self.looks_back = season

    def fit(self, tracks: Sequence[Track], horizon: int) -> SeasonalNaive:
        self.horizon = horizon
        return self

    def predict(self, track: Track, origins: Longs) -> Floats:
        season = self.looks_back
        assert season is not None
        return seasonal_naive(lagged(track.targets, origins, season), self.horizon, season)
