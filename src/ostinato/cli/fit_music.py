"""`ostinato fit music`: from pieces of music to a composer."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from ostinato.cli.fitting import FitOptions, fit_command, run_fit, show_ranked, show_training

__all__ = ["music"]


class Output(str, Enum):
    """How the notes of a step hang together."""

    independent = "independent"
    note_by_note = "note_by_note"


@fit_command
def music(
    shared: FitOptions,
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE...",
            help="MIDI files, piano rolls in JSON, or folders of them.",
            show_default=False,
        ),
    ] = None,
    validation: Annotated[
        Path | None, typer.Option(help="Music that decides which weights are best.")
    ] = None,
    test: Annotated[Path | None, typer.Option(help="Music to be scored on.")] = None,
    output: Annotated[
        Output | None,
        typer.Option(help="Notes of a step given the past alone, or one by one."),
    ] = None,
    steps_per_quarter: Annotated[
        int | None, typer.Option(min=1, help="Steps in a quarter note, for MIDI files.")
    ] = None,
) -> None:
    """Fit a composer to polyphonic music, and score how well it knows the next notes."""
    files = files or []
    chosen: dict[str, dict[str, Any]] = {
        "data": {"steps_per_quarter": steps_per_quarter},
        "model": {"output": output.value if output else None},
    }
    run_fit(
        "composer",
        files,
        shared,
        chosen,
        _report,
        usage="ostinato fit music FILE",
        following="ostinato compose {run} --out tune.mid --plot tune.png",
        validation=validation,
        test=test,
    )


def _report(model: Any) -> None:
    figures = model.figures
    show_training(figures, "steps of music")
    show_ranked(
        figures,
        "nats_per_step",
        lambda score: f"Held-out music, {score['pieces']:,} pieces, nats per step:",
        "{:.3f}",
        ascending=False,
    )
