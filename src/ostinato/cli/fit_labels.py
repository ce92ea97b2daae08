"""`ostinato fit labels`: from rows with labels to a classifier."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ostinato.cli.fitting import (
    FitOptions,
    fit_command,
    fit_settings,
    run_fit,
    show_ranked,
    show_training,
    steps_of_text,
)
from ostinato.cli.options import RowsToTest, RowsToValidate, WordVectors
from ostinato.cli.output import say, say_beside, say_json, say_next, say_table

__all__ = ["labels", "show_label_score"]

# labels that are shown one by one
_SHOWN = 20


@fit_command
def labels(
    shared: FitOptions,
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE...",
            help='Tables: CSV, TSV, JSON lines (plain or gz) or Parquet; "-" is CSV on standard '
            "input.",
            show_default=False,
        ),
    ] = None,
    validation: RowsToValidate = None,
    test: RowsToTest = None,
    text: Annotated[
        str | None, typer.Option(help="Column of the texts.", show_default="text")
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="Column of the labels.", show_default="label")
    ] = None,
    separator: Annotated[
        str | None,
        typer.Option(
            help="Stands between the labels of a row that may have several.", show_default=False
        ),
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Option(
            help='Column of numbers, in place of a text; "p*" for all like it. May be repeated.',
            show_default=False,
        ),
    ] = None,
    width: Annotated[
        int | None, typer.Option(help="Numbers to a step, of rows that are whole sequences.")
    ] = None,
    row_id: Annotated[
        str | None,
        typer.Option("--id", help="Column that says of which sequence a row is a step."),
    ] = None,
    time: Annotated[str | None, typer.Option(help="Column of the steps' times, with --id.")] = None,
    fill: Annotated[
        str | None, typer.Option(help="Where a number is missing: no, zero or forward.")
    ] = None,
    tokens: Annotated[
        str | None, typer.Option(help="A text's steps: word, char or subword.", show_default="word")
    ] = None,
    embeddings: WordVectors = None,
    folds: Annotated[
        int | None,
        typer.Option(help="Only score, by cross-validation with so many folds.", min=2),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw what is taken for what: .png, .svg or .html.", show_default=False),
    ] = None,
) -> None:
    """Fit a classifier to texts, or sequences of numbers, with labels, and score it.

    With --cell none, it is a plain feed-forward network, for comparison.
    """
    files = files or []
    data: dict[str, Any] = {
        "text": text,
        "label": label,
        "label_separator": separator,
        "values": values or None,
        "width": width,
        "id": row_id,
        "time": time,
        "fill": fill,
        "tokens": steps_of_text(tokens),
    }
    chosen: dict[str, dict[str, Any]] = {"data": data, "model": {"embeddings": embeddings}}
    if plot is not None:
        from ostinato.inspect.pictures import picture_kind

        picture_kind(plot)
    if folds is not None and not shared.print_config:
        if validation or test or shared.out or shared.resume:
            raise typer.BadParameter(
                "folds are drawn from FILE and no model is kept: leave out --out, --resume, "
                "--validation and --test.",
                param_hint="--folds",
            )
        _cross_validate(files, shared, chosen, folds, plot)
        return
    run_fit(
        "classifier",
        files,
        shared,
        chosen,
        lambda model: _report(model, plot),
        usage="ostinato fit labels FILE",
        following="ostinato classify {run} FILE",
        validation=validation,
        test=test,
    )


def _cross_validate(
    files: list[str],
    shared: FitOptions,
    chosen: Mapping[str, Mapping[str, Any]],
    folds: int,
    plot: Path | None,
) -> None:
    from ostinato.tasks.classifier.task import Classifier

    if not files:
        raise typer.BadParameter("name a file to learn from.", param_hint="FILE")
    settings = fit_settings("classifier", shared, chosen)
    found = Classifier.cross_validate(
        files,
        folds=folds,
        config=settings,
        watch=lambda k, figures: say_beside(
            f"fold {k + 1} of {folds}: accuracy {figures['held_out']['accuracy']:.2%}"
        ),
    )
    if plot is not None:
        draw_labels(found, plot)
    following = f"ostinato fit labels {shlex.join(files)} --out DIR"
    if shared.as_json:
        say_json({**found.to_dict(), "next": following})
        return
    show_ranked(
        {"held_out": {"accuracy": found.accuracy}, "baselines": found.to_dict()["baselines"]},
        "accuracy",
        lambda score: f"Accuracy over {folds} folds, mean:",
        "{:.2%}",
        ascending=True,
    )
    say(f"This model: {found.accuracy:.2%}, deviation over folds {found.deviation:.2%}")
    if plot is not None:
        say(f"Drawn in {plot}")
    say_next(following, why="fit to all of it, and keep the model")


def _report(model: Any, plot: Path | None) -> None:
    figures = model.figures
    show_training(figures, "steps of time")
    score = show_ranked(
        figures,
        "accuracy",
        lambda score: f"Held-out part of {score['rows']:,} rows, accuracy:",
        "{:.2%}",
        ascending=True,
    )
    if score is None:
        return
    show_label_score(score)
    if plot is not None:
        _draw(score.get("confusion"), model.labels, plot)
        say(f"Drawn in {plot}")


def show_label_score(score: Mapping[str, Any]) -> None:
    """A classifier's score: all rows, then label by label."""
    several = "micro_f1" in score
    parts = [
        f"{'all labels right' if several else 'accuracy'} {score['accuracy']:.2%} of "
        f"{score['rows']:,} rows",
        f"{score['nats']:.4f} nats per row",
        f"macro F1 {score['macro_f1']:.4f}",
    ]
    if several:
        parts.append(f"micro F1 {score['micro_f1']:.4f}")
    say("This model: " + ", ".join(parts))
    ranked = sorted(score["by_label"].items(), key=lambda entry: -entry[1]["rows"])
    rows = [
        (name, *(f"{told[rate]:.4f}" for rate in ("precision", "recall", "f1")), f"{n:,}")
        for name, told in ranked
        if (n := told["rows"])
    ]
    say_table(rows[:_SHOWN], heads=("label", "precision", "recall", "F1", "how many"))
    if len(rows) > _SHOWN:
        say(f"and {len(rows) - _SHOWN:,} more (--json has all)")


def draw_labels(score: Any, path: Path) -> None:
    """Draw the confusion of a `LabelScore` or of `Folds`.

    Raises:
        ValueError: rows may have several labels, so that none is taken for another.
    """
    several = getattr(score, "several", False)
    _draw(None if several else score.confusion, score.labels, path)


def _draw(confusion: Any, names: list[str], path: Path) -> None:
    if confusion is None:
        raise ValueError("--plot: rows that may have several labels have no table of confusions.")
    from ostinato.inspect.confusion import draw_confusion

    draw_confusion(confusion, names, path, title="Labels", what="rows")
