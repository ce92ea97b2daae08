"""Forecasts from origins that follow each other, with their intervals corrected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ostinato.data.windows import Numbers, WindowReader
from ostinato.tasks.forecaster.calibration import recent_offsets, scores, widths
from ostinato.tasks.forecaster.network import ForecasterNetwork, Paths

__all__ = ["Asker", "Stretch"]

Values = NDArray[np.float32]

_WINDOWS = 512
_ROWS = 1 << 14
# origins of a stretch: what bounds the memory that scoring a long series takes
_STRETCH = 8192


@dataclass(frozen=True)
class Stretch:
    """Forecasts of one series from n origins, standardised.

    Attributes:
        series: its number.
        origins: rows at which the horizon begins, [n].
        middle: [n, H, Y].
        intervals: probability -> (lower, upper), [n, H, Y] each.
        actual: what came, [n, H, Y]; NaN where unknown.
        samples: paths of the forecasts, [N, n, H, Y], where they were asked for.
    """

    series: int
    origins: Numbers
    middle: Values
    intervals: Mapping[float, tuple[Values, Values]]
    actual: Values
    samples: Values | None = None

    def chosen(self, places: Numbers) -> Stretch:
        """Some of the forecasts."""
        return replace(
            self,
            origins=self.origins[places],
            middle=self.middle[places],
            intervals={
                level: (lower[places], upper[places])
                for level, (lower, upper) in self.intervals.items()
            },
            actual=self.actual[places],
            samples=None if self.samples is None else self.samples[:, places],
        )


class Asker:
    """Asks a network for forecasts, and corrects their intervals.

    Args:
        network: in evaluation mode.
        reader: reads the windows.
        levels: probabilities of the intervals.
        calibration: "recent", "validation" or "off".
        windows: forecasts that "recent" looks back at.
        offsets: corrections measured on the validation part, by level, [H, Y]; also used where
            too few recent outcomes are known.
        samples: paths of each forecast of a recursive network.
        seed: of the paths.
    """

    def __init__(
        self,
        network: ForecasterNetwork,
        reader: WindowReader,
        levels: Sequence[float],
        *,
        calibration: str = "off",
        windows: int = 0,
        offsets: Mapping[float, Values] | None = None,
        samples: int = 100,
        seed: int | None = 0,
    ) -> None:
        self.network = network
        self.reader = reader
        self.levels = tuple(levels)
        self.calibration = calibration
        self.windows = windows
        self.offsets = offsets or {}
        self.samples = samples
        self.device = next(network.parameters()).device
        self._generator = None if seed is None else torch.Generator().manual_seed(seed)

    def stretches(self, series: int, first: int, stop: int) -> Iterator[Stretch]:
        """The forecasts from each origin of `first` to `stop` - 1, in pieces."""
        for begin in range(first, stop, _STRETCH):
            yield self.stretch(series, begin, min(begin + _STRETCH, stop))

    def stretch(
        self, series: int, first: int, stop: int, *, state: Any = None, paths: bool = False
    ) -> Stretch:
        """The forecasts from each origin of `first` to `stop` - 1.

        Args:
            series: number of the series.
            first: the first origin.
            stop: behind the last one.
            state: what the cells start from for the last of them; None: their initial state.
            paths: keep the paths.
        """
        horizon = self.reader.shape.horizon
        begin = first
        if self.calibration == "recent":
            begin = max(first - self.windows - horizon + 1, self.reader.shape.past)
            begin = min(begin, first)
        origins = np.arange(begin, stop)
        middle, raw, samples = self._ask(series, origins, first, state, paths)
        actual = self.reader.actual(series, origins)
        kept = slice(first - begin, None)
        intervals = {}
        for level, (lower, upper) in raw.items():
            offset = self._offset(level, lower, upper, actual, first - begin)
            added = offset * widths(lower[kept], upper[kept])
            low, high = lower[kept] - added, upper[kept] + added
            # a correction never turns an interval inside out
            intervals[level] = (np.minimum(low, middle[kept]), np.maximum(high, middle[kept]))
        return Stretch(series, origins[kept], middle[kept], intervals, actual[kept], samples)

    def _offset(
        self, level: float, lower: Values, upper: Values, actual: Values, first: int
    ) -> Values:
        fixed = self.offsets.get(level, np.zeros(lower.shape[1:], dtype=np.float32))
        fixed = fixed[: lower.shape[1]]
        if self.calibration == "off":
            return np.zeros_like(fixed)
        if self.calibration == "validation":
            return fixed
        found = recent_offsets(scores(lower, upper, actual), level, self.windows, first)
        return np.where(np.isnan(found), fixed, found)

    def _ask(
        self, series: int, origins: Numbers, first: int, state: Any, paths: bool
    ) -> tuple[Values, dict[float, tuple[Values, Values]], Values | None]:
        middles: list[Values] = []
        ends: dict[float, list[tuple[Values, Values]]] = {level: [] for level in self.levels}
        drawn: list[Values] = []
        for told, wanted in self._told(series, origins, first, state):
            middles.append(_array(told.middle()))
            for level in self.levels:
                edges = ((1 - level) / 2, (1 + level) / 2)
                lower, upper = (_array(told.quantile(edge)) for edge in edges)
                ends[level].append((lower, upper))
            if paths and wanted and isinstance(told, Paths):
                drawn.append(told.values.permute(0, 2, 1, 3).cpu().numpy())
        intervals = {}
        for level, pairs in ends.items():
            lower, upper = (np.concatenate(part) for part in zip(*pairs, strict=True))
            intervals[level] = (lower, upper)
        return np.concatenate(middles), intervals, np.concatenate(drawn, 1) if drawn else None

    def _told(
        self, series: int, origins: Numbers, first: int, state: Any
    ) -> Iterator[tuple[Any, bool]]:
        size = _WINDOWS
        if self.network.mode == "recursive":
            size = max(_ROWS // self.samples, 1)
        before, asked = origins[origins < first], origins[origins >= first]
        parts = [(before[k : k + size], None, False) for k in range(0, len(before), size)]
        last = asked[-1:] if state is not None else asked[:0]
        asked = asked[: len(asked) - len(last)]
        parts += [(asked[k : k + size], None, True) for k in range(0, len(asked), size)]
        if len(last):
            parts.append((last, state, True))
        for part, start, wanted in parts:
            numbers = np.full(len(part), series)
            batch = self.reader.read(numbers, part, targets=False).to(self.device)
            told = self.network.forecast(
                batch, start, samples=self.samples, generator=self._generator
            )
            yield told, wanted


def _array(values: torch.Tensor) -> Values:
    return np.asarray(values.transpose(0, 1).float().cpu().numpy())
