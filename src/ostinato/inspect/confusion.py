"""Which class was taken for which: a confusion table as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ostinato.inspect.pictures import SCALE, save_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_confusion"]

# classes with a number in each cell, and classes in all
_WITH_NUMBERS = 24
_MOST = 60


def draw_confusion(
    counts: ArrayLike,
    classes: Sequence[str],
    path: str | Path,
    *,
    title: str = "",
    what: str = "words",
) -> None:
    """Draw a confusion table; colours are shares of a row, numbers are counts.

    Args:
        counts: how often class k (row) was taken for class j (column), [K, K].
        classes: K names. Of more than 60, the most frequent are drawn and the others put together.
        path: a picture's name; see `save_picture`.
        title: what is seen; the share on the diagonal is added.
        what: of what there are so many.

    Raises:
        ValueError: counts and classes do not fit.
    """
    table = np.asarray(counts, dtype=np.int64)
    if table.shape != (len(classes), len(classes)):
        raise ValueError(
            f"draw_confusion: {len(classes)} classes need counts [{len(classes)}, {len(classes)}], "
            f"got {list(table.shape)}."
        )
    total = max(int(table.sum()), 1)
    share = int(table.trace()) / total
    table, names = _most_frequent(table, list(classes))
    head = f"{title + ': ' if title else ''}{share:.2%} of {total:,} {what} right"
    side = min(max(len(names) * 0.42 + 2.5, 5.0), 18.0)
    save_picture(
        path,
        matplotlib=lambda figure: _drawn(figure, table, names, head, what),
        plotly=lambda: _page(table, names, head, what),
        size=(side + 1.2, side),
    )


def _most_frequent(
    table: NDArray[np.int64], names: list[str]
) -> tuple[NDArray[np.int64], list[str]]:
    order = np.argsort(-table.sum(axis=1), kind="stable")
    table, names = table[np.ix_(order, order)], [names[k] for k in order]
    if len(names) <= _MOST:
        return table, names
    kept = _MOST - 1
    edges = np.arange(kept + 1)
    table = np.add.reduceat(np.add.reduceat(table, edges, axis=0), edges, axis=1)
    return table, [*names[:kept], f"{len(names) - kept} others"]


def _shares(table: NDArray[np.int64]) -> NDArray[np.float64]:
    rows = table.sum(axis=1, keepdims=True)
    shares: NDArray[np.float64] = table / np.maximum(rows, 1)
    return shares


def _drawn(
    figure: Figure, table: NDArray[np.int64], names: list[str], head: str, what: str
) -> None:
    axes = figure.subplots()
    shares = _shares(table)
    image = axes.imshow(shares, cmap=SCALE, vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("what the model says")
    axes.set_ylabel("what it is")
    axes.set_title(head)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.7)
    bar.set_label(f"share of the {what} of a row")
    if len(names) > _WITH_NUMBERS:
        return
    for row, column in zip(*np.nonzero(table), strict=True):
        axes.text(
            column,
            row,
            _short(int(table[row, column])),
            ha="center",
            va="center",
            fontsize=7,
            color="black" if shares[row, column] > 0.6 else "white",
        )


def _short(count: int) -> str:
    return f"{count}" if count < 10_000 else f"{count / 1000:.0f}k"


def _page(table: NDArray[np.int64], names: list[str], head: str, what: str) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure(
        go.Heatmap(
            z=_shares(table),
            x=names,
            y=names,
            customdata=table,
            colorscale=SCALE,
            zmin=0,
            zmax=1,
            colorbar={"title": f"share of the<br>{what} of a row"},
            hovertemplate=f"is %{{y}}, said %{{x}}<br>%{{customdata:,}} {what}, "
            "%{z:.1%} of the row<extra></extra>",
        )
    )
    figure.update_layout(
        title=head, xaxis_title="what the model says", yaxis_title="what it is", height=800
    )
    figure.update_yaxes(autorange="reversed")
    return figure
