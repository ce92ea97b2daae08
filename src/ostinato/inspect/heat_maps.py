"""States and gates as heat maps: a row for each unit, a column for each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ostinato.inspect.pictures import SCALE, SIGNED_SCALE, save_picture
from ostinato.layers.tracing import Part, Trace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["colour_range", "draw_heat_maps", "shown_label"]

# labels that can be read side by side, and columns and rows that a picture can tell apart
_LABELS = 90
_MOST = 1200


@dataclass(frozen=True)
class _Panel:
    title: str
    table: NDArray[np.float64]
    steps: NDArray[np.int64]
    units: NDArray[np.int64]
    low: float
    high: float

    @property
    def scale(self) -> str:
        return SIGNED_SCALE if self.low < 0 else SCALE


def draw_heat_maps(
    trace: Trace,
    path: str | Path,
    *,
    names: Sequence[str] | None = None,
    layer: int | str | None = None,
    direction: int = 0,
    row: int = 0,
    sort: bool = False,
    gradients: bool = False,
) -> None:
    """Draw what units did while a row was read, a panel for each name.

    What is more than 1,200 steps or units is drawn with means of neighbours; the title says so.

    Args:
        trace: what is drawn.
        path: a picture's name; see `save_picture`.
        names: which; None: the states.
        layer: number or name; None: the first that has the names.
        direction: 0, or 1 for the walk from the end.
        row: which of the traced rows, counted from 0.
        sort: units in the order of the step at which they are furthest from their mean, so that
            those that act together stand together.
        gradients: draw d loss / d value.

    Raises:
        ValueError: a name, layer or row is not there, or the row has no step.
    """
    if names is None:
        names = list(dict.fromkeys(part.name for part in trace.parts if part.kind == "state"))
    parts = [trace.part(name, layer, direction) for name in names]
    if not parts:
        raise ValueError("draw_heat_maps: the trace has no states. Give names=.")
    panels = [_panel(trace, part, row, sort, gradients) for part in parts]
    labels = None if trace.labels is None or row >= len(trace.labels) else trace.labels[row]
    if parts[0].layer.rpartition(".")[0] != trace.layers[0].name.rpartition(".")[0]:
        # labels are of what the first layers read
        labels = None
    where = f"{parts[0].layer}{' from the end' if direction else ''}"
    what = "d loss / d value" if gradients else "values"
    head = f"Row {row} of {where}: {what} of each unit at each step"
    steps = len(panels[0].steps)
    save_picture(
        path,
        matplotlib=lambda figure: _drawn(figure, panels, labels, head),
        plotly=lambda: _page(panels, labels, head),
        size=(min(max(7.0, 2.0 + 0.17 * steps), 20.0), 1.4 + 2.3 * len(panels)),
    )


def colour_range(values: NDArray[Any]) -> tuple[float, float]:
    """Ends of a scale: of what is never below 0 from 0, else as far to either side of 0."""
    finite = values[np.isfinite(values)]
    most = float(np.abs(finite).max(initial=0)) or 1.0
    low = float(finite.min(initial=0))
    if low >= 0:
        return 0.0, 1.0 if 0.5 < most <= 1 else most
    return -most, most


def shown_label(label: str) -> str:
    """A token as it can be seen.

    Example:
        >>> shown_label(" a"), shown_label("b" + chr(10))
        ('␣a', 'b↵')
    """
    return label.replace(" ", "\u2423").replace("\n", "\u21b5").replace("\t", "\u21e5")


def _panel(trace: Trace, part: Part, row: int, sort: bool, gradients: bool) -> _Panel:
    layer = trace.layer(part.layer)
    if not 0 <= row < len(layer.rows) or not layer.lengths[row]:
        raise ValueError(
            f"draw_heat_maps: rows must be in 0..{len(layer.rows) - 1} and have a step, got {row}."
        )
    whole = part.values
    if gradients:
        whole = trace.gradients(part.name, part.layer, part.direction)
    length = int(layer.lengths[row])
    table = whole[:length, row].T.astype(np.float64)
    units, steps = part.units, layer.steps[:length]
    if sort:
        spread = table - table.mean(axis=1, keepdims=True)
        order = np.argsort(np.abs(spread).argmax(axis=1), kind="stable")
        table, units = table[order], units[order]
    thin = -(-length // _MOST), -(-len(units) // _MOST)
    title = part.name
    if max(thin) > 1:
        parts = [f"{k} {what}" for k, what in zip(thin, ("steps", "units"), strict=True) if k > 1]
        title += f" (means of {' by '.join(parts)})"
        table = _means(_means(table, thin[1]).T, thin[0]).T
    # the colours of what is drawn: means are nearer to the middle
    low, high = colour_range(table)
    return _Panel(title, table, steps[:: thin[0]], units[:: thin[1]], low, high)


def _means(table: NDArray[np.float64], many: int) -> NDArray[np.float64]:
    """Of each `many` rows their mean."""
    starts = np.arange(0, len(table), many)
    counts = np.diff(np.append(starts, len(table)))
    means: NDArray[np.float64] = np.add.reduceat(table, starts, axis=0) / counts[:, None]
    return means


def _drawn(
    figure: Figure, panels: Sequence[_Panel], labels: Sequence[str] | None, head: str
) -> None:
    rows = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
    for axes, panel in zip(rows, panels, strict=True):
        image = axes.imshow(
            panel.table,
            cmap=panel.scale,
            vmin=panel.low,
            vmax=panel.high,
            aspect="auto",
            interpolation="nearest",
        )
        axes.set_ylabel("unit")
        axes.set_title(panel.title, fontsize=10)
        _unit_ticks(axes, panel.units)
        axes.spines[:].set_visible(False)
        figure.colorbar(image, ax=axes, pad=0.01)
    columns = len(panels[0].steps)
    if labels is not None and columns == len(labels) <= _LABELS:
        told = [shown_label(label) for label in labels]
        turn = 0 if max(map(len, told)) == 1 else 90
        rows[-1].set_xticks(range(columns), told, rotation=turn, family="monospace", fontsize=8)
    else:
        rows[-1].set_xlabel("step")
        ticks = np.unique(np.linspace(0, columns - 1, min(columns, 12)).astype(int))
        rows[-1].set_xticks(ticks, panels[0].steps[ticks])
    figure.suptitle(head, x=0.01, ha="left")


def _unit_ticks(axes: Any, units: NDArray[np.int64]) -> None:
    ticks = np.unique(np.linspace(0, len(units) - 1, min(len(units), 8)).astype(int))
    axes.set_yticks(ticks, units[ticks])


def _page(panels: Sequence[_Panel], labels: Sequence[str] | None, head: str) -> Any:
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    count = len(panels)
    labelled = labels is not None and len(labels) == len(panels[0].steps) <= _LABELS
    figure = make_subplots(
        rows=count,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.3 / (count + 3),
        subplot_titles=[panel.title for panel in panels],
    )
    for k, panel in enumerate(panels):
        told = [""] * len(panel.steps)
        if labels is not None and len(labels) == len(panel.steps):
            told = [shown_label(label) for label in labels]
        figure.add_trace(
            go.Heatmap(
                z=panel.table,
                # labels stand at places; without them the axis counts steps
                x=list(range(len(panel.steps))) if labelled else panel.steps,
                y=[str(unit) for unit in panel.units],
                customdata=[[(t, int(s)) for t, s in zip(told, panel.steps, strict=True)]]
                * len(panel.units),
                colorscale=panel.scale,
                zmin=panel.low,
                zmax=panel.high,
                colorbar={"len": 0.9 / count, "y": 1 - (k + 0.5) / count, "exponentformat": "e"},
                hovertemplate="step %{customdata[1]} %{customdata[0]}<br>unit %{y}: %{z:.4g}"
                "<extra></extra>",
            ),
            row=k + 1,
            col=1,
        )
        figure.update_yaxes(title_text="unit", autorange="reversed", type="category", row=k + 1)
    if labels is not None and labelled:
        figure.update_xaxes(
            tickvals=list(range(len(labels))), ticktext=[shown_label(one) for one in labels]
        )
    figure.update_xaxes(title_text="step", row=count)
    figure.update_layout(title=head, height=160 + 260 * count)
    return figure
