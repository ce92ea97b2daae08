"""`ostinato compare`: is a network worth having, and how much memory does it need?"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ostinato.cli.options import AsJson, Device, RunFolder
from ostinato.cli.output import say, say_json, say_next

if TYPE_CHECKING:
    from ostinato.compare.result import Comparison

__all__ = ["compare"]


def compare(
    run: RunFolder,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA...",
            help="What the run was fitted on, or, with --train, what it is to be scored on.",
            show_default=False,
        ),
    ],
    train: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="What the run was fitted on, where DATA is a test file. May be repeated.",
            show_default=False,
        ),
    ] = None,
    validation: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Validation data that fit was given, too. May be repeated.",
            show_default=False,
        ),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Thin nothing out; this may take hours.")
    ] = False,
    history: Annotated[
        bool, typer.Option(help="Ask again with the past cut, and shuffled, beyond k steps.")
    ] = True,
    steps: Annotated[
        str | None,
        typer.Option(metavar="K,K,...", help="The k, e.g. 0,1,2,5,10,20.", show_default=False),
    ] = None,
    places: Annotated[
        int | None,
        typer.Option(
            help="Places that are asked about with less of the past.", min=2, show_default=False
        ),
    ] = None,
    resamples: Annotated[int, typer.Option(help="Draws of the bootstrap.", min=1)] = 1000,
    level: Annotated[float, typer.Option(help="Probability of the intervals.")] = 0.95,
    seed: Annotated[int, typer.Option(help="Seed of all draws.")] = 0,
    plot: Annotated[
        Path | None, typer.Option(help="Draw it, too: .png, .svg or .html.", show_default=False)
    ] = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Compare a run with simple models on what was held out, and cut its past to see what it uses.

    For language models, taggers, classifiers and forecasters; needs the extra baselines.
    """
    from ostinato.cli.ask import device_of
    from ostinato.compare import compare as compared
    from ostinato.tasks.registry import load

    asked_steps = _steps(steps)
    if plot is not None:
        from ostinato.inspect.pictures import picture_kind

        picture_kind(plot)
    found = compared(
        load(run).to(device_of(device)),
        _one_or_many(files),
        train=None if not train else _one_or_many(train),
        validation=None if not validation else _one_or_many(validation),
        full=full,
        history=history,
        steps=asked_steps,
        places=places,
        resamples=resamples,
        level=level,
        seed=seed,
        folder=run,
    )
    if plot is not None:
        _draw(found, run, plot)
    again = f"ostinato compare {shlex.quote(str(run))} {shlex.join(files)} --plot compare.html"
    following = f"ostinato eval {shlex.quote(str(run))} FILE" if plot is not None else again
    if as_json:
        drawn = {} if plot is None else {"plot": str(plot)}
        say_json({"run": str(run), **found.to_dict(), **drawn, "next": following})
        return
    _show(found)
    if plot is not None:
        say(f"Drawn in {plot}")
    say_next(following)


def _steps(told: str | None) -> list[int] | None:
    if told is None:
        return None
    try:
        return [int(part) for part in told.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"steps are whole numbers with commas between, such as 0,1,2,5,10; got {told!r}.",
            param_hint="--steps",
        ) from None


def _one_or_many(files: list[str]) -> str | list[str]:
    """A single file as such: a table is one file."""
    return files[0] if len(files) == 1 else files


def _show(found: Comparison) -> None:
    from rich.console import Console

    console = Console()
    if console.is_terminal:
        console.print(found)
    else:
        say(str(found))


def _draw(found: Comparison, run: Path, plot: Path) -> None:
    from ostinato.inspect.comparison import draw_comparison

    title = f"{run.name or run}: {found.units}"
    draw_comparison(found.to_dict(), plot, title=title)
