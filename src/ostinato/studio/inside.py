"""What goes on inside while a text is read: gradients on their way back, gates at their ends."""

from __future__ import annotations

import math
from typing import Any

from ostinato.inspect.gradient_flow import Flow, GradientFlow, gradient_flow
from ostinato.inspect.pictures import COLOURS
from ostinato.inspect.reading import Reading
from ostinato.inspect.reading.base import traced
from ostinato.inspect.saturation import Saturation, Saturations, saturation
from ostinato.studio.figures import Figure
from ostinato.studio.holding import state_shapes
from ostinato.studio.labels import layer_words

__all__ = ["flow_figure", "flow_rows", "look_inside", "saturation_figure", "saturation_rows"]


_SIGNS = ("circle", "square", "diamond", "cross", "triangle-up")


def look_inside(made: Reading) -> tuple[GradientFlow, Saturations | None]:
    """Trace what was read with the gradients of its last answer.

    Returns:
        How gradients flow, and how far gates are at their ends; None where nothing has ends.

    Raises:
        ValueError: the network has no recurrent layer, or there is nothing to differentiate.
    """
    if made.loss is None:
        raise ValueError(
            "A recursive forecast of what nobody knows yet draws its own past, through which no "
            "gradient flows. Let it begin earlier, where it is known what came."
        )
    walked = tuple(prefix for axis in made.axes for prefix in axis.layers)
    layers = [shape.layer for shape in state_shapes(made.module) if shape.layer.startswith(walked)]
    found = traced(made, gradients=True, only=("state", "gate", "value"), layers=layers)
    bounded = any(part.function in ("sigmoid", "tanh") for part in found.parts)
    return gradient_flow(found), saturation(found) if bounded else None


def flow_figure(flow: GradientFlow) -> Figure:
    """The size of the gradient against how many steps it has come back, a line a state.

    Example:
        >>> import numpy as np
        >>> told = Flow("0", 0, "h", np.array([2.0, 0.0]), np.zeros((2, 1)), 0.0)
        >>> flow_figure(GradientFlow((told,)))["data"][0]["y"]
        [2.0, None]
    """
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": list(range(len(one.norms))),
            # of nothing there is no logarithm
            "y": [float(v) if v > 0 and math.isfinite(v) else None for v in one.norms],
            "name": _title(one),
            "line": {"color": COLOURS[k % len(COLOURS)], "width": 2},
        }
        for k, one in enumerate(flow.flows)
    ]
    layout = {
        "height": 360,
        "xaxis": {"title": {"text": "steps back from the last"}},
        "yaxis": {"title": {"text": "size of d loss / d state"}, "type": "log", "automargin": True},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    }
    return {"data": data, "layout": layout}


def saturation_figure(found: Saturations) -> Figure:
    """How often each unit of each gate is near its smallest and near its largest value.

    A colour is a gate and a sign a layer; at first only the last layer is shown.
    """
    layers = list(dict.fromkeys(one.layer for one in found.gates))
    names = list(dict.fromkeys(one.name for one in found.gates))
    data = [
        {
            "type": "scatter",
            "mode": "markers",
            "x": one.low.tolist(),
            "y": one.high.tolist(),
            "text": [f"unit {unit}" for unit in one.units.tolist()],
            "hovertemplate": "%{text}: low %{x:.0%}, high %{y:.0%}<extra>%{fullData.name}</extra>",
            "name": _title(one),
            "visible": True if one.layer == layers[-1] else "legendonly",
            "marker": {
                "color": COLOURS[names.index(one.name) % len(COLOURS)],
                "symbol": _SIGNS[layers.index(one.layer) % len(_SIGNS)],
                "size": 7,
                "opacity": 0.7,
            },
        }
        for one in found.gates
    ]
    share = {"tickformat": ".0%", "range": [-0.03, 1.03]}
    layout = {
        "height": 400,
        "xaxis": {**share, "title": {"text": "share of steps near the smallest value"}},
        "yaxis": {**share, "title": {"text": "near the largest"}, "automargin": True},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    }
    return {"data": data, "layout": layout}


def flow_rows(flow: GradientFlow) -> list[list[Any]]:
    """A row a state: its name, the factor a step, and what that means."""
    return [[_title(one), _shown(one.rate), one.words()] for one in flow.flows]


def saturation_rows(found: Saturations) -> list[list[Any]]:
    """A row a gate: its name, shares of steps at either end, units that never leave one."""
    return [
        [_title(one), f"{one.low.mean():.0%}", f"{one.high.mean():.0%}", f"{len(one.stuck())}"]
        for one in found.gates
    ]


def _title(one: Flow | Saturation) -> str:
    name = one.state if isinstance(one, Flow) else one.name
    return f"{layer_words(one.layer, one.direction)}, {name}"


def _shown(rate: float) -> str:
    return f"{rate:.3f}" if math.isfinite(rate) else "-"
