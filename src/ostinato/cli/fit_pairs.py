"""`ostinato fit pairs`: from pairs of lines to a translator."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
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
from ostinato.cli.output import say

__all__ = ["pairs", "show_translation_score"]


class Attention(str, Enum):
    """How the decoder looks at the source."""

    dot = "dot"
    general = "general"
    concat = "concat"
    additive = "additive"
    none = "none"


@fit_command
def pairs(
    shared: FitOptions,
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE TARGET",
            help="Two aligned files (line k of one belongs to line k of the other), or one with "
            "two columns separated by a tab; plain or gz.",
            show_default=False,
        ),
    ] = None,
    validation: Annotated[
        list[str] | None,
        typer.Option(
            help="Pairs that decide which weights are best; two aligned files: give it twice. "
            "\\[default: a part of the training pairs]",
            show_default=False,
        ),
    ] = None,
    test: Annotated[
        list[str] | None,
        typer.Option(
            help="Pairs to be scored on, likewise. \\[default: the last training pairs]",
            show_default=False,
        ),
    ] = None,
    tokens: Annotated[
        str | None,
        typer.Option(help="What one step reads: char, word or subword.", show_default="subword"),
    ] = None,
    attention: Annotated[
        Attention | None,
        typer.Option(help="How the decoder looks at the source.", show_default=False),
    ] = None,
    embeddings: Annotated[
        str | None,
        typer.Option(
            help="File of word vectors that the source begins with, for --tokens word.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Fit a translator to pairs of lines, and score it."""
    files = files or []
    run_fit(
        "translator",
        files,
        shared,
        {
            "data": {"tokens": steps_of_text(tokens)},
            # "none" is TOML's word for it, too
            "model": {
                "attention": attention.value if attention else None,
                "embeddings": embeddings,
            },
        },
        _report,
        usage="ostinato fit pairs SOURCE TARGET",
        following='ostinato translate {run} "..."',
        validation=validation,
        test=test,
    )


def _report(model: Any) -> None:
    figures = model.figures
    show_training(figures, "target tokens")
    score = show_ranked(
        figures,
        "bleu",
        lambda score: f"Test part of {score['lines']:,} lines, BLEU:",
        "{:.2f}",
        ascending=True,
    )
    if score is not None:
        show_translation_score(score)


def show_translation_score(score: Mapping[str, Any]) -> None:
    """A translator's score, and how it was counted."""
    parts = [
        f"BLEU {score['bleu']:.2f} and chrF {score['chrf']:.2f} of {score['lines']:,} lines",
        f"{score['length_ratio']:.3f} times as long as the references",
        f"{score['nats_per_token']:.4f} nats per token of theirs",
    ]
    say("This model: " + ", ".join(parts))
    say(f"BLEU signature: {score['signature']}")
