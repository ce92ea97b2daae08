"""Simple guesses at series: the last value, the value a season before, a ridge on lags.

Each guess takes the past of B windows, [B, W, Y], and gives the horizon, [B, H, Y].
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.extras import needed

__all__ = ["RidgeOnLags", "copy_last", "seasonal_naive"]

Values = NDArray[np.floating[Any]]


def copy_last(past: Values, horizon: int) -> Values:
    """The last value, for every step.

    Example:
        >>> copy_last(np.array([[[1.0], [2.0]]]), 3)[..., 0].tolist()
        [[2.0, 2.0, 2.0]]
    """
    return np.repeat(past[:, -1:], horizon, axis=1)


def seasonal_naive(past: Values, horizon: int, season: int) -> Values:
    """The value a season before, the last season over and over.

    Raises:
        ValueError: the past is shorter than a season.

    Example:
        >>> seasonal_naive(np.array([[[1.0], [2.0], [3.0]]]), 3, season=2)[..., 0].tolist()
        [[2.0, 3.0, 2.0]]
    """
    if past.shape[1] < season:
        raise ValueError(
            f"seasonal_naive: the past has {past.shape[1]} rows, a season {season}. Give a longer "
            "past."
        )
    steps = np.arange(horizon) % season
    return past[:, past.shape[1] - season + steps]


class RidgeOnLags:
    """A linear map from the last values to all steps, by least squares with an L2 penalty.

    Scikit-learn's `Ridge`, one map for all targets. Needs the extra `baselines`.

    Args:
        lags: values that are looked at.
        penalty: weight of the squared coefficients.

    Raises:
        MissingExtraError: scikit-learn is not installed.

    Example:
        >>> line = np.arange(50.0)[:, None]
        >>> windows = np.stack([line[k : k + 6] for k in range(40)])
        >>> guess = RidgeOnLags(4, penalty=1e-6).fit(windows[:, :4], windows[:, 4:])
        >>> guess(windows[:1, :4]).round(3)[..., 0].tolist()
        [[4.0, 5.0]]
    """

    def __init__(self, lags: int, penalty: float = 1.0) -> None:
        library = needed("sklearn.linear_model", extra="baselines", why="Ridge guesses")
        self.lags = lags
        self._model = library.Ridge(alpha=penalty)

    def fit(self, past: Values, ahead: Values) -> RidgeOnLags:
        """Learn from the past [B, W, Y] and what came [B, H, Y]."""
        self._model.fit(self._flat(past), _rows(ahead))
        return self

    def __call__(self, past: Values) -> Values:
        found: Values = self._model.predict(self._flat(past))
        batch, _, targets = past.shape
        return found.reshape(batch, targets, -1).transpose(0, 2, 1)

    def _flat(self, past: Values) -> Values:
        return _rows(past[:, past.shape[1] - self.lags :])


def _rows(values: Values) -> Values:
    """[B, T, Y] -> [B * Y, T]."""
    return values.transpose(0, 2, 1).reshape(-1, values.shape[1])
