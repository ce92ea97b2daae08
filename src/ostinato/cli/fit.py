"""`ostinato fit`: from a file to a run folder, one command a kind of data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ostinato.cli.fit_captions import captions
from ostinato.cli.fit_labels import labels
from ostinato.cli.fit_music import music
from ostinato.cli.fit_pairs import pairs
from ostinato.cli.fit_series import series
from ostinato.cli.fit_tags import tags
from ostinato.cli.fitting import FitOptions, fit_command, run_fit, steps_of_text

__all__ = ["app", "text"]

app = typer.Typer(help="Fit a model to data.", no_args_is_help=True)


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
        str | None,
        typer.Option(help="What one step reads: char, word or subword.", show_default="char"),
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
            "data": {"tokens": steps_of_text(tokens)},
            "model": {"embeddings": None if embeddings is None else str(embeddings)},
        },
        _report,
        usage="ostinato fit text FILE",
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
