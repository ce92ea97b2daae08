"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["AsJson", "Device", "RunFolder", "Seed"]

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
Seed = Annotated[int | None, typer.Option(help="Seed of everything random.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, mps, ...", show_default=False)]
RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="Run folder, as fit wrote it.", show_default=False)
]
