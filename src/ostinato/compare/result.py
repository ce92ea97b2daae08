"""What a comparison found: scores with their intervals, what the past is worth, and a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ostinato.compare.bootstrap import Interval
from ostinato.compare.history import History
from ostinato.compare.verdict import Rival, verdict

__all__ = ["Comparison", "Entry", "Metric"]


@dataclass(frozen=True)
class Metric:
    """What is measured.

    Attributes:
        name: e.g. "nats per character".
        higher: more is better, and the score is a share, such as an accuracy.
    """

    name: str
    higher: bool = False

    def told(self, value: float) -> str:
        """A score as it is read: shares in per cent, others with four digits.

        Example:
            >>> Metric("accuracy", higher=True).told(0.953), Metric("nats").told(1.45)
            ('95.30', '1.4500')
        """
        return f"{100 * value:.2f}" if self.higher else f"{value:.4f}"

    @property
    def title(self) -> str:
        """The name with its unit."""
        return f"{self.name}, %" if self.higher else self.name

    @property
    def gain_unit(self) -> str:
        """What gains are counted in."""
        return "points" if self.higher else "%"


@dataclass(frozen=True)
class Entry:
    """One model's line.

    Attributes:
        name: of the model.
        score: with its interval, in the metric.
        gain: by how much the network is better than this one (below 0: worse), in percentage points
            of a share, or in per cent of the larger loss; None for the network itself.
        looks_back: steps of the past that it reads at most; None: all, by a state.
        parameters: numbers learned.
        fit_seconds: how long fitting took; None where nothing tells.
        score_seconds: how long the test part took.
    """

    name: str
    score: Interval
    gain: Interval | None
    looks_back: int | None
    parameters: int
    fit_seconds: float | None
    score_seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "name": self.name,
            **_told("score", self.score),
            **_told("gain", self.gain),
            "looks_back": self.looks_back,
            "parameters": self.parameters,
            "fit_seconds": self.fit_seconds,
            "score_seconds": self.score_seconds,
        }


@dataclass(frozen=True)
class Comparison:
    """A network beside simpler models; prints as a table with a verdict.

    Attributes:
        task: of the network.
        metric: what is measured.
        network: the network's line.
        guesses: those of the other models, best first.
        history: what the past is worth to the network; None: not asked.
        units: what was scored, e.g. "1,200 sentences".
        block: units in a block of the bootstrap.
        unit: what a unit is, e.g. "sentence".
        level: probability of all intervals.
        confirmed: the training part is the one that the network was fitted on, by its record.
        notes: what else is to be known, a sentence each.
    """

    task: str
    metric: Metric
    network: Entry
    guesses: tuple[Entry, ...]
    history: History | None
    units: str
    block: int
    unit: str
    level: float
    confirmed: bool
    notes: tuple[str, ...] = ()

    @property
    def best_memoryless(self) -> Entry | None:
        """The best of the models that have no state."""
        return next((one for one in self.guesses if one.looks_back is not None), None)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The verdict: whether the network is worth having, and how much memory it needs."""
        rivals = [
            Rival(one.name, one.gain, one.looks_back is not None)
            for one in self.guesses
            if one.gain is not None
        ]
        return verdict(rivals, self.metric.gain_unit, self.history)

    @property
    def verdict(self) -> str:
        """The verdict in one line."""
        return " ".join(self.sentences)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "task": self.task,
            "metric": self.metric.name,
            "higher_is_better": self.metric.higher,
            "gain_unit": self.metric.gain_unit,
            "level": self.level,
            "units": self.units,
            "block": self.block,
            "block_unit": self.unit,
            "confirmed": self.confirmed,
            "network": self.network.to_dict(),
            "guesses": [one.to_dict() for one in self.guesses],
            "history": None if self.history is None else self.history.to_dict(),
            "notes": list(self.notes),
            "verdict": list(self.sentences),
        }

    def __rich__(self) -> RenderableType:
        parts: list[RenderableType] = [_scores(self)]
        if self.history is not None:
            parts += [Text(), _falls(self.history, self.metric)]
        parts.append(Text())
        parts += [Text(sentence, style="bold") for sentence in self.sentences]
        parts += [Text(note, style="dim") for note in self.notes]
        return Group(*parts)

    def __str__(self) -> str:
        console = Console(file=StringIO(), width=160, color_system=None)
        with console.capture() as told:
            console.print(self)
        return "\n".join(line.rstrip() for line in told.get().splitlines())


def _scores(found: Comparison) -> Table:
    level = f"{found.level:.0%}"
    # the best at the bottom, where the eye ends
    better = found.metric.higher
    rows = sorted(
        [*reversed(found.guesses), found.network],
        key=lambda one: one.score.value if better else -one.score.value,
    )
    table = Table(
        title=f"{found.metric.title}, on {found.units} ({level} intervals)",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    table.add_column("model", no_wrap=True)
    for head in ("score", level, "behind by", level, "reads", "numbers", "fitted in", "scored in"):
        table.add_column(head, justify="right", no_wrap=True)
    for one in rows:
        style = "bold" if one is found.network else ""
        table.add_row(*_line(one, found.metric), style=style)
    return table


def _line(one: Entry, metric: Metric) -> list[str]:
    gain = ["", ""]
    if one.gain is not None:
        gain = [f"{one.gain.value:.2f} {metric.gain_unit}", f"{one.gain.low:.2f} to "]
        gain[1] += f"{one.gain.high:.2f}"
    return [
        one.name if one.gain is not None else f"{one.name} (the network)",
        metric.told(one.score.value),
        f"{metric.told(one.score.low)} to {metric.told(one.score.high)}",
        *gain,
        "all" if one.looks_back is None else f"{one.looks_back:,}",
        f"{one.parameters:,}",
        "?" if one.fit_seconds is None else _seconds(one.fit_seconds),
        _seconds(one.score_seconds),
    ]


def _falls(history: History, metric: Metric) -> Table:
    unit = metric.gain_unit if metric.higher else metric.name
    table = Table(
        title=f"Worse by, {unit}, without the past beyond k {history.unit}s ({history.asked:,} "
        f"places, {metric.told(history.full)} with all of it)",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for head in ("k", "cut", "interval", "shuffled", "interval"):
        table.add_column(head, justify="right")
    for cut, shuffled in zip(history.cut, history.shuffle, strict=True):
        table.add_row(f"{cut.steps:,}", *_fall(cut.fall, metric), *_fall(shuffled.fall, metric))
    return table


def _fall(fall: Interval, metric: Metric) -> list[str]:
    return [metric.told(fall.value), f"{metric.told(fall.low)} to {metric.told(fall.high)}"]


def _seconds(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"


def _told(name: str, one: Interval | None) -> Mapping[str, Any]:
    values: Sequence[float | None] = (
        (None, None, None) if one is None else (one.value, one.low, one.high)
    )
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))
