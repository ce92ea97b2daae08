"""`ostinato fit`: from a file to a run folder, one command a kind of data."""

from __future__ import annotations

import shlex
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from ostinato.cli.fit_captions import captions
from ostinato.cli.fit_labels import labels
from ostinato.cli.fit_music import music
from ostinato.cli.fit_pairs import pairs
from ostinato.cli.fit_series import series
from ostinato.cli.fit_tags import tags
from ostinato.cli.fitting import FitOptions, fit_command, run_fit

__all__ = ["app", "text"]

app = typer.Typer(help="Fit a model to data.", no_args_is_help=True)


class Tokens(str, Enum):
    """What one step of the network reads."""

    char = "char"
    word = "word"
    subword = "subword"


_TOKENS = {"char": "characters", "word": "words", "subword": "subwords"}


@app.command()
@fit_command
def text(
    shared: FitOptions,
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE...",
            help='Text files, gz archives or folders of them; "-" is standard input.',
            show_default=False,
        ),
    ] = None,
    tokens: Annotated[
        Tokens | None, typer.Option(help="What one step reads.", show_default=False)
    ] = None,
    embeddings: Annotated[
        Path | None,
        typer.Option(help="Word vectors to begin with, for --tokens word.", show_default=False),
    ] = None,
) -> None:
    """Fit a language model to text, and score it on the last tenth of it."""
    files = files or []
    run_fit(
        "language_model",
        files,
        shared,
        {
            "data": {"tokens": _TOKENS[tokens.value] if tokens else None},
            "model": {"embeddings": None if embeddings is None else str(embeddings)},
        },
        _report,
        usage="ostinato fit text FILE",
        again=f"ostinato fit text {'-' if files == ['-'] else shlex.join(files)}",
        following="ostinato generate {run} --length 400",
    )


def _report(model: Any) -> None:
    from ostinato.cli.scores import show_figures

    show_figures(model.figures, model.settings.data.tokens)


app.command("labels")(labels)
app.command("captions")(captions)
app.command("music")(music)
app.command("series")(series)
app.command("tags")(tags)
app.command("pairs")(pairs)
