r"""How sure a score is: the test part, drawn again and again from itself, in blocks.

What follows each other depends on each other: windows of a series overlap, tokens of a text stand
in one sentence. So whole blocks are drawn, as long as the dependence, and they may run over the end
of the test part into its beginning, so that each place is drawn as often as any other: the circular
block bootstrap of Politis and Romano (1992, "A circular block-resampling procedure for stationary
data"). Where units do not depend on each other (sentences, rows), a block is one unit.

All models are scored on the same draws, so that their differences are known better than each score:
the paired bootstrap that Koehn (2004, "Statistical Significance Tests for Machine Translation
Evaluation") proposes for translations.

The length of blocks is that of Politis and White (2004), as corrected by Patton, Politis and White
(2009), for the circular bootstrap, as the documentation of `arch` gives it:

    b = (2 g^2 n / d)^(1/3),  d = 4/3 s^2,  g = sum w(k/M) |k| r(k),  s = sum w(k/M) r(k)
    w(x) = min(1, 2 (1 - |x|)),  k = -M..M,  r: autocovariances

with M twice the first lag m after which K = max(5, log10 n) autocorrelations lie within
+- 2 sqrt(log10(n) / n), at most sqrt(n) + K; b is rounded up, and at most min(3 sqrt(n), n / 3).

That b knows the variance best. Intervals of few blocks hold less often than they say all the same,
as the variance in them is a guess, and too small. Blocks longer than usual, together with limits
that know of both, hold far more often and cost little power (Lazarus, Lewis, Stock and Watson 2018,
"HAR Inference: Recommendations for Practice", for tests by a kernel). So blocks are twice as long
here, and intervals as much wider as those of as many blocks of independent normal numbers must be
to hold as often as they say: the "fixed-b" limits of Kiefer and Vogelsang (2005), by simulation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Draws", "Interval", "block_length", "draw_again", "widening"]

Floats = NDArray[np.float64]
Longs = NDArray[np.int64]

# numbers that are gathered at a time
_PIECE = 1 << 22
# series by which intervals are widened, and their length; above so many blocks they are not
_SERIES, _UNITS, _MANY = 10_000, 256, 250


@dataclass(frozen=True)
class Interval:
    """A number, and where it lies with the probability asked for."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Draws:
    """Scores of M models on the test part, and on R draws of it.

    Attributes:
        scores: [M].
        drawn: [R, M].
        level: probability of the intervals.
        block: units in a block.
        units: how many there are.
    """

    scores: Floats
    drawn: Floats
    level: float
    block: int
    units: int

    @property
    def blocks(self) -> float:
        """How many blocks the units make."""
        return self.units / self.block

    def score(self, model: int) -> Interval:
        """The score of a model; of losses that are 0 or more, it is, too."""
        drawn = self.drawn[:, model]
        least = 0.0 if float(drawn.min()) >= 0 else -math.inf
        return self._interval(float(self.scores[model]), drawn, least)

    def difference(self, first: int, second: int) -> Interval:
        """By how much the score of one model is above that of another."""
        drawn = self.drawn[:, first] - self.drawn[:, second]
        return self._interval(float(self.scores[first] - self.scores[second]), drawn)

    def share(self, first: int, second: int) -> Interval:
        """By what share the first score is below the second: of the larger of the two, in -1..1.

        Of losses: 0.2 where the first has a fifth less, -0.2 where the second has; scores are 0 or
        more.
        """

        def below(one: Floats, other: Floats) -> Floats:
            larger = np.maximum(one, other)
            return np.where(larger > 0, (other - one) / np.where(larger > 0, larger, 1), 0.0)

        value = float(below(self.scores[[first]], self.scores[[second]])[0])
        return self._interval(value, below(self.drawn[:, first], self.drawn[:, second]), -1, 1)

    def _interval(
        self, value: float, drawn: Floats, least: float = -math.inf, most: float = math.inf
    ) -> Interval:
        edges = ((1 - self.level) / 2, (1 + self.level) / 2)
        wider = widening(self.units, self.block, self.level)
        low, high = value + wider * (np.quantile(drawn, edges) - value)
        return Interval(value, max(float(low), least), min(float(high), most))


def draw_again(
    losses: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    block: int | None = None,
    least: int = 1,
    lengths: Sequence[int] | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Draws:
    """Score models on the test part and on draws of it.

    Args:
        losses: of each model on each unit, in their order, summed over what the unit weighs [M, n].
        weights: of each unit, [n]; 1 unless given. A score is the sum of losses over that of
            weights.
        block: units in a block; None: twice `block_length`, the longest that any model's difference
            from the first one asks for.
        least: where `block` is not given, blocks are no shorter, unless they were more than half of
            the units: for units of which neighbours are known to overlap.
        lengths: units of each stretch, where there are several that do not go on one from the
            other; blocks stay within a stretch, unless one is shorter than two blocks: then all are
            drawn from as one row.
        resamples: R, how many draws.
        level: probability of the intervals.
        seed: of the draws.

    Raises:
        ValueError: there are fewer than two units, or an argument is out of range.

    Example:
        >>> losses = np.array([[1.0, 2.0, 3.0, 2.0], [2.0, 3.0, 4.0, 3.0]])
        >>> draw_again(losses, block=1).difference(1, 0)
        Interval(value=1.0, low=1.0, high=1.0)
    """
    told = np.atleast_2d(np.asarray(losses, dtype=np.float64))
    count = told.shape[1]
    weighed = np.ones(count) if weights is None else np.asarray(weights, dtype=np.float64)
    stretches = [count] if lengths is None else [int(n) for n in lengths]
    _check(count, stretches, resamples, level)
    if block is None:
        block = _common_block(told, weighed, stretches, least)
    if block < 1:
        raise ValueError(f"draw_again: block must be at least 1, got {block}.")
    if min((n for n in stretches if n), default=0) < 2 * block:
        # of a stretch that is one block, each draw would be the same
        stretches = [count]
    both = np.concatenate([told, weighed[None]])
    rng = np.random.default_rng(seed)
    sums = np.zeros((resamples, len(both)))
    first = 0
    for length in stretches:
        if length:
            sums += _drawn(both[:, first : first + length], block, resamples, rng)
        first += length
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = sums[:, :-1] / sums[:, -1:]
    # a draw of nothing but empty units says nothing
    drawn = drawn[np.isfinite(drawn).all(axis=1)]
    return Draws(told.sum(axis=1) / weighed.sum(), drawn, level, block, count)


def widening(units: int, block: int, level: float) -> float:
    """How much wider an interval must be for what few blocks lack; see the top of this file.

    Args:
        units: in all.
        block: units in a block.
        level: how often the interval is to hold.

    Returns:
        1 or more.

    Example:
        >>> widening(100_000, 10, 0.95)
        1.0
        >>> [round(widening(100, block, 0.95), 1) for block in (1, 10, 25, 50)]
        [1.0, 1.2, 1.4, 2.0]
    """
    if units > _MANY * block:
        return 1.0
    count = min(units, _UNITS)
    return _widened(count, max(round(block * count / units), 1), level)


@lru_cache(maxsize=256)
def _widened(count: int, block: int, level: float) -> float:
    x = np.random.default_rng(0).normal(size=(_SERIES, count))
    around = np.concatenate([x, x[:, : block - 1]], axis=1)
    total = np.pad(around.cumsum(axis=1), ((0, 0), (1, 0)))
    sums = total[:, block:] - total[:, :-block]
    # what the bootstrap takes for the deviation of a mean, without drawing
    deviation = sums.std(axis=1) / math.sqrt(block * count)
    reached = float(np.quantile(np.abs(x.mean(axis=1)) / np.maximum(deviation, 1e-300), level))
    return max(reached / NormalDist().inv_cdf((1 + level) / 2), 1.0)


def block_length(values: ArrayLike) -> int:
    """How long blocks of a series of numbers should be; see the top of this file.

    Args:
        values: [n].

    Returns:
        1 where no dependence is seen, or there are too few numbers to see one.

    Example:
        >>> noise = np.random.default_rng(0).normal(size=1000)
        >>> block_length(noise), block_length(np.convolve(noise, np.ones(20)))
        (1, 38)
    """
    x = np.asarray(values, dtype=np.float64)
    n = len(x)
    if n < 20 or x.std() < 1e-12 * max(1.0, float(np.abs(x).max())):
        return 1
    x = x - x.mean()
    near = max(5, int(math.log10(n)))
    most = math.ceil(math.sqrt(n)) + near
    lags = min(most + near, n - 1)
    covariance = np.array([float(x[: n - k] @ x[k:]) / n for k in range(lags + 1)])
    band = 2 * math.sqrt(math.log10(n) / n)
    inside = np.abs(covariance[1:] / covariance[0]) < band
    runs = np.convolve(inside, np.ones(near), mode="valid") == near
    m = int(np.argmax(runs)) if runs.any() else most
    M = min(2 * max(m, 1), most)
    k = np.arange(1, M + 1)
    window = np.minimum(1, 2 * (1 - k / M))
    spectrum = covariance[0] + 2 * float(window @ covariance[1 : M + 1])
    slope = 2 * float(window @ (k * covariance[1 : M + 1]))
    if m == 0 or spectrum <= 0:
        return 1
    length = (2 * slope**2 * n / (4 / 3 * spectrum**2)) ** (1 / 3)
    return int(max(1, min(math.ceil(length), math.ceil(min(3 * math.sqrt(n), n / 3)))))


def _common_block(losses: Floats, weights: Floats, lengths: Sequence[int], least: int) -> int:
    """Twice the longest block that a difference from the first model, or it alone, asks for."""
    rows = losses[1:] - losses[:1] if len(losses) > 1 else losses
    # what a unit is above its share of the whole: what the error of a ratio comes from
    rows = rows - rows.sum(axis=1, keepdims=True) / weights.sum() * weights
    edges = np.cumsum([0, *lengths])
    longest = max(block_length(row[first:end]) for row in rows for first, end in pairwise(edges))
    wanted = max(2 * longest if longest > 1 else 1, least)
    return max(min(wanted, int(edges[-1]) // 2), 1)


def _drawn(units: Floats, block: int, resamples: int, rng: np.random.Generator) -> Floats:
    """Sums over draws of one stretch, of as many units as it has, [R, M]."""
    count = units.shape[1]
    block = min(block, count)
    whole, rest = divmod(count, block)
    around = np.concatenate([units, units[:, : block - 1]], axis=1)
    total = np.concatenate([np.zeros((len(units), 1)), around.cumsum(axis=1)], axis=1)
    sums = np.empty((resamples, len(units)))
    size = max(_PIECE // (whole + 1), 1)
    for first in range(0, resamples, size):
        some = slice(first, min(first + size, resamples))
        starts = rng.integers(count, size=(some.stop - some.start, whole))
        last = rng.integers(count, size=some.stop - some.start)
        for model, each in enumerate(total):
            found = (each[starts + block] - each[starts]).sum(axis=1)
            # the last block is cut, so that a draw has as many units as the stretch
            sums[some, model] = found + (each[last + rest] - each[last])
    return sums


def _check(count: int, lengths: Sequence[int], resamples: int, level: float) -> None:
    if count < 2:
        raise ValueError(
            f"There are {count} unit(s) to score, from which nothing can be drawn again. Give a "
            "larger test part."
        )
    if sum(lengths) != count:
        raise ValueError(f"draw_again: lengths add up to {sum(lengths)}, but units are {count}.")
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}.")
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, such as 0.95, got {level}.")
