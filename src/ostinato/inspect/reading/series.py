"""Stretches of series, as forecasters read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from ostinato.data.series import SeriesStore
from ostinato.inspect.page.material import Axis, Chart
from ostinato.inspect.page.series import forecast_chart, window_chart
from ostinato.inspect.reading.base import Limits, Reading, ReadingError
from ostinato.tasks.forecaster.context import read_source
from ostinato.tasks.forecaster.task import Forecaster

__all__ = ["Stretch", "forecaster", "origins_of", "stretch_of"]

_READS = ("encoder",)


@dataclass(frozen=True)
class Stretch:
    """Where a forecast begins.

    Attributes:
        store: the series.
        number: of the one that is forecast.
        origin: row at which the forecast begins.
    """

    store: SeriesStore
    number: int
    origin: int


def origins_of(model: Forecaster, store: SeriesStore, number: int) -> range:
    """The rows of a series at which a forecast may begin.

    Raises:
        ReadingError: the series is too short for any.
    """
    reader = model.context.reader(store, model.settings.model.level)
    first, last = reader.shape.past, int(store.observed[number])
    ahead = store.columns.known
    if ahead:
        # what is known in advance must be known for all steps
        last = min(last, int(store.lengths[number]) - reader.shape.horizon)
    if last < first:
        raise ReadingError(
            f"{store.title(number)} has {int(store.observed[number])} row(s), but {first} are "
            "needed before a forecast"
            + (f", and {', '.join(ahead)} for {reader.shape.horizon} after it" if ahead else "")
            + ". Give more rows."
        )
    return range(first, last + 1)


def stretch_of(model: Forecaster, source: Any) -> Stretch:
    """The last stretch of a table's first series whose outcome is known.

    Raises:
        FileNotFoundError, ValueError: the table cannot be used, or is too short.
    """
    store = read_source(source, model.settings.data, model.context)
    reader = model.context.reader(store, model.settings.model.level)
    return Stretch(store, 0, int(store.observed[0]) - reader.shape.horizon)


def forecaster(model: Forecaster, source: Any, limits: Limits) -> Reading:
    """A stretch of a series; of a table, the last one whose outcome is known."""
    chosen = isinstance(source, Stretch)
    at = source if isinstance(source, Stretch) else stretch_of(model, source)
    reader = model.context.reader(at.store, model.settings.model.level)
    shape, network = reader.shape, model.network
    known = at.origin + shape.horizon <= int(at.store.observed[at.number])
    one = np.array([at.number]), np.array([at.origin])
    batch = reader.read(*one, targets=known).to(model.device)
    recursive = network.mode == "recursive"
    rows = shape.history + (shape.horizon - 1 if recursive and known else 0)
    if rows > limits.steps:
        raise ReadingError(
            f"the model reads {rows:,} rows, more than the {limits.steps:,} that are shown."
        )

    def ask() -> Any:
        if recursive and not known:
            # it reads on what it has drawn: only the rows that were observed are looked at
            return network.advance(batch, None, shape.history)
        return network(batch)

    def loss(said: Tensor) -> Tensor:
        if batch.target is None:
            # of what is not known yet, the forecast itself
            return network.output.middle(said).sum()
        return network.output.training_loss(said, batch.target)

    def spelled(first: int, stop: int) -> tuple[str, ...]:
        times = at.store.times(at.number, at.origin + np.arange(first, stop))
        return tuple(at.store.clock.spell(times))

    axes = [Axis("rows of the past", spelled(-shape.history, rows - shape.history), " ", _READS)]
    if network.mode == "decoder":
        axes.append(Axis("steps to come", spelled(0, shape.horizon), " ", ("decoder",)))

    def window(said: Any) -> Chart | None:
        if not known:
            return None
        middle = network.output.middle(said)[:, 0].detach().float().cpu().numpy()
        return window_chart(reader, at.number, at.origin, middle)

    def whole(said: Any) -> list[str]:
        chart = None if chosen else window(said)
        return [] if chart is None else [chart.words]

    outlook, notes = _outlook(model, source, at) if not chosen else ((), ())
    return Reading(
        "forecaster",
        "What comes?",
        network,
        ask,
        tuple(axes),
        loss=None if recursive and not known else loss,
        pieces=_pieces(at, rows, shape.history),
        whole=whole,
        chart=window,
        outlook=outlook,
        walked_once=_READS,
        first="encoder",
        notes=notes,
    )


def _outlook(
    model: Forecaster, source: Any, at: Stretch
) -> tuple[tuple[Chart, ...], tuple[str, ...]]:
    """What follows the table, and what a reader has to know of it."""
    notes = [
        "States and gates are of the last window whose outcome is known; what is said to come "
        "follows the end of the table."
    ]
    if len(at.store) > 1:
        notes.append(f"The table has {len(at.store)} series; the first is shown.")
    return (forecast_chart(model.predict(source)),), tuple(notes)


def _pieces(at: Stretch, rows: int, history: int) -> tuple[str, ...]:
    """The values of the first target at the rows that are read."""
    values = at.store.series(at.number)[at.origin - history : at.origin - history + rows, 0]
    return tuple(f"{value:.4g} " for value in values)
