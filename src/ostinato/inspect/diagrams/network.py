"""The whole network: folded, with its loops, or unrolled over steps; losses and gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch import nn

from ostinato.engine.sources import state_names
from ostinato.inspect.diagrams.cell import DiagramError
from ostinato.inspect.diagrams.graph import Box, Graph
from ostinato.layers.sequence import SequenceLayer

__all__ = [
    "Stack",
    "cell_box",
    "folded_graph",
    "gradients_against",
    "loss_box",
    "stack_of",
    "stacks_in",
    "unrolled_graph",
    "when",
]


@dataclass(frozen=True)
class Stack:
    """The cells of one recurrent layer, which may be a stack in both directions.

    Attributes:
        name: what it is called.
        kinds: the class of each cell, layer by layer and direction inside.
        states: the names of each cell's states.
        sizes: the widths of each cell's states; () where unknown.
        directions: 1 or 2.
        input_size: width of x; None where unknown.
        output_size: width of y; None where unknown.
    """

    name: str
    kinds: tuple[str, ...]
    states: tuple[tuple[str, ...], ...]
    sizes: tuple[tuple[int, ...], ...]
    directions: int
    input_size: int | None
    output_size: int | None

    @property
    def layers(self) -> int:
        return len(self.kinds) // self.directions


def stack_of(module: nn.Module, name: str = "") -> Stack:
    """What there is to draw of a layer or a single cell.

    Raises:
        DiagramError: it is neither a recurrent layer nor a cell.
    """
    if isinstance(module, SequenceLayer):
        return _our_stack(module, name)
    if isinstance(module, nn.RNNBase):
        return _torch_stack(module, name)
    sizes: Any = getattr(module, "state_sizes", None)
    hidden: Any = getattr(module, "hidden_size", None)
    if sizes is None and hidden is None:
        raise DiagramError(
            f"diagram: {type(module).__name__} is no recurrent layer and no cell with a "
            "hidden_size. Give a cell, a layer, or a model that holds one."
        )
    widths = tuple(sizes) if sizes is not None else (hidden,) * _states_taken(module)
    names = state_names(module, len(widths))
    width = getattr(module, "input_size", None)
    kind = type(module).__name__
    return Stack(name or kind, (kind,), (names,), (widths,), 1, width, widths[0])


def _states_taken(cell: nn.Module) -> int:
    """Of torch's own cells only the LSTM has two."""
    return 2 if isinstance(cell, nn.LSTMCell) else 1


def _our_stack(layer: SequenceLayer, name: str) -> Stack:
    sizes = layer._states.sizes
    cells = [layer._cell(place) for place in range(len(sizes))]
    return Stack(
        name or type(layer).__name__,
        tuple(type(cell).__name__ for cell in cells),
        tuple(
            state_names(cell, len(widths)) if widths else ("state",)
            for cell, widths in zip(cells, sizes, strict=True)
        ),
        tuple(sizes),
        2 if layer.bidirectional else 1,
        layer.input_size,
        layer.output_size,
    )


def _torch_stack(layer: nn.RNNBase, name: str) -> Stack:
    kind = type(layer).__name__
    directions = 2 if layer.bidirectional else 1
    count = layer.num_layers * directions
    width = layer.proj_size or layer.hidden_size
    states, sizes = (("h",), (width,))
    if layer.mode == "LSTM":
        states, sizes = ("h", "c"), (width, layer.hidden_size)  # type: ignore[assignment]
    return Stack(
        name or kind,
        (kind,) * count,
        (states,) * count,
        (sizes,) * count,
        directions,
        layer.input_size,
        width * directions,
    )


# folded


def folded_graph(stacks: Sequence[Stack], *, losses: bool, backward: bool) -> Graph:
    """Each layer once, with the loop by which its state comes back a step later."""
    graph = Graph(", ".join(stack.name for stack in stacks) + ": folded")
    for number, stack in enumerate(stacks):
        _fold(graph, stack, f"s{number}_", losses)
    if backward:
        gradients_against(graph)
    graph.words = " ".join(map(_folded_words, stacks)) + _gradient_words(losses, backward)
    return graph


def _fold(graph: Graph, stack: Stack, prefix: str, losses: bool) -> None:
    x = graph.add(_x(f"{prefix}x", "x", stack))
    below = [x]
    for layer in range(stack.layers):
        here = []
        for direction in range(stack.directions):
            place = layer * stack.directions + direction
            key = graph.add(cell_box(f"{prefix}c{place}", stack, place))
            for source in below:
                graph.join(source, key)
            label = f"{', '.join(stack.states[place])}, {when(direction)}"
            graph.join(key, key, label, "later")
            here.append(key)
        below = here
    y = graph.add(_y(f"{prefix}y", "y", stack))
    for source in below:
        graph.join(source, y)
    if losses:
        graph.join(y, graph.add(loss_box(f"{prefix}loss", "loss")))


def when(direction: int) -> str:
    """When a state comes back to its cell."""
    return "a step later" if direction == 0 else "a step earlier"


# unrolled


def unrolled_graph(stack: Stack, *, steps: int, losses: bool, backward: bool) -> Graph:
    """The same cells at each of some steps, side by side."""
    graph = Graph(f"{stack.name}: unrolled over {steps} step{'s' if steps > 1 else ''}")
    wide = stack.directions
    rows = len(stack.kinds)
    middle = (wide - 1) / 2
    for t in range(steps):
        graph.add(_x(f"x{t}", f"x[{t + 1}]", stack, (wide * t + middle, 0)))
    for place in range(rows):
        for t in range(steps):
            column = wide * t + place % wide
            graph.add(cell_box(f"c{place}_{t}", stack, place, (column, 1 + place)))
    for t in range(steps):
        _column(graph, stack, t, rows, middle, losses)
    for place in range(rows):
        _walk(graph, stack, place, steps)
    if backward:
        gradients_against(graph)
    graph.words = _unrolled_words(stack, steps) + _gradient_words(losses, backward)
    return graph


def _column(graph: Graph, stack: Stack, t: int, rows: int, middle: float, losses: bool) -> None:
    """What happens within one step, from below."""
    wide = stack.directions
    below = [f"x{t}"]
    for layer in range(stack.layers):
        here = [f"c{layer * wide + d}_{t}" for d in range(wide)]
        for source in below:
            for key in here:
                graph.join(source, key)
        below = here
    y = graph.add(_y(f"y{t}", f"y[{t + 1}]", stack, (wide * t + middle, rows + 1)))
    for source in below:
        graph.join(source, y)
    if losses:
        place = (wide * t + middle, rows + 2)
        graph.join(y, graph.add(loss_box(f"loss{t}", f"loss[{t + 1}]", place)))


def _walk(graph: Graph, stack: Stack, place: int, steps: int) -> None:
    """The states, from step to step."""
    wide, direction = stack.directions, place % stack.directions
    order = list(range(steps)) if direction == 0 else list(range(steps))[::-1]
    names = ", ".join(stack.states[place])
    outer = wide * order[0] + direction + (-1.0 if direction == 0 else 1.0)
    told = "what the first step starts from"
    begin = Box(f"start{place}", "state", names, "start", told, (outer, 1 + place))
    keys = [graph.add(begin), *(f"c{place}_{t}" for t in order)]
    for one, other in pairwise(keys):
        graph.join(one, other, names, "later")


# boxes and words


def _x(key: str, title: str, stack: Stack, place: tuple[float, float] | None = None) -> Box:
    told = f"{title}: the input of the step{_wide(stack.input_size)}"
    return Box(key, "input", title, _numbers(stack.input_size), told, place)


def _y(key: str, title: str, stack: Stack, place: tuple[float, float] | None = None) -> Box:
    told = f"{title}: the output of the step{_wide(stack.output_size)}"
    return Box(key, "output", title, _numbers(stack.output_size), told, place)


def loss_box(key: str, title: str, place: tuple[float, float] | None = None) -> Box:
    """The box of a loss."""
    return Box(key, "loss", title, "", f"{title}: how far y is from what it should be", place)


def cell_box(
    key: str,
    stack: Stack,
    place: int,
    where: tuple[float, float] | None = None,
    *,
    called: str = "",
) -> Box:
    """The box of one cell of a stack.

    Args:
        key: of the box.
        stack: whose cell.
        place: of the cell: layer by layer, and direction inside.
        where: column and row, where the picture has a fixed form.
        called: the name of the stack in the network, if it is to be told.
    """
    layer, direction = divmod(place, stack.directions)
    title = stack.kinds[place]
    words = [f"layer {layer}"] if stack.layers > 1 else []
    if called:
        words = [", ".join([called, *words])]
    if stack.directions == 2:
        words.append("←" if direction else "→")
    widths = stack.sizes[place]
    states = ", ".join(
        f"{name} of {width} units" for name, width in zip(stack.states[place], widths, strict=False)
    )
    way = (
        ("backward" if direction else "forward") if stack.directions == 2 else "the only direction"
    )
    told = f"{title}, layer {layer}, {way}: {states or 'states of unknown width'}"
    return Box(key, "cell", title, " ".join(words), told, where)


def _numbers(width: int | None) -> str:
    return "" if width is None else f"{width} numbers"


def _wide(width: int | None) -> str:
    return "" if width is None else f", {width} numbers"


def gradients_against(graph: Graph) -> None:
    """A gradient against each arrow, but into what is given."""
    given = {key for key, box in graph.boxes.items() if box.kind in ("input",)}
    for arrow in list(graph.arrows):
        if arrow.source not in given:
            graph.join(arrow.target, arrow.source, "", "backward")


def _folded_words(stack: Stack) -> str:
    each = " and ".join(sorted(set(stack.kinds)))
    ways = "in both directions" if stack.directions == 2 else "in one direction"
    states = " and ".join(dict.fromkeys(name for names in stack.states for name in names))
    return (
        f"{stack.name}: x goes through {stack.layers} layer(s) of {each}, {ways}, to y; "
        f"{states} of each cell come back to it one step later."
    )


def _unrolled_words(stack: Stack, steps: int) -> str:
    return f"{_folded_words(stack)} Here the same cells stand side by side for {steps} step(s)."


def _gradient_words(losses: bool, backward: bool) -> str:
    end = " Each y has a loss." if losses else ""
    if not backward:
        return end
    source = "the losses" if losses else "y"
    return f"{end} Dashed arrows are gradients, from {source} back through the layers and steps."


def _found(module: Any) -> bool:
    return isinstance(module, (SequenceLayer, nn.RNNBase))


def stacks_in(model: nn.Module) -> list[Stack]:
    """Every recurrent layer of a model, by its name there; the model itself if it is one.

    Raises:
        DiagramError: there is none, and the model is no cell.
    """
    if _found(model):
        return [stack_of(model)]
    named = [(name, module) for name, module in model.named_modules() if _found(module)]
    return [stack_of(module, name) for name, module in named] or [stack_of(model)]
