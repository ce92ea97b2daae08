"""A graph as Mermaid text, which GitHub, GitLab and many editors draw."""

from __future__ import annotations

from ostinato.inspect.diagrams.graph import Arrow, Box, Graph

__all__ = ["to_mermaid"]

_SHAPES = {
    "input": ("([", "])"),
    "state": ("([", "])"),
    "output": ("([", "])"),
    "operation": ("((", "))"),
    "part": ("[[", "]]"),
    "loss": ("{{", "}}"),
}
_LINES = {"forward": "-->", "later": "==>", "backward": "-.->"}


def to_mermaid(graph: Graph) -> str:
    """Write a graph as a Mermaid flow chart, with its title.

    Source of the notation: https://mermaid.js.org/syntax/flowchart.html
    """
    upright = all(box.place is not None for box in graph.boxes.values())
    # the head is YAML: in quotes, where an apostrophe is doubled, so that no sign means anything
    title = " ".join(graph.title.split()).replace("'", "''")
    lines = ["---", f"title: '{title}'", "---", f"flowchart {'BT' if upright else 'LR'}"]
    lines += [f"    {_box(box)}" for box in graph.boxes.values()]
    lines += [f"    {_arrow(arrow)}" for arrow in graph.arrows]
    return "\n".join(lines) + "\n"


def _box(box: Box) -> str:
    words = "<br/>".join(_escaped(word) for word in (box.title, box.detail) if word)
    opening, closing = _SHAPES.get(box.kind, ("[", "]"))
    if box.kind == "operation" and box.title and box.detail:
        # two lines stand out of a circle
        opening, closing = "(", ")"
    return f'{box.key}{opening}"{words}"{closing}'


def _arrow(arrow: Arrow) -> str:
    label = f'|"{_escaped(arrow.label)}"|' if arrow.label else ""
    return f"{arrow.source} {_LINES[arrow.kind]}{label} {arrow.target}"


def _escaped(words: str) -> str:
    """Words in which nothing means anything to Mermaid or to HTML."""
    special = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "#": "35"}
    return "".join(f"#{special[sign]};" if sign in special else sign for sign in words)
