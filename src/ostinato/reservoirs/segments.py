"""One long sequence as several shorter ones that are walked side by side.

A reservoir forgets: after enough steps its state is the same, to the last digits, whatever it was
before. So a sequence can be cut into segments, each of which begins a little earlier, from zero, to
have forgotten that by its first step. Whether it has is checked afterwards: the state that a
segment ends with must be the one with which the next began. Where it is not, the caller walks the
sequence in one piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ostinato.reservoirs.sparse import Connections, Rows, Steps, lanes_for, walk

__all__ = ["Cut", "Segments", "Walker", "forgetting", "side_by_side"]

# the longest that forgetting may take for cuts to pay, in steps
LONGEST = 1024


@dataclass
class Walker:
    """A reservoir as the sparse walk takes it.

    Attributes:
        connections: its weights.
        leak: the share of the state renewed at each step.
        activation: its name.
        forgets: steps after which the state before no longer matters; 0: not known; -1: too many.
    """

    connections: Connections
    leak: float
    activation: str
    forgets: int = 0

    @property
    def dtype(self) -> torch.dtype:
        return self.connections.values.dtype

    @property
    def lanes(self) -> int:
        return lanes_for(self.dtype)

    def fresh(self) -> Tensor:
        """Zero state of a group of rows."""
        held = self.connections.blocks * self.lanes + self.connections.inputs
        return torch.zeros(held, self.lanes, dtype=self.dtype)

    def take(self, steps: Steps, rows: Rows) -> None:
        walk(self.connections, steps, rows, leak=self.leak, activation=self.activation)

    def pass_over(self, inputs: Tensor, state: Tensor) -> None:
        """Take steps whose states nobody wants."""
        lanes, units = self.lanes, self.connections.units
        out = torch.empty(lanes, units, dtype=self.dtype)
        rows = Rows(out, 0, units, torch.arange(self.connections.blocks) * lanes)
        self.take(Steps(inputs, state, lanes), rows)


@dataclass(frozen=True)
class Cut:
    """Segments of a sequence: `count` of them, `length` steps each, the first from step `first`."""

    first: int
    length: int
    count: int

    @property
    def last(self) -> int:
        """The step after the last segment."""
        return self.first + self.length * self.count

    def parts(self, size: int) -> list[Cut]:
        """The same segments, `size` of them in each part."""
        firsts = range(self.first, self.last, self.length * size)
        return [Cut(first, self.length, size) for first in firsts]


def side_by_side(x: Tensor, cut: Cut, start: int, length: int) -> Tensor:
    """Inputs [length, I, segments] of all segments, from `start` steps after their first.

    Where that is before the sequence, zeros.
    """
    firsts = cut.first + start + cut.length * torch.arange(cut.count)
    at = firsts[:, None] + torch.arange(length)
    found = x[at.clamp(min=0)]
    found[at < 0] = 0
    return found.permute(1, 2, 0).contiguous()


def forgetting(walker: Walker, x: Tensor) -> int:
    """After how many of the first steps of x [T, I] any state before has been forgotten, or -1.

    States that differ as much as states can are walked side by side until they agree.
    """
    lanes, units = walker.lanes, walker.connections.units
    state = walker.fresh()
    generator = torch.Generator().manual_seed(0)
    signs = torch.rand(units, lanes - 1, generator=generator).to(state) * 2 - 1
    state[:units, 1:] = signs.sign()
    step, done = 32, 0
    while done + step <= min(len(x), LONGEST):
        inputs = x[done : done + step, :, None].expand(-1, -1, lanes).contiguous()
        walker.pass_over(inputs, state)
        done += step
        if _apart(state[:units, :1], state[:units]) == 0:
            # a little more, as forgetting may take longer elsewhere
            return done + done // 4
    return -1


def _apart(one: Tensor, other: Tensor) -> float:
    """How far two states are from each other, 0 where that is rounding alone."""
    far = float((one - other).abs().max())
    scale = max(1.0, float(one.abs().max()))
    return 0.0 if far <= 64 * torch.finfo(one.dtype).eps * scale else far


class Segments:
    """A walk over a cut sequence, some steps of all segments at a time.

    Args:
        walker: the reservoir.
        x: inputs [T, I].
        cut: as many segments as there are lanes.
        state: [H] from which the sequence begins, at its step 0.
    """

    def __init__(self, walker: Walker, x: Tensor, cut: Cut, state: Tensor) -> None:
        self.walker, self.x, self.cut = walker, x, cut
        self.state = walker.fresh()
        self._enter(state)
        self.began = self.state.clone()

    def _enter(self, state: Tensor) -> None:
        """Walk to the first step of each segment."""
        walker, before = self.walker, self.cut.first
        needed, units = walker.forgets, walker.connections.units
        # what lies before the sequence is no input: the first segment begins where that does
        early = max(0, needed - before)
        walker.pass_over(side_by_side(self.x, self.cut, -needed, early), self.state)
        if before <= needed:
            self.state[:units, 0] = state
        rest = needed - early
        walker.pass_over(side_by_side(self.x, self.cut, -rest, rest), self.state)

    def chunks(self, size: int) -> Iterator[tuple[int, Steps]]:
        """Some steps of all segments, to be taken before the next are asked for."""
        for begin in range(0, self.cut.length, 16 * size):
            length = min(16 * size, self.cut.length - begin)
            inputs = side_by_side(self.x, self.cut, begin, length)
            for start in range(0, length, size):
                part = inputs[start : start + size]
                yield begin + start, Steps(part, self.state, self.cut.count)

    def agree(self, after: Segments | None = None) -> bool:
        """Whether each segment began with the state that the one before it ended with.

        Args:
            after: the segments that come before these, if some do.
        """
        units = self.walker.connections.units
        within = _apart(self.state[:units, :-1], self.began[:units, 1:]) == 0
        return within and (after is None or _apart(after.end(), self.began[:units, 0]) == 0)

    def end(self) -> Tensor:
        """The state [H] after the last segment."""
        return self.state[: self.walker.connections.units, -1].clone()
