"""Diagrams of cells and networks, drawn from what they are: data flow, folded, unrolled."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from torch import Tensor, nn

from ostinato.engine.calls import State
from ostinato.inspect.diagrams.cell import DiagramError, cell_graph
from ostinato.inspect.diagrams.examples import asking
from ostinato.inspect.diagrams.flow import data_flow
from ostinato.inspect.diagrams.graph import Arrow, Box, Graph
from ostinato.inspect.diagrams.mermaid import to_mermaid
from ostinato.inspect.diagrams.network import folded_graph, stacks_in, unrolled_graph
from ostinato.inspect.diagrams.subjects import one_cell, only_stack, recurrent
from ostinato.inspect.diagrams.svg import standalone, to_svg
from ostinato.inspect.diagrams.whole import whole_graph

__all__ = ["KINDS", "Arrow", "Box", "Diagram", "DiagramError", "Graph", "diagram"]

KINDS = ("cell", "folded", "unrolled")
_ENDINGS = (".svg", ".mmd", ".md")


@dataclass(frozen=True)
class Diagram:
    """A drawing of a network; a notebook shows it.

    Attributes:
        graph: its boxes and arrows.
    """

    graph: Graph

    @cached_property
    def svg(self) -> str:
        """The drawing as SVG, in the colour of the text around it, for a page or a notebook."""
        return to_svg(self.graph)

    @cached_property
    def mermaid(self) -> str:
        """The drawing as Mermaid text."""
        return to_mermaid(self.graph)

    @property
    def words(self) -> str:
        """The drawing in words."""
        return self.graph.words

    def save(self, path: str | Path) -> None:
        """Write a file: .svg, .mmd (Mermaid), or .md (Mermaid in Markdown).

        Raises:
            ValueError: the name ends in something else.
            OSError: the file cannot be written.
        """
        path = Path(path)
        contents = {
            ".svg": lambda: standalone(self.svg),
            ".mmd": lambda: self.mermaid,
            ".md": lambda: f"```mermaid\n{self.mermaid}```\n",
        }
        if path.suffix.lower() not in contents:
            raise ValueError(
                f"A diagram's name ends in {', '.join(_ENDINGS[:-1])} or {_ENDINGS[-1]}, "
                f"got {str(path)!r}."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(contents[path.suffix.lower()](), encoding="utf-8")

    def _repr_svg_(self) -> str:
        return self.svg

    def __str__(self) -> str:
        return self.words


def diagram(
    subject: nn.Module,
    kind: str = "cell",
    *,
    x: Tensor | None = None,
    state: State | Tensor | None = None,
    layer: int | str = 0,
    direction: int = 0,
    steps: int = 3,
    losses: bool = True,
    backward: bool = True,
) -> Diagram:
    """Draw a cell, a layer or a model, from what it is.

    `kind="cell"` is the data flow of one step, read off the equations that the engine traces, with
    the names of the cell's own source: gates, products with weights, pointwise operations, states.
    `"folded"` shows each layer once, with the loop of its state; of a network of ours, or with an
    example of its input, also its embedding, attention and readout, by which of them hears which
    when it is run. `"unrolled"` shows the recurrent layers at each of some steps, with losses, and
    with gradients running back.

    Args:
        subject: a cell, a layer (ours or torch.nn.RNN, LSTM, GRU), or a model that holds some.
        kind: "cell", "folded" or "unrolled".
        x: for "cell": an example of one step's input, [B, I], where the cell has no `input_size`;
            for "folded": an example of all of a network's input.
        state: for "cell": its states, each [B, S], where the cell has no `initial_state`.
        layer: which of the layers, counted through the whole subject from 0, or the name of a
            recurrent module of the model; "unrolled" takes a whole module.
        direction: 1 for the cell that walks from the end.
        steps: for "unrolled": how many.
        losses: for "folded" and "unrolled": with the losses.
        backward: likewise: with the gradients.

    Raises:
        DiagramError: the engine cannot read the cell's equations (the message names the
            operation), or there is no recurrent layer, or none of that number or name.
        ValueError: an unknown kind, or `steps` below 1.
        TypeError: an example is needed and missing.

    Example:
        >>> import ostinato as ost
        >>> drawn = diagram(ost.cells.Elman(3, 4))
        >>> print(drawn.mermaid)
        ---
        title: 'Elman: one step'
        ---
        flowchart LR
            x(["x<br/>input"])
            state_0(["h<br/>state"])
            new_0(["h′<br/>new state, output"])
            n0["tanh(W x + U h + b)"]
            x --> n0
            state_0 --> n0
            n0 --> new_0
        <BLANKLINE>
    """
    if kind not in KINDS:
        raise ValueError(f"diagram: kind must be one of {', '.join(KINDS)}, got {kind!r}.")
    if steps < 1:
        raise ValueError(f"diagram: steps must be at least 1, got {steps}.")
    if kind == "cell":
        return Diagram(cell_graph(one_cell(subject, layer, direction), x, state))
    if kind == "folded":
        return Diagram(_folded(subject, x, losses, backward))
    stack = only_stack(subject, layer)
    return Diagram(unrolled_graph(stack, steps=steps, losses=losses, backward=backward))


def _folded(subject: nn.Module, x: Tensor | None, losses: bool, backward: bool) -> Graph:
    """The whole network where it can be run, else its recurrent layers by themselves."""
    network = getattr(subject, "network", subject)
    ask = asking(network)
    if ask is None and x is not None:
        ask, network = partial(subject, x), subject
    if ask is None or network in recurrent(network).values():
        return folded_graph(stacks_in(subject), losses=losses, backward=backward)
    title = type(network).__name__
    return whole_graph(data_flow(network, ask), title, losses=losses, backward=backward)
