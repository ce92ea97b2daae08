"""Sequences as users have them, brought into one form."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

__all__ = ["Sequences", "only", "pairs", "sequences"]

T = TypeVar("T")


class Sequences(NamedTuple):
    """Sequences [T, width], or [T] of classes.

    Attributes:
        tensors: them.
        numpy: whether they came as NumPy arrays, or plain lists.
        many: whether they came as a list of sequences.
    """

    tensors: list[Tensor]
    numpy: bool
    many: bool


def sequences(name: str, values: Any, dtype: torch.dtype, *, classes: bool = False) -> Sequences:
    """One sequence [T] or [T, width], or a list of them.

    Args:
        name: what messages call them.
        values: arrays, tensors, or a list of numbers.
        dtype: what numbers become.
        classes: whole numbers stay as they are.

    Raises:
        ValueError: there is none, or one has another number of axes.
    """
    many = isinstance(values, (list, tuple)) and np.ndim(values[0] if values else 0) > 0
    listed = list(values) if many else [values]
    if isinstance(values, (list, tuple)) and not values:
        raise ValueError(f"EchoStateNetwork: {name} is an empty list. Give a sequence.")
    numpy = not any(isinstance(one, Tensor) for one in listed)
    return Sequences([_sequence(name, one, dtype, classes) for one in listed], numpy, many)


def _sequence(name: str, values: Any, dtype: torch.dtype, classes: bool) -> Tensor:
    tensor = values if isinstance(values, Tensor) else _numbers(name, values)
    if classes and not tensor.is_floating_point() and tensor.dim() == 1:
        return tensor
    if tensor.dim() == 1:
        tensor = tensor[:, None]
    if tensor.dim() != 2:
        raise ValueError(
            f"EchoStateNetwork: a sequence {name} must be [T] or [T, width], got "
            f"{list(tensor.shape)}. Give several as a list."
        )
    if not len(tensor):
        raise ValueError(f"EchoStateNetwork: a sequence {name} has no steps. Leave it out.")
    return tensor.to(dtype)


def _numbers(name: str, values: Any) -> Tensor:
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"EchoStateNetwork: a sequence {name} must be of numbers, got {type(values).__name__} "
            f"of {array.dtype}."
        )
    return torch.as_tensor(array)


def only(name: str, found: list[T]) -> T:
    """The one sequence there is.

    Raises:
        ValueError: there are several.
    """
    if len(found) != 1:
        raise ValueError(
            f"EchoStateNetwork: one sequence {name} is needed here, got {len(found)}. Give them "
            "one after the other."
        )
    return found[0]


def pairs(
    x: Sequences | None, y: Sequences, washout: int, dtype: torch.dtype
) -> list[tuple[Tensor, Tensor]]:
    """Inputs and targets side by side; without inputs, inputs of no width.

    Raises:
        ValueError: they differ in number or length, or are not longer than the washout.
    """
    given = [torch.zeros(len(one), 0, dtype=dtype) for one in y.tensors]
    given = given if x is None else x.tensors
    if len(given) != len(y.tensors):
        raise ValueError(
            f"EchoStateNetwork: {len(given)} sequences x and {len(y.tensors)} sequences y. Give "
            "one y for each x."
        )
    for number, (a, b) in enumerate(zip(given, y.tensors, strict=True)):
        if len(a) != len(b):
            raise ValueError(
                f"EchoStateNetwork: sequence {number} has {len(a)} inputs and {len(b)} targets. "
                "Give one target for each input."
            )
        if len(a) <= washout:
            raise ValueError(
                f"EchoStateNetwork: sequence {number} has {len(a)} steps, and a washout of "
                f"{washout} leaves nothing to learn from. Give washout={len(a) // 10} or a longer "
                "sequence."
            )
    return list(zip(given, y.tensors, strict=True))
