"""`ostinato fit tags`: from sentences with tags to a tagger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from ostinato.cli.fitting import FitOptions, fit_command, run_fit, show_ranked, show_training
from ostinato.cli.options import WordVectors
from ostinato.cli.output import say, say_table

__all__ = ["show_tag_score", "tags"]

# tags that are shown one by one
_SHOWN = 20


@fit_command
def tags(
    shared: FitOptions,
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE...",
            help="CoNLL-U, or word TAB tag with an empty line between sentences; plain or gz.",
            show_default=False,
        ),
    ] = None,
    validation: Annotated[
        list[str] | None,
        typer.Option(
            help="File that decides which weights are best. \\[default: the first tenth]",
            show_default=False,
        ),
    ] = None,
    test: Annotated[
        list[str] | None,
        typer.Option(help="File to be scored on. \\[default: the last tenth]", show_default=False),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option(help="Column of CoNLL-U: upos, xpos, feats, deprel, lemma, misc."),
    ] = None,
    embeddings: WordVectors = None,
    crf: Annotated[
        bool | None,
        typer.Option("--crf/--no-crf", help="Score a sentence's tags as a whole."),
    ] = None,
) -> None:
    """Fit a tagger to sentences whose words have tags, and score it."""
    files = files or []
    run_fit(
        "tagger",
        files,
        shared,
        {"data": {"column": column}, "model": {"crf": crf, "embeddings": embeddings}},
        _report,
        usage="ostinato fit tags FILE",
        following='ostinato tag {run} "Time flies ."',
        validation=validation,
        test=test,
    )


def _report(model: Any) -> None:
    figures = model.figures
    show_training(figures, "words")
    score = show_ranked(
        figures,
        "accuracy",
        lambda score: (
            f"Test part of {score['words']:,} words in {score['sentences']:,} sentences, accuracy:"
        ),
        "{:.2%}",
        ascending=True,
    )
    if score is not None:
        show_tag_score(score)


def show_tag_score(score: Mapping[str, Any]) -> None:
    """A tagger's score: all words, unknown words, then tag by tag or span by span."""
    parts = [
        f"accuracy {score['accuracy']:.2%} of {score['words']:,} words",
        f"{score['unknown_accuracy']:.2%} of {score['unknown_words']:,} unknown ones",
        f"macro F1 {score['macro_f1']:.4f}",
    ]
    if "span_f1" in score:
        parts.append(f"span F1 {score['span_f1']:.4f}")
    if "unseen_tags" in score:
        count = sum(score["unseen_tags"].values())
        parts.append(f"{count:,} words have tags that training had not")
    say("This model: " + ", ".join(parts))
    name, table = ("span", score["by_span"]) if "by_span" in score else ("tag", score["by_tag"])
    rows = [
        (kind, *(f"{told[rate]:.4f}" for rate in ("precision", "recall", "f1")), f"{n:,}")
        for kind, told in table.items()
        if (n := told["spans" if name == "span" else "words"])
    ]
    say_table(rows[:_SHOWN], heads=(name, "precision", "recall", "F1", "how many"))
    if len(rows) > _SHOWN:
        say(f"and {len(rows) - _SHOWN:,} more (--json has all)")
