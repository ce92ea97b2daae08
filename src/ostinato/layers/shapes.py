"""The forms in which sequences come in and go out, and the checks at that door."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

__all__ = ["Form", "Lengths", "backward_reset", "check_lengths", "check_reset"]

Lengths: TypeAlias = Tensor | Sequence[int] | int


@dataclass(frozen=True)
class Form:
    """How a sequence came in, so that the output can leave in the same way."""

    batch_first: bool
    unbatched: bool = False
    packed: PackedSequence | None = None

    def enter(self, x: Tensor) -> Tensor:
        """Bring a tensor with a time axis into the form [T, B, ...]."""
        if self.unbatched:
            return x.unsqueeze(1)
        return x.transpose(0, 1) if self.batch_first and self.packed is None else x

    def leave(self, y: Tensor) -> Tensor | PackedSequence:
        """Bring an output [T, B, O] into the form in which the input came."""
        packed = self.packed
        if packed is None:
            return self.leave_states(y)
        if packed.sorted_indices is not None:
            y = y.index_select(1, packed.sorted_indices)
        columns = torch.arange(y.shape[1])
        valid = columns[None, :] < packed.batch_sizes[:, None]
        return PackedSequence(
            y[valid.to(y.device)],
            packed.batch_sizes,
            packed.sorted_indices,
            packed.unsorted_indices,
        )

    def leave_states(self, y: Tensor) -> Tensor:
        """The same for states [T, B, S] at every step, which never leave packed."""
        if self.unbatched:
            return y.squeeze(1)
        return y.transpose(0, 1) if self.batch_first else y


def unpack(packed: PackedSequence) -> tuple[Tensor, Tensor]:
    """A packed batch as (x [T, B, I], lengths [B]), its rows in the order of before packing."""
    return pad_packed_sequence(packed)


def check_lengths(name: str, lengths: Lengths, T: int, B: int, device: Any) -> Tensor | None:
    """Lengths as int64 [B] on the device, or None where every row has all T steps.

    Raises:
        TypeError: they are not whole numbers.
        ValueError: they are not one for each row, or outside 0..T.
    """
    given = torch.as_tensor(lengths)
    if given.is_floating_point() or given.is_complex() or given.dtype == torch.bool:
        raise TypeError(f"{name}: lengths must be whole numbers, got {given.dtype}.")
    if given.shape != (B,):
        raise ValueError(
            f"{name}: lengths must be [{B}], one for each row of the batch, "
            f"got {list(given.shape)}."
        )
    if torch.compiler.is_compiling():
        # values are not known yet; the operator looks at them when it runs
        return given.to(device=device, dtype=torch.int64)
    if B == 0:
        return None
    low, high = (int(end) for end in given.aminmax())
    if low < 0 or high > T:
        raise ValueError(
            f"{name}: lengths must be in 0..{T}, the steps of the input, got {low}..{high}. "
            "Pad the input, or cut the lengths."
        )
    return None if low == T else given.to(device=device, dtype=torch.int64)


def check_reset(name: str, reset: Tensor, T: int, B: int, form: Form, device: Any) -> Tensor:
    """A reset mask as bool [T, B] on the device.

    Raises:
        TypeError: it is not a tensor of bool.
        ValueError: it has another shape.
    """
    if not isinstance(reset, Tensor) or reset.dtype != torch.bool:
        kind = reset.dtype if isinstance(reset, Tensor) else type(reset).__name__
        raise TypeError(f"{name}: reset must be a tensor of bool, got {kind}. Try reset.bool().")
    time_first = form.packed is not None or not form.batch_first
    shape, axes = ([T, B], "time, batch") if time_first else ([B, T], "batch, time")
    if form.unbatched:
        shape, axes = [T], "time"
    if list(reset.shape) != shape:
        raise ValueError(f"{name}: reset must be {shape} ({axes}), got {list(reset.shape)}.")
    return form.enter(reset).to(device)


def enter_clamp(name: str, clamp: Tensor, T: int, B: int, form: Form) -> Tensor:
    """Values of clamped units as [T, B, n].

    Raises:
        ValueError: they are not given for each step and row.
    """
    wanted = 2 if form.unbatched else 3
    time_first = form.enter(clamp) if clamp.dim() == wanted else clamp
    if time_first.dim() != 3 or time_first.shape[:2] != (T, B):
        axes = f"batch {B}, time {T}" if form.batch_first else f"time {T}, batch {B}"
        axes = f"time {T}" if form.unbatched else axes
        raise ValueError(
            f"{name}: clamp must hold a value for each step, row and clamped unit ({axes}, units), "
            f"got {list(clamp.shape)}."
        )
    return time_first


def within(lengths: Tensor, T: int) -> Tensor:
    """Mask [T, B] of the steps that are no padding."""
    return torch.arange(T, device=lengths.device)[:, None] < lengths


def backward_reset(reset: Tensor) -> Tensor:
    """The mask for the walk from the end: an episode that starts at t + 1 ends at t."""
    return torch.cat([reset[1:], torch.zeros_like(reset[:1])])
