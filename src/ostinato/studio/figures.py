"""Drawings as plotly.js takes them: plain dictionaries, coloured for light or dark by the page."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.inspect.pictures import COLOURS, SCALE
from ostinato.studio.learning import AXES, Learning, Line, smoothed

__all__ = ["CELLS", "curves_figure", "heat_figure", "literal", "measures_of", "packed"]

Figure = dict[str, Any]

# of a heat map: more than these cells take a browser too long
CELLS = 120_000

# below and above 0, as the text is coloured; the page puts its own colour in the middle
SIGNED = [[0.0, COLOURS[0]], [0.5, "#ffffff"], [1.0, COLOURS[1]]]

_DASHES = ("solid", "dash", "dot", "dashdot")
_WORDS = {
    "loss": "loss",
    "lr": "learning rate",
    "grad_norm": "norm of the gradient",
    "clipped": "share of steps clipped",
    "tokens_per_s": "tokens a second",
}


def measures_of(runs: Sequence[Learning]) -> dict[str, str]:
    """What can be drawn of some runs, by name, in words; both losses are one.

    Example:
        >>> measures_of([Learning("a", lines={"val_loss": [(1, 2.0)], "val_accuracy": [(1, 0.5)]})])
        {'loss': 'loss', 'val_accuracy': 'validation accuracy'}
    """
    names = dict.fromkeys(name for run in runs for name in run.lines)
    validated = [name for name in names if name.startswith("val_") and name != "val_loss"]
    rest = [name for name in names if not name.startswith("val_") and name != "loss"]
    found = {"loss": "loss"} if {"loss", "val_loss"} & set(names) else {}
    return found | {name: _in_words(name) for name in (*validated, *rest)}


def curves_figure(
    runs: Sequence[Learning],
    *,
    places: Mapping[str, int],
    measures: Sequence[str] = ("loss",),
    axis: str = "step",
    smoothing: float = 0.0,
    logarithmic: bool = False,
) -> Figure:
    """Curves of runs, a panel for each measure. A colour is a run; dots are validation.

    Args:
        runs: what each recorded.
        places: number of each run's colour, by key, so that it keeps it when others are hidden.
        measures: names as `measures_of` has them, one panel each.
        axis: one of `AXES`.
        smoothing: of the lines of training; what was recorded stays as a faint line behind.
        logarithmic: vertical axes; values at or below 0 are left out there.

    Raises:
        ValueError: an unknown axis, or smoothing outside 0..1.
    """
    if axis not in AXES:
        raise ValueError(f"The axis must be one of {', '.join(AXES)}, got {axis!r}.")
    data: list[Figure] = []
    layout: Figure = {"showlegend": False, "hovermode": "closest", "uirevision": f"{axis}"}
    heights = _heights(len(measures))
    for k, (name, domain) in enumerate(zip(measures, heights, strict=True), start=1):
        suffix = "" if k == 1 else str(k)
        for run in runs:
            data += _traces(run, name, places[run.key], axis, smoothing, suffix)
        layout[f"yaxis{suffix}"] = {
            "domain": domain,
            "title": {"text": literal(_in_words(name))},
            "type": "log" if logarithmic else "linear",
            "automargin": True,
        }
        layout[f"xaxis{suffix}"] = {
            "anchor": f"y{suffix}",
            "title": {"text": AXES[axis] if k == len(measures) else ""},
            "matches": "x" if k > 1 else None,
            "showticklabels": k == len(measures),
        }
    layout["height"] = 90 + 300 * max(1, len(measures))
    return {"data": data, "layout": layout}


def heat_figure(
    values: NDArray[Any],
    tokens: Sequence[str],
    units: NDArray[Any],
    *,
    kind: str,
    name: str,
    along: str = "tokens",
) -> Figure:
    """A heat map of units (up) over steps (along).

    Args:
        values: [T, units].
        tokens: labels of the T steps.
        units: numbers of the units.
        kind: "gate" has a scale from 0 to 1; of others 0 is in the middle.
        name: what it is, for the bar of colours.
        along: what the steps are.

    Returns:
        The figure, to which the page adds the tokens for those who point at a cell; where there
        are more than `CELLS`, with each `every`-th unit only.
    """
    steps, count = values.shape
    every = max(1, math.ceil(steps * count / CELLS))
    chosen = slice(None, None, every)
    shown, numbers = values[:, chosen], units[chosen]
    top = float(np.nanmax(np.abs(shown), initial=0.0)) or 1.0
    gate = kind == "gate"
    ticks = [*range(0, steps, max(1, math.ceil(steps / 60)))]
    heat = {
        "type": "heatmap",
        "z": packed(shown.T),
        "x": list(range(steps)),
        "y": numbers.tolist(),
        "colorscale": SCALE.capitalize() if gate else SIGNED,
        "zmin": 0.0 if gate else -top,
        "zmax": 1.0 if gate else top,
        "colorbar": {"title": {"text": literal(name)}, "thickness": 12},
        "hovertemplate": "%{x}: %{customdata}<br>unit %{y}<br>%{z:.3f}<extra></extra>",
    }
    axis = {
        "tickvals": ticks,
        "ticktext": [literal(_short(tokens[k])) for k in ticks],
        "title": {"text": along, "standoff": 8},
        "automargin": True,
        "tickangle": 0 if max((len(t) for t in tokens), default=0) < 4 else -60,
    }
    layout = {
        "height": 420,
        "xaxis": axis,
        "yaxis": {"title": {"text": "unit"}, "automargin": True},
    }
    return {"data": [heat], "layout": layout, "every": every}


def _short(label: str, most: int = 19) -> str:
    return label if len(label) <= most else f"{label[: most - 1]}…"


def literal(text: str) -> str:
    """A text that plotly.js shows as it is, and not as tags of its own.

    Example:
        >>> literal("<b> & c")
        '&lt;b&gt; &amp; c'
    """
    return html.escape(text, quote=False)


def packed(values: NDArray[Any]) -> Figure:
    """An array as plotly.js reads it without parsing numbers: float32 in base 64.

    Example:
        >>> packed(np.zeros((2, 1)))
        {'dtype': 'f4', 'bdata': 'AAAAAAAAAAA=', 'shape': '2, 1'}
    """
    plain = np.ascontiguousarray(values, dtype="<f4")
    return {
        "dtype": "f4",
        "bdata": base64.b64encode(plain.tobytes()).decode("ascii"),
        "shape": ", ".join(map(str, plain.shape)),
    }


def _traces(
    run: Learning, name: str, place: int, axis: str, smoothing: float, suffix: str
) -> list[Figure]:
    colour = COLOURS[place % len(COLOURS)]
    dash = _DASHES[place // len(COLOURS) % len(_DASHES)]
    common = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}", "type": "scatter"}
    validated = "val_loss" if name == "loss" else name
    made: list[Figure] = []
    trained = [] if name.startswith("val_") else run.lines.get(name, [])
    if trained and smoothing:
        faint = _points(run, trained, axis) | common
        made.append(
            faint
            | {
                "mode": "lines",
                "line": {"color": colour, "width": 1, "dash": dash},
                "opacity": 0.3,
                "hoverinfo": "skip",
                "name": f"{run.key}, as recorded",
            }
        )
    if trained:
        line = smoothed(trained, smoothing)
        label = "training loss" if name == "loss" else _in_words(name)
        made.append(
            _points(run, line, axis)
            | common
            | {
                "mode": "lines",
                "line": {"color": colour, "width": 1.2, "dash": dash},
                "name": literal(f"{run.key}, {label}"),
            }
        )
    line = run.lines.get(validated, []) if validated.startswith("val_") else []
    if line:
        made.append(
            _points(run, line, axis)
            | common
            | {
                "mode": "lines+markers",
                "line": {"color": colour, "width": 2.4, "dash": dash},
                "marker": {"size": 6, "color": colour},
                "name": literal(f"{run.key}, {_in_words(validated)}"),
            }
        )
    return [trace for trace in made if trace["x"]]


def _points(run: Learning, line: Line, axis: str) -> Figure:
    # a value that is no number leaves a gap
    values = [value if math.isfinite(value) else None for _, value in line]
    return {"x": run.along(line, axis), "y": values}


def _heights(count: int) -> list[list[float]]:
    """The share of the height that each panel takes, from the top."""
    gap = 0.07 if count > 1 else 0.0
    each = (1 - gap * (count - 1)) / max(1, count)
    tops = [1 - k * (each + gap) for k in range(count)]
    return [[max(0.0, top - each), top] for top in tops]


def _in_words(name: str) -> str:
    if name.startswith("val_"):
        return f"validation {name.removeprefix('val_').replace('_', ' ')}"
    return _WORDS.get(name, name.replace("_", " "))
