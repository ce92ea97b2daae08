"""Places of boxes that stand in columns and rows, as steps of time and layers do."""

from __future__ import annotations

from collections.abc import Mapping

from ostinato.inspect.diagrams.graph import Arrow, Graph
from ostinato.inspect.diagrams.layout import Layout, Size

__all__ = ["lay_on_grid"]

_GAP_X, _GAP_Y = 58.0, 40.0
# half the distance between an arrow and the one that runs against it
_APART = 5.0


def lay_on_grid(graph: Graph, sizes: Mapping[str, Size]) -> Layout:
    """Put each box where its `place` says; rows count from below. Arrows run straight.

    A place between two columns, such as 0.5, is in the middle of them.
    """
    wide = max(size.width for size in sizes.values()) + _GAP_X
    high = max(size.height for size in sizes.values()) + _GAP_Y
    places = {key: box.place or (0.0, 0.0) for key, box in graph.boxes.items()}
    top = max(row for _, row in places.values())
    raw = {key: (column * wide, (top - row) * high) for key, (column, row) in places.items()}
    left = min(x - sizes[key].width / 2 for key, (x, _) in raw.items())
    above = min(y - sizes[key].height / 2 for key, (_, y) in raw.items())
    centres = {key: (x - left, y - above) for key, (x, y) in raw.items()}
    paths = {
        arrow: _straight(arrow, graph, centres, sizes)
        for arrow in graph.arrows
        if arrow.source != arrow.target
    }
    width = max(x + sizes[key].width / 2 for key, (x, _) in centres.items())
    height = max(y + sizes[key].height / 2 for key, (_, y) in centres.items())
    return Layout(centres, paths, width, height)


def _straight(
    arrow: Arrow,
    graph: Graph,
    centres: Mapping[str, tuple[float, float]],
    sizes: Mapping[str, Size],
) -> tuple[tuple[float, float], ...]:
    (ax, ay), (bx, by) = centres[arrow.source], centres[arrow.target]
    length = ((bx - ax) ** 2 + (by - ay) ** 2) ** 0.5
    # to its own right, so that the two of a pair keep out of each other's way
    paired = any((a.source, a.target) == (arrow.target, arrow.source) for a in graph.arrows)
    shift = _APART / length if paired else 0.0
    dx, dy = -(by - ay) * shift, (bx - ax) * shift
    start = _edge((ax, ay), (bx, by), sizes[arrow.source])
    stop = _edge((bx, by), (ax, ay), sizes[arrow.target])
    return (start[0] + dx, start[1] + dy), (stop[0] + dx, stop[1] + dy)


def _edge(
    centre: tuple[float, float], towards: tuple[float, float], size: Size
) -> tuple[float, float]:
    """Where the way from a box's centre leaves the box."""
    (x, y), (tx, ty) = centre, towards
    dx, dy = tx - x, ty - y
    across = size.width / 2 / abs(dx) if dx else float("inf")
    along = size.height / 2 / abs(dy) if dy else float("inf")
    share = min(across, along)
    return x + dx * share, y + dy * share
