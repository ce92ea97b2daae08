"""How far a step may be trusted: the damping, the line search, the choice of an iterate.

Sources: Martens (2010), "Deep learning via Hessian-free optimization", sections 4.1 and 4.6, and
the program that he published with it, for the constants of the line search.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor

__all__ = ["DROP", "Choice", "back_track", "line_search", "next_damping", "reduction_ratio"]

# lambda times this after a step that the quadratic foretold well, divided by it after a bad one
DROP = 2 / 3
_GOOD, _BAD = 3 / 4, 1 / 4
_SHORTER, _ENOUGH, _TRIES = 0.8, 1e-2, 60


class Choice(NamedTuple):
    """A chosen iterate, or a chosen length of a step, with the objective there."""

    place: float
    value: float


def reduction_ratio(change: float, foretold: float) -> float:
    """How the objective changed, over what the quadratic foretold.

    Args:
        change: of the objective; negative is an improvement.
        foretold: by the quadratic without damping.

    Returns:
        1 for a perfect forecast; minus infinity where the objective rose or is not finite, or the
        quadratic foretold no fall.
    """
    if not math.isfinite(change) or change > 0 or not foretold < 0:
        return -math.inf
    return change / foretold


def next_damping(damping: float, ratio: float) -> float:
    """The rule of Levenberg and Marquardt: two thirds above 3/4, three halves below 1/4."""
    if ratio > _GOOD:
        return damping * DROP
    return damping / DROP if ratio < _BAD else damping


def back_track(
    values: Callable[[Tensor], float], iterates: Sequence[Tensor], start: float
) -> Choice:
    """The iterate where the objective stops to fall, from the last one backwards.

    Iterates after which it is no better than before are passed over.

    Args:
        values: the objective after a step.
        iterates: in the order in which they were found.
        start: the objective before.

    Returns:
        Its place among the iterates, and the objective there.
    """
    best = Choice(len(iterates) - 1, values(iterates[-1]))
    for place in range(len(iterates) - 2, -1, -1):
        value = values(iterates[place])
        if value < best.value or not math.isfinite(best.value):
            best = Choice(place, value)
        elif best.value < start:
            break
    return best


def line_search(
    values: Callable[[float], float], start: float, slope: float, rate: float = 1.0
) -> Choice:
    """The longest of rate, 0.8 rate, 0.64 rate, ... with Armijo's share of the fall.

    Args:
        values: the objective after that part of the step.
        start: the objective before.
        slope: of the objective along the step; one that rises counts as level.
        rate: the first to try.

    Returns:
        The part of the step and the objective there; part 0 where none of 60 is good enough.
    """
    for _ in range(_TRIES):
        value = values(rate)
        if value <= start + _ENOUGH * rate * min(slope, 0.0):
            return Choice(rate, value)
        rate *= _SHORTER
    return Choice(0.0, start)
