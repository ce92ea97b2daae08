"""`ostinato diagram`: a cell or a network, drawn from what it is."""

from __future__ import annotations

import shlex
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ostinato.cli.output import say, say_next

if TYPE_CHECKING:
    from torch import nn

__all__ = ["diagram"]


class Kind(str, Enum):
    """What is drawn."""

    cell = "cell"
    folded = "folded"
    unrolled = "unrolled"


def diagram(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="RUN_OR_CELL",
            help='A run folder; or a cell: a name such as lstm, or "module:Class".',
            show_default=False,
        ),
    ],
    kind: Annotated[
        Kind,
        typer.Option(
            help="One step of a cell; all layers with their loops; or side by side for some steps."
        ),
    ] = Kind.cell,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write .svg, .mmd or .md. \\[default: print Mermaid]", show_default=False
        ),
    ] = None,
    layer: Annotated[
        str, typer.Option(help="Which layer of a run: its number or the name of its module.")
    ] = "0",
    direction: Annotated[
        int, typer.Option(help="1: the cell that walks from the end.", min=0, max=1)
    ] = 0,
    steps: Annotated[int, typer.Option(help="Of the unrolled network.", min=1)] = 3,
    losses: Annotated[bool, typer.Option(help="Show the losses.")] = True,
    backward: Annotated[bool, typer.Option(help="Show the gradients.")] = True,
    input_size: Annotated[int, typer.Option(help="Of a cell that is named.", min=1)] = 8,
    hidden_size: Annotated[int, typer.Option(help="Of a cell that is named.", min=1)] = 16,
) -> None:
    """Draw a cell's data flow, or a network folded or unrolled, from what it is."""
    from ostinato.inspect.diagrams import diagram as draw

    drawn = draw(
        _module(subject, input_size, hidden_size),
        kind.value,
        layer=int(layer) if layer.isdecimal() else layer,
        direction=direction,
        steps=steps,
        losses=losses,
        backward=backward,
    )
    if out is None:
        say(drawn.mermaid.rstrip())
        say_next(f"ostinato diagram {shlex.quote(subject)} --kind {kind.value} --out FILE.svg")
        return
    drawn.save(out)
    say(f"Drawn in {out}")


def _module(subject: str, input_size: int, hidden_size: int) -> nn.Module:
    if Path(subject).is_dir() or len(Path(subject).parts) > 1:
        from ostinato.tasks.registry import load

        model: nn.Module = load(subject)
        return model
    from ostinato.cells import resolve

    return resolve(subject)(input_size, hidden_size)
