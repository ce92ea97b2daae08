"""Which cell or layer of a model is meant."""

from __future__ import annotations

from difflib import get_close_matches

from torch import nn

from ostinato import cells
from ostinato.inspect.diagrams.cell import DiagramError
from ostinato.inspect.diagrams.network import Stack, stack_of
from ostinato.layers.sequence import SequenceLayer

__all__ = ["one_cell", "only_stack", "recurrent"]


def one_cell(subject: nn.Module, layer: int | str, direction: int) -> nn.Module:
    """The cell at a layer and direction of a model; a cell is itself.

    Raises:
        DiagramError: there is no such layer or direction.
    """
    modules = recurrent(subject)
    if not modules:
        return subject
    places = [
        (name, module, own) for name, module in modules.items() for own in range(_layers(module))
    ]
    if isinstance(layer, str):
        wanted = _known(layer, modules)
        module, own = next((m, own) for name, m, own in places if (name, own) == wanted)
    elif 0 <= layer < len(places):
        module, own = places[layer][1:]
    else:
        raise DiagramError(
            f"diagram: there are layers 0 to {len(places) - 1}, got {layer}. They are those of "
            f"{', '.join(name or type(m).__name__ for name, m in modules.items())}."
        )
    directions = 2 if module.bidirectional else 1
    if not 0 <= direction < directions:
        raise DiagramError(
            f"diagram: layer {layer} walks in {directions} direction(s), so direction must be "
            f"{'0 or 1' if directions == 2 else '0'}, got {direction}."
        )
    return _cell(module, own * directions + direction)


def only_stack(subject: nn.Module, layer: int | str) -> Stack:
    """The recurrent module that holds a layer.

    Raises:
        DiagramError: there is none of that number or name.
    """
    modules = recurrent(subject)
    if not modules:
        return stack_of(subject)
    if isinstance(layer, str):
        name, _ = _known(layer, modules)
        return stack_of(modules[name], name)
    left = layer
    for name, module in modules.items():
        if 0 <= left < _layers(module):
            return stack_of(module, name)
        left -= _layers(module)
    count = sum(map(_layers, modules.values()))
    raise DiagramError(f"diagram: there are layers 0 to {count - 1}, got {layer}.")


def recurrent(subject: nn.Module) -> dict[str, SequenceLayer | nn.RNNBase]:
    """Every recurrent module of a model, by its name there."""
    return {
        name: module
        for name, module in subject.named_modules()
        if isinstance(module, (SequenceLayer, nn.RNNBase))
    }


def _layers(module: SequenceLayer | nn.RNNBase) -> int:
    return int(module.num_layers)


def _known(layer: str, modules: dict[str, SequenceLayer | nn.RNNBase]) -> tuple[str, int]:
    """The module that is meant, and which of its layers: "stack", or "stack.0" as traces say it."""
    head, _, tail = layer.rpartition(".")
    meant = [(layer, 0)] + ([(head, int(tail))] if tail.isdecimal() else [])
    # of a task, the layers of its network
    meant += [(f"network.{name}", own) for name, own in meant]
    for name, own in meant:
        if name in modules and own < _layers(modules[name]):
            return name, own
    near = get_close_matches(layer, modules, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise DiagramError(
        f"diagram: there is no recurrent layer {layer!r}.{hint} There are {', '.join(modules)}."
    )


def _cell(module: SequenceLayer | nn.RNNBase, place: int) -> nn.Module:
    if isinstance(module, SequenceLayer):
        return module._cell(place)
    # torch's layers have no cells: one of ours with the same equations stands for each
    directions = 2 if module.bidirectional else 1
    width = module.input_size
    if place >= directions:
        width = (module.proj_size or module.hidden_size) * directions
    bias = "both" if module.bias else False
    if module.mode == "LSTM":
        return cells.LSTM(width, module.hidden_size, proj_size=module.proj_size, bias=bias)
    if module.mode == "GRU":
        return cells.GRU(width, module.hidden_size, reset="after", bias=bias)
    activation = module.mode.removeprefix("RNN_").lower()
    return cells.Elman(width, module.hidden_size, activation=activation, bias=bias)
