"""`ostinato inspect`: what a model did with an input, as one page."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostinato.cli.ask import device_of
from ostinato.cli.options import AsJson, Device, RunFolder
from ostinato.cli.output import say, say_json, say_next

if TYPE_CHECKING:
    from ostinato.inspect.page import Page

__all__ = ["inspect"]

_SUFFIXES = (".txt", ".csv", ".tsv", ".parquet", ".json", ".jsonl", ".md", ".gz", ".conllu")
# of a file no more is read than steps of this length would take
_LONGEST = 64


def inspect(
    run: RunFolder,
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help='What it reads: a text, or a file ("-" is standard input); for numbers a table, '
            "for vectors a table, an NPZ file or the numbers themselves, for music MIDI or JSON.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="The page.")] = Path("inspect.html"),
    data: Annotated[
        Path | None,
        typer.Option(help="Write all values in full, too: FILE.npz.", show_default=False),
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--name",
            help="Values to show: names such as c or f.pre, or kinds: state, gate, pre, value, "
            "output. May be repeated. \\[default: state, gate and value]",
            show_default=False,
        ),
    ] = None,
    layers: Annotated[
        list[str] | None,
        typer.Option(
            "--layer", help="Layers to show. May be repeated. \\[default: all]", show_default=False
        ),
    ] = None,
    units: Annotated[
        list[int] | None,
        typer.Option(
            "--unit",
            help="Units to show in any case, where not all have room. May be repeated.",
            show_default=False,
        ),
    ] = None,
    max_steps: Annotated[int, typer.Option(help="Steps to show; more are cut.", min=1)] = 2000,
    top: Annotated[int, typer.Option(help="Choices to show of each answer.", min=1)] = 8,
    gradients: Annotated[
        bool, typer.Option(help="Follow the loss of the last step back through time.")
    ] = True,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Write a page that shows what a model did with an input: states, gates, answers."""
    from ostinato.inspect.page import page_of_model
    from ostinato.tasks.registry import load

    _check_endings(out, data)
    model = load(run).to(device_of(device))
    notes: list[str] = []
    page = page_of_model(
        model,
        _read(model, source, max_steps, notes),
        title=f"{run.resolve().name}: what it did",
        names=names,
        layers=layers,
        units=units or (),
        max_steps=max_steps,
        top=top,
        gradients=gradients,
    )
    page.material.notes[:0] = notes
    page.save(out, data=data)
    _tell(page, run, source, out, data, as_json)


def _check_endings(out: Path, data: Path | None) -> None:
    """Refuse what could not be written, before anything is done."""
    for path, ending, option in ((out, ".html", "--out"), (data, ".npz", "--data")):
        if path is not None and path.suffix.lower() != ending:
            raise typer.BadParameter(f"must end in {ending}, got {path}.", param_hint=option)


def _read(model: Any, source: str, max_steps: int, notes: list[str]) -> Any:
    """The input as the model takes it: a text, numbers, or the name of a file."""
    from ostinato.inspect.reading import reads_text

    if not reads_text(model):
        return source
    limit = max_steps * _LONGEST
    if source == "-":
        return _short(sys.stdin.read(limit + 1), "Standard input", limit, notes)
    if Path(source).is_file():
        with Path(source).open(encoding="utf-8") as file:
            try:
                text = file.read(limit + 1)
            except UnicodeDecodeError as error:
                raise ValueError(f"{source} is no text in UTF-8: {error}.") from error
        return _short(text, source, limit, notes)
    path = Path(source)
    if not any(sign.isspace() for sign in source) and path.suffix.lower() in _SUFFIXES:
        raise FileNotFoundError(f"There is no file {source}. Check the name.")
    return source


def _short(text: str, name: str, limit: int, notes: list[str]) -> str:
    if len(text) > limit:
        notes.append(f"{name} is longer than the {limit:,} characters that were read.")
    return text[:limit]


def _tell(page: Page, run: Path, source: str, out: Path, data: Path | None, as_json: bool) -> None:
    after = f"ostinato diagram {shlex.quote(str(run))} --out cell.svg"
    size = out.stat().st_size
    if as_json:
        told = {
            "run": str(run),
            "page": str(out),
            "bytes": size,
            "data": None if data is None else str(data),
            "steps": [len(axis.labels) for axis in page.material.axes],
            "values": [track.title for track in page.material.tracks],
            "notes": list(page.notes),
            "next": after,
        }
        say_json(told)
        return
    for line in page.material.whole[:1]:
        say(line)
    for note in page.notes:
        say(f"Note: {note}")
    say(f"Written: {out} ({size / 1e6:.1f} MB); it opens in any browser, without a network.")
    if data is not None:
        say(f"All values: {data}")
    say_next(after, why="draw its cell")
