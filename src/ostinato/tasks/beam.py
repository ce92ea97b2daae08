"""Beam search for many rows at once: the best of several translations written side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

__all__ = ["BeamSettings", "Hypothesis", "beam_search"]


class _State(Protocol):
    def select(self, rows: Tensor) -> Any:
        """The state of some rows, as many for each row of the batch that goes on, in order."""


# one more token for each row: scores [N, V], weights of attention [N, S] or None, the new state
Step: TypeAlias = Callable[[Tensor, Any], "tuple[Tensor, Tensor | None, Any]"]


@dataclass(frozen=True)
class BeamSettings:
    """How to search.

    Attributes:
        width: hypotheses side by side, for each row; 1 always takes the most probable token.
        length_penalty: alpha of `lp`; 0 ranks by the whole probability, which is for short ones.
        coverage_penalty: beta of `cp`; it needs attention.

    A finished hypothesis Y of a source X is ranked by

        log P(Y | X) / lp(Y) + cp(X, Y),   lp(Y) = (5 + |Y|)^alpha / (5 + 1)^alpha,
        cp(X, Y) = beta sum_i log min(sum_j p_ij, 1),

    with p_ij the weight of source step i at target step j.

    Source: Wu et al. (2016), "Google's Neural Machine Translation System", arXiv:1609.08144,
    equation 14.

    Raises:
        ValueError: width below 1, or a penalty below 0.
    """

    width: int = 5
    length_penalty: float = 1.0
    coverage_penalty: float = 0.0

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"beam: the width must be at least 1, got {self.width}.")
        for name in ("length_penalty", "coverage_penalty"):
            if getattr(self, name) < 0:
                raise ValueError(f"beam: {name} must be 0 or more, got {getattr(self, name)}.")

    def lp(self, length: int) -> float:
        """What the log-probability of a hypothesis of so many tokens is divided by.

        Example:
            >>> BeamSettings(length_penalty=1.0).lp(7)
            2.0
        """
        return float(((5 + length) / 6) ** self.length_penalty)

    def cp(self, weights: Tensor) -> float:
        """What is added for the weights [T, S] of a hypothesis, never above 0."""
        seen = weights.sum(0).clamp(max=1.0)
        # a step that was never looked at must not count infinitely
        return self.coverage_penalty * float(seen.clamp(min=1e-6).log().sum())


@dataclass(frozen=True)
class Hypothesis:
    """One way to go on.

    Attributes:
        tokens: without the one that ends it.
        score: log-probability with its penalties, by which it is ranked.
        log_probability: of the tokens, and of the end if it was reached.
        ended: the end was reached before the longest length.
        weights: of attention at each token and at the end, [T, S], on the CPU; None without.
    """

    tokens: tuple[int, ...]
    score: float
    log_probability: float
    ended: bool
    weights: Tensor | None


class _Search:
    """What belongs to one row of the batch: its finished hypotheses, and where it stops."""

    def __init__(self, settings: BeamSettings, longest: int, valid: int | None) -> None:
        self.settings = settings
        self.longest = longest
        self.valid = valid
        self.finished: list[Hypothesis] = []

    def add(self, line: list[int], total: float, looked: list[Tensor], ended: bool) -> None:
        weights = torch.stack(looked)[:, : self.valid] if looked else None
        score = total / self.settings.lp(len(line) + ended)
        if weights is not None and self.settings.coverage_penalty:
            score += self.settings.cp(weights)
        self.finished.append(Hypothesis(tuple(line), score, total, ended, weights))

    def done(self, best_total: float) -> bool:
        """Enough has ended, and what still goes on cannot become the best any more."""
        if len(self.finished) < self.settings.width:
            return False
        # a total only falls; it is divided by at most this
        reach = best_total / self.settings.lp(self.longest + 1)
        return reach <= max(one.score for one in self.finished)

    def ranked(self) -> list[Hypothesis]:
        return sorted(self.finished, key=lambda one: -one.score)[: self.settings.width]


@torch.inference_mode()
def beam_search(
    step: Step,
    state: _State,
    *,
    start: int,
    end: int,
    longest: Sequence[int],
    settings: BeamSettings | None = None,
    forbidden: Sequence[int] = (),
    source_lengths: Sequence[int] | None = None,
) -> list[list[Hypothesis]]:
    """The best hypotheses for each row of a batch, best first.

    A row that is done is dropped from the batch, so that the others go on the faster.

    Args:
        step: takes one more token for each row.
        state: before the first step, of B rows.
        start: the token that is read first.
        end: the token that ends a hypothesis.
        longest: tokens at most, for each row.
        settings: width and penalties.
        forbidden: tokens that are never written.
        source_lengths: steps of each source, to which the weights of attention are cut.

    Returns:
        For each row up to `width` hypotheses that ended; or, where none did, the most probable one,
        cut at its longest.
    """
    settings = settings or BeamSettings()
    K = settings.width
    valid: Sequence[int | None] = source_lengths or [None] * len(longest)
    searches = [_Search(settings, n, s) for n, s in zip(longest, valid, strict=True)]
    live = _Live(list(range(len(longest))), K)
    tokens = torch.full((len(longest),), start)
    for length in range(1, max(longest, default=0) + 2):
        scores, weights, state = step(tokens, state)
        scores = scores.float().cpu()
        scores[:, list(forbidden)] = -torch.inf
        log_p = torch.log_softmax(scores, dim=-1)
        seen = None if weights is None else weights.float().cpu()
        rows, tokens = live.grow(log_p, seen, end, searches, length)
        if not live.rows:
            break
        state = state.select(rows)
    return [search.ranked() for search in searches]


class _Live:
    """The hypotheses that still go on: for each live row of the batch the same number, W."""

    def __init__(self, rows: list[int], width: int) -> None:
        self.rows = rows
        self.width = width
        self.totals = torch.zeros(len(rows), 1, dtype=torch.float64)
        self.lines: list[list[list[int]]] = [[[]] for _ in rows]
        self.looked: list[list[list[Tensor]]] = [[[]] for _ in rows]

    def grow(
        self,
        log_p: Tensor,
        weights: Tensor | None,
        end: int,
        searches: list[_Search],
        length: int,
    ) -> tuple[Tensor, Tensor]:
        """Take one more token; returns which rows of the state go on, and with which token."""
        B, W = self.totals.shape
        V = log_p.shape[-1]
        ranked = self.totals[:, :, None] + log_p.view(B, W, V)
        # enough that the ones that do not end are at least K, if there are so many tokens
        count = min(2 * self.width, W * V)
        totals, places = ranked.flatten(1).topk(count, dim=1)
        picked: list[tuple[int, list[tuple[int, int, float]]]] = []
        for b in range(B):
            search = searches[self.rows[b]]
            going = self._sort(b, totals[b], places[b], V, weights, end, search, length)
            if going and not search.done(going[0][2]):
                picked.append((b, going))
        return self._keep(picked, W, weights)

    def _sort(
        self,
        b: int,
        totals: Tensor,
        places: Tensor,
        V: int,
        weights: Tensor | None,
        end: int,
        search: _Search,
        length: int,
    ) -> list[tuple[int, int, float]]:
        W = self.totals.shape[1]
        going: list[tuple[int, int, float]] = []
        for rank, (total, place) in enumerate(zip(totals.tolist(), places.tolist(), strict=True)):
            if total == -torch.inf or len(going) == self.width:
                break
            parent, token = divmod(place, V)
            line, looked = self.lines[b][parent], self.looked[b][parent]
            if weights is not None:
                looked = [*looked, weights[b * W + parent]]
            if token == end:
                # one that ends counts only if it is among the best, as one that goes on does
                if rank < self.width:
                    search.add(line, total, looked, True)
            elif length <= search.longest:
                going.append((parent, token, total))
        if length > search.longest and not search.finished:
            # the first is the most probable one, without room for another token
            search.add(self.lines[b][0], float(self.totals[b, 0]), self.looked[b][0], False)
        return going

    def _keep(
        self,
        picked: list[tuple[int, list[tuple[int, int, float]]]],
        W: int,
        weights: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        width = max((len(going) for _, going in picked), default=0)
        rows, tokens, totals = [], [], []
        lines, looked = [], []
        for b, going in picked:
            # all rows keep the same number; what is missing can never be picked again
            full = going + [(going[0][0], going[0][1], -torch.inf)] * (width - len(going))
            rows += [b * W + parent for parent, _, _ in full]
            tokens += [token for _, token, _ in full]
            totals.append([total for _, _, total in full])
            lines.append([[*self.lines[b][parent], token] for parent, token, _ in full])
            looked.append([self._seen(b, parent, W, weights) for parent, _, _ in full])
        self.rows = [self.rows[b] for b, _ in picked]
        self.totals = torch.tensor(totals, dtype=torch.float64)
        self.lines, self.looked = lines, looked
        return torch.tensor(rows), torch.tensor(tokens)

    def _seen(self, b: int, parent: int, W: int, weights: Tensor | None) -> list[Tensor]:
        looked = self.looked[b][parent]
        return looked if weights is None else [*looked, weights[b * W + parent]]
