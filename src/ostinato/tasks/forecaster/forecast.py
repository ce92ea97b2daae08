"""A forecast: values and intervals for the steps to come, of each series and target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ostinato.data.clock import Clock, Times

if TYPE_CHECKING:
    import polars as pl

    from ostinato.data.windows import WindowReader
    from ostinato.tasks.forecaster.stretch import Stretch

__all__ = ["Forecast", "forecast_of"]

Values = NDArray[np.float64]

# rows of the past that go with a forecast, as a multiple of its horizon
_SHOWN = 4


@dataclass(frozen=True)
class Forecast:
    """What is to come of S series, H steps ahead, in the units of the data.

    Attributes:
        ids: names of the series; ("",) where there is one without a name.
        targets: names of the targets.
        times: of the steps, int64 [S, H]; see `clock`.
        values: [S, H, Y].
        intervals: probability -> (lower, upper), [S, H, Y] each.
        clock: spells the times.
        samples: paths, where they were drawn, [N, S, H, Y].
        past: (times, values) of the end of each series, for a picture: int64 [T], [T, Y].
    """

    ids: tuple[str, ...]
    targets: tuple[str, ...]
    times: Times
    values: Values
    intervals: Mapping[float, tuple[Values, Values]]
    clock: Clock
    samples: Values | None = None
    past: tuple[tuple[Times, Values], ...] = field(default=(), repr=False)

    def to_frame(self) -> pl.DataFrame:
        """A table with a row for each series, step and target.

        Its columns: id (where series have names), time, target (where there are several), forecast,
        and lower and upper of each interval, e.g. lower_80.
        """
        import polars as pl

        series, steps, targets = self.values.shape
        columns: dict[str, Any] = {}
        if self.ids != ("",):
            columns["id"] = [name for name in self.ids for _ in range(steps * targets)]
        times = np.repeat(self.times.reshape(-1), targets)
        columns["time"] = self.clock.series(times)
        if targets > 1:
            columns["target"] = list(self.targets) * (series * steps)
        columns["forecast"] = self.values.reshape(-1)
        for level, (lower, upper) in self.intervals.items():
            columns[f"lower_{level * 100:g}"] = lower.reshape(-1)
            columns[f"upper_{level * 100:g}"] = upper.reshape(-1)
        return pl.DataFrame(columns)

    def to_dict(self) -> dict[str, Any]:
        """Plain values: a list of series, each with its times, and its values by target."""
        found = []
        for number, name in enumerate(self.ids):
            entry: dict[str, Any] = {"id": name} if self.ids != ("",) else {}
            entry["times"] = self.clock.spell(self.times[number])
            entry["targets"] = {
                target: {
                    "forecast": self.values[number, :, place].tolist(),
                    "intervals": {
                        str(level): {
                            "lower": lower[number, :, place].tolist(),
                            "upper": upper[number, :, place].tolist(),
                        }
                        for level, (lower, upper) in self.intervals.items()
                    },
                }
                for place, target in enumerate(self.targets)
            }
            found.append(entry)
        return {"series": found}

    def axis(self, times: Times) -> NDArray[Any]:
        """Times as a picture takes them: dates, or numbers."""
        return times if self.clock.kind == "index" else times.astype("datetime64[us]")

    def to_csv(self, path: str | Path) -> None:
        """Write the table of `to_frame` into a CSV file."""
        self.to_frame().write_csv(path)


def forecast_of(found: Sequence[Stretch], reader: WindowReader, steps: int) -> Forecast:
    """The last forecast of each stretch, in the units of the data."""
    store = reader.store
    mean = np.stack([reader.mean[one.series] for one in found])[:, None]
    spread = np.stack([reader.spread[one.series] for one in found])[:, None]

    def raw(values: Any) -> Any:
        return np.stack([one[-1, :steps] for one in values]).astype(np.float64) * spread + mean

    levels = list(found[0].intervals)
    times, past = [], []
    shown = max(_SHOWN * steps, 2)
    targets = len(store.columns.targets)
    for one in found:
        origin = int(one.origins[-1])
        times.append(store.times(one.series, origin + np.arange(steps)))
        rows = np.arange(max(origin - shown, 0), origin)
        past.append((store.times(one.series, rows), store.series(one.series)[rows, :targets]))
    samples = None
    if found[0].samples is not None:
        drawn = np.stack([one.samples[:, -1] for one in found if one.samples is not None], axis=1)
        samples = drawn * spread + mean
    return Forecast(
        tuple(store.ids[one.series] for one in found),
        store.columns.targets,
        np.stack(times),
        raw([one.middle for one in found]),
        {
            level: (
                raw([one.intervals[level][0] for one in found]),
                raw([one.intervals[level][1] for one in found]),
            )
            for level in levels
        },
        store.clock,
        samples,
        tuple(past),
    )
