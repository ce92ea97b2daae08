"""Forecasting again and again, as time goes by, and comparing with what came."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ostinato.data.columns import TableError
from ostinato.data.series import SeriesStore
from ostinato.data.windows import Numbers, WindowReader
from ostinato.tasks.forecaster.online import Online
from ostinato.tasks.forecaster.scoring import ForecastScore, Tally
from ostinato.tasks.forecaster.stretch import Stretch
from ostinato.tasks.task import evaluating

if TYPE_CHECKING:
    import polars as pl

    from ostinato.tasks.forecaster.task import Forecaster

__all__ = ["Backtest", "run_backtest"]


@dataclass(frozen=True)
class Backtest:
    """Forecasts made as time went by.

    Attributes:
        score: of all of them.
        frame: a row for each forecast, step and target: id (where series have names), origin (the
            first time that is forecast), time, step, target (where there are several), actual,
            forecast, and lower and upper of each interval.
    """

    score: ForecastScore
    frame: pl.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """Plain values: the score."""
        return self.score.to_dict()

    def to_csv(self, path: str | Path) -> None:
        """Write the table into a CSV file."""
        self.frame.write_csv(path)


def run_backtest(
    model: Forecaster,
    store: SeriesStore,
    part: Numbers,
    every: int | None,
    update: bool,
    levels: Sequence[float],
    seed: int | None,
) -> Backtest:
    """Forecast from every so many rows of a part of each series; see `Forecaster.backtest`."""
    import polars as pl

    every = model.context.sizes.horizon if every is None else every
    if every < 1:
        raise ValueError(f"backtest: every must be at least 1 row, got {every}.")
    reader = model._reader(store)
    tally = Tally(store.columns.targets, reader.spread)
    frames = []
    walk = _learning if update else _looking
    for stretch in walk(model, reader, part, every, levels, seed):
        tally.add(stretch)
        frames.append(_frame(stretch, reader))
    if not frames:
        rows = int((part[:, 1] - part[:, 0]).max())
        raise TableError(
            f"{store.name}: a part of {rows} rows has no forecast of {reader.shape.horizon} steps "
            f"with {reader.shape.past} rows before it. Give more rows."
        )
    return Backtest(tally.score(), pl.concat(frames))


def _looking(
    model: Forecaster,
    reader: WindowReader,
    part: Numbers,
    every: int,
    levels: Sequence[float],
    seed: int | None,
) -> Iterator[Stretch]:
    with evaluating(model):
        asker = model.asker(reader, levels=levels, seed=seed)
        for number in range(len(reader.store)):
            first, stop = _range(reader, part, number)
            for stretch in asker.stretches(number, first, stop):
                chosen = np.flatnonzero((stretch.origins - first) % every == 0)
                if len(chosen):
                    yield stretch.chosen(chosen)


def _learning(
    model: Forecaster,
    reader: WindowReader,
    part: Numbers,
    every: int,
    levels: Sequence[float],
    seed: int | None,
) -> Iterator[Stretch]:
    online = Online(model)
    asker = model.asker(reader, levels=levels, seed=seed)
    ranges = [_range(reader, part, number) for number in range(len(reader.store))]
    for number, (first, stop) in enumerate(ranges):
        if first < stop:
            online.begin(reader.store, number, first)
    longest = max((stop - first for first, stop in ranges), default=0)
    for passed in range(0, longest, every):
        for number, (first, stop) in enumerate(ranges):
            origin = first + passed
            if origin < stop:
                with evaluating(model):
                    yield asker.stretch(number, origin, origin + 1)
                rows = reader.store.series(number)[origin : min(origin + every, stop)]
                online.take(reader.store.ids[number], rows)


def _range(reader: WindowReader, part: Numbers, number: int) -> tuple[int, int]:
    first = max(int(part[number, 0]), reader.shape.past)
    return first, max(int(part[number, 1]) - reader.shape.horizon + 1, first)


def _frame(stretch: Stretch, reader: WindowReader) -> pl.DataFrame:
    import polars as pl

    store, number = reader.store, stretch.series
    count, horizon, targets = stretch.middle.shape
    rows = stretch.origins[:, None] + np.arange(horizon)

    def raw(values: Any) -> Any:
        found = values.astype(np.float64) * reader.spread[number] + reader.mean[number]
        return found.reshape(-1)

    columns: dict[str, Any] = {}
    if store.ids != ("",):
        columns["id"] = [store.ids[number]] * (count * horizon * targets)
    origins = store.times(number, stretch.origins)
    columns["origin"] = store.clock.series(np.repeat(origins, horizon * targets))
    columns["time"] = store.clock.series(np.repeat(store.times(number, rows).reshape(-1), targets))
    columns["step"] = np.tile(np.repeat(np.arange(1, horizon + 1), targets), count)
    if targets > 1:
        columns["target"] = list(store.columns.targets) * (count * horizon)
    columns["actual"] = raw(stretch.actual)
    columns["forecast"] = raw(stretch.middle)
    for level, (lower, upper) in stretch.intervals.items():
        columns[f"lower_{level * 100:g}"] = raw(lower)
        columns[f"upper_{level * 100:g}"] = raw(upper)
    return pl.DataFrame(columns)
