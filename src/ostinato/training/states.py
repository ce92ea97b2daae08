"""States as layers return them: a tensor, or nested tuples of tensors."""

from __future__ import annotations

from typing import Any

from torch import Tensor

__all__ = ["map_tensors"]


def map_tensors(state: Any, change: Any) -> Any:
    """Apply `change` to every tensor of a nest of tuples and lists."""
    if isinstance(state, (tuple, list)):
        return tuple(map_tensors(part, change) for part in state)
    return change(state) if isinstance(state, Tensor) else state
