"""A comparison in a picture: all models' scores, and what the past is worth to the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ostinato.inspect.pictures import COLOURS, save_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_comparison"]

_NETWORK, _MEMORYLESS, _STATE = COLOURS[0], "#777777", COLOURS[4]
_WAYS = {
    "cut": ("cut beyond k", COLOURS[1], "o", "-"),
    "shuffle": ("shuffled beyond k", COLOURS[2], "s", "--"),
}


def draw_comparison(told: Mapping[str, Any], path: str | Path, *, title: str = "") -> None:
    """Draw a comparison.

    On the left each model's score with its interval, the best on top; on the right, where that was
    asked, the network's score with the past beyond k steps cut or shuffled, with the interval of
    the fall, beside what it scores with all of it.

    Args:
        told: what `Comparison.to_dict` gives.
        path: .png, .svg or .html.
        title: over the picture; the verdict stands below it.

    Raises:
        ValueError: the name ends in something else.
    """
    verdict = list(told["verdict"])
    save_picture(
        path,
        matplotlib=lambda figure: _drawn(figure, told, title, verdict),
        plotly=lambda: _page(told, title, verdict),
        size=(11.0 if told["history"] else 8.0, 1.9 + 0.42 * len(_models(told)) + 0.8),
    )


def _models(told: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """All models, the worst first, as axes count upwards."""
    better = 1 if told["higher_is_better"] else -1
    return sorted([told["network"], *told["guesses"]], key=lambda one: better * one["score"])


def _colour(one: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    if one is told["network"]:
        return _NETWORK
    return _STATE if one["looks_back"] is None else _MEMORYLESS


def _scale(told: Mapping[str, Any]) -> float:
    return 100.0 if told["higher_is_better"] else 1.0


def _metric(told: Mapping[str, Any]) -> str:
    return f"{told['metric']}, %" if told["higher_is_better"] else str(told["metric"])


def _points(told: Mapping[str, Any], way: str) -> tuple[list[int], Any, Any, Any]:
    """k, and the score with the ends of the fall's interval around it."""
    history, scale = told["history"], _scale(told)
    sign = -1 if told["higher_is_better"] else 1
    steps = [one["steps"] for one in history[way]]
    scores = np.array([one["score"] for one in history[way]])
    ends = [
        np.array([history["full"] + sign * one[end] for one in history[way]])
        for end in ("low", "high")
    ]
    return steps, scale * scores, scale * ends[0], scale * ends[1]


def _best_memoryless(told: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return next((one for one in told["guesses"] if one["looks_back"] is not None), None)


def _drawn(figure: Figure, told: Mapping[str, Any], title: str, verdict: Sequence[str]) -> None:
    ratios = {"width_ratios": [1.15, 1]} if told["history"] else None
    panels = figure.subplots(1, 2 if told["history"] else 1, squeeze=False, gridspec_kw=ratios)[0]
    _draw_scores(panels[0], told)
    if told["history"]:
        _draw_history(panels[1], told)
    head = "\n".join([title, *verdict] if title else verdict)
    figure.suptitle(head, x=0.01, ha="left", fontsize=10)


def _draw_scores(axes: Any, told: Mapping[str, Any]) -> None:
    from matplotlib.lines import Line2D

    models, scale = _models(told), _scale(told)
    edge = _edge(told)
    near = [one for one in models if edge is None or _within(scale * one["score"], edge, told)]
    # what is only pointed at stands where the widest interval ends
    ends = ("score_low", "score_high")[:: 1 if told["higher_is_better"] else -1]
    wall = scale * (min if told["higher_is_better"] else max)(one[ends[0]] for one in near)
    for place, one in enumerate(models):
        colour, score = _colour(one, told), scale * one["score"]
        digits = f"{score:.{2 if scale > 1 else 4}f}"
        if one not in near:
            # so far off that the others would stand on one spot
            mark, name = ("<", f"  {digits}") if told["higher_is_better"] else (">", f"{digits}  ")
            axes.plot(wall, place, mark, color=colour, ms=7)
            side = "left" if told["higher_is_better"] else "right"
            axes.annotate(name, (wall, place), va="center", ha=side, fontsize=8)
            continue
        span = (scale * one["score_low"], scale * one["score_high"])
        axes.plot(span, (place, place), color=colour, lw=2.5, alpha=0.55, solid_capstyle="butt")
        axes.plot(score, place, "o", color=colour, ms=6)
        axes.annotate(
            digits, (span[1], place), (6, 0), textcoords="offset points", va="center", fontsize=8
        )
    axes.set_yticks(range(len(models)), [str(one["name"]) for one in models])
    for label, one in zip(axes.get_yticklabels(), models, strict=True):
        if one is told["network"]:
            label.set_fontweight("bold")
    axes.set_xlabel(f"{_metric(told)} ({told['level']:.0%} intervals)")
    axes.margins(x=0.14, y=0.08)
    axes.grid(axis="x", alpha=0.25)
    axes.set_title(_scores(told), fontsize=10)
    kinds = {"the network": _NETWORK, "no memory": _MEMORYLESS}
    if any(one["looks_back"] is None for one in told["guesses"]):
        kinds["a state"] = _STATE
    marks = [Line2D([], [], marker="o", ls="", color=c, label=n) for n, c in kinds.items()]
    axes.legend(handles=marks, fontsize=8, loc="best", framealpha=0.85, edgecolor="none")


def _scores(told: Mapping[str, Any]) -> str:
    return f"Scores: {'more' if told['higher_is_better'] else 'less'} is better"


def _within(score: float, edge: float, told: Mapping[str, Any]) -> bool:
    return score >= edge if told["higher_is_better"] else score <= edge


def _edge(told: Mapping[str, Any]) -> float | None:
    """Where the axis of scores ends, beyond which models are only pointed at; None: nowhere."""
    scores = _scale(told) * np.array([one["score"] for one in _models(told)])
    best = scores[-1]
    away = np.abs(scores - best)
    far = 2.5 * float(np.median(away[:-1])) if len(away) > 1 else 0.0
    if far <= 0 or away.max() <= 1.5 * far:
        return None
    return float(best - far if told["higher_is_better"] else best + far)


def _draw_history(axes: Any, told: Mapping[str, Any]) -> None:
    history, scale = told["history"], _scale(told)
    steps = [one["steps"] for one in history["cut"]]
    # k rises ever faster: evenly spaced, each can be read
    places = range(len(steps))
    for way, (name, colour, mark, style) in _WAYS.items():
        _, scores, low, high = _points(told, way)
        axes.fill_between(places, low, high, color=colour, alpha=0.15, lw=0)
        axes.plot(places, scores, style, color=colour, marker=mark, ms=4, label=name)
    axes.axhline(scale * history["full"], color=_NETWORK, lw=1.4, label="all of the past")
    rival = _best_memoryless(told)
    if rival is not None:
        axes.axhline(
            scale * rival["score"], color=_MEMORYLESS, lw=1.2, ls=":", label="best without memory"
        )
    if history["steps_used"] in steps:
        used = steps.index(history["steps_used"])
        axes.axvline(used, color="#444444", lw=1.0, ls="-.", label="steps used")
    axes.set_xticks(places, [f"{k:,}" for k in steps])
    axes.set_xlabel(f"k, {history['unit']}s that are left ({history['asked']:,} places)")
    axes.set_ylabel(_metric(told))
    axes.set_title("What the past is worth to the network", fontsize=10)
    axes.grid(alpha=0.25)
    where = "lower right" if told["higher_is_better"] else "upper right"
    axes.legend(fontsize=8, loc=where, framealpha=0.85, edgecolor="none")


def _page(told: Mapping[str, Any], title: str, verdict: Sequence[str]) -> Any:
    from plotly.subplots import make_subplots

    columns = 2 if told["history"] else 1
    titles = [_scores(told), "What the past is worth to the network"][:columns]
    figure = make_subplots(rows=1, cols=columns, subplot_titles=titles, horizontal_spacing=0.12)
    for trace in _score_traces(told):
        figure.add_trace(trace, row=1, col=1)
    figure.update_xaxes(title_text=f"{_metric(told)} ({told['level']:.0%} intervals)", row=1, col=1)
    if told["history"]:
        for trace in _history_traces(told):
            figure.add_trace(trace, row=1, col=2)
        # a logarithm has no place for 0: steps are spaced evenly instead
        figure.update_xaxes(
            title_text=f"k, {told['history']['unit']}s that are left",
            type="category",
            row=1,
            col=2,
        )
        figure.update_yaxes(title_text=_metric(told), row=1, col=2)
    head = "<br>".join([title, *verdict] if title else verdict)
    figure.update_layout(
        title={"text": head, "font": {"size": 14}},
        height=260 + 34 * len(_models(told)),
        margin={"t": 130},
    )
    return figure


def _score_traces(told: Mapping[str, Any]) -> list[Any]:
    from plotly import graph_objects

    scale = _scale(told)
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for one in _models(told):
        groups.setdefault(_colour(one, told), []).append(one)
    names = {_NETWORK: "the network", _MEMORYLESS: "no memory", _STATE: "a state"}
    order = [str(one["name"]) for one in _models(told)]
    traces = [
        graph_objects.Scatter(
            x=[scale * one["score"] for one in models],
            y=[str(one["name"]) for one in models],
            mode="markers",
            name=names[colour],
            marker={"color": colour, "size": 10},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [scale * (one["score_high"] - one["score"]) for one in models],
                "arrayminus": [scale * (one["score"] - one["score_low"]) for one in models],
            },
        )
        for colour, models in groups.items()
    ]
    # the first trace settles the order of the names
    hidden = graph_objects.Scatter(
        x=[None] * len(order), y=order, mode="markers", showlegend=False, hoverinfo="skip"
    )
    return [hidden, *traces]


def _history_traces(told: Mapping[str, Any]) -> list[Any]:
    from plotly import graph_objects

    history, scale = told["history"], _scale(told)
    traces = []
    for way, (name, colour, _, style) in _WAYS.items():
        steps, scores, low, high = _points(told, way)
        traces.append(
            graph_objects.Scatter(
                x=[str(k) for k in steps],
                y=scores.tolist(),
                mode="lines+markers",
                name=name,
                line={"color": colour, "dash": "solid" if style == "-" else "dash"},
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": (np.maximum(low, high) - scores).tolist(),
                    "arrayminus": (scores - np.minimum(low, high)).tolist(),
                },
            )
        )
    labels = [str(one["steps"]) for one in history["cut"]]
    lines = [("all of the past", scale * history["full"], _NETWORK)]
    rival = _best_memoryless(told)
    if rival is not None:
        lines.append(("best without memory", scale * rival["score"], _MEMORYLESS))
    for name, value, colour in lines:
        traces.append(
            graph_objects.Scatter(
                x=labels, y=[value] * len(labels), mode="lines", name=name, line={"color": colour}
            )
        )
    return traces
