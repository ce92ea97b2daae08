r"""N-gram models: the next token from the few before it, by counting.

Interpolated Witten-Bell, with c counts and T(h) the number of different tokens after h:

    p(w | h) = (c(h w) + T(h) p(w | h')) / (c(h) + T(h)),    h' = h without its first token

Interpolated modified Kneser-Ney, with c counts at the highest order and, below it, the number of
different tokens seen before h w:

    p(w | h) = (c(h w) - D(c(h w))) / sum_v c(h v) + g(h) p(w | h')
    g(h) = (D1 N1(h) + D2 N2(h) + D3 N3+(h)) / sum_v c(h v)
    Y = n1 / (n1 + 2 n2),  D1 = 1 - 2 Y n2/n1,  D2 = 2 - 3 Y n3/n2,  D3+ = 3 - 4 Y n4/n3

Both end in the uniform distribution 1/V below the single tokens. "kneser-ney" has the one discount
D = Y in place of three.

Sources: Witten-Bell as nltk.lm.smoothing documents it (gamma = N+ / (N+ + N)); Kneser-Ney from
Chen and Goodman (1999), Computer Speech and Language 13, as kgrams and KenLM give it, with KenLM's
fallback discounts 0.5, 1, 1.5 where a count of counts is zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["NGram", "uniform_nats"]

Longs = NDArray[np.int64]
Floats = NDArray[np.float64]

_SMOOTHINGS = ("witten-bell", "kneser-ney", "modified-kneser-ney")
_FALLBACK = (0.5, 1.0, 1.5)


def uniform_nats(vocabulary_size: int) -> float:
    """Nats per token of the guess that all V tokens are equally likely: ln V."""
    return math.log(vocabulary_size)


@dataclass(frozen=True)
class _Order:
    # all grams of one length, as sorted keys (number of the context) * V + (last token)
    keys: Longs
    share: Floats  # of each gram: what its own count contributes to p(w | h)
    back: Floats  # of each context: what p(w | h') contributes; 1 where h was never followed


class NGram:
    r"""An n-gram model over token numbers.

    Args:
        tokens: training text, whole numbers in 0..V-1, [N].
        vocabulary_size: V.
        order: n, the longest gram; 1 looks at no token before.
        smoothing: "witten-bell", "kneser-ney" or "modified-kneser-ney".

    Raises:
        ValueError: unknown smoothing, order below 1, no tokens, or a token outside 0..V-1.

    Example:
        >>> model = NGram([0, 1, 0, 1, 0, 1, 0], vocabulary_size=2, order=2)
        >>> model.probabilities([0]).round(3)
        array([0.139, 0.861])
    """

    def __init__(
        self,
        tokens: ArrayLike,
        vocabulary_size: int,
        *,
        order: int = 5,
        smoothing: str = "witten-bell",
    ) -> None:
        if smoothing not in _SMOOTHINGS:
            raise ValueError(
                f"smoothing must be one of {', '.join(_SMOOTHINGS)}, got {smoothing!r}."
            )
        if order < 1:
            raise ValueError(f"order must be at least 1, got {order}.")
        self.vocabulary_size = vocabulary_size
        self.order = order
        self.smoothing = smoothing
        ids = self._checked(tokens)
        if not len(ids):
            raise ValueError("NGram: there is no token to count. Give a longer training text.")
        self._orders = self._count(ids)

    def nats(self, tokens: ArrayLike) -> Floats:
        """-ln p of each token given those before it in `tokens`, [N]."""
        p: Floats = -np.log(self._walk(self._checked(tokens)))
        return p

    @property
    def parameters(self) -> int:
        """How many numbers are kept: one for each gram, and one for each that others follow."""
        return sum(len(level.keys) + int((level.back < 1).sum()) for level in self._orders)

    def probabilities(self, context: Sequence[int]) -> Floats:
        """p(w | context) of every token w, [V]."""
        V = self.vocabulary_size
        tail = self._checked(context)[len(context) - min(self.order - 1, len(context)) :]
        rows = np.concatenate([np.tile(tail, (V, 1)), np.arange(V)[:, None]], axis=1)
        # row by row, each ending in another token; only the last place of each row is asked for
        return np.array([self._walk(row)[-1] for row in rows])

    def _checked(self, tokens: ArrayLike) -> Longs:
        ids = np.asarray(tokens, dtype=np.int64)
        if ids.size and not (ids.min() >= 0 and ids.max() < self.vocabulary_size):
            raise ValueError(
                f"NGram: tokens must lie in 0..{self.vocabulary_size - 1}, got "
                f"{ids.min()}..{ids.max()}."
            )
        return ids

    def _count(self, ids: Longs) -> list[_Order]:
        V = self.vocabulary_size
        levels = []
        # number of the gram that ends at each place; grams of length 0 are all number 0
        shorter = np.zeros(len(ids) + 1, dtype=np.int64)
        contexts = 1
        for length in range(1, min(self.order, len(ids)) + 1):
            keys, numbers, counts = np.unique(
                shorter[:-1] * V + ids[length - 1 :], return_inverse=True, return_counts=True
            )
            levels.append((keys, numbers, counts, contexts))
            shorter, contexts = numbers, len(keys)
        return [self._smooth(levels, k) for k in range(len(levels))]

    def _smooth(self, levels: list[tuple[Longs, Longs, Longs, int]], k: int) -> _Order:
        keys, _, counts, contexts = levels[k]
        if self.smoothing != "witten-bell" and k + 1 < len(levels):
            counts = _continuations(levels[k][1], levels[k + 1][1], len(keys))
        context = keys // self.vocabulary_size
        total = np.bincount(context, counts, contexts)
        if self.smoothing == "witten-bell":
            kinds = np.bincount(context, counts > 0, contexts)
            share = counts / (total + kinds)[context]
            reserved, whole = kinds, total + kinds
        else:
            taken = self._discounts(counts)[np.minimum(counts, 3)]
            share = (counts - taken) / np.maximum(total[context], 1)
            reserved, whole = np.bincount(context, taken, contexts), total
        back = np.where(whole > 0, reserved / np.maximum(whole, 1), 1.0)
        return _Order(keys, share, back)

    def _discounts(self, counts: Longs) -> Floats:
        # what is taken off a count of 0, 1, 2, and 3 or more
        n1, n2, n3, n4 = (float((counts == c).sum()) for c in (1, 2, 3, 4))
        if not (n1 and n2):
            return np.array([0.0, *_FALLBACK])
        y = n1 / (n1 + 2 * n2)
        if self.smoothing == "kneser-ney":
            return np.array([0.0, y, y, y])
        if not (n3 and n4):
            return np.array([0.0, *_FALLBACK])
        found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        if not all(0 < d < c for c, d in enumerate(found, start=1)):
            found = _FALLBACK
        return np.array([0.0, *found])

    def _walk(self, ids: Longs) -> Floats:
        V = self.vocabulary_size
        p = np.full(len(ids), 1 / V)
        # number of the context that ends before each place; -1: never seen in training
        context = np.zeros(len(ids), dtype=np.int64)
        for level in self._orders:
            known = context >= 0
            gram = _find(level.keys, np.where(known, context * V + ids, -1))
            own = np.where(gram >= 0, level.share[gram], 0.0)
            p = np.where(known, own + level.back[np.maximum(context, 0)] * p, p)
            context = np.concatenate([[-1], gram[:-1]])
        return p


def _continuations(numbers: Longs, longer: Longs, kinds: int) -> Longs:
    # how many different grams, one longer, end in each gram
    _, first = np.unique(longer, return_index=True)
    return np.bincount(numbers[first + 1], minlength=kinds)


def _find(keys: Longs, wanted: Longs) -> Longs:
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, places, -1)
