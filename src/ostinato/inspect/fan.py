"""A fan chart: the end of a series, what is forecast to follow, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ostinato.inspect.pictures import COLOURS, save_picture, shown_of

__all__ = ["Fan", "draw_fans"]

# panels of a picture at most
_MOST = 6
_PAST = "#444444"


@dataclass(frozen=True)
class Fan:
    """One panel.

    Attributes:
        name: of the series.
        past_times: of the values before the forecast, numbers or dates, [T].
        past: the values, [T].
        times: of the forecast, [H].
        forecast: [H].
        intervals: probability -> (lower, upper), [H] each.
        actual: what came, [H]; None: not known.
    """

    name: str
    past_times: ArrayLike
    past: ArrayLike
    times: ArrayLike
    forecast: ArrayLike
    intervals: Mapping[float, tuple[ArrayLike, ArrayLike]] = field(default_factory=dict)
    actual: ArrayLike | None = None


def draw_fans(fans: Sequence[Fan], path: str | Path, *, title: str = "") -> None:
    """Draw forecasts, one panel below the other; the surer an interval, the paler it is.

    Args:
        fans: at least one; only the first six are drawn.
        path: .png, .svg or .html.
        title: over the picture.

    Raises:
        ValueError: there is nothing to draw, or the name ends in something else.
    """
    if not fans:
        raise ValueError("draw_fans: there is no forecast to draw. Give at least one.")
    shown = list(fans[:_MOST])
    title = shown_of(title, len(fans), _MOST, "series").strip()

    def matplotlib(figure: Any) -> None:
        panels = np.atleast_1d(figure.subplots(len(shown), 1, squeeze=False)[:, 0])
        for axes, fan in zip(panels, shown, strict=True):
            _panel(axes, fan)
        panels[0].legend(loc="upper left", frameon=False, ncols=4)
        figure.suptitle(title, x=0.01, ha="left")

    def plotly() -> Any:
        from plotly.subplots import make_subplots

        figure = make_subplots(rows=len(shown), cols=1, subplot_titles=[fan.name for fan in shown])
        for row, fan in enumerate(shown, start=1):
            for trace in _traces(fan, first=row == 1):
                figure.add_trace(trace, row=row, col=1)
        figure.update_layout(title=title, height=140 + 280 * len(shown), hovermode="x unified")
        return figure

    save_picture(path, matplotlib=matplotlib, plotly=plotly, size=(9.0, 1.2 + 2.8 * len(shown)))


def _panel(axes: Any, fan: Fan) -> None:
    times, middle = _joined(fan)
    axes.plot(_axis(fan.past_times), np.asarray(fan.past), color=_PAST, lw=1.2, label="observed")
    for level, shade, (lower, upper) in _bands(fan):
        axes.fill_between(
            times, lower, upper, color=COLOURS[0], alpha=shade, lw=0, label=f"{level:.0%} interval"
        )
    axes.plot(times, middle, color=COLOURS[0], lw=1.8, label="forecast")
    if fan.actual is not None:
        axes.plot(
            _axis(fan.times), np.asarray(fan.actual), color=COLOURS[1], lw=1.2, label="what came"
        )
    axes.set_title(fan.name)
    axes.margins(x=0.01, y=0.15)
    axes.grid(alpha=0.25)


def _traces(fan: Fan, first: bool) -> list[Any]:
    from plotly import graph_objects

    times, middle = _joined(fan)
    listed = times.tolist()

    def line(name: str, x: Any, y: Any, colour: str, width: float, **more: Any) -> Any:
        return graph_objects.Scatter(
            x=x,
            y=np.asarray(y),
            name=name,
            mode="lines",
            legendgroup=name,
            showlegend=first,
            line={"color": colour, "width": width},
            **more,
        )

    traces = [line("observed", _axis(fan.past_times).tolist(), fan.past, _PAST, 1.5)]
    for level, shade, (lower, upper) in _bands(fan):
        name = f"{level:.0%} interval"
        edge = graph_objects.Scatter(
            x=listed, y=lower, mode="lines", line={"width": 0}, showlegend=False, hoverinfo="skip"
        )
        fill = f"rgba(0, 114, 178, {shade})"
        traces += [edge, line(name, listed, upper, COLOURS[0], 0, fill="tonexty", fillcolor=fill)]
    traces.append(line("forecast", listed, middle, COLOURS[0], 2))
    if fan.actual is not None:
        traces.append(line("what came", _axis(fan.times).tolist(), fan.actual, COLOURS[1], 1.5))
    return traces


def _bands(fan: Fan) -> list[tuple[float, float, tuple[NDArray[Any], NDArray[Any]]]]:
    """The widest first, each from the last value observed: probability, shade, edges."""
    levels = sorted(fan.intervals, reverse=True)
    shades = np.linspace(0.18, 0.42, max(len(levels), 2))
    last = np.asarray(fan.past)[-1:]
    return [
        (
            level,
            round(float(shade), 2),
            (
                np.concatenate([last, np.asarray(fan.intervals[level][0])]),
                np.concatenate([last, np.asarray(fan.intervals[level][1])]),
            ),
        )
        for level, shade in zip(levels, shades, strict=False)
    ]


def _joined(fan: Fan) -> tuple[NDArray[Any], NDArray[Any]]:
    """Times and values of the forecast, from the last value observed on."""
    times = np.concatenate([_axis(fan.past_times)[-1:], _axis(fan.times)])
    return times, np.concatenate([np.asarray(fan.past)[-1:], np.asarray(fan.forecast)])


def _axis(times: ArrayLike) -> NDArray[Any]:
    found = np.asarray(times)
    # plotly takes seconds as they are, and what is finer as a plain number
    return found.astype("datetime64[ms]") if np.issubdtype(found.dtype, np.datetime64) else found
