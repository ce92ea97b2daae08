"""torch.nn's recurrent layers, walked as ours while they are traced, with the same parameters."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from torch import nn

from ostinato.layers.accelerate import _OURS
from ostinato.layers.sequence import SequenceLayer
from ostinato.layers.torch_like import TorchLike

__all__ = ["twin_of", "walked_as_ours"]

# what a twin is built from: where it changes, so must the twin
_FORM = ("mode", "input_size", "hidden_size", "proj_size", "num_layers", "bias", "dropout")

_twins: weakref.WeakKeyDictionary[nn.Module, TorchLike] = weakref.WeakKeyDictionary()


def twin_of(layer: nn.RNNBase) -> TorchLike | None:
    """One of our layers with the very parameters of a torch.nn.RNN, LSTM or GRU.

    None for a subclass, whose forward may do other things, and for weights that are made of other
    parameters.
    """
    if type(layer) not in _OURS or set(layer._flat_weights_names) - set(layer._parameters):
        return None
    twin = _twins.get(layer)
    form = (*_FORM, "batch_first", "bidirectional")
    if twin is None or any(getattr(twin, name) != getattr(layer, name) for name in form):
        ours, template, options = _OURS[type(layer)]
        twin = ours.__new__(ours)
        # tables of parameters and hooks are shared, whatever is set on the twin is its own
        twin.__dict__.update(layer.__dict__)
        twin.__dict__.pop("forward", None)
        twin._set_up(template, options(layer), {})
        _twins[layer] = twin
    twin.training = layer.training
    return twin


@contextmanager
def walked_as_ours(module: nn.Module) -> Iterator[dict[nn.Module, str]]:
    """Let torch's recurrent layers in a module walk as ours within a `with` block.

    Yields:
        Each of our layers in the module, twins included, with its name.
    """
    found: dict[nn.Module, str] = {}
    lent: list[nn.Module] = []
    try:
        for name, part in module.named_modules():
            if isinstance(part, SequenceLayer):
                found[part] = name
            elif isinstance(part, nn.RNNBase):
                twin = twin_of(part)
                if twin is not None:
                    found[twin] = name
                    part.__dict__["forward"] = _forward_of(twin)
                    lent.append(part)
        yield found
    finally:
        for part in lent:
            part.__dict__.pop("forward", None)


def _forward_of(twin: TorchLike) -> Any:
    def forward(input: Any, hx: Any = None) -> Any:
        return twin.forward(input, hx)

    return cast("Any", forward)
