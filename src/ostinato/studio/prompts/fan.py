"""Forecasts as plotly.js draws them: what was, what comes, how sure that is, what came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ostinato.inspect.pictures import COLOURS
from ostinato.studio.figures import Figure, literal
from ostinato.tasks.forecaster.forecast import Forecast

__all__ = ["Drawn", "forecast_figure"]

# targets that are drawn
_PANELS = 6
# a colour for each kind of line
_PAST, _PLAIN, _HELD, _CAME = "#777777", COLOURS[0], COLOURS[1], COLOURS[2]


@dataclass(frozen=True)
class Drawn:
    """A forecast of one series, and what came, [steps known, Y]."""

    forecast: Forecast
    actual: Any


def forecast_figure(plain: Drawn, held: Drawn | None = None) -> Figure:
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
            "title": {"text": literal(plain.forecast.targets[k])},
            "automargin": True,
        }
        layout[f"xaxis{suffix}"] = {"anchor": f"y{suffix}"}
        axes = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
        for trace in _panel(plain, held, k):
            told = k == 0 and trace.get("showlegend", True)
            data.append(trace | axes | {"showlegend": told})
    return {"data": data, "layout": layout}


def _panel(plain: Drawn, held: Drawn | None, target: int) -> list[Figure]:
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
