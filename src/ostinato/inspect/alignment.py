"""Where attention looked while each piece of a translation was written, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ostinato.inspect.pictures import SCALE, save_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_alignment"]


def draw_alignment(
    weights: ArrayLike,
    source: Sequence[str],
    target: Sequence[str],
    path: str | Path,
    *,
    title: str = "",
) -> None:
    """Draw a heat map: a row for each piece that was written, a column for each that was read.

    Args:
        weights: of attention, [len(target), len(source)], each row a share of 1.
        source: pieces that were read.
        target: pieces that were written.
        path: a picture's name; see `ostinato.inspect.pictures.save_picture`.
        title: above the picture.

    Raises:
        ValueError: weights and pieces do not fit, or there are none.
    """
    table = np.asarray(weights, dtype=np.float64)
    if table.shape != (len(target), len(source)) or not table.size:
        raise ValueError(
            f"draw_alignment: {len(target)} pieces from {len(source)} need weights [{len(target)}, "
            f"{len(source)}], and at least one each, got {list(table.shape)}."
        )
    left, below = [_shown(piece) for piece in source], [_shown(piece) for piece in target]
    head = title or "Where attention looked"
    save_picture(
        path,
        matplotlib=lambda figure: _drawn(figure, table, left, below, head),
        plotly=lambda: _page(table, left, below, head),
        size=(min(3.2 + 0.42 * len(source), 22.0), min(2.2 + 0.36 * len(target), 20.0)),
    )


def _shown(piece: str) -> str:
    # a blank at the front of a subword is part of it, and must be seen
    return piece.replace(" ", "\u2423")


def _drawn(
    figure: Figure, table: NDArray[np.float64], source: list[str], target: list[str], head: str
) -> None:
    axes = figure.subplots()
    image = axes.imshow(table, cmap=SCALE, vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(source)), source, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(target)), target)
    axes.set_xlabel("read")
    axes.set_ylabel("written, from top to bottom")
    axes.set_title(head, wrap=True)
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    figure.colorbar(image, ax=axes, shrink=0.8).set_label("weight")


def _page(table: NDArray[np.float64], source: list[str], target: list[str], head: str) -> Any:
    import plotly.graph_objects as go

    # by number, as a piece may be there twice
    across, down = list(range(len(source))), list(range(len(target)))
    figure = go.Figure(
        go.Heatmap(
            z=table,
            x=across,
            y=down,
            customdata=[[(t, s) for s in source] for t in target],
            colorscale=SCALE,
            zmin=0,
            zmax=1,
            colorbar={"title": "weight"},
            hovertemplate="written %{customdata[0]}<br>read %{customdata[1]}<br>"
            "%{z:.1%}<extra></extra>",
        )
    )
    figure.update_layout(title=head, xaxis_title="read", yaxis_title="written, from top to bottom")
    figure.update_xaxes(tickvals=across, ticktext=source, tickangle=-60)
    figure.update_yaxes(tickvals=down, ticktext=target, autorange="reversed")
    return figure
