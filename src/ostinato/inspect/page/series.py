"""Charts of a forecaster's page: the window that it read, and what it says is to come."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ostinato.data.windows import WindowReader
from ostinato.inspect.page.material import Band, Chart, Line, Track
from ostinato.tasks.forecaster.forecast import Forecast

__all__ = ["forecast_chart", "input_track", "numbers_chart", "ticks_of", "window_chart"]

Numbers: TypeAlias = NDArray[Any]

# targets that one chart can hold
_MOST = 3
_ACROSS = "time"
# distances of ticks
_ROUND = [digit * 10**power for power in range(19) for digit in (1, 2, 5)]
# the parts of a time, from the slowest: day (with month and year), then hours, minutes
_TIME = re.compile(r"(?P<day>\d{4}-\d\d-\d\d)(?:[ T](?P<clock>\d\d:\d\d))?")


def window_chart(reader: WindowReader, number: int, origin: int, middle: Numbers) -> Chart:
    """A window that was read, what came after it, and what was forecast of that.

    Args:
        reader: of the windows of the table.
        number: of the series.
        origin: row at which the forecast begins; its horizon is known.
        middle: the forecast, standardised, [H, Y].
    """
    store, shape = reader.store, reader.shape
    names = store.columns.targets[:_MOST]
    rows = np.arange(origin - shape.history, origin + shape.horizon)
    values = store.series(number)[rows]
    before, after = values[: shape.history], values[shape.history :]
    said = middle * reader.spread[number] + reader.mean[number]
    lines, apart = [], []
    for k, name in enumerate(names):
        lines += [
            Line(f"{name}, read", 0, _listed(before[:, k])),
            Line(f"{name}, came", shape.history, _listed(after[:, k]), "came"),
            Line(f"{name}, forecast", shape.history, _listed(said[:, k]), "forecast"),
        ]
        apart.append(f"{name} {np.nanmean(np.abs(said[:, k] - after[:, k])):.3g}")
    spelled = store.clock.spell(store.times(number, rows))
    words = (
        f"{shape.history} rows were read, {spelled[0]} to {spelled[shape.history - 1]}; of the "
        f"{shape.horizon} that came then, the forecast is off by {', '.join(apart)} in the mean."
    )
    return Chart("The window", words, _ACROSS, tuple(lines), (), ticks_of(spelled))


def forecast_chart(forecast: Forecast) -> Chart:
    """What is said to follow the first series, behind the end of what is known of it.

    Args:
        forecast: what `predict` gave.
    """
    times, past = forecast.past[0]
    names = forecast.targets[:_MOST]
    lines, bands = [], []
    for k, name in enumerate(names):
        lines.append(Line(f"{name}, known", 0, _listed(past[:, k])))
        said = _listed(forecast.values[0, :, k])
        lines.append(Line(f"{name}, forecast", len(past), said, "forecast"))
        for level, (low, high) in sorted(forecast.intervals.items(), reverse=True):
            edges = _plain(low[0, :, k]), _plain(high[0, :, k])
            bands.append(Band(f"{name}, {level:.0%}", len(past), *edges))
    spelled = forecast.clock.spell(np.concatenate([times, forecast.times[0]]))
    levels = ", ".join(f"{level:.0%}" for level in sorted(forecast.intervals))
    shades = f"; shades are its intervals of {levels}" if levels else ""
    after = spelled[len(past) - 1]
    words = f"The end of what is known, and the forecast of what follows {after}{shades}."
    title = f"After {after}"
    return Chart(title, words, _ACROSS, tuple(lines), tuple(bands), ticks_of(spelled))


def numbers_chart(values: Numbers, names: Sequence[str] = ()) -> Chart | None:
    """The numbers of a row over its steps; None where there are more than can be told apart.

    Args:
        values: [T, I].
        names: of the I columns, where they have names.

    Example:
        >>> numbers_chart(np.array([[1.0], [2.0]])).lines[0].values
        (1.0, 2.0)
        >>> numbers_chart(np.zeros((2, 9))) is None
        True
    """
    steps, width = values.shape
    if width > _MOST:
        return None
    named = list(names) if len(names) == width else [f"number {k}" for k in range(width)]
    lines = tuple(Line(name, 0, _listed(values[:, k])) for k, name in enumerate(named))
    ticks = ticks_of([str(step) for step in range(1, steps + 1)])
    words = f"{', '.join(named)} over {steps} steps."
    return Chart("The row", words, "step", lines, (), ticks)


def input_track(values: NDArray[np.float32]) -> Track:
    """Numbers that were read, [T, I], beside what layers made of them."""
    units = np.arange(values.shape[1], dtype=np.int64)
    return Track(0, "input", 0, "x", "input", "", values, units)


def ticks_of(labels: Sequence[str], most: int = 8) -> tuple[tuple[int, str], ...]:
    """Steps of a time axis that are named, and their short names.

    Where days change, the first step of some days; else times of the day, round numbers, or plain
    labels.

    Args:
        labels: the times, spelled, one for each step.
        most: how many are named at most.

    Example:
        >>> ticks_of(["2018-01-31 22:00", "2018-01-31 23:00", "2018-02-01 00:00"], most=2)
        ((0, '22:00'), (2, '00:00'))
        >>> ticks_of(["7", "8", "9"])
        ((0, '7'), (1, '8'), (2, '9'))
    """
    found = [_TIME.match(label) for label in labels]
    if all(found):
        times = [match for match in found if match is not None]
        changes = [k for k, (a, b) in enumerate(pairwise(times), 1) if a["day"] != b["day"]]
        if len(changes) > 2 or any(match["clock"] is None for match in times):
            places = changes if times[0]["clock"] else range(len(times))
            return tuple((k, _day(times, k)) for k in _some(places, most))
        return tuple((k, str(times[k]["clock"])) for k in _some(range(len(times)), most))
    return tuple((k, labels[k]) for k in _some(_round(labels, most), most))


def _round(labels: Sequence[str], most: int) -> Sequence[int]:
    """Places of round numbers, where labels are whole numbers; else all places."""
    every = range(len(labels))
    if not all(label.removeprefix("-").isdecimal() for label in labels):
        return every
    numbers = [int(label) for label in labels]
    apart = next(s for s in _ROUND if max(numbers, default=0) - min(numbers, default=0) < s * most)
    return [k for k in every if numbers[k] % apart == 0] or every


def _some(places: Sequence[int], most: int) -> Sequence[int]:
    """At most so many, evenly apart."""
    return places[:: -(-len(places) // most)] if len(places) else places


def _day(times: Sequence[re.Match[str]], place: int) -> str:
    """Month and day, with the year where the axis has several."""
    years = {match["day"][:4] for match in times}
    return str(times[place]["day"]) if len(years) > 1 else str(times[place]["day"][5:])


def _listed(values: Numbers) -> tuple[float | None, ...]:
    return tuple(float(v) if np.isfinite(v) else None for v in values)


def _plain(values: Numbers) -> tuple[float, ...]:
    return tuple(float(v) for v in values)
