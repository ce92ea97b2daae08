"""Which tokens a model takes for alike: the neighbours of embedding vectors."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ostinato.inspect.heat_maps import shown_label
from ostinato.inspect.pictures import COLOURS, save_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Neighbourhood", "draw_neighbourhoods", "neighbourhoods"]


@dataclass(frozen=True)
class Neighbourhood:
    """A token and those whose vectors point the same way most.

    Attributes:
        token: in the middle.
        neighbours: the nearest first.
        likenesses: cosine of the angle to each.
        vectors: of the token and then of its neighbours, each of length 1, [1 + n, E].
    """

    token: str
    neighbours: tuple[str, ...]
    likenesses: tuple[float, ...]
    vectors: NDArray[np.float64]


def neighbourhoods(
    vectors: ArrayLike, tokens: Sequence[str], chosen: Sequence[str], *, count: int = 8
) -> list[Neighbourhood]:
    """The nearest tokens, by the cosine of their vectors, of each chosen one.

    Args:
        vectors: an embedding, [V, E], e.g. `model.network.embedding.weight.detach()`.
        tokens: V, in the order of the vectors, each once.
        chosen: whose neighbours are wanted.
        count: how many of each.

    Raises:
        ValueError: vectors and tokens do not fit, count is below 1, a vector is zero, or a token
            is not known; the message names the nearest.

    Example:
        >>> found = neighbourhoods([[1, 0], [2, 0.1], [0, 1]], ["a", "b", "c"], ["a"], count=1)
        >>> found[0].neighbours
        ('b',)
    """
    table = np.asarray(vectors, dtype=np.float64)
    if table.ndim != 2 or len(table) != len(tokens):
        raise ValueError(
            f"neighbourhoods: {len(tokens)} tokens need vectors [{len(tokens)}, E], got "
            f"{list(table.shape)}."
        )
    if count < 1:
        raise ValueError(f"neighbourhoods: count must be at least 1, got {count}.")
    places = {token: place for place, token in enumerate(tokens)}
    for token in chosen:
        if token not in places:
            near = difflib.get_close_matches(token, tokens, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"neighbourhoods: {token!r} is not among the tokens.{hint}")
    lengths = np.linalg.norm(table, axis=1, keepdims=True)
    # what has no direction is like nothing
    unit = np.divide(table, lengths, out=np.zeros_like(table), where=lengths > 0)
    found = []
    for token in chosen:
        own = places[token]
        if not lengths[own, 0]:
            raise ValueError(f"neighbourhoods: the vector of {token!r} is zero, and is like none.")
        likeness = unit @ unit[own]
        likeness[own] = -np.inf
        order = np.argsort(-likeness, kind="stable")[: min(count, len(tokens) - 1)]
        found.append(
            Neighbourhood(
                token,
                tuple(tokens[k] for k in order),
                tuple(float(likeness[k]) for k in order),
                unit[[own, *order]],
            )
        )
    return found


def draw_neighbourhoods(found: Sequence[Neighbourhood], path: str | Path) -> None:
    """Draw tokens and their neighbours on the two axes along which these vectors vary most.

    Args:
        found: at least one neighbourhood.
        path: a picture's name; see `save_picture`.

    Raises:
        ValueError: there is none.
    """
    if not found:
        raise ValueError("draw_neighbourhoods: there is none to draw. Give at least one.")
    whole = np.concatenate([one.vectors for one in found])
    middle = whole.mean(axis=0)
    axes = np.linalg.svd(whole - middle, full_matrices=False)[2][:2]
    points = [_flat(one.vectors - middle, axes) for one in found]
    told = ", ".join(repr(shown_label(one.token)) for one in found)
    head = f"What the embedding puts near {told}"
    save_picture(
        path,
        matplotlib=lambda figure: _drawn(figure, found, points, head),
        plotly=lambda: _page(found, points, head),
        size=(8.0, 6.5),
    )


def _flat(vectors: NDArray[np.float64], axes: NDArray[np.float64]) -> NDArray[np.float64]:
    flat = vectors @ axes.T
    # vectors of one number have one axis only
    return np.pad(flat, ((0, 0), (0, 2 - flat.shape[1])))


def _drawn(
    figure: Figure,
    found: Sequence[Neighbourhood],
    points: Sequence[NDArray[np.float64]],
    head: str,
) -> None:
    axes = figure.subplots()
    for k, (one, places) in enumerate(zip(found, points, strict=True)):
        colour = COLOURS[k % len(COLOURS)]
        for place, token, likeness in zip(
            places, (one.token, *one.neighbours), (1.0, *one.likenesses), strict=True
        ):
            axes.plot(*np.stack([places[0], place]).T, color=colour, lw=0.8, alpha=0.4)
            axes.plot(*place, "o", color=colour, ms=9 if token == one.token else 4)
            axes.annotate(
                shown_label(token),
                (float(place[0]), float(place[1])),
                xytext=(4, 4),
                textcoords="offset points",
                fontsize=12 if token == one.token else 9,
                alpha=max(0.45, min(1.0, likeness)),
            )
    axes.set_xlabel("first principal component")
    axes.set_ylabel("second principal component")
    axes.margins(0.12)
    axes.set_title(head, wrap=True)


def _page(found: Sequence[Neighbourhood], points: Sequence[NDArray[np.float64]], head: str) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure()
    for one, places in zip(found, points, strict=True):
        figure.add_trace(
            go.Scatter(
                x=places[:, 0],
                y=places[:, 1],
                mode="markers+text",
                text=[shown_label(token) for token in (one.token, *one.neighbours)],
                textposition="top right",
                customdata=[1.0, *one.likenesses],
                name=shown_label(one.token),
                marker={"size": [14] + [7] * len(one.neighbours)},
                hovertemplate="%{text}: cosine %{customdata:.3f}<extra></extra>",
            )
        )
    figure.update_layout(
        title=head,
        xaxis_title="first principal component",
        yaxis_title="second principal component",
    )
    return figure
