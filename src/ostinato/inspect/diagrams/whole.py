"""A whole network folded: embedding, recurrent layers, attention, readout, as they hear each other.

`ostinato.inspect.diagrams.network` draws recurrent layers alone, which needs no run of the network.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from ostinato.inspect.diagrams.flow import Flow, Hears
from ostinato.inspect.diagrams.graph import Box, Graph
from ostinato.inspect.diagrams.network import (
    Stack,
    cell_box,
    gradients_against,
    loss_box,
    stack_of,
    when,
)
from ostinato.layers.sequence import SequenceLayer

__all__ = ["whole_graph"]

# how arguments are called at an arrow
_ROLES = {"state": "start", "hx": "start"}


def whole_graph(flow: Flow, title: str, *, losses: bool, backward: bool) -> Graph:
    """Each module once, with the loops of the recurrent ones.

    Args:
        flow: which module hears which.
        title: what the network is called.
        losses: with the loss.
        backward: with the gradients.
    """
    drawing = _Drawing(flow, Graph(f"{title}: folded"))
    graph = drawing.drawn(losses)
    if backward:
        gradients_against(graph)
    graph.words = _words(title, flow, losses, backward)
    return graph


class _Drawing:
    """Boxes of modules, and where arrows to and from them begin and end."""

    def __init__(self, flow: Flow, graph: Graph) -> None:
        self.flow, self.graph = flow, graph
        self.place = {name: k for k, name in enumerate(flow.modules)}
        # module -> the boxes that its input goes to, and those that its output comes from
        self.ins: dict[str, list[str]] = {}
        self.outs: dict[str, list[str]] = {}

    def drawn(self, losses: bool) -> Graph:
        for name, module in self.flow.modules.items():
            self._input(name, module)
            if isinstance(module, (SequenceLayer, nn.RNNBase)):
                self._stack(name, stack_of(module, name))
            else:
                self._module(name, module)
        for arrow in self.flow.arrows:
            self._join(arrow)
        self._end(losses)
        return self.graph

    def _input(self, name: str, module: nn.Module) -> None:
        """What the network is given, where a module reads it."""
        if Hears(None, name) in self.flow.arrows:
            told = f"x: what {name or 'it'} is given"
            self.graph.add(Box(f"x{self.place[name]}", "input", "x", _given(module), told))

    def _module(self, name: str, module: nn.Module) -> None:
        kind = type(module).__name__
        width = self.flow.widths.get(name)
        detail = kind if width is None else f"{kind}, {width} numbers"
        key = self.graph.add(
            Box(f"m{self.place[name]}", "module", name or kind, detail, f"{name}: {module!r}")
        )
        self.ins[name] = self.outs[name] = [key]

    def _stack(self, name: str, stack: Stack) -> None:
        below: list[str] = []
        for layer in range(stack.layers):
            here = []
            for direction in range(stack.directions):
                number = layer * stack.directions + direction
                key = f"m{self.place[name]}_c{number}"
                self.graph.add(cell_box(key, stack, number, called=name))
                for source in below:
                    self.graph.join(source, key)
                label = f"{', '.join(stack.states[number])}, {when(direction)}"
                self.graph.join(key, key, label, "later")
                here.append(key)
            if not layer:
                self.ins[name] = here
            below = here
        self.outs[name] = below

    def _join(self, arrow: Hears) -> None:
        if arrow.target is None or arrow.source == arrow.target:
            # the output has a box of its own; what a layer hands itself is its loop
            return
        sources = [f"x{self.place[arrow.target]}"]
        later = False
        if arrow.source is not None:
            sources = self.outs[arrow.source]
            later = self.place[arrow.source] > self.place[arrow.target]
        label = _ROLES.get(arrow.role, arrow.role)
        kind = "later" if later else "forward"
        for source in sources:
            for target in self.ins[arrow.target]:
                self.graph.join(source, target, "a step later" if later else label, kind)

    def _end(self, losses: bool) -> None:
        ends = [one.source for one in self.flow.arrows if one.target is None]
        widths = {self.flow.widths.get(name or "") for name in ends}
        (width,) = widths if len(widths) == 1 else (None,)
        told = "y: what the network says"
        y = Box("y", "output", "y", "" if width is None else f"{width} numbers", told)
        self.graph.add(y)
        for name in ends:
            for source in self.outs[name or ""]:
                self.graph.join(source, "y")
        if losses:
            self.graph.join("y", self.graph.add(loss_box("loss", "loss")))


def _given(module: Any) -> str:
    """What a module reads, as far as it says so itself."""
    if isinstance(module, nn.Embedding):
        return f"one of {module.num_embeddings}"
    for name in ("input_size", "in_features"):
        width = getattr(module, name, None)
        if isinstance(width, int):
            return f"{width} numbers"
    return ""


def _words(title: str, flow: Flow, losses: bool, backward: bool) -> str:
    heard: dict[str, dict[str, None]] = {}
    for arrow in flow.arrows:
        if arrow.source != arrow.target:
            heard.setdefault(arrow.target or "y", {})[arrow.source or "x"] = None
    lines = [f"{target} hears {' and '.join(sources)}" for target, sources in heard.items()]
    loops = [
        name for name, one in flow.modules.items() if isinstance(one, (SequenceLayer, nn.RNNBase))
    ]
    told = f"{title}: {'; '.join(lines)}."
    if loops:
        told += f" The states of {' and '.join(loops)} come back to them one step later."
    if losses:
        told += " y has a loss."
    if backward:
        source = "the loss" if losses else "y"
        told += f" Dashed arrows are gradients, from {source} back."
    return told
