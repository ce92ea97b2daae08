"""A graph as an SVG picture that takes its colour from the text around it, in light and in dark."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from ostinato.inspect.diagrams.graph import BOXES, Arrow, Box, Graph
from ostinato.inspect.diagrams.grid import lay_on_grid
from ostinato.inspect.diagrams.layout import ROOM, Layout, Size, lay_out

__all__ = ["box_lines", "box_size", "standalone", "to_svg"]

_FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
_MARGIN = 14.0
_WRAP = 30
# advance of a character of a fixed-width font, in parts of its size
_ADVANCE = 0.61
_TITLE, _DETAIL = 13.0, 11.0
_LINE = 15.0
_LOOP = 26.0

# Okabe and Ito's colours, told apart also by those who see fewer of them
_TINTS = {
    "gate": "#0072B2",
    "cell": "#0072B2",
    "linear": "#56B4E9",
    "module": "#56B4E9",
    "state": "#009E73",
    "part": "#CC79A7",
    "loss": "#D55E00",
}
_STROKES = {"forward": "currentColor", "later": "#009E73", "backward": "#D55E00"}


def to_svg(graph: Graph) -> str:
    """Draw a graph.

    Lines and letters are in `currentColor`; the picture has a title and, for those who do not see
    it, the graph's words; each box tells all about itself in a tooltip.
    """
    loops = {a.source: a for a in graph.arrows if a.source == a.target and a.kind == "later"}
    sizes = {k: _with_arrows(box_size(box), graph, k) for k, box in graph.boxes.items()}
    roomy = {k: _with_loop(size) if k in loops else size for k, size in sizes.items()}
    fixed = all(box.place is not None for box in graph.boxes.values())
    layout = lay_on_grid(graph, roomy) if fixed else lay_out(graph, roomy, last=_last(graph))
    extra = _LOOP if loops else 0.0
    width, height = layout.width + 2 * _MARGIN, layout.height + 2 * _MARGIN + extra
    key = hashlib.sha256(f"{graph.title}{graph.boxes}{graph.arrows}".encode()).hexdigest()[:8]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="ostinato-diagram" role="img" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" '
        f'aria-labelledby="t{key} d{key}" font-family="{_FONT}" fill="currentColor">',
        f'<title id="t{key}">{escape(graph.title)}</title>',
        f'<desc id="d{key}">{escape(graph.words)}</desc>',
        f'<g transform="translate({_MARGIN:g} {_MARGIN + extra:g})">',
    ]
    lines += [_arrow(arrow, layout, sizes) for arrow in graph.arrows]
    lines += [_drawn(box, layout.centres[key], sizes[key]) for key, box in graph.boxes.items()]
    return "\n".join([*lines, "</g>", "</svg>"])


def standalone(svg: str) -> str:
    """A picture that is a file of its own: it follows the reader's choice of light or dark."""
    style = (
        "<style>:root{color-scheme:light dark;color:#1b1f24;background:#fff}"
        "@media (prefers-color-scheme:dark){:root{color:#e8eaed;background:#15181c}}</style>"
    )
    head, _, rest = svg.partition("\n")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{head}\n{style}\n{rest}\n'


def box_lines(box: Box) -> list[str]:
    """The second and further lines of a box: its detail, broken at blanks where it is long."""
    lines: list[str] = []
    for word in box.detail.split(" ") if box.detail else ():
        if lines and len(lines[-1]) + 1 + len(word) <= _WRAP:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def box_size(box: Box) -> Size:
    """Room for a box's words."""
    lines = box_lines(box)
    words = [len(line) * _DETAIL for line in lines] + [len(box.title) * _TITLE]
    height = 12.0 + _LINE * (len(lines) + bool(box.title))
    width = max(words) * _ADVANCE + 18.0
    return Size(max(width, height, 34.0), max(height, 28.0))


def _with_loop(size: Size) -> Size:
    return Size(size.width, size.height + 2 * _LOOP)


def _with_arrows(size: Size, graph: Graph, key: str) -> Size:
    """Room for the arrows that meet at a box, for what stands at them, and for its loop."""
    width, height = size.width, size.height
    coming = graph.into(key)
    for arrow in coming:
        if arrow.source == key:
            width = max(width, len(arrow.label) * _DETAIL * _ADVANCE + 12.0)
    forward = [arrow for arrow in coming if arrow.kind == "forward"]
    # what comes back a step later leaves where the others arrive; side by side it runs onwards
    back = [
        arrow
        for arrow in graph.arrows
        if arrow.kind == "later" and arrow.source == key != arrow.target
        if graph.boxes[key].place is None
    ]
    if back or any(arrow.label for arrow in forward):
        height = max(height, ROOM * (len(forward) + 2 * len(back)) + 8.0)
    return Size(width, height)


def _last(graph: Graph) -> Sequence[str]:
    ends = {arrow.source for arrow in graph.arrows if arrow.kind == "forward"}
    return [k for k, b in graph.boxes.items() if b.kind in ("state", "output") and k not in ends]


def _drawn(box: Box, centre: tuple[float, float], size: Size) -> str:
    (x, y), lines = centre, box_lines(box)
    left, top = x - size.width / 2, y - size.height / 2
    tint = _TINTS.get(box.kind)
    fill = f'fill="{tint}" fill-opacity="0.16"' if tint else 'fill="none"'
    round_ = {"operation": size.height / 2, "state": 12, "input": 12, "output": 12}.get(box.kind, 4)
    told = escape(f"{box.told or box.title} ({BOXES[box.kind]})")
    out = [
        f"<g><title>{told}</title>",
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{size.width:.1f}" height="{size.height:.1f}" '
        f'rx="{round_:g}" {fill} stroke="currentColor" stroke-opacity="0.75"/>',
    ]
    first = y - _LINE * (len(lines) + bool(box.title) - 1) / 2 + 4
    if box.title:
        out.append(_text(x, first, box.title, _TITLE, ' font-weight="bold"'))
        first += _LINE
    for number, line in enumerate(lines):
        out.append(_text(x, first + number * _LINE, line, _DETAIL))
    return "\n".join([*out, "</g>"])


def _text(x: float, y: float, words: str, size: float, more: str = "") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="middle"{more}>'
        f"{escape(words)}</text>"
    )


# arrows


def _arrow(arrow: Arrow, layout: Layout, sizes: Mapping[str, Size]) -> str:
    if arrow.source == arrow.target:
        x, y = layout.centres[arrow.source]
        return _loop(arrow, x, y, sizes[arrow.source])
    points = layout.paths[arrow]
    line = "".join(_piece(k, points) for k in range(len(points)))
    (ax, ay), (bx, by) = points[-2:]
    # between layers all ends are level, however short the last piece is
    turn = math.degrees(math.atan2(by - ay, bx - ax)) if len(points) == 2 else 0.0
    if len(points) > 2 and bx < points[0][0]:
        turn = 180.0
    return _stroke(arrow, line, points[-1], turn) + _label(arrow, points)


def _piece(k: int, points: Sequence[tuple[float, float]]) -> str:
    """The way to one point: straight beside a box, a curve between two layers."""
    x, y = points[k]
    if k == 0:
        return f"M{x:.1f} {y:.1f}"
    before, at = points[k - 1]
    # odd points end the straight way past a layer
    if k % 2 or len(points) == 2:
        return f"L{x:.1f} {y:.1f}"
    middle = (before + x) / 2
    return f"C{middle:.1f} {at:.1f} {middle:.1f} {y:.1f} {x:.1f} {y:.1f}"


def _loop(arrow: Arrow, x: float, y: float, size: Size) -> str:
    """From a box's top right over it to its top left; gradients the other way, further in."""
    inner = 0.55 if arrow.kind == "backward" else 1.0
    half, top = size.width * 0.32 * (0.6 if inner < 1 else 1), y - size.height / 2
    start, stop = (x - half, x + half) if inner < 1 else (x + half, x - half)
    rise = top - _LOOP * 1.25 * inner
    line = (
        f"M{start:.1f} {top:.1f}C{start:.1f} {rise:.1f} {stop:.1f} {rise:.1f} {stop:.1f} {top:.1f}"
    )
    word = ""
    if arrow.label:
        word = _text(x, top - _LOOP - 2, arrow.label, _DETAIL)
    return _stroke(arrow, line, (stop, top), 90.0) + word


def _stroke(arrow: Arrow, line: str, end: tuple[float, float], turn: float) -> str:
    colour = _STROKES[arrow.kind]
    dashes = ' stroke-dasharray="5 3"' if arrow.kind == "backward" else ""
    return (
        f'<path d="{line}" fill="none" stroke="{colour}" stroke-width="1.3" '
        f'stroke-opacity="0.85"{dashes}/>'
        f'<path d="M0 0L-8 -3.6L-8 3.6Z" fill="{colour}" '
        f'transform="translate({end[0]:.1f} {end[1]:.1f}) rotate({turn:.1f})"/>'
    )


def _label(arrow: Arrow, points: Sequence[tuple[float, float]]) -> str:
    if not arrow.label:
        return ""
    (ax, ay), (bx, by) = points[-2:]
    if len(points) == 2:
        # along a straight arrow
        across = abs(bx - ax) > abs(by - ay)
        # long ones are crossed in the middle
        share = 0.15 if abs(bx - ax) > 150 else 0.5
        x, y = ax + (bx - ax) * share, ay + (by - ay) * share
        # on the far side of the arrow that may run against this one
        anchor, dx, dy = ("middle", 0, 12 if bx > ax else -5) if across else ("start", 6, 4)
    elif bx < points[0][0]:
        x, y, anchor, dx, dy = bx, by, "start", 10, 12
    else:
        x, y, anchor, dx, dy = ax, by, "end", -4, -4
    return (
        f'<text x="{x + dx:.1f}" y="{y + dy:.1f}" font-size="10" text-anchor="{anchor}" '
        f'fill-opacity="0.85">{escape(arrow.label)}</text>'
    )
