"""`ostinato caption`: texts for the vectors of a file."""

from __future__ import annotations

import shlex
from typing import Annotated, Any

import typer

from ostinato.cli.ask import device_of
from ostinato.cli.options import AsJson, Device, RunFolder
from ostinato.cli.output import say, say_json, say_next

__all__ = ["caption"]


def caption(
    run: RunFolder,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help='Vectors, as fit takes them (no texts needed); "-" is CSV on standard input.',
            show_default=False,
        ),
    ],
    beam: Annotated[
        int, typer.Option(help="Hypotheses side by side; 1 takes the most probable token.", min=1)
    ] = 1,
    length: Annotated[
        int | None, typer.Option(help="Tokens at most.", min=1, show_default=False)
    ] = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Write a text for each vector, a line each."""
    from ostinato.data.captions import read_captions
    from ostinato.tasks.captioner.data import layout_of
    from ostinato.tasks.captioner.task import Captioner

    model = Captioner.load(run).to(device_of(device))
    following = f"ostinato eval {shlex.quote(str(run))} FILE"
    rows = read_captions(list(files), layout_of(model.settings.data), captioned=False)
    written: list[dict[str, Any]] = []
    for row, text in model.write(rows, beam=beam, length=length):
        if as_json:
            written.append({"row": row.where, "text": text})
        else:
            say(text)
    if as_json:
        say_json({"run": str(run), "rows": written, "next": following})
        return
    say_next(following, why="score it on vectors whose texts are known")
