"""What a diagram is before it is drawn: boxes, arrows between them, and where they stand."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["ARROWS", "BOXES", "Arrow", "Box", "Graph"]

# every kind of box and arrow, with what the legend says of it
BOXES = {
    "input": "what comes in at this step",
    "state": "a state",
    "gate": "weights and a nonlinearity",
    "linear": "weights",
    "operation": "unit by unit",
    "part": "done for all steps at once",
    "cell": "a cell",
    "module": "a module",
    "loss": "a loss",
    "output": "what comes out",
}
ARROWS = {
    "forward": "values",
    "later": "the state, one step later",
    "backward": "gradients",
}


@dataclass(frozen=True)
class Box:
    """A node of a diagram.

    Attributes:
        key: its name among the boxes, a word of letters, digits and underscores.
        kind: one of `BOXES`.
        title: its first line; may be empty.
        detail: its second line; may be empty.
        told: the whole truth about it, for the tooltip and for those who do not see the picture.
        place: (column, row) where the picture has a fixed form; None: the layout finds one.
    """

    key: str
    kind: str
    title: str
    detail: str = ""
    told: str = ""
    place: tuple[float, float] | None = None


@dataclass(frozen=True)
class Arrow:
    """What goes from one box to another.

    Attributes:
        source: key of a box.
        target: likewise.
        label: stands at the arrow; may be empty.
        kind: one of `ARROWS`.
    """

    source: str
    target: str
    label: str = ""
    kind: str = "forward"


@dataclass
class Graph:
    """Boxes and arrows, in the order in which they were found.

    Attributes:
        title: what the picture shows, in a few words.
        words: what one would say of it who sees it, for those who do not.
        boxes: by key.
        arrows: between them.
    """

    title: str
    words: str = ""
    boxes: dict[str, Box] = field(default_factory=dict)
    arrows: list[Arrow] = field(default_factory=list)

    def add(self, box: Box) -> str:
        """Put a box in; its key comes back."""
        self.boxes[box.key] = box
        return box.key

    def join(self, source: str, target: str, label: str = "", kind: str = "forward") -> None:
        """Put an arrow in, unless the same is there."""
        arrow = Arrow(source, target, label, kind)
        if arrow not in self.arrows:
            self.arrows.append(arrow)

    def into(self, key: str) -> list[Arrow]:
        """The arrows that end at a box."""
        return [arrow for arrow in self.arrows if arrow.target == key]
