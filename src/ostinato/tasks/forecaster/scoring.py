"""How good forecasts were: errors, and whether intervals held what they promised."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.tasks.forecaster.stretch import Stretch

__all__ = ["ForecastScore", "Tally", "score_stretches"]

Values = NDArray[np.float64]


@dataclass(frozen=True)
class ForecastScore:
    """Errors over all forecasts, steps and targets whose outcome is known.

    Attributes:
        windows: forecasts that were scored.
        mse: mean squared error, standardised as the training part is.
        mae: mean absolute error, likewise.
        rmse: root of the mean squared error of each target, in its own unit.
        coverage: probability of an interval -> share of the outcomes that lay inside.
        width: the same -> its mean width, standardised.
        by_step: mean squared error of each step of the horizon, standardised.
    """

    windows: int
    mse: float
    mae: float
    rmse: dict[str, float]
    coverage: dict[float, float]
    width: dict[float, float]
    by_step: list[float] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "windows": self.windows,
            "mse": self.mse,
            "mae": self.mae,
            "rmse": dict(self.rmse),
            "coverage": {str(level): share for level, share in self.coverage.items()},
            "width": {str(level): width for level, width in self.width.items()},
            "by_step": list(self.by_step),
        }


class Tally:
    """Gathers a score, forecast by forecast.

    Args:
        targets: their names.
        spread: of the targets of each series, [S, Y].
    """

    def __init__(self, targets: Sequence[str], spread: Values) -> None:
        self.targets = tuple(targets)
        self.spread = spread
        self.windows = 0
        self._sums: dict[str, Any] = {}
        self._inside: dict[float, float] = {}
        self._width: dict[float, float] = {}

    def add(self, stretch: Stretch) -> None:
        """Take in some forecasts."""
        error = (stretch.middle - stretch.actual).astype(np.float64)
        known = ~np.isnan(error)
        self.windows += int(known.any(axis=(1, 2)).sum())
        squared, absolute = np.where(known, error**2, 0), np.where(known, np.abs(error), 0)
        self._sum("known", known.sum(axis=0))
        self._sum("squared", squared.sum(axis=0))
        self._sum("absolute", absolute.sum())
        self._sum("raw", (squared * self.spread[stretch.series] ** 2).sum(axis=(0, 1)))
        for level, (lower, upper) in stretch.intervals.items():
            inside = known & (stretch.actual >= lower) & (stretch.actual <= upper)
            wide = float(np.where(known, upper - lower, 0).sum())
            self._inside[level] = self._inside.get(level, 0.0) + float(inside.sum())
            self._width[level] = self._width.get(level, 0.0) + wide

    def score(self) -> ForecastScore:
        """The score of all that was added.

        Raises:
            ValueError: no outcome is known.
        """
        if not self.windows:
            raise ValueError("There is no forecast to score: no outcome of any is known.")
        known = self._sums["known"]
        total = known.sum()
        roots = np.sqrt(self._sums["raw"] / known.sum(axis=0))
        steps = self._sums["squared"].sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        return ForecastScore(
            self.windows,
            float(self._sums["squared"].sum() / total),
            float(self._sums["absolute"] / total),
            {name: float(root) for name, root in zip(self.targets, roots, strict=True)},
            {level: float(count / total) for level, count in self._inside.items()},
            {level: float(width / total) for level, width in self._width.items()},
            [float(step) for step in steps],
        )

    def _sum(self, key: str, value: Any) -> None:
        self._sums[key] = self._sums.get(key, 0) + value


def score_stretches(
    stretches: Iterable[Stretch], targets: Sequence[str], spread: Values
) -> ForecastScore:
    """The score of some forecasts; see `Tally`."""
    tally = Tally(targets, spread)
    for stretch in stretches:
        tally.add(stretch)
    return tally.score()
