"""The problems of the suite, by name: how rows of a lag are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ostinato.data import problems as made
from ostinato.data.problems import Examples

__all__ = ["PROBLEMS", "Problem"]


@dataclass(frozen=True)
class Problem:
    """A problem at any lag.

    Attributes:
        name: as it is asked for.
        generator: makes rows; see `ostinato.data.problems`.
        counts: what the lag counts.
        argument: the generator's argument that is the lag; None: there is one lag alone.
        only: that lag.
        least: the least lag that there is.
        parts: rows for training, looks and the test are parts of one set of data.
        most: rows that there are in each part at most; None: as many as one likes.
        noisy: most of the inputs tell nothing. Sutskever, Martens, Dahl, Hinton (2013) begin with
            smaller weights from the inputs then.
    """

    name: str
    generator: Callable[..., Examples]
    counts: str
    argument: str | None = "steps"
    only: int | None = None
    least: int = 1
    parts: bool = False
    most: int | None = None
    noisy: bool = False

    def lags(self, wanted: tuple[int, ...]) -> tuple[int, ...]:
        """The lags to try: those that are wanted and exist, or the only one."""
        if self.only is not None:
            return (self.only,)
        return tuple(lag for lag in wanted if lag >= self.least)

    def rows(self, count: int, lag: int, seed: list[int], *, part: str = "train") -> Examples:
        """Rows of a lag, as many as are asked for or there are.

        Args:
            count: N.
            lag: see `counts`.
            seed: of everything drawn.
            part: "train", "validation" or "test"; other seeds are all that tells most apart.
        """
        given: dict[str, Any] = {} if self.argument is None else {self.argument: lag}
        if self.parts:
            given["part"] = part
        return self.generator(min(count, self.most or count), **given, seed=seed)


_MARKED = "steps of a row (up to a tenth more); the second mark is in its first half"
_TELLING = "steps of a row; the telling symbols are in its first seven tenths"
_KEPT = "steps between what is shown and when it is asked for"
_AHEAD = "steps ahead"

_ALL = (
    Problem("adding", made.adding, _MARKED, least=10, noisy=True),
    Problem(
        "adding-halves",
        partial(made.adding, form="halves"),
        "steps of a row; a mark in each half",
        least=10,
        noisy=True,
    ),
    Problem("multiplication", made.multiplication, _MARKED, least=10, noisy=True),
    Problem("xor", made.xor, _MARKED, least=10, noisy=True),
    Problem("temporal-order", made.temporal_order, _TELLING, least=10, noisy=True),
    Problem(
        "temporal-order-3", partial(made.temporal_order, symbols=3), _TELLING, least=10, noisy=True
    ),
    Problem("memorisation-5", made.memorisation, _KEPT),
    Problem("memorisation-20", partial(made.memorisation, symbols=10, kinds=5), _KEPT),
    Problem("random-permutation", made.random_permutation, "steps of a row", least=2, noisy=True),
    Problem("copy", made.copy, _KEPT),
    Problem(
        "embedded-reber", made.embedded_reber, "least steps between the outer letters", least=5
    ),
    Problem("anbn", made.anbn, "the largest n"),
    Problem(
        "digits",
        made.sequential_digits,
        "pixels",
        argument=None,
        only=64,
        parts=True,
        most=360,
    ),
    Problem(
        "digits-permuted",
        partial(made.sequential_digits, permuted=True),
        "pixels",
        argument=None,
        only=64,
        parts=True,
        most=360,
    ),
    Problem("narma10", made.predict_narma10, "the system's order", argument=None, only=10),
    Problem("mackey-glass", made.predict_mackey_glass, _AHEAD, argument="horizon"),
    Problem("lorenz", made.predict_lorenz, _AHEAD, argument="horizon"),
    Problem("memory-capacity", made.delayed_noise, "delays to tell", argument="delays"),
)

PROBLEMS = {problem.name: problem for problem in _ALL}
