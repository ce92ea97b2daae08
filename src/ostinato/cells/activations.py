"""Activation functions by name."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Activation", "activation_function"]

Activation: TypeAlias = Callable[[Tensor], Tensor]


def _identity(x: Tensor) -> Tensor:
    return x


_BY_NAME: dict[str, Activation] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": _identity,
    "elu": F.elu,
    "gelu": F.gelu,
    "leaky_relu": F.leaky_relu,
    "silu": F.silu,
    "softplus": F.softplus,
}


def activation_function(activation: str | Activation) -> Activation:
    """The function of that name; a function or module is returned as it is.

    Raises:
        ValueError: there is no activation of that name.

    Example:
        >>> activation_function("relu")(torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """
    if callable(activation):
        return activation
    if activation not in _BY_NAME:
        near = get_close_matches(str(activation), _BY_NAME, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"activation: {activation!r} is none of {', '.join(_BY_NAME)}.{hint} "
            "Any function of a tensor may be given in place of a name."
        )
    return _BY_NAME[activation]
