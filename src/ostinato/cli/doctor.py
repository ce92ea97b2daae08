"""`ostinato doctor`: what is wrong with a run, by which numbers, and what to do."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostinato.cli.options import AsJson, Device, Seed
from ostinato.cli.output import say, say_json, say_next

if TYPE_CHECKING:
    from collections.abc import Callable

    from ostinato.doctor import Finding, Report

__all__ = ["doctor"]

_MARKS = {"severe": ("✗", "bold red"), "warning": ("!", "yellow"), "note": ("·", "cyan")}


def doctor(
    run: Annotated[
        Path | None,
        typer.Argument(metavar="RUN", help="Run folder, as fit wrote it.", show_default=False),
    ] = None,
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DATA...]",
            help="What it was fitted on, as fit takes it; or other data with answers, and --train.",
            show_default=False,
        ),
    ] = None,
    train: Annotated[
        list[str] | None,
        typer.Option(
            help="What it was fitted on, where DATA are others. May be repeated.",
            show_default=False,
        ),
    ] = None,
    validation: Annotated[
        list[str] | None,
        typer.Option(help="What fit was given for it. May be repeated.", show_default=False),
    ] = None,
    test: Annotated[
        list[str] | None,
        typer.Option(help="The same; not needed where DATA are that.", show_default=False),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="A check to make, and no others. May be repeated.", show_default=False),
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option(help="A check to leave out. May be repeated.", show_default=False),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Name all checks, and stop.")] = False,
    device: Device = None,
    seed: Seed = None,
    as_json: AsJson = False,
) -> None:
    """Look for what is wrong with a run: gradients, units, padding, leaks, overfitting and more.

    RUN alone: weights and history. With DATA, what the network does. Ends with 1 if anything is
    severe.
    """
    from ostinato.doctor.examine import chosen_checks, examine
    from ostinato.doctor.ward import TaskPatient, load_settled

    checks = chosen_checks(only or (), skip or ())
    if listed:
        _list(checks, as_json)
        return
    if run is None:
        raise typer.BadParameter("name the folder of a run.", param_hint="RUN")
    from ostinato.cli.ask import device_of

    model = load_settled(run).to(device_of(device))
    parts = {"train": train or None, "validation": validation or None, "test": test or None}
    patient = TaskPatient(model, files or None, **parts, folder=run, seed=seed or 0)
    with _progress(len(checks), as_json) as watch:
        report = examine(patient, checks, watch=watch, told=bool(only))
    following = _following(run, files, report)
    if as_json:
        say_json({"run": str(run), "data": files or [], **report.to_dict(), "next": following})
    else:
        _show(report)
        say_next(following)
    if report.severe:
        raise typer.Exit(1)


def _list(checks: Sequence[Any], as_json: bool) -> None:
    if as_json:
        say_json({"checks": {check.name: check.looks_for for check in checks}})
        return
    width = max(len(check.name) for check in checks)
    for check in checks:
        say(f"{check.name.ljust(width)}  {check.looks_for}")


def _following(run: Any, files: Sequence[str] | None, report: Report) -> str:
    folder = shlex.quote(str(run))
    if not files:
        return f"ostinato doctor {folder} DATA"
    if report.findings:
        return f"ostinato curves {folder} --plot curves.html"
    return f"ostinato eval {folder} FILE"


@contextmanager
def _progress(count: int, quiet: bool) -> Iterator[Callable[[str], object] | None]:
    """A line that names the check under way, where somebody watches."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (MofNCompleteColumn(), BarColumn(bar_width=20), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=count)
        begun: list[str] = []

        def watch(name: str) -> None:
            bar.update(task, description=name.replace("_", " "), completed=len(begun))
            begun.append(name)

        yield watch


def _show(report: Report) -> None:
    if not sys.stdout.isatty():
        say(str(report))
        return
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text(report.subject, style="bold"))
    console.print(report.summary())
    for finding in report.findings:
        console.print()
        console.print(_head(finding))
        console.print(Padding(Text(finding.evidence), (0, 0, 0, 2)))
        console.print(Padding(Text.assemble(("→ ", "green"), str(finding.remedy)), (0, 0, 0, 2)))
    console.print()
    for line in report.tail():
        console.print(Text(line, style="dim"))


def _head(finding: Finding) -> Any:
    from rich.text import Text

    mark, style = _MARKS[finding.severity.value]
    return Text.assemble(
        (f"{mark} {finding.severity.value.upper()}", style),
        "  ",
        (finding.title, "bold"),
        (f"  [{finding.check}]", "dim"),
    )
