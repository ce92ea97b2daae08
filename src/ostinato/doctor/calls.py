"""What the recurrent layers of a network were given, and what came out: one record a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ostinato.layers.sequence import SequenceLayer

__all__ = ["LayerCall", "layers_of", "tensors_of", "watched"]


@dataclass(frozen=True)
class LayerCall:
    """One call of a recurrent layer.

    Attributes:
        name: of the layer in the network.
        layer: ours, or torch.nn.RNN, LSTM or GRU.
        inputs: positional arguments.
        keywords: the others.
        y: what it returned first: outputs at all steps, [T, B, D*H], or [B, T, D*H].
    """

    name: str
    layer: nn.Module
    inputs: tuple[Any, ...]
    keywords: Mapping[str, Any]
    y: Tensor

    @property
    def batch_first(self) -> bool:
        """Whether the layer takes the first axis for rows of the batch."""
        return bool(getattr(self.layer, "batch_first", False))

    @property
    def x(self) -> Tensor:
        """What was read, [T, B, I] or [B, T, I]; whole numbers where it was tokens."""
        x: Tensor = self.inputs[0]
        return x

    @property
    def lengths(self) -> Tensor | None:
        """Valid steps of each row, where the layer was told, int64 [B] on the CPU."""
        given = self.keywords.get("lengths")
        if given is None and len(self.inputs) > 2:
            given = self.inputs[2]
        return None if given is None else torch.as_tensor(given).cpu()

    def time_first(self, part: Tensor) -> Tensor:
        """A tensor of the layer's form with time as its first axis and rows as its second."""
        return part.transpose(0, 1) if self.batch_first else part


def layers_of(module: nn.Module) -> dict[str, nn.Module]:
    """The recurrent layers of a network by name: ours and torch's, each once, none inside another.

    Example:
        >>> layers_of(nn.Sequential(nn.Linear(2, 3), nn.GRU(3, 4)))
        {'1': GRU(3, 4)}
    """
    found: dict[str, nn.Module] = {}
    for name, part in module.named_modules():
        inside = any(name.startswith(f"{other}.") or not other for other in found)
        if _is_recurrent(part) and not inside:
            found[name] = part
    return found


def _is_recurrent(part: nn.Module) -> bool:
    return isinstance(part, (SequenceLayer, nn.RNN, nn.LSTM, nn.GRU))


def watched(module: nn.Module, run: Callable[[], Any]) -> tuple[Any, list[LayerCall]]:
    """Run something, and note each call of a recurrent layer of `module` on a batch.

    Calls with packed sequences and with a single row are not noted.

    Returns:
        What `run` returned, and the calls in their order.
    """
    calls: list[LayerCall] = []
    handles = [
        layer.register_forward_hook(partial(_note, calls, name), with_kwargs=True)
        for name, layer in layers_of(module).items()
    ]
    try:
        return run(), calls
    finally:
        for handle in handles:
            handle.remove()


def _note(
    calls: list[LayerCall],
    name: str,
    layer: nn.Module,
    inputs: tuple[Any, ...],
    keywords: dict[str, Any],
    result: Any,
) -> None:
    keywords = dict(keywords)
    first = "input" if "input" in keywords else "x"
    if not inputs and first in keywords:
        inputs = (keywords.pop(first),)
    y = result[0] if isinstance(result, tuple) else result
    whole = inputs and isinstance(inputs[0], Tensor) and isinstance(y, Tensor)
    if whole and y.dim() == 3 and y.numel():
        calls.append(LayerCall(name, layer, inputs, keywords, y))


def tensors_of(nest: Any) -> list[Tensor]:
    """All tensors of a nest of tuples, lists and dictionaries, in order."""
    if isinstance(nest, Tensor):
        return [nest]
    if isinstance(nest, Mapping):
        nest = list(nest.values())
    if isinstance(nest, (tuple, list)):
        return [tensor for part in nest for tensor in tensors_of(part)]
    return []
