"""One cell of the table: a remedy learns a problem at a lag, until it is solved or time is up."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch

from ostinato.data.problems import Examples, Solved
from ostinato.longlag.learners import Learner
from ostinato.longlag.network import LOSSES
from ostinato.longlag.problems import Problem
from ostinato.longlag.remedies import Remedy

__all__ = ["Budget", "Outcome", "Watch", "run_trial"]

# rows of a look, and of the test that decides, in parts that fit in memory
_LOOK, _TEST, _PART = 200, 1000, 250

_CLOCKS = {"wall": time.monotonic, "cpu": time.process_time}

# told at each look: updates, seconds, the error
Watch = Callable[[int, float, float], None]


@dataclass(frozen=True)
class Budget:
    """What a trial may take; it ends with the update that passes either.

    Attributes:
        seconds: with all that belongs to it: rows, looks, code that is compiled.
        updates: None: as many as there is time for. With it and enough seconds, the outcome is
            the same on any machine, up to rounding.
        clock: what counts the seconds: "wall", or "cpu" for the time that processors worked for
            it, so that a busy machine solves no less; threads side by side count together.

    Raises:
        ValueError: a number is not positive, or the clock is another word.
    """

    seconds: float
    updates: int | None = None
    clock: str = "wall"

    def __post_init__(self) -> None:
        if self.clock not in _CLOCKS:
            raise ValueError(f"budget: clock must be wall or cpu, got {self.clock!r}.")
        if not self.seconds > 0:
            raise ValueError(f"budget: seconds must be positive, got {self.seconds}.")
        if self.updates is not None and self.updates < 1:
            raise ValueError(f"budget: updates must be at least 1, got {self.updates}.")

    def over(self, seconds: float, updates: int) -> bool:
        """Whether a trial that has taken so much must end."""
        return seconds >= self.seconds or (self.updates is not None and updates >= self.updates)


@dataclass(frozen=True)
class Outcome:
    """What came of a trial.

    Attributes:
        problem: its name.
        remedy: its name.
        lag: of the problem.
        seed: of everything drawn.
        solved: the error on 1,000 fresh rows (or those there are) was below the bound.
        diverged: the loss was no longer a number, and the trial ended there.
        error: on those rows, in the end; None if it is not a number.
        measure: what the error is; see `ostinato.data.problems.Solved`.
        below: the bound.
        loss: mean on those rows, in the end; None for a reservoir's classes and bits, and if it is
            not a number.
        updates: how many were made.
        seconds: how long it took, by the budget's clock.
    """

    problem: str
    remedy: str
    lag: int
    seed: int
    solved: bool
    diverged: bool
    error: float | None
    measure: str
    below: float
    loss: float | None
    updates: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Outcome:
        """What `to_dict` gave.

        Raises:
            ValueError: a value is missing, or there is one too many.
        """
        names = {field.name for field in fields(cls)}
        if set(told) != names:
            odd = ", ".join(sorted(names ^ set(told)))
            raise ValueError(f"Outcome: these values are missing or unknown: {odd}.")
        return cls(**told)


def run_trial(
    problem: Problem,
    remedy: Remedy,
    lag: int,
    budget: Budget,
    *,
    seed: int = 0,
    watch: Watch | None = None,
) -> Outcome:
    """Let a remedy learn a problem at a lag.

    Each update has rows of its own. Now and then the error on the same 200 rows is looked at; once
    it is below the bound, 1,000 fresh rows decide whether the problem is solved, and the trial ends
    if it is.

    Args:
        problem: one of `PROBLEMS`, or one's own.
        remedy: one of `REMEDIES`, or one's own.
        lag: of the rows.
        budget: what it may take.
        seed: of the weights and all rows. torch's generator is left as it was.
        watch: called at each look.

    Example:
        >>> from ostinato.longlag import PROBLEMS, REMEDIES
        >>> outcome = run_trial(
        ...     PROBLEMS["memorisation-5"], REMEDIES["esn"], 10, Budget(60, updates=10)
        ... )
        >>> outcome.solved, outcome.error, outcome.updates
        (True, 0.0, 10)
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _Trial(problem, remedy, lag, seed, budget).run(watch)


class _Trial:
    """A trial under way."""

    def __init__(
        self, problem: Problem, remedy: Remedy, lag: int, seed: int, budget: Budget
    ) -> None:
        self.budget, self.clock = budget, _CLOCKS[budget.clock]
        self.begin = self.clock()
        self.problem, self.remedy, self.lag, self.seed = problem, remedy, lag, seed
        self.looked = self._rows(_LOOK, 1, part="validation")
        self.learner = remedy.start(problem, lag, self.looked)
        self.updates = self.tests = 0

    def run(self, watch: Watch | None) -> Outcome:
        while True:
            loss = self._update()
            over = self.budget.over(self._seconds(), self.updates)
            if loss is not None and not math.isfinite(loss):
                return self._outcome(_Score.of(self.learner, self._test()), diverged=True)
            if not (over or self.updates % self.learner.every == 0):
                continue
            error = self.looked.error(self.learner.answer(self.looked))
            if watch is not None:
                watch(self.updates, self._seconds(), error)
            if over or self._solved.met(error):
                score = _Score.of(self.learner, self._test())
                if over or self._solved.met(score.error):
                    return self._outcome(score)

    @property
    def _solved(self) -> Solved:
        return self.looked.solved

    def _update(self) -> float | None:
        rows = self._rows(self.learner.batch, 0, self.updates)
        self.updates += 1
        return self.learner.learn(rows)

    def _test(self) -> list[Examples]:
        """Rows that no update and no look has seen; others at each test."""
        self.tests += 1
        count = min(_TEST, self.problem.most or _TEST)
        parts = max(1, count // _PART)
        return [
            self._rows(count // parts, 2, self.tests, part, part="test") for part in range(parts)
        ]

    def _rows(self, count: int, *seed: int, part: str = "train") -> Examples:
        return self.problem.rows(count, self.lag, [self.seed, *seed], part=part)

    def _seconds(self) -> float:
        return self.clock() - self.begin

    def _outcome(self, score: _Score, *, diverged: bool = False) -> Outcome:
        return Outcome(
            self.problem.name,
            self.remedy.name,
            self.lag,
            self.seed,
            self._solved.met(score.error) and not diverged,
            diverged,
            _finite(score.error),
            self._solved.measure,
            self._solved.below,
            _finite(score.loss),
            self.updates,
            round(self._seconds(), 2),
        )


@dataclass(frozen=True)
class _Score:
    """Means over parts of the test."""

    error: float
    loss: float

    @classmethod
    def of(cls, learner: Learner, parts: list[Examples]) -> _Score:
        answers = [learner.answer(rows) for rows in parts]
        pairs = list(zip(parts, answers, strict=True))
        errors = [rows.error(found) for rows, found in pairs]
        losses = [_loss(rows, found) for rows, found in pairs]
        if not learner.scores and parts[0].loss != "squared":
            losses = [math.nan]
        return cls(float(np.mean(errors)), float(np.mean(losses)))


def _loss(rows: Examples, answer: np.ndarray[Any, Any]) -> float:
    found = torch.from_numpy(answer[rows.mask])
    wanted = torch.from_numpy(rows.targets[rows.mask])
    wanted = wanted if rows.loss == "classes" else wanted.to(found)
    return LOSSES[rows.loss](found, wanted).item()


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
