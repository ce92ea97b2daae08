"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "AsJson",
    "Device",
    "RowsToTest",
    "RowsToValidate",
    "RunFolder",
    "Seed",
    "WordVectors",
]

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
Seed = Annotated[int | None, typer.Option(help="Seed of everything random.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, mps, ...", show_default=False)]
RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="Run folder, as fit wrote it.", show_default=False)
]
RowsToValidate = Annotated[
    list[str] | None,
    typer.Option(
        help="File that decides which weights are best. \\[default: a tenth of the rows]",
        show_default=False,
    ),
]
RowsToTest = Annotated[
    list[str] | None,
    typer.Option(help="File to be scored on. \\[default: a tenth of the rows]", show_default=False),
]
WordVectors = Annotated[
    str | None, typer.Option(help="File of word vectors to begin with.", show_default=False)
]
