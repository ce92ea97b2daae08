"""The whole grid: every remedy on every problem at every lag, kept as it goes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ostinato.longlag.problems import Problem
from ostinato.longlag.remedies import Remedy
from ostinato.longlag.trial import Budget, Outcome, Watch, run_trial

__all__ = ["Cell", "Grid", "GridError", "run_grid"]

Cell = tuple[Problem, Remedy, int]


class GridError(ValueError):
    """A folder of trials does not fit what is asked for."""


@dataclass(frozen=True)
class Grid:
    """What is to be tried.

    Attributes:
        problems: each at all its lags.
        remedies: each on all problems.
        lags: ascending; problems with one lag are tried at that.
        budget: of each trial.
        seed: of each trial.
        climb: go on to longer lags of a problem only while the remedy solves them.

    Raises:
        ValueError: there is nothing to try, a lag is below 1, or the seed is negative.

    Example:
        >>> from ostinato.longlag import PROBLEMS, REMEDIES
        >>> grid = Grid((PROBLEMS["copy"],), (REMEDIES["lstm"],), (20, 10, 20), Budget(5))
        >>> [lag for _, _, lag in grid.cells()], grid.most_seconds
        ([10, 20], 10)
    """

    problems: tuple[Problem, ...]
    remedies: tuple[Remedy, ...]
    lags: tuple[int, ...]
    budget: Budget
    seed: int = 0
    climb: bool = False

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.seed}.")
        if any(lag < 1 for lag in self.lags):
            raise ValueError(f"lags must be at least 1, got {min(self.lags)}.")
        object.__setattr__(self, "lags", tuple(sorted(set(self.lags))))
        if not any(True for _ in self.cells()):
            raise ValueError(
                f"nothing to try: of {len(self.problems)} problem(s), {len(self.remedies)} "
                f"remedies and the lags {list(self.lags)} no trial can be made. The least lag of "
                f"these problems is {min((p.least for p in self.problems), default=1)}."
            )

    def cells(self) -> Iterator[Cell]:
        """Problem, remedy and lag of each trial, in the order of running."""
        for problem in self.problems:
            for remedy in self.remedies:
                for lag in problem.lags(self.lags):
                    yield problem, remedy, lag

    @property
    def most_seconds(self) -> float:
        """What all trials may take together, beside the update with which each ends."""
        return self.budget.seconds * sum(1 for _ in self.cells())

    @property
    def settings(self) -> dict[str, Any]:
        """What trials must share to stand in one table."""
        return {
            "seconds": self.budget.seconds,
            "updates": self.budget.updates,
            "clock": self.budget.clock,
            "seed": self.seed,
        }


def run_grid(
    grid: Grid,
    out: str | Path | None = None,
    *,
    resume: bool = False,
    began: Callable[[Cell, int], None] | None = None,
    watch: Watch | None = None,
) -> list[Outcome]:
    """Run all trials of a grid.

    Args:
        grid: what is to be tried.
        out: folder where each trial is kept as soon as it has ended; None: nowhere.
        resume: trials that the folder holds are not run again; they may be more than are asked
            for, of other problems, remedies and lags.
        began: called with each cell and how many trials came before it, also those kept.
        watch: called at each look of a trial.

    Returns:
        The outcomes of the grid, in its order; those passed over by `climb` are not in it.

    Raises:
        GridError: the folder holds trials and `resume` is not set, they had another budget or seed,
            or a file in it cannot be read.
        MissingExtraError: a problem needs a library that is missing. Like all that a generator
            raises, it is raised before the first trial.
    """
    _try_generators(grid)
    kept = None if out is None else _Kept(Path(out), grid, resume)
    outcomes: list[Outcome] = []
    failed: set[tuple[str, str]] = set()
    for place, (problem, remedy, lag) in enumerate(grid.cells()):
        if began is not None:
            began((problem, remedy, lag), place)
        if grid.climb and (problem.name, remedy.name) in failed:
            continue
        outcome = kept.read(problem, remedy, lag) if kept is not None else None
        if outcome is None:
            outcome = run_trial(problem, remedy, lag, grid.budget, seed=grid.seed, watch=watch)
            if kept is not None:
                kept.write(outcome)
        outcomes.append(outcome)
        if not outcome.solved:
            failed.add((problem.name, remedy.name))
    return outcomes


def _try_generators(grid: Grid) -> None:
    """Make a row of each problem: what cannot be made fails now, not after hours."""
    for problem in grid.problems:
        for lag in problem.lags(grid.lags)[:1]:
            problem.rows(1, lag, [grid.seed])


class _Kept:
    """A folder of trials: grid.json, and trials/PROBLEM--REMEDY--LAG.json."""

    def __init__(self, folder: Path, grid: Grid, resume: bool) -> None:
        self.folder = folder
        told = folder / "grid.json"
        if told.exists():
            self._check(_json(told), grid, resume)
        (folder / "trials").mkdir(parents=True, exist_ok=True)
        _write(told, grid.settings)

    def _check(self, found: Any, grid: Grid, resume: bool) -> None:
        if not resume:
            raise GridError(
                f"{self.folder} holds trials. Go on with them by --resume (resume=True), or take "
                "another folder."
            )
        if found != grid.settings:
            raise GridError(
                f"{self.folder} holds trials of {found}, got {grid.settings}. Take the same "
                "budget and seed, or another folder."
            )

    def read(self, problem: Problem, remedy: Remedy, lag: int) -> Outcome | None:
        path = self._path(problem.name, remedy.name, lag)
        if not path.exists():
            return None
        try:
            return Outcome.from_dict(_json(path))
        except (TypeError, ValueError) as error:
            raise GridError(f"{path}: {error} Delete the file to run its trial again.") from error

    def write(self, outcome: Outcome) -> None:
        _write(self._path(outcome.problem, outcome.remedy, outcome.lag), outcome.to_dict())

    def _path(self, problem: str, remedy: str, lag: int) -> Path:
        return self.folder / "trials" / f"{problem}--{remedy}--{lag}.json"


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise GridError(
            f"{path} is no JSON: {error}. Delete the file to run its trial again."
        ) from error


def _write(path: Path, told: dict[str, Any]) -> None:
    # renamed when whole, so that a killed run leaves no half of a file
    part = path.with_suffix(".part")
    part.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    os.replace(part, path)
