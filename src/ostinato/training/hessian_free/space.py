"""The trainable parameters of a module as one vector."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

__all__ = ["Space"]


class Space:
    """The trainable parameters of a module, seen as one vector of N numbers.

    Args:
        module: its parameters that require a gradient, each counted once.

    Attributes:
        named: name -> parameter, in the order of the vector.

    Raises:
        TypeError: it is no module.
        ValueError: nothing is trainable, or the parameters are of several kinds or devices.

    Example:
        >>> space = Space(nn.Linear(3, 2))
        >>> space.read().shape
        torch.Size([8])
    """

    def __init__(self, module: nn.Module) -> None:
        if not isinstance(module, nn.Module):
            raise TypeError(
                f"HessianFree: a module is needed, got {type(module).__name__}. Give the model "
                "itself, not model.parameters(): products with the curvature call it."
            )
        self.named = {name: p for name, p in module.named_parameters() if p.requires_grad}
        if not self.named:
            raise ValueError(
                f"HessianFree: {type(module).__name__} has no trainable parameter. Nothing could "
                "be learned; see that requires_grad is set."
            )
        kinds = {f"{p.dtype} on {p.device}" for p in self.parameters}
        if len(kinds) > 1:
            raise ValueError(
                "HessianFree: all trainable parameters must be of one dtype on one device, got "
                f"{', '.join(sorted(kinds))}. Move the module with .to(device, dtype)."
            )
        self._shell = _Shell(module)

    @property
    def parameters(self) -> list[nn.Parameter]:
        return list(self.named.values())

    @property
    def device(self) -> torch.device:
        return self.parameters[0].device

    def flat(self, tensors: Sequence[Tensor]) -> Tensor:
        """One vector [N] of tensors that are shaped like the parameters."""
        return torch.cat([tensor.reshape(-1) for tensor in tensors])

    def shaped(self, vector: Tensor) -> list[Tensor]:
        """The reverse of `flat`: views of a vector, shaped like the parameters."""
        parts = torch.split(vector, [p.numel() for p in self.parameters])
        return [part.view_as(p) for part, p in zip(parts, self.parameters, strict=True)]

    def read(self) -> Tensor:
        """A copy [N] of the parameters."""
        return self.flat([p.detach() for p in self.parameters])

    def write(self, vector: Tensor) -> None:
        """Set the parameters."""
        with torch.no_grad():
            for parameter, value in zip(self.parameters, self.shaped(vector), strict=True):
                parameter.copy_(value)

    def called_with(self, tensors: Mapping[str, Tensor], function: Callable[[], Any]) -> Any:
        """What `function` gives while the module holds these tensors as its parameters."""
        inside = {f"module.{name}": tensor for name, tensor in tensors.items()}
        return functional_call(self._shell, inside, (function,))


class _Shell(nn.Module):
    """Calls any function around its module, so that `functional_call` can change the module."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, function: Callable[[], Any]) -> Any:
        return function()
