"""`ostinato data`: known public data sets."""

from __future__ import annotations

import filecmp
import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ostinato.cli.options import AsJson
from ostinato.cli.output import say, say_json, say_next, say_table

__all__ = ["app"]

# data set -> the command that fits a model to its files, in their order
_FITS = {
    "tinyshakespeare": "text {0} --out bard",
    "ewt": "tags {0} --validation {1} --test {2} --out tagger",
    "multi30k": "pairs {0} {1} --validation {2} --validation {3} --test {4} --test {5} "
    "--config multi30k --out en-de",
    "ett": "series {0} --target OT --horizon 24 --config hourly --out ett",
    "jsb-chorales": "music {0} --out bach",
}

app = typer.Typer(help="Known public data sets, each file with a checksum.", no_args_is_help=True)


@app.command("list")
def list_sets(as_json: AsJson = False) -> None:
    """Say what there is, and what of it is here already."""
    from ostinato.data.catalog import CATALOG

    following = "ostinato data get tinyshakespeare"
    if as_json:
        sets = [
            {
                "name": data.name,
                "about": data.about,
                "rows": data.rows,
                "licence": data.licence,
                "origin": data.origin,
                "here": _is_here(data.name),
            }
            for data in CATALOG.values()
        ]
        say_json({"sets": sets, "next": following})
        return
    say_table(
        [
            (data.name, "yes" if _is_here(data.name) else "-", data.about, data.rows, data.licence)
            for data in CATALOG.values()
        ],
        heads=("NAME", "HERE", "WHAT", "SIZE", "LICENCE"),
    )
    say_next(following)


@app.command("get")
def get_sets(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", show_default=False)],
    mirror: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Download from there, same paths below it.", show_default=False
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            help="Folder for downloads; the user's cache if not given.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to copy the files into.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch data sets, unless they are here, and print where their files are.

    The folder that the environment variable OSTINATO_DATA names is looked at first, then the cache.
    """
    from ostinato.data import catalog

    found = {}
    for name in names:
        with _Bar(name) as bar:
            found[name] = catalog.get(
                name, server=mirror or catalog.SERVER, cache=cache, progress=bar
            )
        if out is not None:
            found[name] = _copied(found[name], out)
    following = _following(found)
    if as_json:
        paths = {name: [str(path) for path in files] for name, files in found.items()}
        say_json({"files": paths, "next": following})
        return
    for files in found.values():
        for path in files:
            say(str(path))
    say_next(following)


def _is_here(name: str) -> bool:
    from ostinato.data.catalog import DataError, find

    try:
        find(name)
    except DataError:
        return False
    return True


def _following(found: dict[str, list[Path]]) -> str:
    """The command that fits a model to the last set for which there is one."""
    known = [name for name in found if name in _FITS]
    if not known:
        return "ostinato data list"
    files = [shlex.quote(str(path)) for path in found[known[-1]]]
    return f"ostinato fit {_FITS[known[-1]].format(*files)}"


def _copied(files: list[Path], folder: Path) -> list[Path]:
    """The same files in a folder of the user's, by their own names."""
    folder.mkdir(parents=True, exist_ok=True)
    copies = [folder / path.name for path in files]
    for path, copy in zip(files, copies, strict=True):
        if copy.exists() and not filecmp.cmp(path, copy, shallow=False):
            raise ValueError(
                f"--out: {copy} is another file of that name. Move it away, or name another folder."
            )
        shutil.copyfile(path, copy)
    return copies


class _Bar:
    """A progress bar in pooch's form, drawn by rich; nothing where nobody watches."""

    def __init__(self, name: str) -> None:
        self.total = 0
        self._name = name
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, count: int) -> None:
        if sys.stderr.isatty():
            self._draw(count)

    def _draw(self, count: int) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                DownloadColumn(),
                console=Console(stderr=True),
            )
            self._bar.start()
        if self._task is None:
            self._task = self._bar.add_task(self._name, total=self.total or None)
        self._bar.advance(self._task, count)

    def reset(self) -> None:
        if self._task is not None:
            self._bar.reset(self._task)

    def close(self) -> None:
        # the next file gets a line of its own
        self._task = None
