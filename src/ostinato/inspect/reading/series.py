"""Stretches of series, as forecasters read them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from ostinato.data.series import SeriesStore
from ostinato.inspect.page.material import Axis
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
        assert batch.target is not None
        return network.output.training_loss(said, batch.target)

    def spelled(first: int, stop: int) -> tuple[str, ...]:
        times = at.store.times(at.number, at.origin + np.arange(first, stop))
        return tuple(at.store.clock.spell(times))

    axes = [Axis("rows of the past", spelled(-shape.history, rows - shape.history), " ", _READS)]
    if network.mode == "decoder":
        axes.append(Axis("steps to come", spelled(0, shape.horizon), " ", ("decoder",)))
    whole, notes = _told(model, source, at) if not chosen else (_nothing, ())
    return Reading(
        "forecaster",
        "What comes?",
        network,
        ask,
        tuple(axes),
        loss=loss if known else None,
        whole=whole,
        walked_once=_READS,
        first="encoder",
        notes=notes,
    )


def _nothing(said: Any) -> list[str]:
    return []


def _told(
    model: Forecaster, source: Any, at: Stretch
) -> tuple[Callable[[Any], list[str]], tuple[str, ...]]:
    """What follows the table, and what a reader has to know of it."""
    forecast = model.predict(source)
    spelled = forecast.clock.spell(forecast.times[0])
    lines = [
        f"{target} at {time}: {value:.6g}"
        for k, target in enumerate(forecast.targets)
        for time, value in zip(spelled, forecast.values[0, :, k], strict=True)
    ]
    notes = [
        "States and gates are of the last window whose outcome is known, and the loss that is "
        "followed back is that of its forecast. The values at the top are of what follows the "
        "table."
    ]
    if len(at.store) > 1:
        notes.append(f"The table has {len(at.store)} series; the first is shown.")
    return lambda said: lines, tuple(notes)
