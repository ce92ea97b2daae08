"""The path that the state takes while a row is read, in two dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ostinato.inspect.heat_maps import shown_label
from ostinato.inspect.pictures import SCALE, save_picture
from ostinato.inspect.saturation import alive
from ostinato.layers.tracing import Trace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Trajectories", "trajectories"]

Floats = NDArray[np.float64]

# labels that a picture can hold
_LABELS = 80


@dataclass(frozen=True)
class Trajectories:
    """States of some rows on the axes along which states vary most.

    Attributes:
        name: of the states, and of their layer.
        paths: for each row, [T, 2].
        labels: for each row what stood at each step, or None.
        axes: the two directions, [2, units], each of length 1.
        shares: of the variance, that lies along each.
    """

    name: str
    paths: tuple[Floats, ...]
    labels: tuple[tuple[str, ...], ...] | None
    axes: Floats
    shares: tuple[float, float]

    def draw(self, path: str | Path, *, rows: Sequence[int] | None = None) -> None:
        """Draw the paths of rows, coloured by the time; see `save_picture` for `path`.

        Args:
            path: a picture's name.
            rows: which; None: the first four.

        Raises:
            ValueError: there is no such row.
        """
        chosen = list(range(min(4, len(self.paths)))) if rows is None else list(rows)
        wrong = [row for row in chosen if not 0 <= row < len(self.paths)]
        if wrong or not chosen:
            raise ValueError(
                f"trajectories: rows must be in 0..{len(self.paths) - 1}, got {wrong or 'none'}."
            )
        save_picture(
            path,
            matplotlib=lambda figure: _drawn(figure, self, chosen),
            plotly=lambda: _page(self, chosen),
            size=(8.5, 6.5),
        )


def trajectories(
    trace: Trace, name: str = "h", *, layer: int | str | None = None, direction: int = 0
) -> Trajectories:
    """Project states onto their two principal components.

    Args:
        trace: of at least two steps.
        name: a state, or anything else that was traced.
        layer: number or name; None: the first that has it.
        direction: 0, or 1 for the walk from the end.

    Raises:
        ValueError: there is no such name, or fewer than two steps or units.

    Example:
        >>> import torch
        >>> from ostinato import GRU
        >>> found = trajectories(GRU(3, 8).trace(torch.randn(20, 2, 3)))
        >>> found.paths[0].shape, found.axes.shape
        ((20, 2), (2, 8))
    """
    part = trace.part(name, layer, direction)
    valid = alive(trace, part)
    points = part.values[valid].astype(np.float64)
    if len(points) < 2 or points.shape[1] < 2:
        raise ValueError(
            f"trajectories: at least two steps and two units are needed, got {len(points)} and "
            f"{points.shape[1]}."
        )
    middle = points.mean(axis=0)
    _, sizes, directions = np.linalg.svd(points - middle, full_matrices=False)
    axes = directions[:2]
    # a direction has no sign of its own: its largest entry is made positive
    axes = axes * np.sign(axes[np.arange(2), np.abs(axes).argmax(axis=1)])[:, None]
    total = float((sizes**2).sum()) or 1.0
    shares = [float(size) ** 2 / total for size in sizes[:2]]
    paths = tuple(
        (part.values[valid[:, row], row] - middle) @ axes.T for row in range(valid.shape[1])
    )
    known = trace.labels is not None and all(
        len(labels) == len(one) for labels, one in zip(trace.labels, paths, strict=True)
    )
    where = f"{name} of {part.layer}{' from the end' if direction else ''}"
    return Trajectories(where, paths, trace.labels if known else None, axes, (shares[0], shares[1]))


def _head(found: Trajectories) -> str:
    return (
        f"Paths of {found.name}: two axes hold {sum(found.shares):.0%} of its variance "
        f"({found.shares[0]:.0%} and {found.shares[1]:.0%})"
    )


def _drawn(figure: Figure, found: Trajectories, rows: Sequence[int]) -> None:
    axes = figure.subplots()
    longest = max(len(found.paths[row]) for row in rows)
    dots = None
    for row in rows:
        path = found.paths[row]
        axes.plot(path[:, 0], path[:, 1], color="0.8", lw=0.8, zorder=1)
        dots = axes.scatter(
            path[:, 0],
            path[:, 1],
            c=np.arange(len(path)),
            cmap=SCALE,
            vmin=0,
            vmax=longest - 1,
            s=18,
            marker="os^D"[rows.index(row) % 4],
            linewidths=0,
            zorder=2,
        )
        if len(path):
            # below the first step's own label
            below: Any = {"xytext": (3, -11), "textcoords": "offset points"}
            axes.annotate(f"row {row}", path[0], fontweight="bold", fontsize=9, **below)
        if found.labels is not None and len(path) * len(rows) <= _LABELS:
            for label, point in zip(found.labels[row], path, strict=True):
                axes.annotate(
                    shown_label(label), point, fontsize=8, xytext=(3, 3), textcoords="offset points"
                )
    axes.set_xlabel("first principal component")
    axes.set_ylabel("second principal component")
    axes.set_title(_head(found))
    assert dots is not None
    figure.colorbar(dots, ax=axes, pad=0.01).set_label("step")


def _page(found: Trajectories, rows: Sequence[int]) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure()
    for row in rows:
        path = found.paths[row]
        told = [""] * len(path)
        if found.labels is not None:
            told = [shown_label(label) for label in found.labels[row]]
        few = found.labels is not None and len(path) * len(rows) <= _LABELS
        figure.add_trace(
            go.Scatter(
                x=path[:, 0],
                y=path[:, 1],
                mode="lines+markers+text" if few else "lines+markers",
                text=told,
                textposition="top right",
                name=f"row {row}",
                line={"color": "lightgray", "width": 1},
                marker={
                    "color": np.arange(len(path)),
                    "colorscale": SCALE,
                    "symbol": ("circle", "square", "triangle-up", "diamond")[rows.index(row) % 4],
                    "showscale": row == rows[0],
                    "colorbar": {"title": "step", "x": 1.02, "y": 0.4, "len": 0.8},
                },
                hovertemplate="step %{marker.color} %{text}<extra></extra>",
            )
        )
    figure.update_layout(
        title=_head(found),
        xaxis_title="first principal component",
        yaxis_title="second principal component",
    )
    return figure
