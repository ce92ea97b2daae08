"""Stretches of series that a forecaster goes on with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ostinato.data.series import SeriesStore
from ostinato.inspect.pictures import COLOURS
from ostinato.inspect.reading import ReadingError, reading_of
from ostinato.inspect.reading.labels import numbers_in
from ostinato.inspect.reading.series import Stretch, origins_of
from ostinato.studio.asked import Asked, AskedError
from ostinato.studio.figures import Figure
from ostinato.studio.holding import Holding
from ostinato.studio.prompts.base import LIMITS, Prompt, Row, Told, as_file
from ostinato.tasks.forecaster.context import read_source
from ostinato.tasks.forecaster.forecast import Forecast, forecast_of
from ostinato.tasks.forecaster.task import Forecaster

__all__ = ["Series", "example_table", "forecast_figure", "table_in"]

# characters of a table, targets that are drawn, and series that are offered
MOST_TABLE, _PANELS, _SERIES = 16_000_000, 6, 500
_PAST = "#777777"
# a colour and shade for each kind of line
_PLAIN, _HELD, _CAME = COLOURS[0], COLOURS[1], COLOURS[2]


@dataclass(frozen=True)
class _Drawn:
    forecast: Forecast
    actual: Any


class Series(Prompt):
    """A table, one of its series, and where the forecast begins."""

    verb = "Forecast"
    form = "series"
    fields = ("text", "series", "origin", "horizon")
    files = (".csv",)

    def told(self, model: Any, asked: Asked, holding: Holding) -> Told:
        store, note = table_in(model, asked.text("text", most=MOST_TABLE))
        number = _number_of(store, asked.text("series"))
        origins = origins_of(model, store, number)
        origin = asked.whole("origin", origins[-1])
        if origin not in origins:
            raise AskedError(
                f"The forecast can begin at rows {origins[0]:,} to {origins[-1]:,}, got "
                f"{origin:,}: before, there is too little past, and behind, nothing is known."
            )
        steps = model._steps(asked.whole("horizon"))
        reader = model.context.reader(store, model.settings.model.level, _own(model, steps))
        with holding.within():
            found = model.asker(reader).stretch(number, origin, origin + 1)
        forecast = forecast_of([found], reader, steps)
        rows = store.series(number)[origin : origin + steps, : len(forecast.targets)]
        known = max(0, min(steps, int(store.observed[number]) - origin))
        facts = {
            "series": list(store.ids[:_SERIES]),
            "chosen": store.ids[number],
            "origins": [origins[0], origins[-1]],
            "origin": origin,
            "begins": store.clock.spell(store.times(number, np.array([origin])))[0],
            "note": note,
            "targets": list(forecast.targets),
            "rows": _listed(forecast),
        }
        made = reading_of(model, Stretch(store, number, origin), LIMITS)
        return Told(made, facts, _Drawn(forecast, rows[:known]))

    def start(self, model: Any) -> dict[str, Any]:
        columns = model.context.columns
        names = [columns.time, columns.id, *columns.values]
        return {
            "text": example_table(model),
            "columns": [name for name in names if name],
            "horizon": model.context.sizes.horizon,
            "longer": model.network.mode == "recursive",
            "most": MOST_TABLE,
        }

    def figures(self, plain: Row, held: Row | None) -> list[Figure]:
        drawn = [row.told.data for row in (plain, held) if row is not None]
        words = "Shades are intervals; the surer, the paler."
        title = "What comes"
        return [{"title": title, "words": words, "figure": forecast_figure(*drawn)}]

    def opened(self, model: Any, name: str, content: bytes) -> dict[str, Any]:
        try:
            return {"text": content.decode("utf-8-sig")}
        except UnicodeDecodeError:
            raise AskedError(f"{name} is no CSV in UTF-8. Save it as such.") from None


def table_in(model: Forecaster, text: str) -> tuple[SeriesStore, str]:
    """A table that was pasted: CSV with the columns of training, or nothing but values.

    Returns:
        Its series, and what has to be known of them, as a sentence, or "".

    Raises:
        ValueError: it cannot be used; the message says where and why.
    """
    if not text.strip():
        raise AskedError("There are no values. Paste a table, or open a file.")
    first = text.strip().splitlines()[0]
    note = ""
    if not any(sign.isalpha() for sign in first.replace("e", "")):
        text, note = _with_times(model, text)
    with as_file("pasted.csv", text.encode()) as path:
        store = read_source(path, model.settings.data, model.context)
    store.name = "The table"
    return store, note


def example_table(model: Forecaster) -> str:
    """A made-up table that the model can read: waves of its season, of the size of its data."""
    context = model.context
    columns, sizes, clock = context.columns, context.sizes, context.clock
    key = next(iter(context.scaling.means))
    mean, spread = context.scaling.means[key], context.scaling.spreads[key]
    past = sizes.past(model.settings.model.level)
    rows = past + 3 * sizes.horizon
    width = len(columns.values)
    waves = np.sin(2 * np.pi * np.arange(rows + sizes.horizon)[:, None] / max(2, sizes.season))
    values = (mean[:width] + waves * spread[:width]).round(4)
    times = clock.spell(clock.times(np.arange(rows + sizes.horizon)))
    kept = rows + sizes.horizon if columns.known else rows
    unknown = len(columns.targets) + len(columns.past)
    lines = [",".join(name for name in (columns.time, columns.id, *columns.values) if name)]
    for k in range(kept):
        told = ["" if k >= rows and c < unknown else f"{v:g}" for c, v in enumerate(values[k])]
        head = [times[k]] * bool(columns.time) + [context.ids[0]] * bool(columns.id)
        lines.append(",".join([*head, *told]))
    return "\n".join(lines)


def forecast_figure(plain: Any, held: Any = None) -> Figure:
    """The end of the past, the forecast with its intervals, what came, and what units held change.

    A panel for each target, of the first six.
    """
    data: list[Figure] = []
    count = min(_PANELS, len(plain.forecast.targets))
    layout: Figure = {
        "height": 90 + 260 * count,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        "hovermode": "x unified",
    }
    gap = 0.08 if count > 1 else 0.0
    each = (1 - gap * (count - 1)) / count
    for k in range(count):
        suffix = "" if k == 0 else str(k + 1)
        top = 1 - k * (each + gap)
        layout[f"yaxis{suffix}"] = {
            "domain": [max(0.0, top - each), top],
            "title": {"text": plain.forecast.targets[k]},
            "automargin": True,
        }
        layout[f"xaxis{suffix}"] = {"anchor": f"y{suffix}"}
        axes = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
        for trace in _panel(plain, held, k):
            told = k == 0 and trace.get("showlegend", True)
            data.append(trace | axes | {"showlegend": told})
    return {"data": data, "layout": layout}


def _panel(plain: _Drawn, held: _Drawn | None, target: int) -> list[Figure]:
    told = plain.forecast
    past_times, past = told.past[0]
    times, middle = _joined(told, target)
    lines = _fan(told, target, _PLAIN, "")
    if held is not None:
        lines += _fan(held.forecast, target, _HELD, ", units held")[:2]
    lines.append(_line("observed", _axis(told, past_times), past[:, target], _PAST, 1.5))
    if len(plain.actual):
        axis = _axis(told, told.times[0])[: len(plain.actual)]
        lines.append(_line("what came", axis, plain.actual[:, target], _CAME, 1.5))
    lines.append(_line("forecast", times, middle, _PLAIN, 2.4))
    if held is not None:
        times, middle = _joined(held.forecast, target)
        lines.append(_line("forecast, units held", times, middle, _HELD, 2.4))
    return lines


def _fan(told: Forecast, target: int, colour: str, suffix: str) -> list[Figure]:
    """Intervals, the widest first: a lower edge and an upper one that is filled down to it."""
    made = []
    times = _axis(told, np.concatenate([told.past[0][0][-1:], told.times[0]]))
    last = float(told.past[0][1][-1, target])
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    for k, level in enumerate(sorted(told.intervals, reverse=True)):
        lower, upper = (edge[0, :, target] for edge in told.intervals[level])
        fill = f"rgba({red}, {green}, {blue}, {0.16 + 0.1 * k:.2f})"
        edge = {"width": 0, "color": colour}
        name = f"{level:.0%} interval{suffix}"
        common: Figure = {"type": "scatter", "mode": "lines", "x": times, "name": name}
        common |= {"line": edge, "hoverinfo": "skip"}
        made += [
            common | {"y": [last, *_plain(lower)], "showlegend": False},
            common | {"y": [last, *_plain(upper)], "fill": "tonexty", "fillcolor": fill},
        ]
    return made


def _line(name: str, x: Any, y: Any, colour: str, width: float) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": x,
        "y": _plain(y),
        "line": {"color": colour, "width": width},
    }


def _joined(told: Forecast, target: int) -> tuple[Any, list[float | None]]:
    """Times and values of the forecast, from the last value observed on."""
    past_times, past = told.past[0]
    times = np.concatenate([past_times[-1:], told.times[0]])
    return _axis(told, times), _plain([past[-1, target], *told.values[0, :, target]])


def _axis(told: Forecast, times: Any) -> list[Any]:
    return times.tolist() if told.clock.kind == "index" else told.clock.spell(times)


def _plain(values: Any) -> list[float | None]:
    return [float(f"{v:.6g}") if np.isfinite(v) else None for v in values]


def _listed(told: Forecast) -> list[list[Any]]:
    """The forecast as rows of a table: time, then each target."""
    times = told.clock.spell(told.times[0])
    return [[time, *(f"{v:.6g}" for v in told.values[0, k])] for k, time in enumerate(times)]


def _own(model: Forecaster, steps: int) -> int | None:
    return steps if model.network.mode == "recursive" else None


def _number_of(store: SeriesStore, name: str) -> int:
    if name in store.ids:
        return store.ids.index(name)
    if name:
        known = ", ".join(store.ids[:20])
        raise AskedError(f"The table has no series {name!r}. It has: {known}.")
    return 0


def _with_times(model: Forecaster, text: str) -> tuple[str, str]:
    """Bare values as a table; their times are made up."""
    columns, clock = model.context.columns, model.context.clock
    targets = columns.targets
    if columns.past or columns.known or columns.id:
        names = ", ".join(name for name in (columns.time, columns.id, *columns.values) if name)
        raise AskedError(f"Values alone are not enough: the model reads {names}. Paste a table.")
    try:
        values = numbers_in(text)
    except ReadingError as error:
        raise AskedError(str(error)) from error
    if len(targets) == 1:
        values = values.reshape(-1, 1)
    if values.shape[1] != len(targets):
        raise AskedError(
            f"There are {values.shape[1]} values on a line, but {len(targets)} targets: "
            f"{', '.join(targets)}. Give one for each."
        )
    times = clock.spell(clock.times(np.arange(len(values))))
    head = ",".join(name for name in (columns.time, *targets) if name)
    rows = [
        ",".join([times[k]] * bool(columns.time) + [f"{v:.9g}" for v in row])
        for k, row in enumerate(values)
    ]
    note = ""
    if clock.kind != "index":
        note = f"These values have no times: they are read as if they began at {times[0]}."
    return "\n".join([head, *rows]), note
