"""One unit coloured over the text that was read, character by character.

As in Karpathy, Johnson, Li (2015), "Visualizing and Understanding Recurrent Networks",
arXiv:1506.02078.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ostinato.inspect.heat_maps import colour_range, shown_label
from ostinato.inspect.pictures import SCALE, SIGNED_SCALE, save_picture
from ostinato.layers.tracing import Trace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_text", "draw_unit"]

# characters that fit a picture
_MOST = 4000


@dataclass(frozen=True)
class _Page:
    """Characters and their values on a grid; NaN where nothing stands."""

    letters: NDArray[np.str_]
    values: NDArray[np.float64]
    steps: NDArray[np.int64]


def draw_unit(
    trace: Trace,
    unit: int,
    path: str | Path,
    *,
    name: str = "h",
    layer: int | str | None = None,
    direction: int = 0,
    row: int = 0,
    width: int = 64,
) -> None:
    """Draw the text of a row, coloured by the value of one unit when each token had been read.

    Args:
        trace: with labels.
        unit: which.
        path: a picture's name; see `save_picture`.
        name: whose unit: "h", "c", "f", ...
        layer: number or name; None: the first that has the name.
        direction: 0, or 1 for the walk from the end.
        row: which of the traced rows, counted from 0.
        width: characters of a line.

    Raises:
        ValueError: there are no labels, or no such name, unit or row.
    """
    part = trace.part(name, layer, direction)
    place = np.flatnonzero(part.units == unit)
    if not len(place):
        raise ValueError(
            f"draw_unit: {name!r} has no unit {unit} here. It has {_told(part.units)}."
        )
    if trace.labels is None or not 0 <= row < len(trace.labels):
        count = "no labels" if trace.labels is None else f"labels of {len(trace.labels)} row(s)"
        raise ValueError(f"draw_unit: row {row} has no labels; the trace has {count}.")
    labels = trace.labels[row]
    values = part.values[: len(labels), row, place[0]]
    if len(values) != len(labels):
        raise ValueError(f"draw_unit: labels are of other steps than those of {part.layer!r}.")
    where = f"{part.layer}{' from the end' if direction else ''}"
    draw_text(labels, values, path, title=f"Unit {unit} of {name}, {where}", width=width)


def draw_text(
    labels: Sequence[str],
    values: ArrayLike,
    path: str | Path,
    *,
    title: str = "",
    width: int = 64,
) -> None:
    """Draw a text with a colour behind each token.

    Args:
        labels: tokens; a text of more than 4,000 characters is cut, and the title says so.
        values: one for each.
        path: a picture's name; see `save_picture`.
        title: above it.
        width: characters of a line.

    Raises:
        ValueError: there is no token, or not a value for each.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.shape != (len(labels),) or not len(labels):
        raise ValueError(
            f"draw_text: a value for each of {len(labels)} token(s) is needed, and at least one, "
            f"got values {list(numbers.shape)}."
        )
    if width < 1:
        raise ValueError(f"draw_text: width must be at least 1, got {width}.")
    kept = int(np.searchsorted(np.cumsum([len(label) for label in labels]), _MOST, side="right"))
    head = title or "A value at each token"
    if kept < len(labels):
        head += f" (first {kept:,} of {len(labels):,} tokens)"
    page = _laid(labels[:kept], numbers[:kept], width)
    low, high = colour_range(numbers)
    save_picture(
        path,
        matplotlib=lambda figure: _drawn(figure, page, low, high, head),
        plotly=lambda: _html(page, low, high, head),
        size=(1.8 + 0.135 * page.letters.shape[1], 1.0 + 0.3 * len(page.letters)),
    )


def _told(units: NDArray[np.int64]) -> str:
    if len(units) > 12:
        return f"{len(units)}, {units[0]} to {units[-1]}"
    return ", ".join(str(unit) for unit in units)


def _laid(labels: Sequence[str], values: NDArray[np.float64], width: int) -> _Page:
    lines: list[list[tuple[str, float, int]]] = [[]]
    for step, (label, value) in enumerate(zip(labels, values, strict=True)):
        for letter in label or "\u2205":
            if len(lines[-1]) == width:
                lines.append([])
            shown = letter if letter == " " else shown_label(letter)
            lines[-1].append((shown, float(value), step))
            if letter == "\n":
                lines.append([])
    lines = [line for line in lines if line]
    across = max(map(len, lines))
    letters = np.full((len(lines), across), "", dtype="<U2")
    numbers = np.full((len(lines), across), np.nan)
    steps = np.full((len(lines), across), -1)
    for k, line in enumerate(lines):
        for j, (letter, value, step) in enumerate(line):
            letters[k, j], numbers[k, j], steps[k, j] = letter, value, step
    return _Page(letters, numbers, steps)


def _drawn(figure: Figure, page: _Page, low: float, high: float, head: str) -> None:
    axes = figure.subplots()
    scale = SIGNED_SCALE if low < 0 else SCALE
    image = axes.imshow(page.values, cmap=scale, vmin=low, vmax=high, aspect="auto")
    for (k, j), letter in np.ndenumerate(page.letters):
        if letter:
            part = (page.values[k, j] - low) / (high - low)
            axes.text(
                j, k, letter, ha="center", va="center", family="monospace", fontsize=9,
                color=_ink(float(part), low < 0),
            )  # fmt: skip
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_title(head)
    figure.colorbar(image, ax=axes, pad=0.01)


def _ink(part: float, signed: bool) -> str:
    """What can be read on a colour: the ends of one scale are dark, the low end of the other."""
    dark = not 0.22 < part < 0.78 if signed else part < 0.55
    return "white" if dark else "black"


def _html(page: _Page, low: float, high: float, head: str) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure(
        go.Heatmap(
            z=page.values,
            text=page.letters,
            customdata=page.steps,
            texttemplate="%{text}",
            textfont={"family": "monospace", "size": 13},
            colorscale=SIGNED_SCALE if low < 0 else SCALE,
            zmin=low,
            zmax=high,
            hoverongaps=False,
            # as high as it needs to be, however few lines there are
            colorbar={"lenmode": "pixels", "len": 150, "y": 1, "yanchor": "top", "title": "value"},
            hovertemplate="step %{customdata}: %{z:.4g}<extra></extra>",
        )
    )
    figure.update_yaxes(autorange="reversed", visible=False)
    figure.update_xaxes(visible=False)
    figure.update_layout(
        title=head, height=max(300, 150 + 26 * len(page.letters)), plot_bgcolor="white"
    )
    return figure
