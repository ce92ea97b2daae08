r"""How much of the past a model uses: what its score loses when the past beyond k steps is gone.

Two ablations, for k = 0, 1, 2, 5, 10, ... steps before the one that is asked about:

    cut       what lies further back than k steps is not there
    shuffle   what lies further back than k steps is there, in a random order

as Khandelwal, He, Qi and Jurafsky (2018, "Sharp Nearby, Fuzzy Far Away", P18-1027) cut and shuffle
the context of language models. The loss with the whole past is subtracted place by place, and the
bootstrap tells how sure the difference is. The steps that are used are the fewest k from which on
no fall counts: a fall counts that is told from chance, as many as are looked at, and is more than a
hundredth of the largest (with many places, falls are told from chance that nobody would miss).

Where the past is too long to be tried to its end, k is doubled until neither ablation costs
anything that counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.compare.bootstrap import Interval, draw_again

__all__ = ["WAYS", "Fall", "History", "ladder", "shuffled", "trace_history"]

Floats = NDArray[np.float64]
# (way, k, reach) -> the loss of each place that is asked about, [n]. Where the past is too long to
# be shuffled as a whole, what lies further back than `reach` steps is not there.
Ask = Callable[[str, int, int], Floats]

WAYS = ("cut", "shuffle")
# a fall that is a smaller share of the largest one does not count
_NEGLIGIBLE = 0.01


@dataclass(frozen=True)
class Fall:
    """What one ablation costs.

    Attributes:
        steps: k.
        score: with the past beyond k steps cut or shuffled, in the metric's own direction.
        fall: by how much this is worse than with all of the past; above 0 where it is worse. The
            intervals of all falls hold together with the probability asked for.
    """

    steps: int
    score: float
    fall: Interval

    @property
    def told(self) -> bool:
        """Whether the fall is told from chance."""
        return self.fall.low > 0


@dataclass(frozen=True)
class History:
    """What ablations cost.

    Attributes:
        full: the score with all of the past, on the places that were asked about.
        cut, shuffle: falls, by rising k.
        longest: the longest past that any place has; with so much, nothing is gone; None: there is
            no bound.
        asked: places that were asked about.
        unit: what a step is, e.g. "character".
    """

    full: float
    cut: tuple[Fall, ...]
    shuffle: tuple[Fall, ...]
    longest: int | None
    asked: int
    unit: str

    @property
    def steps_used(self) -> int | None:
        """The fewest steps tried beyond which nothing is missed; None: more than the most tried.

        It is `longest` where all that were tried are too few, and a next step would be all of it.
        """
        return _fewest(self.cut, self.longest)

    @property
    def steps_in_order(self) -> int | None:
        """The fewest steps beyond which the order does not matter; None: more than tried."""
        return _fewest(self.shuffle, self.longest)

    @property
    def least_tried(self) -> int:
        """The smallest k."""
        return self.cut[0].steps

    @property
    def most_tried(self) -> int:
        """The largest k."""
        return self.cut[-1].steps

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "unit": self.unit,
            "asked": self.asked,
            "full": self.full,
            "steps_used": self.steps_used,
            "steps_in_order": self.steps_in_order,
            "most_tried": self.most_tried,
            **{
                way: [
                    {
                        "steps": one.steps,
                        "score": one.score,
                        "fall": one.fall.value,
                        "low": one.fall.low,
                        "high": one.fall.high,
                    }
                    for one in getattr(self, way)
                ]
                for way in WAYS
            },
        }


def ladder(longest: int, most: int | None = None) -> tuple[int, ...]:
    """The k that are tried: 0, 1, 2, 5, 10, 20, 40, 80, ..., below the longest past.

    Args:
        longest: the longest past that there is.
        most: no k is larger than this; None: only `longest` bounds them.

    Example:
        >>> ladder(30), ladder(1000, 160)
        ((0, 1, 2, 5, 10, 20), (0, 1, 2, 5, 10, 20, 40, 80, 160))
    """
    steps = [0]
    while (after := _next(steps[-1])) < longest and (most is None or after <= most):
        steps.append(after)
    return tuple(steps)


def shuffled(row: Any, kept: int, draws: np.random.Generator) -> NDArray[Any]:
    """A row of which all but the last `kept` entries stand in a drawn order.

    Example:
        >>> row = shuffled(np.arange(6), 2, np.random.default_rng(0))
        >>> sorted(row[:4].tolist()), row[4:].tolist()
        ([0, 1, 2, 3], [4, 5])
    """
    split = max(len(row) - kept, 0)
    return np.concatenate([draws.permutation(row[:split]), row[split:]])


def trace_history(
    full: Floats,
    ask: Ask,
    steps: Sequence[int],
    *,
    most: int | None = None,
    weights: Floats | None = None,
    higher: bool = False,
    unit: str = "step",
    longest: int | None = None,
    block: int | None = 1,
    least: int = 1,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> History:
    """Ask a model again and again with less and less of the past.

    Args:
        full: the loss of each place with all of the past, [n].
        ask: the same with the past beyond k steps cut or shuffled.
        steps: the k, rising.
        most: as long as the last of them costs anything that counts, twice as many are tried, too,
            up to this many; None: they are not.
        weights: of each place; see `draw_again`.
        higher: the score is 1 minus the mean loss, such as an accuracy; else it is the mean loss.
        unit: what a step is.
        longest: the longest past that any place has; None: there is no bound.
        block: see `draw_again`; 1 where places lie far apart.
        least: see `draw_again`.
        resamples: see `draw_again`.
        level: probability with which the intervals of all falls hold together (Bonferroni).
        seed: see `draw_again`.

    Raises:
        ValueError: there are no steps, or they do not rise from 0 or more.
    """
    tried = [int(k) for k in steps]
    if not tried or tried != sorted(set(tried)) or tried[0] < 0:
        raise ValueError(f"steps must rise, from 0 or more, such as 0,1,2,5,10; got {list(steps)}.")
    bound = min(0 if most is None else most, np.inf if longest is None else longest - 1)
    drawing: dict[str, Any] = {
        "block": block,
        "least": least,
        "resamples": resamples,
        "seed": seed,
    }
    losses: dict[str, dict[int, Floats]] = {way: {} for way in WAYS}

    def told(way: str) -> tuple[float, tuple[Fall, ...]]:
        """The score with all of the past, and the falls of all steps tried so far."""
        known = losses[way]
        known.update({k: ask(way, k, 2 * tried[-1] + 1) for k in tried if k not in known})
        # as many falls are looked at, chance has as many chances (Bonferroni)
        careful = 1 - (1 - level) / len(tried)
        return _falls(full, known, weights, higher, {**drawing, "level": careful})

    for way in WAYS:
        while _counting(told(way)[1])[-1] and _next(tried[-1]) <= bound:
            tried.append(_next(tried[-1]))
    (whole, cut), (_, shuffle) = (told(way) for way in WAYS)
    return History(whole, cut, shuffle, longest, len(full), unit)


def _next(k: int) -> int:
    """What is tried after k steps: about twice as many.

    Example:
        >>> [_next(k) for k in (0, 1, 2, 5, 10, 12)]
        [1, 2, 5, 10, 20, 24]
    """
    return {0: 1, 2: 5}.get(k, 2 * k)


def _falls(
    full: Floats,
    losses: Mapping[int, Floats],
    weights: Floats | None,
    higher: bool,
    drawing: Mapping[str, Any],
) -> tuple[float, tuple[Fall, ...]]:
    """The score with all of the past, and by how much less of it is worse."""
    draws = draw_again(np.stack([full, *losses.values()]), weights, **drawing)
    scores = 1 - draws.scores if higher else draws.scores
    falls = (
        Fall(k, float(scores[place]), draws.difference(place, 0))
        for place, k in enumerate(losses, start=1)
    )
    return float(scores[0]), tuple(falls)


def _counting(falls: Sequence[Fall]) -> list[bool]:
    """Which falls count: they are told from chance, and not small beside the largest."""
    least = _NEGLIGIBLE * max(one.fall.value for one in falls)
    return [one.told and one.fall.value > least for one in falls]


def _fewest(falls: Sequence[Fall], longest: int | None) -> int | None:
    last = max((k for k, counts in enumerate(_counting(falls)) if counts), default=-1)
    if last + 1 < len(falls):
        return falls[last + 1].steps
    # with nothing but all of it left to try, it is all of it
    return longest if longest is not None and longest <= _next(falls[-1].steps) else None
