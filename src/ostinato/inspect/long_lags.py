"""Which remedy solves which problem over how long a lag: a map of squares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ostinato.inspect.pictures import SCALE, save_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_long_lags"]

_UNSOLVED = "#DDDDDD"
_TITLE = "Longest lag solved (grey: none of those tried)"


def draw_long_lags(
    longest: Mapping[str, Mapping[str, int | None]],
    path: str | Path,
    *,
    remedies: Sequence[str] = (),
    title: str = _TITLE,
) -> None:
    """Draw the longest lag that each remedy solves of each problem.

    A square is as bright as the lag is long, on a logarithmic scale, and has the lag written in it;
    grey with a dash where no lag was solved, empty where none was tried.

    Args:
        longest: by problem, then by remedy; None: no lag was solved.
        path: a picture's name; see `save_picture`.
        remedies: their order; as they come unless given.
        title: above.

    Raises:
        ValueError: there is nothing to draw.
    """
    columns = list(remedies or dict.fromkeys(name for row in longest.values() for name in row))
    rows = list(longest)
    if not rows or not columns:
        raise ValueError("draw_long_lags: there is nothing to draw. Give at least one outcome.")
    lags = np.array([[_lag(longest[row], column) for column in columns] for row in rows])
    save_picture(
        path,
        matplotlib=lambda figure: _drawn(figure, lags, rows, columns, title),
        plotly=lambda: _page(lags, rows, columns, title),
        size=(3.2 + 0.75 * len(columns), 1.6 + 0.36 * len(rows)),
    )


def _lag(row: Mapping[str, int | None], column: str) -> float:
    """The lag; 0 if none was solved, NaN if none was tried."""
    return float(row[column] or 0) if column in row else np.nan


def _bounds(lags: NDArray[np.float64]) -> tuple[float, float]:
    solved = lags[lags > 0]
    if not len(solved):
        return 1.0, 10.0
    low, high = float(solved.min()), float(solved.max())
    return (low, high) if high > low else (low / 2, high * 2)


def _text(lag: float) -> str:
    return "" if np.isnan(lag) else "–" if lag == 0 else f"{lag:.0f}"


def _drawn(
    figure: Figure,
    lags: NDArray[np.float64],
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
) -> None:
    from matplotlib.colors import ListedColormap, LogNorm
    from matplotlib.ticker import NullFormatter

    axes = figure.subplots()
    low, high = _bounds(lags)
    grey = np.where(lags == 0, 1.0, np.nan)
    axes.imshow(grey, cmap=ListedColormap([_UNSOLVED]), aspect="auto")
    solved = np.where(lags > 0, lags, np.nan)
    norm = LogNorm(low, high)
    image = axes.imshow(solved, cmap=SCALE, norm=norm, aspect="auto")
    for (row, column), lag in np.ndenumerate(lags):
        dark = lag > 0 and float(norm(lag)) < 0.6
        axes.text(
            column,
            row,
            _text(float(lag)),
            ha="center",
            va="center",
            color="white" if dark else "black",
        )
    axes.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
    axes.set_yticks(range(len(rows)), rows)
    # white lines between the squares
    axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", lw=2)
    axes.tick_params(which="both", length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_title(title)
    bar = figure.colorbar(image, ax=axes, label="lag in steps", fraction=0.05)
    told = sorted({float(lag) for lag in lags[lags > 0]})
    if told:
        bar.set_ticks(told, labels=[f"{lag:.0f}" for lag in told])
    bar.ax.yaxis.set_minor_formatter(NullFormatter())


def _page(
    lags: NDArray[np.float64], rows: Sequence[str], columns: Sequence[str], title: str
) -> Any:
    import plotly.graph_objects as go

    low, high = _bounds(lags)
    texts = [[_text(float(lag)) for lag in row] for row in lags]
    told = sorted({float(lag) for lag in lags[lags > 0]})
    solved = go.Heatmap(
        z=np.log10(np.where(lags > 0, lags, np.nan)),
        x=columns,
        y=rows,
        text=texts,
        texttemplate="%{text}",
        hovertemplate="%{y}, %{x}: %{text}<extra></extra>",
        colorscale=SCALE,
        zmin=np.log10(low),
        zmax=np.log10(high),
        xgap=2,
        ygap=2,
        colorbar={
            "title": "lag in steps",
            "lenmode": "pixels",
            "len": 180,
            "y": 1,
            "yanchor": "top",
            "tickvals": np.log10(told) if told else [],
            "ticktext": [f"{lag:.0f}" for lag in told],
        },
    )
    unsolved = go.Heatmap(
        z=np.where(lags == 0, 1.0, np.nan),
        x=columns,
        y=rows,
        text=texts,
        texttemplate="%{text}",
        hovertemplate="%{y}, %{x}: no lag solved<extra></extra>",
        colorscale=[[0, _UNSOLVED], [1, _UNSOLVED]],
        showscale=False,
        xgap=2,
        ygap=2,
    )
    figure = go.Figure([unsolved, solved])
    figure.update_yaxes(autorange="reversed")
    figure.update_layout(title=title, height=max(340, 160 + 34 * len(rows)))
    return figure
