"""Zoneout: at random, a unit keeps its old value."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ostinato.engine import Call, State, split_result
from ostinato.layers.dropout import check_rate
from ostinato.layers.wrapper import Wrapper

__all__ = ["Zoneout", "zoneout_rates"]


class Zoneout(Wrapper):
    r"""Around a cell: each unit of a state keeps its old value with a given probability.

        s[t] = k s[t-1] + (1 - k) cell(x[t], s[t-1]),   k ~ Bernoulli(rate), for each unit and step

    With `expected`, k is the rate itself, which is what evaluation uses.

    Source: Krueger et al. (2016), arXiv:1606.01305. There the output is the new h, so it is here,
    where a cell's output is its first state.

    Args:
        cell: the cell inside.
        sizes: widths of its states.
        rates: for each state the probability of keeping, in [0, 1].
        expected: take the expectation in place of draws.

    Shapes: x [B, I + n], its last n columns the k of each state whose rate is not 0 (only with
    draws); states as the cell's.
    """

    def __init__(
        self,
        cell: nn.Module,
        sizes: Sequence[int],
        rates: Sequence[float],
        *,
        expected: bool = False,
    ) -> None:
        super().__init__(cell, sizes)
        self.rates = tuple(rates)
        self.expected = expected
        self.widths = [
            size if rate and not expected else 0 for size, rate in zip(sizes, rates, strict=True)
        ]

    def columns(self, call: Call, like: Tensor) -> Tensor | None:
        if self.expected:
            return None
        shape = call.x.shape[:2]
        draws = [
            torch.empty(*shape, width, dtype=like.dtype, device=like.device).bernoulli_(rate)
            for width, rate in zip(self.widths, self.rates, strict=True)
            if width
        ]
        return torch.cat(draws, dim=-1)

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, State]:
        keeps: Sequence[Tensor | float] = self.rates
        if not self.expected:
            width = sum(self.widths)
            x, drawn = torch.split(x, [x.shape[-1] - width, width], dim=-1)
            keeps = torch.split(drawn.to(state[0].dtype), self.widths, dim=-1)
        output, new = split_result(self.cell(x, *state), len(state))
        mixed = tuple(
            keep * old + (1 - keep) * fresh if rate else fresh
            for keep, rate, old, fresh in zip(keeps, self.rates, state, new, strict=False)
        )
        output = mixed[0] if output is new[0] else output
        return output, (*mixed, *new[len(mixed) :])

    def extra_repr(self) -> str:
        return f"rates={self.rates}, expected={self.expected}"


def zoneout_rates(name: str, given: float | Sequence[float], states: int) -> tuple[float, ...]:
    """One rate for each state; a single number serves all.

    Raises:
        ValueError: a rate is outside [0, 1], or their number is wrong.
    """
    rates = (given,) * states if isinstance(given, (int, float)) else tuple(given)
    if len(rates) != states:
        raise ValueError(
            f"{name}: zoneout needs one rate, or {states} (one for each state), got {len(rates)}."
        )
    return tuple(check_rate(f"{name}: zoneout", rate, top=True) for rate in rates)
