"""The walks of a module, caught as they are made: for what needs the cells, not their values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ostinato.engine import Call, State, Walk, run
from ostinato.layers.listening import listening
from ostinato.layers.sequence import SequenceLayer
from ostinato.layers.tracing.foreign import walked_as_ours
from ostinato.layers.tracing.record import mode
from ostinato.layers.tracing.selection import Selection
from ostinato.layers.tracing.steps import innermost
from ostinato.layers.tracing.watch import state_names

__all__ = ["Heard", "hear"]


@dataclass(frozen=True)
class Heard:
    """One walk of one cell.

    Attributes:
        module, layer: names, as `Layer` has them.
        direction: 0, or 1 for the walk from the end.
        call: as the engine had it, wrappers around the cell included.
        states: at every step, each [T, B, S]; those of wrappers last.
        names: of the cell's own states.
        push: zeros that were added to its input [T, B, I], to be differentiated by; None: not asked
            for.
    """

    module: str
    layer: str
    direction: int
    call: Call
    states: State
    names: tuple[str, ...]
    push: Tensor | None


def hear(
    module: nn.Module,
    *inputs: Any,
    layers: Sequence[str] | None = None,
    pushed: bool = False,
    training: bool | None = None,
    call: Callable[..., Any] | None = None,
    **keywords: Any,
) -> tuple[list[Heard], Any]:
    """Run a module, and catch the walks of its recurrent layers.

    Args:
        module: one layer, or a network that has some.
        inputs: what it is called with.
        layers: names of modules or layers; None: all.
        pushed: let each walk's input be differentiated by; gradients are kept then.
        training: in training or in evaluation mode; None: as the module is.
        call: what is called with the inputs; None: the module itself.
        keywords: further arguments of the call.

    Returns:
        The walks in the order in which they were made, and what the module returned.

    Raises:
        ValueError: no walk was made, or a layer is not there.
    """
    selection = Selection(layers=None if layers is None else tuple(layers))
    heard: list[Heard] = []
    with ExitStack() as stack:
        stack.enter_context(mode(module, training))
        modules = stack.enter_context(walked_as_ours(module))
        stack.enter_context(torch.set_grad_enabled(pushed))

        def listener(layer: SequenceLayer, place: int, asked: Call) -> Walk:
            name = modules.get(layer)
            if name is None:
                return run(asked)
            number, direction = divmod(place, 2) if layer.bidirectional else (place, 0)
            own = f"{name}.{number}".lstrip(".")
            if not selection.wants_layer(name, own):
                return run(asked)
            push = torch.zeros_like(asked.x, requires_grad=True) if pushed else None
            given = asked if push is None else replace(asked, x=asked.x + push)
            walk = run(replace(given, all_states=True))
            assert walk.states is not None
            count = len(layer._states.sizes[place]) or len(asked.state)
            names = state_names(innermost(asked.cell), count)
            states = tuple(part.detach() for part in walk.states)
            heard.append(Heard(name, own, direction, asked, states, names, push))
            return Walk(walk.output, walk.state, walk.states if asked.all_states else None)

        with listening(listener):
            output = (call or module)(*inputs, **keywords)
    selection.check()
    if not heard:
        raise ValueError(
            f"{type(module).__name__}: no recurrent layer was walked. Give a module with layers of "
            "ostinato, or torch.nn.RNN, LSTM or GRU themselves (no subclass)."
        )
    return heard, output
