"""`ostinato curves`: how the training of one or several runs went."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostinato.cli.options import AsJson
from ostinato.cli.output import say, say_json, say_next, say_table

if TYPE_CHECKING:
    from ostinato.inspect.curves import Curves

__all__ = ["curves"]


def curves(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="Run folders, finished or under way.", show_default=False
        ),
    ],
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw them: .png, .svg or .html.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare how trainings went: steps, losses, the best validation; and draw the curves."""
    from ostinato.inspect.curves import draw_curves, read_curves

    found = [read_curves(run) for run in runs]
    if plot is not None:
        draw_curves(found, plot)
    rows = [_told(run, each) for run, each in zip(runs, found, strict=True)]
    after = f"ostinato curves {shlex.join(map(str, runs))} --plot curves.html"
    if plot is not None:
        after = f"ostinato eval {shlex.quote(str(runs[0]))} FILE"
    if as_json:
        say_json({"runs": rows, **({} if plot is None else {"plot": str(plot)}), "next": after})
        return
    heads = ("run", "steps", "last loss", "best", "at step", "monitor")
    say_table([[_cell(row[head.replace(" ", "_")]) for head in heads] for row in rows], heads=heads)
    if plot is not None:
        say(f"Drawn in {plot}")
    say_next(after)


def _told(run: Path, curves: Curves) -> dict[str, Any]:
    lines = [line for line in (curves.loss, *curves.validation.values()) if line]
    step, value = curves.best or (None, None)
    return {
        "run": str(run),
        "steps": max(line[-1][0] for line in lines),
        "last_loss": curves.loss[-1][1] if curves.loss else None,
        "best": value,
        "at_step": step,
        "monitor": curves.monitor,
    }


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
