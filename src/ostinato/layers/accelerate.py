"""Turning the recurrent layers of a finished model into ours, where they stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from ostinato import cells
from ostinato.layers.torch_like import GRU, LSTM, RNN, TorchLike

__all__ = ["Found", "Report", "accelerate"]

_Ours = tuple[type[TorchLike], Callable[..., cells.Cell], Callable[[Any], dict[str, Any]]]
# torch's layer -> ours, the cell that it walks, and that cell's options
_OURS: dict[type[nn.RNNBase], _Ours] = {
    nn.RNN: (RNN, cells.Elman, lambda layer: {"activation": layer.nonlinearity}),
    nn.LSTM: (LSTM, cells.LSTM, lambda layer: {"proj_size": layer.proj_size}),
    nn.GRU: (GRU, cells.GRU, lambda layer: {"reset": "after"}),
}


@dataclass(frozen=True)
class Found:
    """A recurrent layer that `accelerate` came across.

    Attributes:
        name: where it stands in the model; empty for the model itself.
        kind: its class, as it was.
        sizes: its widths and form.
        swapped: whether it is ours now.
        note: why not, or other names of the same module.
    """

    name: str
    kind: str
    sizes: str
    swapped: bool
    note: str


class Report:
    """What `accelerate` did: prints as a table.

    Attributes:
        found: every recurrent layer of torch's, in the model's order.
        swapped: how many of them are ours now.
    """

    def __init__(self, found: list[Found], changes: list[_Change]) -> None:
        self.found = tuple(found)
        self.swapped = sum(one.swapped for one in found)
        self._changes = changes

    def undo(self) -> None:
        """Make every layer what it was; its parameters keep their present values.

        Raises:
            RuntimeError: a layer has become something else since then.
        """
        for change in self._changes:
            change.check()
        while self._changes:
            self._changes.pop().revert()

    def __str__(self) -> str:
        if not self.found:
            return "no torch.nn.RNN, LSTM or GRU in this model"
        head = ("name", "kind", "sizes", "swapped", "note")
        rows = [
            head,
            *((f.name or "(model)", f.kind, f.sizes, _yes(f), f.note) for f in self.found),
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join([*lines, f"{self.swapped} of {len(self.found)} swapped"])

    __repr__ = __str__


def accelerate(model: nn.Module) -> Report:
    """Turn every torch.nn.RNN, LSTM and GRU of a model into ours, in place.

    The modules stay the objects that they are: same parameters (an optimiser goes on), same
    `state_dict`, mode, hooks and names. They compute the same numbers, up to rounding, and take
    lengths, resets and the like from then on. Left alone, with the reason in the report, are
    subclasses (whose forward may do other things), layers whose weights are made of other
    parameters, and those that the kernels are not for: not on a CPU, or neither float32 nor
    float64.

    Returns:
        A report that prints as a table, and whose `undo()` restores the model.

    Example:
        >>> model = nn.Sequential(nn.Linear(3, 4), nn.GRU(4, 5))
        >>> report = accelerate(model)
        >>> report
        name  kind  sizes   swapped  note
        1     GRU   4 -> 5  yes
        1 of 1 swapped
        >>> report.undo()
        >>> type(model[1]) is nn.GRU
        True
    """
    names: dict[nn.Module, list[str]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, nn.RNNBase):
            names.setdefault(module, []).append(name)
    found: list[Found] = []
    changes: list[_Change] = []
    for module, (name, *others) in names.items():
        layer = cast("nn.RNNBase", module)
        kind, sizes, reason = type(layer).__name__, _sizes(layer), _why_not(layer)
        if reason is None:
            changes.append(_Change(name, layer))
        note = reason or (f"also {', '.join(others)}" if others else "")
        found.append(Found(name, kind, sizes, reason is None, note))
    return Report(found, changes)


class _Change:
    """One layer made ours: its class is exchanged, and what ours needs is put beside the rest."""

    def __init__(self, name: str, layer: nn.RNNBase) -> None:
        self.name, self.layer = name, layer
        self.was: type[nn.Module] = type(layer)
        ours, template, options = _OURS[type(layer)]
        self.ours: type[nn.Module] = ours
        self.before = dict(layer.__dict__)
        layer.__class__ = ours  # type: ignore[assignment]
        cast("TorchLike", layer)._set_up(template, options(layer), {})
        held, before = layer.__dict__, self.before
        self.set = [name for name in held if held[name] is not before.get(name, self)]

    def check(self) -> None:
        now = type(self.layer)
        if now is not self.ours:
            raise RuntimeError(
                f"undo: {self.name or 'the model'} has become a {now.__name__} since it was made "
                f"an ostinato {self.ours.__name__}. Take off first what was put on it."
            )

    def revert(self) -> None:
        held = self.layer.__dict__
        for name in self.set:
            held.pop(name, None)
            if name in self.before:
                held[name] = self.before[name]
        self.layer.__class__ = self.was  # type: ignore[assignment]


def _why_not(layer: nn.RNNBase) -> str | None:
    if isinstance(layer, TorchLike):
        return "already ostinato's"
    if type(layer) not in _OURS:
        return f"a subclass of torch.nn.{layer.mode.split('_')[0]}, whose forward may differ"
    names = layer._flat_weights_names
    made = [name for name in names if name not in layer._parameters]
    if made:
        return f"{made[0]} is no parameter, but made of others"
    for parameter in layer.parameters():
        if parameter.device.type != "cpu":
            return f"on {parameter.device.type}, where torch has kernels of its own"
        if parameter.dtype not in (torch.float32, torch.float64):
            return f"{str(parameter.dtype).removeprefix('torch.')}, neither float32 nor float64"
    return None


def _sizes(layer: nn.RNNBase) -> str:
    told = [f"{layer.input_size} -> {layer.hidden_size}"]
    if layer.proj_size:
        told.append(f"projected to {layer.proj_size}")
    if layer.num_layers > 1:
        told.append(f"{layer.num_layers} layers")
    if layer.bidirectional:
        told.append("both directions")
    return ", ".join(told)


def _yes(found: Found) -> str:
    return "yes" if found.swapped else "no"
