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

__all__ = ["State", "Call", "Every", "Walk", "segment_steps", "split_result"]


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


@dataclass(frozen=True)
class Walk:
    """What a walk gives: output [T, B, O] and the last valid state, each [B, S].

    `states`, if asked for, has one [T, B, S] for each state tensor. Steps of padding hold zeros in
    `output` and `states`.
    """

    output: Tensor
    state: State
    states: State | None = None


def segment_steps(call: Call) -> int:
    """Steps of a segment, or 0 where the sequence is to be kept whole."""
    T, every = call.x.shape[0], call.checkpoint_every
    if every is None:
        return 0
    steps = math.isqrt(max(T - 1, 0)) + 1 if every == "sqrt" else every
    return steps if steps < T else 0


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


def _form(result: object) -> str:
    if isinstance(result, (tuple, list)):
        return f"({', '.join(_form(part) for part in result)})"
    return type(result).__name__
