"""What a task brings to a comparison: each model's losses on the test part, unit by unit."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ostinato.compare.bootstrap import Draws, draw_again
from ostinato.compare.history import History
from ostinato.compare.result import Comparison, Entry, Metric
from ostinato.extras import MissingExtraError

__all__ = [
    "Asked",
    "Candidate",
    "Trial",
    "concluded",
    "evenly",
    "fit_seconds",
    "network_candidate",
    "tried",
]

Floats = NDArray[np.float64]
Longs = NDArray[np.int64]
T = TypeVar("T")

_UNCONFIRMED = (
    "The run's record does not confirm that the simple models learned from what the network was "
    "fitted on: see to it that they did."
)
# blocks, or single units, below which intervals are said to be rough
_FEW = 10


@dataclass(frozen=True)
class Asked:
    """What a comparison is to do.

    Attributes:
        train: what the network was fitted on, where `data` is something else; None: `data` is it.
        validation: the validation data that were given apart from it.
        full: nothing is thinned out.
        only: names, as `tried` has them, of the simple models that are asked; None: all.
        history: cut and shuffle the past.
        steps: the k of `history`; None: as `ladder` has them.
        places: places that `history` asks about at most; None: as the task has it.
        resamples, level, seed: of the bootstrap; see `draw_again`. The seed also draws what is
            shuffled.
        folder: of the network's run, if it has one.
        report: told what is being done.
    """

    train: Any = None
    validation: Any = None
    full: bool = False
    only: Collection[str] | None = None
    history: bool = True
    steps: Sequence[int] | None = None
    places: int | None = None
    resamples: int = 1000
    level: float = 0.95
    seed: int = 0
    folder: Path | None = None
    report: Callable[[str], object] = field(default=lambda stage: None)

    def most(self, cheap: int) -> int | None:
        """How many of something are taken at most; None: all."""
        return None if self.full else cheap

    def some_places(self, count: int, cheap: int) -> Longs:
        """Which of so many places are asked about with less of the past, spread evenly."""
        return evenly(count, self.most(cheap) if self.places is None else self.places)

    def fitted_on(self, data: Any) -> Any:
        """What the network was fitted on, where `data` were given to be compared on."""
        return data if self.train is None else self.train

    @property
    def drawing(self) -> dict[str, Any]:
        """What `draw_again` is told."""
        return {"resamples": self.resamples, "level": self.level, "seed": self.seed}


@dataclass(frozen=True)
class Candidate:
    """One model on the test part.

    Attributes:
        name: of the model.
        losses: summed over what each unit weighs, [n].
        looks_back: see `Entry`.
        parameters: see `Entry`.
        fit_seconds: see `Entry`.
        score_seconds: see `Entry`.
    """

    name: str
    losses: Floats
    looks_back: int | None
    parameters: int
    fit_seconds: float | None
    score_seconds: float


@dataclass
class Trial:
    """All models on the test part.

    Attributes:
        task: of the network.
        metric: what is measured; of a share, losses are what was wrong.
        network: the network.
        guesses: the others.
        weights: of each unit, [n].
        unit: what a unit is, e.g. "sentence".
        units: all of them in words, e.g. "1,200 sentences".
        lengths: units of each stretch; see `draw_again`.
        block, least: see `draw_again`.
        history: what the past is worth.
        confirmed: see `Comparison`.
        notes: see `Comparison`.
    """

    task: str
    metric: Metric
    network: Candidate
    guesses: list[Candidate]
    weights: Floats
    unit: str
    units: str
    lengths: Sequence[int] | None = None
    block: int | None = 1
    least: int = 1
    history: History | None = None
    confirmed: bool = True
    notes: list[str] = field(default_factory=list)


def concluded(trial: Trial, asked: Asked) -> Comparison:
    """The comparison that a trial comes to."""
    all_of_them = [trial.network, *trial.guesses]
    losses = np.stack([one.losses for one in all_of_them])
    draws = draw_again(
        losses,
        trial.weights,
        block=trial.block,
        least=trial.least,
        lengths=trial.lengths,
        **asked.drawing,
    )
    entries = [
        _entry(one, draws, place, trial.metric.higher) for place, one in enumerate(all_of_them)
    ]
    best_first = np.argsort(draws.scores[1:], kind="stable")
    return Comparison(
        trial.task,
        trial.metric,
        entries[0],
        tuple(entries[1 + int(place)] for place in best_first),
        trial.history,
        trial.units,
        draws.block,
        trial.unit,
        asked.level,
        trial.confirmed,
        (
            *(() if trial.confirmed else (_UNCONFIRMED,)),
            *trial.notes,
            _drawn(trial, draws, asked),
        ),
    )


def tried(
    trial: Trial, name: str, fit: Callable[[], T], ask: Callable[[T], Floats], asked: Asked
) -> bool:
    """Fit a simple model, ask it, and add it to a trial; or say why it could not be.

    Args:
        trial: takes it.
        name: for what is reported, and for `asked.only`; the table has the model's own `name`.
        fit: gives a model with `name`, `looks_back` and `parameters`.
        ask: its losses on the test part.
        asked: which are wanted; reports.

    Returns:
        Whether it was.
    """
    if asked.only is not None and name not in asked.only:
        return False
    asked.report(f"fitting: {name}")
    try:
        model, fitting = _timed(fit)
        losses, scoring = _timed(lambda: ask(model))
    except (ValueError, MissingExtraError) as error:
        trial.notes.append(f"Left out: {name} ({error})")
        return False
    told: Any = model
    trial.guesses.append(
        Candidate(told.name, np.asarray(losses), told.looks_back, told.parameters, fitting, scoring)
    )
    return True


def network_candidate(
    model: Any, name: str, ask: Callable[[], Floats], *, looks_back: int | None = None
) -> Candidate:
    """The network on the test part."""
    losses, seconds = _timed(ask)
    count = sum(part.numel() for part in model.parameters())
    return Candidate(name, losses, looks_back, count, fit_seconds(model), seconds)


def fit_seconds(model: Any) -> float | None:
    """How long a model's training took, by its own figures."""
    found = model.figures.get("training", {}).get("seconds")
    return None if found is None else float(found)


def evenly(count: int, most: int | None) -> Longs:
    """So many places of 0..count-1 at most, spread evenly.

    Example:
        >>> evenly(10, 4).tolist(), evenly(3, None).tolist()
        ([0, 2, 5, 7], [0, 1, 2])
    """
    taken = count if most is None else min(count, most)
    return np.arange(taken, dtype=np.int64) * count // max(taken, 1)


def _timed(call: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    value = call()
    return value, time.perf_counter() - start


def _entry(one: Candidate, draws: Any, place: int, higher: bool) -> Entry:
    score, gain = draws.score(place), None
    if place:
        # losses, so that what is above the network's is worse
        gain = _scaled(draws.difference(place, 0) if higher else draws.share(0, place), 100)
    if higher:
        score = _scaled(score, -1, 1)
    return Entry(
        one.name,
        score,
        gain,
        one.looks_back,
        one.parameters,
        one.fit_seconds,
        one.score_seconds,
    )


def _scaled(one: Any, factor: float, add: float = 0.0) -> Any:
    low, high = sorted((add + factor * one.low, add + factor * one.high))
    return type(one)(add + factor * one.value, low, high)


def _drawn(trial: Trial, draws: Draws, asked: Asked) -> str:
    what = (
        f"of single {trial.unit}s"
        if draws.block == 1
        else f"of blocks of {draws.block:,} {trial.unit}s in a row"
    )
    told = f"Intervals by {asked.resamples:,} draws {what}, the same for all models."
    if trial.history is not None:
        told += " Those of the falls hold all together."
    if draws.blocks < _FEW:
        told += f" Fewer than {_FEW} such blocks are rough: true differences may lie outside."
    return told
