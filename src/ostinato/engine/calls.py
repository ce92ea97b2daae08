"""What every engine is asked for and what it gives back: one walk of a cell over a sequence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from torch import Tensor, nn

State: TypeAlias = tuple[Tensor, ...]

# every k-th step, or as many as make the segments as long as they are many
Every: TypeAlias = int | Literal["sqrt"]

# the name of a kept value, and what else is to be remembered of it
Label: TypeAlias = tuple[str, ...]

__all__ = [
    "Call",
    "Every",
    "Keeper",
    "Kept",
    "Label",
    "State",
    "Walk",
    "segment_steps",
    "split_kept",
    "split_result",
]


@dataclass(frozen=True)
class Call:
    """One walk of a cell over a batch of sequences, time first.

    Attributes:
        cell: maps (x [B, I], *state) to the new state.
        x: inputs [T, B, I].
        state: what the cell starts from, each [B, S].
        lengths: valid steps of each row, [B] int64 on the device of x, each in 0..T; None: all T.
        reset: [T, B] bool; where set, the row takes `reset_state` before that step.
        reset_state: each [B, S]; needed where `reset` is given.
        reverse: walk each row from its own last valid step to its first.
        all_states: also return every state at every step.
        parameters: tensors that stand in for the cell's own parameters of those names.
        checkpoint_every: in training, keep the states at every k-th step alone, and walk each
            segment again for its gradient; "sqrt" takes the square root of T.
    """

    cell: nn.Module
    x: Tensor
    state: State
    lengths: Tensor | None = None
    reset: Tensor | None = None
    reset_state: State | None = None
    reverse: bool = False
    all_states: bool = False
    parameters: Mapping[str, Tensor] | None = None
    checkpoint_every: Every | None = None


# numbers of the states of all steps in a segment that is worth its beginning and end
_ENOUGH = 1 << 16


@dataclass(frozen=True)
class Walk:
    """What a walk gives: output [T, B, O] and the last valid state, each [B, S].

    `states`, if asked for, has one [T, B, S] for each state tensor. Steps of padding hold zeros in
    `output` and `states`.
    """

    output: Tensor
    state: State
    states: State | None = None


@dataclass(frozen=True)
class Kept:
    """A walk, and what was kept of it.

    Attributes:
        walk: with all states.
        values: by label [T, B, units], zeros at steps of padding; None for what was not wanted, and
            for what no kernel can tell.
    """

    walk: Walk
    values: Mapping[Label, Tensor | None]


class Keeper(nn.Module):
    """Base of what stands around a cell and says which values of a step are to be kept.

    Its `forward(x, *state)` calls the cell and returns (output, states, kept), where `kept` maps
    labels to values [B, ...], or to None for what is seen and not wanted. It draws no random
    numbers, and changes nothing.

    Args:
        cell: the cell inside.
    """

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def key(self) -> str:
        """What `kept` follows from besides the cell, as a text; the same in every process."""
        raise NotImplementedError


def segment_steps(call: Call) -> int:
    """Steps of a segment, or 0 where the sequence is to be kept whole."""
    T, every = call.x.shape[0], call.checkpoint_every
    if every is None:
        return 0
    steps = _root_steps(T, sum(part.numel() for part in call.state)) if every == "sqrt" else every
    return steps if steps < T else 0


def _root_steps(T: int, numbers: int) -> int:
    """Steps of a segment, in proportion to the root of T.

    Where a step's states are few numbers, there is little to keep, and a segment that is soon
    walked costs more around it than in it: such segments are up to four times as long.
    """
    root = math.isqrt(max(T - 1, 0)) + 1
    return max(root, min(4 * root, _ENOUGH // max(numbers, 1)))


def split_result(result: object, count: int) -> tuple[Tensor, State]:
    """Bring what a cell returns into the one form (output, states).

    Raises:
        TypeError: it is neither a tensor, nor a tuple of `count` tensors, nor (output, states).
    """
    if isinstance(result, Tensor) and count == 1:
        return result, (result,)
    if isinstance(result, (tuple, list)):
        parts = tuple(result)
        if len(parts) == 2 and isinstance(parts[1], (tuple, list)) and len(parts[1]) == count:
            return parts[0], tuple(parts[1])
        if len(parts) == count and all(isinstance(part, Tensor) for part in parts):
            return parts[0], parts
    raise TypeError(
        f"A cell with {count} state tensor(s) must return the new state (a tensor, or a tuple of "
        f"{count}), or (output, (state, ...)), got {_form(result)}."
    )


def split_kept(result: object, count: int) -> tuple[Tensor, State, Mapping[Label, Tensor | None]]:
    """Likewise, with what a `Keeper` keeps besides; nothing of any other cell."""
    if isinstance(result, tuple) and len(result) == 3 and isinstance(result[2], dict):
        return result
    return (*split_result(result, count), {})


def _form(result: object) -> str:
    if isinstance(result, (tuple, list)):
        return f"({', '.join(_form(part) for part in result)})"
    return type(result).__name__
