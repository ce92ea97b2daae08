"""A forecaster beside naive, autoregressive and hidden-state models, and regressions on lags."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ostinato.baselines.autoregression import Autoregression, VectorAutoregression
from ostinato.baselines.hidden_markov import HiddenMarkovSeries
from ostinato.baselines.lagged import BoostingOnLags, FeedForwardOnLags, PenalisedLags
from ostinato.baselines.linear_system import LinearDynamicalSystem
from ostinato.baselines.tracks import CopyLast, SeasonalNaive, SeriesGuess, Track
from ostinato.compare.history import History, ladder, trace_history
from ostinato.compare.result import Metric
from ostinato.compare.sources import confirm, nothing_held_out, refuse_validation
from ostinato.compare.trial import (
    Asked,
    Floats,
    Longs,
    Trial,
    evenly,
    network_candidate,
    tried,
)
from ostinato.data.calendar import calendar_features
from ostinato.data.series import SeriesStore
from ostinato.data.windows import Numbers, WindowReader, Windows, split
from ostinato.tasks.forecaster.context import read_source
from ostinato.tasks.forecaster.fitting import fingerprint
from ostinato.tasks.task import evaluating

if TYPE_CHECKING:
    from ostinato.tasks.forecaster.task import Forecaster

__all__ = ["forecaster_trial"]

# what a comparison takes that is not to take long: forecasts that are scored, and that are asked
# for with less of the past; rows of a linear dynamical system
_SCORED, _PLACES, _FILTERED = 5_000, 1_000, 2_000
_LAGS = 96
_BATCH = 512


@dataclass(frozen=True)
class _Test:
    """Forecasts to be scored.

    Attributes:
        reader: reads their windows.
        tracks: the series.
        origins: rows at which forecasts begin, of each series.
        actual: what came, of each series, [n, H, Y]; NaN where unknown.
    """

    reader: WindowReader
    tracks: list[Track]
    origins: list[Longs]
    actual: list[Any]

    @property
    def lengths(self) -> list[int]:
        return [len(one) for one in self.origins]

    @property
    def weights(self) -> Floats:
        """How many outcomes of each forecast are known, [n]."""
        known = [(~np.isnan(one)).sum(axis=(1, 2)) for one in self.actual]
        return np.concatenate(known).astype(np.float64)

    def losses(self, told: Callable[[int], Any]) -> Floats:
        """Squared errors of each forecast, summed, [n]; `told` gives those of a series."""
        found = [
            np.nansum((np.asarray(told(number)) - actual) ** 2, axis=(1, 2), dtype=np.float64)
            for number, actual in enumerate(self.actual)
            if len(actual)
        ]
        return np.concatenate(found)

    def some(self, places: Longs) -> _Test:
        """Some of the forecasts, by their numbers among all."""
        edges = np.cumsum([0, *self.lengths])
        picked = [
            places[(places >= first) & (places < stop)] - first for first, stop in pairwise(edges)
        ]
        return replace(
            self,
            origins=[all_of[k] for all_of, k in zip(self.origins, picked, strict=True)],
            actual=[all_of[k] for all_of, k in zip(self.actual, picked, strict=True)],
        )


def forecaster_trial(model: Forecaster, data: Any, asked: Asked) -> Trial:
    """Score a forecaster and simple models from every row of the held-out part.

    Args:
        model: fitted.
        data: the table that it was fitted on, or, with `asked.train`, another one.
        asked: what is to be done.

    Raises:
        CompareError: nothing was held out, or the table is another one.
    """
    refuse_validation(asked, "forecaster", "table")
    asked.report("reading")
    train, test, confirmed = _parts(model, data, asked)
    notes = []
    count = sum(test.lengths)
    test = test.some(evenly(count, asked.most(_SCORED)))
    kept = sum(test.lengths)
    if kept < count:
        notes.append(f"Scored: {kept:,} of {count:,} forecasts, spread evenly.")
    asked.report("scoring: the network")
    past, horizon = test.reader.shape.past, test.reader.shape.horizon
    network = network_candidate(
        model,
        model.settings.model.cell,
        lambda: test.losses(lambda number: _forecasts(model, test, number)),
        looks_back=past,
    )
    trial = Trial(
        "forecaster",
        Metric("squared error, standardised"),
        network,
        [],
        test.weights,
        "forecast",
        f"{kept:,} forecasts, {horizon} step{'s' if horizon > 1 else ''} ahead",
        lengths=[n for n in test.lengths if n],
        block=None,
        least=_overlapping(test, count),
        confirmed=confirmed,
        notes=notes,
    )
    for name, make in _guesses(model, train, past, asked):
        _try(trial, name, make, train, test, asked)
    if asked.history:
        trial.history = _history(model, test, count, asked)
    return trial


def _overlapping(test: _Test, count: int) -> int:
    """Forecasts in three horizons: of so many in a row, neighbours forecast the same rows.

    Args:
        test: forecasts that are left of `count`, spread evenly.
        count: forecasts from all rows.
    """
    return math.ceil(3 * test.reader.shape.horizon * sum(test.lengths) / count)


def _guesses(
    model: Forecaster, train: list[Track], past: int, asked: Asked
) -> Iterator[tuple[str, Callable[[], SeriesGuess]]]:
    lags, season = min(_LAGS, past), model.context.sizes.season
    rows = asked.most(_FILTERED) or max(map(len, train))
    yield "copy last", CopyLast
    if past >= season > 1:
        yield "seasonal naive", lambda: SeasonalNaive(season)
    yield "autoregression", lambda: Autoregression(lags)
    if train[0].targets.shape[1] > 1:
        # each order has a number for each pair of targets
        yield "vector autoregression", lambda: VectorAutoregression(min(lags, 24))
    yield "ridge on lags", lambda: PenalisedLags(lags)
    yield "gradient boosting on lags", lambda: BoostingOnLags(lags)
    yield "feed-forward network on lags", lambda: FeedForwardOnLags(lags)
    yield "linear dynamical system", lambda: LinearDynamicalSystem(rows=rows)
    yield "hidden Markov model", lambda: HiddenMarkovSeries(seed=asked.seed)


def _try(
    trial: Trial,
    name: str,
    make: Callable[[], SeriesGuess],
    train: list[Track],
    test: _Test,
    asked: Asked,
) -> None:
    def told(fitted: SeriesGuess) -> Floats:
        return test.losses(lambda number: fitted.predict(test.tracks[number], test.origins[number]))

    horizon = test.reader.shape.horizon
    tried(trial, name, lambda: make().fit(train, horizon), told, asked)


def _forecasts(
    model: Forecaster, test: _Test, number: int, changed: Callable[[Windows], Windows] | None = None
) -> Any:
    """The network's forecasts of one series, [n, H, Y], from windows as they are or changed."""
    found = []
    origins = test.origins[number]
    size = _BATCH if model.network.mode != "recursive" else 64
    draws = torch.Generator().manual_seed(0)
    samples = model.settings.model.samples
    with evaluating(model):
        for first in range(0, len(origins), size):
            some = origins[first : first + size]
            batch = test.reader.read(np.full(len(some), number), some, targets=False)
            batch = batch if changed is None else changed(batch)
            told = model.network.forecast(batch.to(model.device), samples=samples, generator=draws)
            found.append(told.middle().transpose(0, 1).float().cpu().numpy())
    return np.concatenate(found)


def _history(model: Forecaster, test: _Test, count: int, asked: Asked) -> History:
    """What rows further back than k from the forecast are worth.

    Cut rows are held at the value of the last row that is kept; what is known in advance stays.
    """
    some = test.some(asked.some_places(sum(test.lengths), _PLACES))
    longest = some.reader.shape.past - 1

    def errors(changed: Callable[[Windows], Windows] | None) -> Floats:
        return some.losses(lambda number: _forecasts(model, some, number, changed))

    def ask(way: str, k: int, reach: int) -> Floats:
        asked.report(f"history: {way} beyond {k} rows")
        draws = torch.Generator().manual_seed(asked.seed * 100_003 + k)
        return errors(lambda batch: _without(batch, k, way, draws))

    return trace_history(
        errors(None),
        ask,
        asked.steps or ladder(longest),
        weights=some.weights,
        unit="step",
        longest=longest,
        block=None,
        least=_overlapping(some, count),
        **asked.drawing,
    )


def _without(batch: Windows, k: int, way: str, draws: torch.Generator) -> Windows:
    """Windows without what is further back than k rows from the last one."""

    def changed(part: torch.Tensor) -> torch.Tensor:
        rows, count = part.shape[:2]
        split = max(rows - k - 1, 0)
        order = torch.arange(rows)[:, None].repeat(1, count)
        if way == "cut":
            order = order.clamp(min=split)
        else:
            order[:split] = torch.rand(split, count, generator=draws).argsort(dim=0)
        return part.gather(0, order[..., None].expand_as(part))

    return replace(batch, past=changed(batch.past), covariates=changed(batch.covariates))


def _parts(model: Forecaster, data: Any, asked: Asked) -> tuple[list[Track], _Test, bool]:
    settings = model.settings.data
    fitted = read_source(asked.fitted_on(data), settings)
    confirmed = confirm(model, lambda: fingerprint(fitted), asked)
    parts = split(fitted, settings.train, settings.validation, settings.held_out)
    store, held_out = fitted, parts.held_out
    if asked.train is not None:
        store = read_source(data, settings, model.context)
        held_out = np.stack([np.zeros_like(store.observed), store.observed], axis=1)
    train = [
        _track(model, fitted, number, first, stop)
        for number, (first, stop) in enumerate(parts.train.tolist())
        if stop > first
    ]
    test = _test(model, store, held_out)
    if not sum(test.lengths):
        raise nothing_held_out()
    return train, test, confirmed


def _test(model: Forecaster, store: SeriesStore, part: Numbers) -> _Test:
    reader = model.context.reader(store, model.settings.model.level)
    tracks, origins, actual = [], [], []
    for number, (first, stop) in enumerate(part.tolist()):
        begin = max(first, reader.shape.past)
        rows = np.arange(begin, max(stop - reader.shape.horizon + 1, begin), dtype=np.int64)
        known = reader.actual(number, rows)
        some = ~np.isnan(known).all(axis=(1, 2))
        tracks.append(_track(model, store, number, 0, int(store.observed[number])))
        origins.append(rows[some])
        actual.append(known[some])
    return _Test(reader, tracks, origins, actual)


def _track(model: Forecaster, store: SeriesStore, number: int, first: int, stop: int) -> Track:
    """Rows of a series, standardised, with its calendar."""
    mean, spread = model.context.scaling.table(store)
    rows = (store.series(number)[first:stop] - mean[number]) / spread[number]
    targets = len(store.columns.targets)
    past = targets + len(store.columns.past)
    times = store.times(number, np.arange(first, stop))
    calendar = calendar_features(times, model.context.cycles)
    return Track(
        rows[:, :targets],
        rows[:, targets:past],
        np.concatenate([rows[:, past:], calendar], axis=1),
    )
