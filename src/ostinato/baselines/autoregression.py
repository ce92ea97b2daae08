r"""Autoregression: a value as a linear map of those before it, one target alone or all together.

    y[t] = c + A[1] y[t-1] + ... + A[p] y[t-p] + e[t]

fitted by least squares given the first p rows, as statsmodels' AutoReg and VAR are; of a single
target the A are numbers. The order is that of the least AIC, of all equations together, as
statsmodels' VAR has it: ln |S| + 2 (free numbers) / N, S the residuals' covariance by maximum
likelihood, over the same N rows for all orders. Further steps are forecast from those before them.

Several series share one map, for which each gives its rows; this is why the rows are gathered here
and only the regression is left to statsmodels.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ostinato.baselines.tracks import Floats, Longs, SeriesGuess, Track, lagged
from ostinato.extras import needed

__all__ = ["Autoregression", "VectorAutoregression"]

_ORDERS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 72, 96)


class VectorAutoregression(SeriesGuess):
    """All targets from the last values of all of them; needs the extra `baselines`.

    Args:
        most: the order is at most this.
        orders: the orders that are tried; None: a dozen up to 96.
        rows: rows that are learned from, the last ones, over all series.

    Attributes:
        order: p, as chosen by `fit`.
        constant: c, [Y].
        matrices: A, the nearest row first, [p, Y, Y].

    Raises:
        MissingExtraError: statsmodels is not installed.

    Example:
        >>> line = Track(0.9 ** np.arange(60.0)[:, None])
        >>> guess = VectorAutoregression(orders=[1]).fit([line], 2)
        >>> guess.matrices.round(3).ravel().tolist()
        [0.9]
    """

    _kind = "vector autoregression"

    def __init__(
        self, most: int = 96, *, orders: Sequence[int] | None = None, rows: int = 50_000
    ) -> None:
        # not taken before it is needed: it takes a second to import
        self._regression = needed(
            "statsmodels.regression.linear_model", extra="baselines", why="Autoregressions"
        )
        self.orders = [p for p in (orders or _ORDERS) if p <= most]
        if not self.orders or min(self.orders) < 1:
            raise ValueError(f"orders must be at least 1 and at most {most}, got {orders}.")
        self.rows = rows

    def fit(self, tracks: Sequence[Track], horizon: int) -> VectorAutoregression:
        longest = max(len(track) for track in tracks)
        # a third of the rows is left to tell the numbers from
        width = tracks[0].targets.shape[1]
        orders = [p for p in self.orders if longest >= 3 * (p * width + 1) + p]
        if not orders:
            raise ValueError(
                f"{self._kind}: the longest series has {longest} rows, too few for an order of "
                f"{min(self.orders)}. Give longer series."
            )
        self.horizon = horizon
        found = [self._fitted(tracks, p, orders[-1]) for p in orders]
        best = int(np.argmin([criterion for criterion, *_ in found]))
        self.order = orders[best]
        _, self.constant, self.matrices = found[best]
        self.looks_back = self.order
        self.name = f"{self._kind}, order {self.order}"
        return self

    def predict(self, track: Track, origins: Longs) -> Floats:
        past = lagged(track.targets, origins, self.order)
        for _ in range(self.horizon):
            # the nearest row first, as the matrices are
            near = past[:, : -self.order - 1 : -1]
            ahead = self.constant + np.einsum("npy,pxy->nx", near, self.matrices)
            past = np.concatenate([past, ahead[:, None]], axis=1)
        return past[:, self.order :]

    @property
    def parameters(self) -> int:
        return int(self.constant.size + np.count_nonzero(self._mask()))

    def _mask(self) -> Floats:
        return np.ones(self.matrices.shape)

    def _fitted(
        self, tracks: Sequence[Track], order: int, most: int
    ) -> tuple[float, Floats, Floats]:
        """The criterion of an order, and its numbers."""
        past, ahead = self._pairs(tracks, order, most)
        width = ahead.shape[1]
        constant, matrices = np.zeros(width), np.zeros((order, width, width))
        residuals = np.zeros(ahead.shape)
        for y in range(width):
            read = self._read(past, y)
            design = np.column_stack([np.ones(len(read)), read.reshape(len(read), -1)])
            with warnings.catch_warnings():
                # of maps that fit equally, the smallest is taken
                warnings.simplefilter("ignore")
                found: Any = self._regression.OLS(ahead[:, y], design).fit()
            constant[y] = found.params[0]
            matrices[:, y, self._columns(y, width)] = found.params[1:].reshape(order, -1)
            residuals[:, y] = found.resid
        covariance = residuals.T @ residuals / len(residuals)
        _, spread = np.linalg.slogdet(covariance)
        free = constant.size + width * read[0].size
        return float(spread + 2 * free / len(residuals)), constant, matrices

    def _pairs(self, tracks: Sequence[Track], order: int, most: int) -> tuple[Floats, Floats]:
        """The last rows before each, nearest first [N, p, Y], and each row [N, Y]."""
        pasts, rows = [], []
        for track in tracks:
            origins = np.arange(most, len(track))
            pasts.append(lagged(track.targets, origins, order)[:, ::-1])
            rows.append(track.targets[origins])
        return np.concatenate(pasts)[-self.rows :], np.concatenate(rows)[-self.rows :]

    def _read(self, past: Floats, y: int) -> Floats:
        return past

    def _columns(self, y: int, width: int) -> slice:
        return slice(None)


class Autoregression(VectorAutoregression):
    """Each target from its own last values; needs the extra `baselines`.

    The arguments are those of `VectorAutoregression`; the matrices are diagonal.

    Raises:
        MissingExtraError: statsmodels is not installed.

    Example:
        >>> rows = np.stack([0.9 ** np.arange(60.0), 0.5 ** np.arange(60.0)], axis=1)
        >>> Autoregression(orders=[1]).fit([Track(rows)], 2).matrices.round(3).tolist()
        [[[0.9, 0.0], [0.0, 0.5]]]
    """

    _kind = "autoregression"

    def _mask(self) -> Floats:
        return np.broadcast_to(np.eye(self.matrices.shape[1]), self.matrices.shape)

    def _read(self, past: Floats, y: int) -> Floats:
        return past[:, :, y : y + 1]

    def _columns(self, y: int, width: int) -> slice:
        return slice(y, y + 1)
