"""From the scores of the next token to a choice: temperature, top-k, top-p, repetition penalty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ostinato.data.tokenizers import Ids

__all__ = ["Drawer", "Recent", "Sampling"]

_SEED_STEP = 1_000_003
_SEED_RANGE = 2**63


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen; the steps apply in the order of the attributes.

    Attributes:
        repetition_penalty: scores of tokens among the last `repetition_window` are divided by it
            where positive and multiplied where negative; 1 changes nothing. Keskar et al. (2019),
            arXiv:1909.05858, with the treatment of negative scores that is common since.
        repetition_window: how many tokens back count as repetition, the prompt's among them.
        temperature: scores are divided by it; 0 takes the most probable token (greedy).
        top_k: only the k most probable stay; None: all.
        top_p: only the fewest whose probabilities sum to at least p stay; None: all.
            Holtzman et al. (2019), arXiv:1904.09751.

    Raises:
        ValueError: a value is out of its range.
    """

    repetition_penalty: float = 1.0
    repetition_window: int = 64
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if not self.repetition_penalty > 0:
            raise _wrong("repetition_penalty", self.repetition_penalty, "above 0")
        if self.repetition_window < 1:
            raise _wrong("repetition_window", self.repetition_window, "at least 1")
        if not 0 <= self.temperature < float("inf"):
            raise _wrong("temperature", self.temperature, "0 (greedy) or more")
        if self.top_k is not None and self.top_k < 1:
            raise _wrong("top_k", self.top_k, "at least 1")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise _wrong("top_p", self.top_p, "above 0 and at most 1")

    @property
    def greedy(self) -> bool:
        """No draw is made."""
        return self.temperature == 0

    def penalised(self, scores: Tensor, recent: Tensor) -> Tensor:
        """Scores [B, V] with those of recent tokens made worse; `recent` is bool [B, V]."""
        if self.repetition_penalty == 1:
            return scores
        worse = torch.where(
            scores > 0, scores / self.repetition_penalty, scores * self.repetition_penalty
        )
        return torch.where(recent, worse, scores)

    def probabilities(self, scores: Tensor, recent: Tensor) -> Tensor:
        """What to draw from, float64 [B, V], each row summing to 1."""
        scores = self.penalised(scores.double(), recent)
        if self.greedy:
            best = torch.zeros_like(scores)
            return best.scatter_(1, scores.argmax(1, keepdim=True), 1.0)
        p = torch.softmax(scores / self.temperature, dim=1)
        if self.top_k is not None or self.top_p is not None:
            p = self._cut(p)
        return p

    def _cut(self, p: Tensor) -> Tensor:
        ordered, order = p.sort(dim=1, descending=True, stable=True)
        if self.top_k is not None:
            ordered[:, self.top_k :] = 0
            ordered /= ordered.sum(1, keepdim=True)
        if self.top_p is not None:
            before = ordered.cumsum(1) - ordered
            ordered = torch.where(before < self.top_p, ordered, 0)
        ordered = ordered / ordered.sum(1, keepdim=True)
        return torch.zeros_like(p).scatter_(1, order, ordered)


class Recent:
    """Which tokens each row has seen lately, at a constant cost a step.

    Args:
        size: V.
        histories: tokens so far of each row.
        window: how many of the last count.
    """

    def __init__(self, size: int, histories: Sequence[Sequence[int] | Ids], window: int) -> None:
        self._window = window
        self._counts = torch.zeros(len(histories), size, dtype=torch.int32)
        # a ring of the last tokens; -1 where there is none yet
        self._ring = torch.full((len(histories), window), -1)
        self._next = 0
        for row, history in enumerate(histories):
            tail = torch.as_tensor(list(history[-window:]), dtype=torch.int64)
            self._ring[row, window - len(tail) :] = tail
            self._counts[row] += torch.bincount(tail, minlength=size).int()

    @property
    def mask(self) -> Tensor:
        """Set for tokens within the window, bool [B, V]."""
        return self._counts > 0

    def add(self, tokens: Tensor) -> None:
        """One more token for each row, [B]."""
        old = self._ring[:, self._next]
        rows = torch.arange(len(old))
        self._counts[rows, old.clamp(min=0)] -= (old >= 0).int()
        self._counts[rows, tokens] += 1
        self._ring[:, self._next] = tokens
        self._next = (self._next + 1) % self._window

    def select(self, rows: Tensor) -> None:
        """Keep (copies of) these rows."""
        self._counts, self._ring = self._counts[rows], self._ring[rows]


class Drawer:
    """Draws tokens, each row from a stream of random numbers of its own.

    So row 0 of a batch draws what it would draw alone, and no row depends on how many others
    there are.

    Args:
        rows: B.
        seed: None: drawn from torch's own generator.
    """

    def __init__(self, rows: int, seed: int | None) -> None:
        if seed is None:
            seed = int(torch.randint(_SEED_RANGE - 1, ()))
        self._generators = [
            torch.Generator().manual_seed((seed + row * _SEED_STEP) % _SEED_RANGE)
            for row in range(rows)
        ]

    def draw(self, p: Tensor) -> Tensor:
        """A token for each row of p [B, V], [B]."""
        uniform = torch.cat(
            [torch.rand(1, generator=g, dtype=torch.float64) for g in self._generators]
        )
        below = p.cumsum(1)
        # scaled by the last sum, so that rounding cannot lead past the last token with any mass
        threshold = uniform.to(p.device)[:, None] * below[:, -1:]
        return (below <= threshold).sum(1).clamp(max=p.shape[1] - 1)


def _wrong(name: str, value: object, need: str) -> ValueError:
    return ValueError(f"generate: {name} must be {need}, got {value!r}.")
