"""What came of a grid, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ostinato.longlag.trial import Outcome

__all__ = ["Table"]

DETAILS = ("problem", "remedy", "lag", "solved", "error", "loss", "updates", "seconds")


class Table:
    """Which remedy solves which problem, and up to which lag.

    Args:
        outcomes: of trials, in any order.

    Attributes:
        problems: their names, in the order of the outcomes.
        remedies: their names, likewise.

    Raises:
        ValueError: there is no outcome.

    Example:
        >>> same = dict(seed=0, diverged=False, measure="rows wrong", below=0.01, loss=0.1)
        >>> same |= dict(updates=50, seconds=1.0)
        >>> solved = Outcome("copy", "gru", 20, solved=True, error=0.0, **same)
        >>> failed = Outcome("copy", "sgd", 20, solved=False, error=1.0, **same)
        >>> table = Table([solved, failed])
        >>> table.longest("copy", "gru"), table.longest("copy", "sgd")
        (20, None)
        >>> table.rows()
        [['copy', '20', '-']]
    """

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        if not outcomes:
            raise ValueError("Table: there is no outcome. Run at least one trial.")
        self.outcomes = list(outcomes)
        self.problems = list(dict.fromkeys(one.problem for one in outcomes))
        self.remedies = list(dict.fromkeys(one.remedy for one in outcomes))

    def of(self, problem: str, remedy: str) -> list[Outcome]:
        """The outcomes of a remedy on a problem, short lags first."""
        found = [one for one in self.outcomes if (one.problem, one.remedy) == (problem, remedy)]
        return sorted(found, key=lambda one: one.lag)

    def longest(self, problem: str, remedy: str) -> int | None:
        """The longest lag that was solved; None if none was."""
        return max((one.lag for one in self.of(problem, remedy) if one.solved), default=None)

    def telling(self, problem: str, remedy: str) -> Outcome | None:
        """The longest lag that was solved, or else the shortest that was tried."""
        found = self.of(problem, remedy)
        solved = [one for one in found if one.solved]
        return solved[-1] if solved else found[0] if found else None

    def rows(self) -> list[list[str]]:
        """A line for each problem: its name, and the longest solved lag of each remedy.

        "-" where no lag was solved, "" where none was tried.
        """
        return [
            [problem, *(self._entry(problem, remedy) for remedy in self.remedies)]
            for problem in self.problems
        ]

    def _entry(self, problem: str, remedy: str) -> str:
        if not self.of(problem, remedy):
            return ""
        longest = self.longest(problem, remedy)
        return "-" if longest is None else str(longest)

    def details(self) -> list[list[str]]:
        """A line for each problem and remedy, of the outcome that tells most; see `DETAILS`."""
        found = [self.telling(p, r) for p in self.problems for r in self.remedies]
        return [_told(one) for one in found if one is not None]

    def to_dict(self) -> dict[str, Any]:
        """The longest solved lags, {problem: {remedy: lag or None}}, and all outcomes."""
        longest = {
            problem: {
                remedy: self.longest(problem, remedy)
                for remedy in self.remedies
                if self.of(problem, remedy)
            }
            for problem in self.problems
        }
        return {"longest": longest, "trials": [one.to_dict() for one in self.outcomes]}


def _told(one: Outcome) -> list[str]:
    solved = "yes" if one.solved else "diverged" if one.diverged else "no"
    return [
        one.problem,
        one.remedy,
        str(one.lag),
        solved,
        "-" if one.error is None else f"{one.error:.3f}",
        "-" if one.loss is None else f"{one.loss:.2e}",
        f"{one.updates:,}",
        f"{one.seconds:.1f}",
    ]
