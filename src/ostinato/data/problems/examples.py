"""Rows of a made problem: what goes in, what should come out, and when it is solved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["CRITERION", "Examples", "Rows", "Seed", "Solved", "one_hot"]

Rows: TypeAlias = NDArray[Any]
Seed: TypeAlias = int | Sequence[int]

# how far a number may be off and still be right
TOLERANCE = 0.04


@dataclass(frozen=True)
class Solved:
    """When a problem counts as solved: the error that it measures is below a bound.

    Attributes:
        measure: "rows wrong": the share of rows with an answer that is wrong: a number that is off
            by more than 0.04, a class that is not the most probable, a bit on the wrong side.
            "nrmse": the root of the mean squared error, in standard deviations of the target.
            "forgotten": the share of the delayed inputs' variance that is not told.
        below: the bound.
        source: who set it.
    """

    measure: str
    below: float
    source: str

    def met(self, error: float) -> bool:
        """Whether an error is below the bound; one that is no number is not."""
        return error < self.below


CRITERION = Solved(
    "rows wrong",
    0.01,
    "fewer than 1 % of fresh sequences misclassified: Pascanu, Mikolov, Bengio (2013), "
    "arXiv:1211.5063, section 4.1; numbers within 0.04: Hochreiter and Schmidhuber (1997), "
    "doi:10.1162/neco.1997.9.8.1735",
)


@dataclass(frozen=True)
class Examples:
    """Some rows of a problem, time first.

    Attributes:
        inputs: float32 [T, N, I]; zeros after the end of a shorter row.
        targets: int64 [T, N] of classes, or float32 [T, N, O] of numbers or bits.
        mask: bool [T, N], where a target counts.
        loss: "squared" for numbers, "classes" (softmax), or "bits" (a sigmoid for each of O).
        outputs: O, how many values a network must give at each step.
        solved: when the problem counts as solved.
        lengths: int64 [N], the steps of each row; T unless given.
        allowed: bool [T, N, O]: where several classes are right, all of them; or None.

    Example:
        >>> from ostinato.data.problems import adding
        >>> rows = adding(3, 50, form="halves")
        >>> rows.inputs.shape, rows.targets.shape, int(rows.mask.sum())
        ((50, 3, 2), (50, 3, 1), 3)
        >>> rows.error(rows.targets), rows.error(0 * rows.targets)
        (0.0, 1.0)
    """

    inputs: Rows
    targets: Rows
    mask: Rows
    loss: str
    outputs: int
    solved: Solved
    lengths: Rows = field(default_factory=lambda: np.empty(0, np.int64))
    allowed: Rows | None = None

    def __post_init__(self) -> None:
        if not len(self.lengths):
            T, N = self.mask.shape
            object.__setattr__(self, "lengths", np.full(N, T, np.int64))

    def error(self, outputs: Rows) -> float:
        """The error that `solved` measures.

        Args:
            outputs: what a network says, [T, N, O]: numbers, or scores of classes or bits before
                their softmax or sigmoid.

        Raises:
            ValueError: the outputs are of another shape.
        """
        wanted = (*self.mask.shape, self.outputs)
        if outputs.shape != wanted:
            raise ValueError(
                f"Examples.error: outputs must be {list(wanted)} (steps, rows, outputs), got "
                f"{list(outputs.shape)}."
            )
        return _MEASURES[self.solved.measure](self, outputs)

    def solved_by(self, outputs: Rows) -> bool:
        """Whether these outputs [T, N, O] solve the problem."""
        return self.solved.met(self.error(outputs))


def one_hot(values: Rows, size: int) -> Rows:
    """Integers [...] as unit vectors, float32 [..., size]."""
    return np.eye(size, dtype=np.float32)[values]


def _rows_wrong(rows: Examples, outputs: Rows) -> float:
    wrong = _WRONG[rows.loss](rows, outputs) & rows.mask
    return float(wrong.any(axis=0).mean())


def _number_wrong(rows: Examples, outputs: Rows) -> Rows:
    # written so that a NaN is wrong
    near: Rows = np.abs(outputs - rows.targets) <= TOLERANCE
    return _none(near)


def _class_wrong(rows: Examples, outputs: Rows) -> Rows:
    right = one_hot(rows.targets, rows.outputs) > 0 if rows.allowed is None else rows.allowed
    # all that are right must be ahead of all others; a NaN is ahead of nothing
    least: Rows = np.where(right, outputs, np.inf).min(axis=2)
    other: Rows = np.where(right, -np.inf, outputs).max(axis=2)
    return _none(least > other)


def _bit_wrong(rows: Examples, outputs: Rows) -> Rows:
    right: Rows = np.where(rows.targets > 0.5, outputs > 0, outputs < 0)
    return _none(right)


def _none(right: Rows) -> Rows:
    """Where not all is right, [T, N] of [T, N] or [T, N, O]."""
    wrong: Rows = np.logical_not(right)
    return wrong if wrong.ndim == 2 else np.asarray(wrong.any(axis=2))


def _nrmse(rows: Examples, outputs: Rows) -> float:
    wanted, given = _counted(rows, outputs)
    return float(np.sqrt(((given - wanted) ** 2).sum() / ((wanted - wanted.mean(0)) ** 2).sum()))


def _forgotten(rows: Examples, outputs: Rows) -> float:
    wanted, given = _counted(rows, outputs)
    wanted, given = wanted - wanted.mean(0), given - given.mean(0)
    shared = (wanted * given).sum(0) ** 2
    both = (wanted**2).sum(0) * (given**2).sum(0)
    # what never moves tells nothing
    told = np.divide(shared, both, out=np.zeros_like(shared), where=both != 0)
    return float(1 - told.mean())


def _counted(rows: Examples, outputs: Rows) -> tuple[Rows, Rows]:
    return rows.targets[rows.mask].astype(np.float64), outputs[rows.mask].astype(np.float64)


_WRONG: dict[str, Callable[[Examples, Rows], Rows]] = {
    "squared": _number_wrong,
    "classes": _class_wrong,
    "bits": _bit_wrong,
}
_MEASURES: dict[str, Callable[[Examples, Rows], float]] = {
    "rows wrong": _rows_wrong,
    "nrmse": _nrmse,
    "forgotten": _forgotten,
}
