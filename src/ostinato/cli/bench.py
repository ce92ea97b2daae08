"""`ostinato bench`: measure what networks can learn."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostinato.cli.output import say, say_beside, say_json, say_next, say_table

if TYPE_CHECKING:
    from ostinato.longlag import Budget, Grid, Table
    from ostinato.longlag.grid import Cell

__all__ = ["app", "memory"]

app = typer.Typer(help="Measure what networks can learn.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    pass


@app.command("memory")
def memory(
    problems: Annotated[
        str,
        typer.Option(help="Names, with commas between. \\[default: all]", show_default=False),
    ] = "",
    remedies: Annotated[
        str,
        typer.Option(help="Names, with commas between. \\[default: all]", show_default=False),
    ] = "",
    lags: Annotated[str, typer.Option(help="Numbers, with commas between.")] = "25,50,100",
    budget: Annotated[float, typer.Option(help="Seconds of each trial.")] = 20.0,
    updates: Annotated[
        int | None, typer.Option(min=1, help="Updates of each trial, at most.", show_default=False)
    ] = None,
    clock: Annotated[
        str, typer.Option(help="What counts the seconds: wall, or cpu on a busy machine.")
    ] = "wall",
    climb: Annotated[
        bool, typer.Option("--climb", help="Try a longer lag only if the one before was solved.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Keep each trial there as soon as it ends.", show_default=False
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on: trials that DIR holds are not run again.")
    ] = False,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json", metavar="FILE", help='Write all there; "-": print it.', show_default=False
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw it: .png, .svg or .html.", show_default=False),
    ] = None,
    names: Annotated[
        bool, typer.Option("--list", help="List the problems and remedies, and stop.")
    ] = False,
) -> None:
    """Try remedies for long lags on the problems made for it, and show which solves what."""
    if names:
        _list()
        return
    from ostinato.longlag import Budget, Table, run_grid

    if resume and out is None:
        raise ValueError("--resume needs the folder to go on with: give --out DIR.")
    trial = Budget(budget, updates, clock)
    grid = _grid(problems, remedies, lags, trial, climb, seed)
    if plot is not None:
        from ostinato.inspect.pictures import picture_kind

        picture_kind(plot)
    if json_file is not None and not json_file.parent.is_dir():
        # hours of trials are not to be lost for that
        raise ValueError(f"--json: there is no folder {json_file.parent}. Make it first.")
    say_beside(_size(grid))
    with _without_refusals(), _Progress(grid) as progress:
        outcomes = run_grid(grid, out, resume=resume, began=progress.began, watch=progress.looked)
    _show(Table(outcomes), grid, json_file, plot)


@contextlib.contextmanager
def _without_refusals() -> Iterator[None]:
    """A step that is refused belongs to the method, and is no news here."""
    logger = logging.getLogger("ostinato.training.hessian_free")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _grid(
    problems: str,
    remedies: str,
    lags: str,
    budget: Budget,
    climb: bool,
    seed: int,
) -> Grid:
    from ostinato.longlag import PROBLEMS, REMEDIES, Grid
    from ostinato.longlag.names import chosen

    return Grid(
        tuple(chosen("--problems", _parts(problems), PROBLEMS)),
        tuple(chosen("--remedies", _parts(remedies), REMEDIES)),
        tuple(_number(part) for part in _parts(lags)),
        budget,
        seed,
        climb,
    )


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"--lags: {text!r} is no whole number. Give e.g. 25,50,100.") from None


def _size(grid: Grid) -> str:
    number = sum(1 for _ in grid.cells())
    hours = grid.most_seconds / 3600
    most = f"{hours:.1f} h" if hours > 1.5 else f"{60 * hours:.1f} min"
    return f"{number:,} trials of at most {grid.budget.seconds:g} s: up to {most}"


class _Progress:
    """A bar over the trials, with the error of the one under way; silent where nobody watches."""

    def __init__(self, grid: Grid) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("trial"),
            MofNCompleteColumn(),
            BarColumn(bar_width=20),
            TextColumn("{task.description}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=sum(1 for _ in grid.cells()))
        self._cell = ""

    def __enter__(self) -> _Progress:
        self._bar.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self._bar.stop()

    def began(self, cell: Cell, before: int) -> None:
        problem, remedy, lag = cell
        self._cell = f"{problem.name}, {remedy.name}, lag {lag}"
        self._bar.update(self._task, completed=before, description=self._cell)

    def looked(self, updates: int, seconds: float, error: float) -> None:
        told = f"{self._cell}: error {error:.3f}, {updates:,} updates, {seconds:.0f} s"
        self._bar.update(self._task, description=told)


def _show(table: Table, grid: Grid, json_file: Path | None, plot: Path | None) -> None:
    from ostinato.longlag.table import DETAILS

    if plot is not None:
        from ostinato.inspect.long_lags import draw_long_lags

        draw_long_lags(table.to_dict()["longest"], plot, remedies=table.remedies)
    told = {**grid.settings, **table.to_dict()}
    if json_file is not None and str(json_file) == "-":
        say_json(told)
    else:
        say("Longest lag solved (-: none of those tried):")
        say_table(table.rows(), heads=["problem", *table.remedies])
        say()
        say("The longest lag solved, or the shortest tried:")
        say_table(table.details(), heads=DETAILS)
    if json_file is not None and str(json_file) != "-":
        json_file.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    for path in (json_file, plot):
        if path is not None and str(path) != "-":
            say_beside(f"Wrote {path}")
    _say_after(table, grid)


def _say_after(table: Table, grid: Grid) -> None:
    unsolved = [one for one in table.outcomes if not one.solved]
    if unsolved:
        one = unsolved[0]
        again = f"ostinato bench memory --problems {one.problem} --remedies {one.remedy}"
        longer = f"--lags {one.lag} --budget {10 * grid.budget.seconds:g}"
        if grid.budget.clock != "wall":
            longer += f" --clock {grid.budget.clock}"
        say_next(f"{again} {longer}", why="whether more time solves it")


def _list() -> None:
    from ostinato.longlag import PROBLEMS, REMEDIES

    lines = [
        [p.name, f"{p.counts} ({p.only} only)" if p.only else p.counts] for p in PROBLEMS.values()
    ]
    say_table(lines, heads=("problem", "the lag is"))
    say()
    say_table([[r.name, r.about] for r in REMEDIES.values()], heads=("remedy", "what it is"))
