r"""How much of the past a model uses: what its score loses when the past beyond k steps is gone.

Two ablations, for k = 0, 1, 2, 5, 10, ... steps before the one that is asked about:

    cut       what lies further back than k steps is not there
    shuffle   what lies further back than k steps is there, in a random order

as Khandelwal, He, Qi and Jurafsky (2018, "Sharp Nearby, Fuzzy Far Away", P18-1027) cut and shuffle
the context of language models. The loss with the whole past is subtracted place by place, and the
bootstrap tells how sure the difference is. The steps that are used are the fewest k from which on
no fall counts: a fall counts that is told from chance, as many as are looked at, and is more than a
hundredth of the largest (with many places, falls are told from chance that nobody would miss).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.compare.bootstrap import Interval, draw_again

__all__ = ["WAYS", "Fall", "History", "ladder", "trace_history"]

Floats = NDArray[np.float64]
# (way, k) -> the loss of each place that is asked about, [n]
Ask = Callable[[str, int], Floats]

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
        longest: the longest past that any place has; with so much, nothing is gone.
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
        """The fewest steps tried beyond which nothing is missed; None: more than the most tried."""
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
    steps, top = [0, 1, 2, 5], 10
    while top < longest:
        steps.append(top)
        top *= 2
    bound = longest if most is None else min(longest, most + 1)
    return tuple(k for k in steps if k < max(bound, 1))


def trace_history(
    full: Floats,
    ask: Ask,
    steps: Sequence[int],
    *,
    weights: Floats | None = None,
    higher: bool = False,
    unit: str = "step",
    longest: int | None = None,
    block: int | None = 1,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> History:
    """Ask a model again and again with less and less of the past.

    Args:
        full: the loss of each place with all of the past, [n].
        ask: the same with the past beyond k steps cut or shuffled.
        steps: the k, rising.
        weights: of each place; see `draw_again`.
        higher: the score is 1 minus the mean loss, such as an accuracy; else it is the mean loss.
        unit: what a step is.
        longest: the longest past that any place has; None: there is no bound.
        block: see `draw_again`; 1 where places lie far apart.
        resamples: see `draw_again`.
        level: probability with which the intervals of all falls hold together (Bonferroni).
        seed: see `draw_again`.

    Raises:
        ValueError: there are no steps, or they do not rise from 0 or more.
    """
    tried = [int(k) for k in steps]
    if not tried or tried != sorted(set(tried)) or tried[0] < 0:
        raise ValueError(f"steps must rise, from 0 or more, such as 0,1,2,5,10; got {list(steps)}.")
    found: dict[str, list[Fall]] = {}
    whole = 0.0
    for way in WAYS:
        losses = np.stack([full, *(ask(way, k) for k in tried)])
        # as many falls are looked at, chance has as many chances (Bonferroni)
        careful = 1 - (1 - level) / len(tried)
        draws = draw_again(
            losses, weights, block=block, resamples=resamples, level=careful, seed=seed
        )
        scores = 1 - draws.scores if higher else draws.scores
        whole = float(scores[0])
        found[way] = [
            Fall(k, float(scores[place]), draws.difference(place, 0))
            for place, k in enumerate(tried, start=1)
        ]
    return History(whole, tuple(found["cut"]), tuple(found["shuffle"]), longest, len(full), unit)


def _fewest(falls: Sequence[Fall], longest: int | None) -> int | None:
    least = _NEGLIGIBLE * max(one.fall.value for one in falls)
    counts = [one.told and one.fall.value > least for one in falls]
    last = max((k for k, one in enumerate(counts) if one), default=-1)
    return falls[last + 1].steps if last + 1 < len(falls) else longest
