"""`ostinato fit captions`: from vectors with texts to a captioner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from ostinato.cli.fitting import (
    FitOptions,
    fit_command,
    run_fit,
    show_ranked,
    show_training,
    steps_of_text,
)
from ostinato.cli.options import RowsToTest, RowsToValidate
from ostinato.cli.output import say

__all__ = ["captions", "show_caption_score"]


@fit_command
def captions(
    shared: FitOptions,
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE...",
            help="Vectors with texts: Parquet, NPZ, CSV or JSON lines.",
            show_default=False,
        ),
    ] = None,
    validation: RowsToValidate = None,
    test: RowsToTest = None,
    values: Annotated[
        list[str] | None,
        typer.Option(
            help='Column or array of the vectors, or columns of numbers ("p*" for all like it). '
            "May be repeated.",
            show_default="vector",
        ),
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="Column or array of the texts.", show_default="text")
    ] = None,
    tokens: Annotated[
        str | None, typer.Option(help="A text's steps: char, word or subword.", show_default="char")
    ] = None,
    feed: Annotated[
        str | None,
        typer.Option(
            help="Where the vector enters: start, every (step) or both.", show_default="start"
        ),
    ] = None,
) -> None:
    """Fit a captioner, which writes a text for a vector, and score it."""
    files = files or []
    data = {
        "values": values or None,
        "text": text,
        "tokens": steps_of_text(tokens),
    }
    run_fit(
        "captioner",
        files,
        shared,
        {"data": data, "model": {"feed": feed}},
        _report,
        usage="ostinato fit captions FILE",
        following="ostinato caption {run} FILE",
        validation=validation,
        test=test,
    )


def _report(model: Any) -> None:
    figures = model.figures
    show_training(figures, model.settings.data.tokens)
    score = show_ranked(
        figures,
        "exact",
        lambda score: f"Held-out part of {score['rows']:,} rows, written to the letter:",
        "{:.2%}",
        ascending=True,
    )
    if score is not None:
        show_caption_score(score)


def show_caption_score(score: Mapping[str, Any]) -> None:
    """A captioner's score in a line."""
    say(
        f"This model: {score['exact']:.2%} of {score['rows']:,} texts exact, "
        f"{score['token_accuracy']:.2%} of the tokens, {score['nats_per_token']:.4f} nats per token"
    )
