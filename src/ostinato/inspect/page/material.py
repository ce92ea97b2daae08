"""What a page is made of, before it is drawn: tokens, values, answers, figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.inspect.gradient_flow import Flow
from ostinato.inspect.saturation import Saturation

__all__ = [
    "Answer",
    "Attention",
    "Axis",
    "Band",
    "Chart",
    "Line",
    "Material",
    "PageError",
    "Track",
]

Numbers = NDArray[np.float32]


class PageError(ValueError):
    """There is nothing that a page could show; the message says why and what to do."""


@dataclass(frozen=True)
class Line:
    """Numbers at successive steps of a chart.

    Attributes:
        name: as its key calls it.
        start: step of the first of them.
        values: None where nothing is known.
        kind: "past" (what was read), "came" (what came after that) or "forecast".
    """

    name: str
    start: int
    values: tuple[float | None, ...]
    kind: str = "past"


@dataclass(frozen=True)
class Band:
    """An interval at successive steps of a chart; attributes as of `Line`."""

    name: str
    start: int
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Chart:
    """Numbers drawn over their steps.

    Attributes:
        title: above it.
        words: what one sees, for those who do not.
        across: what the steps are.
        lines: at least one.
        bands: behind the lines.
        ticks: (step, words) below.
    """

    title: str
    words: str
    across: str
    lines: tuple[Line, ...]
    bands: tuple[Band, ...] = ()
    ticks: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class Axis:
    """Steps of one walk, and what stood at each of them.

    Attributes:
        name: what the steps are, e.g. "tokens read".
        labels: one for each step.
        joint: what stands between two of them in running text.
        layers: how the names of the layers begin that may walk along it.
        chart: numbers that were read there, drawn in place of the running text; None: text.
    """

    name: str
    labels: tuple[str, ...]
    joint: str = ""
    layers: tuple[str, ...] = ("",)
    chart: Chart | None = None


@dataclass(frozen=True)
class Track:
    """The values of one name in one layer and direction.

    Attributes:
        axis: which of the page's axes its steps are.
        layer: as the trace names it.
        direction: 0, or 1 for the walk from the end.
        name: as the cell's equations have it.
        kind: "state", "gate", "pre", "value", "output", or "input" of what was read.
        function: the activation that made it, or "".
        values: [T, units].
        units: their numbers in the layer.
        flow: how the gradient of a loss changes on its way back; None where not asked for.
        saturation: how often the units are near their limits; None for what has none.
    """

    axis: int
    layer: str
    direction: int
    name: str
    kind: str
    function: str
    values: Numbers
    units: NDArray[np.int64]
    flow: Flow | None = None
    saturation: Saturation | None = None

    @property
    def title(self) -> str:
        """How the track is called on the page."""
        if self.kind == "input":
            return f"{self.name}, what was read"
        way = ", from the end" if self.direction else ""
        return f"{self.name}, layer {self.layer}{way}"


@dataclass(frozen=True)
class Answer:
    """What the model said at one step.

    Attributes:
        choices: (label, probability or value), best first.
        truth: what came, where that is known, or what was written or chosen; see `Material.truth`.
        chance: the probability that the model gave it; None where unknown.
    """

    choices: tuple[tuple[str, float], ...]
    truth: str | None = None
    chance: float | None = None


@dataclass(frozen=True)
class Attention:
    """Where an attention looked.

    Attributes:
        name: of its module.
        weights: [written, read], each row a share of 1.
        written: labels of the rows.
        read: labels of the columns.
    """

    name: str
    weights: Numbers
    written: tuple[str, ...]
    read: tuple[str, ...]


@dataclass
class Material:
    """All that a page shows.

    Attributes:
        title: of the page.
        task: what the model does.
        question: what the answers answer, e.g. "Which token comes next?".
        axes: the first is that of the answers.
        tracks: what was recorded.
        answers: for each step of the first axis; () where there are none.
        whole: what the model says to all of the input, as lines.
        attention: where there is one.
        diagrams: (title, SVG, words).
        facts: of the model: (section, rows of (name, value)).
        notes: what was cut and why.
        spectra: (title, eigenvalues of a step's Jacobian, words).
        charts: what is said to come of numbers.
        truth: what stands as the truth of an answer: "next", what came next; "written", what was
            written at that step; "chosen", what the model chose there.
    """

    title: str
    task: str
    question: str
    axes: list[Axis]
    tracks: list[Track]
    answers: list[Answer] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)
    attention: list[Attention] = field(default_factory=list)
    diagrams: list[tuple[str, str, str]] = field(default_factory=list)
    facts: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    spectra: list[tuple[str, NDArray[np.complex128], str]] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    truth: str = "next"

    @property
    def mode(self) -> str:
        """As `truth`; "whole" where no answer has one, as it is about all that was read so far."""
        return "whole" if all(one.truth is None for one in self.answers) else self.truth

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything in full, by name, for `numpy.savez`."""
        found: dict[str, NDArray[Any]] = {}
        for axis in self.axes:
            found[f"labels/{axis.name}"] = np.array(axis.labels, dtype=np.str_)
        for track in self.tracks:
            key = f"{track.layer}/{track.direction}/{track.name}"
            found[key] = track.values
            if track.flow is not None:
                found[f"{key}/flow"] = track.flow.norms
        for one in self.attention:
            found[f"{one.name}/weights"] = one.weights
        return found
