"""`ostinato fit series`: from a table of series to a forecaster."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from ostinato.cli.fitting import FitOptions, fit_command, run_fit, show_ranked, show_training
from ostinato.cli.output import say

__all__ = ["series", "show_series_score"]


@fit_command
def series(
    shared: FitOptions,
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE...",
            help='CSV (also gz) or Parquet; several are read on end; "-" is standard input.',
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="What to forecast. May be repeated."),
    ] = None,
    horizon: Annotated[int | None, typer.Option(min=1, help="Steps to forecast.")] = None,
    time: Annotated[str | None, typer.Option(metavar="COLUMN", help="When.")] = None,
    id: Annotated[
        str | None, typer.Option("--id", metavar="COLUMN", help="Which series a row belongs to.")
    ] = None,
    past: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Known as far as the target is. May be repeated."),
    ] = None,
    known: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Known in advance. May be repeated."),
    ] = None,
    separate: Annotated[
        bool | None,
        typer.Option("--separate", help="Each target is a series of its own."),
    ] = None,
    fill: Annotated[
        str | None,
        typer.Option(help="For what is missing: forward, linear, zero, seasonal."),
    ] = None,
    train: Annotated[
        str | None, typer.Option(metavar="PART", help="Share, rows, or first date.")
    ] = None,
    validation: Annotated[
        str | None, typer.Option(metavar="PART", help="Share, rows, or first date.")
    ] = None,
    held_out: Annotated[
        str | None, typer.Option(metavar="PART", help="Share, rows, or first date.")
    ] = None,
    mode: Annotated[str | None, typer.Option(help="direct, decoder, recursive.")] = None,
    output: Annotated[
        str | None, typer.Option(help="gaussian, student_t, quantile, mse, mae, huber.")
    ] = None,
) -> None:
    """Fit a forecaster to time series, and score it on what it has not seen."""
    files = files or []
    data: dict[str, Any] = {
        "target": target or None,
        "horizon": horizon,
        "time": time,
        "id": id,
        "past": past or None,
        "known": known or None,
        "separate": separate,
        "fill": fill,
        "train": _part(train),
        "validation": _part(validation),
        "held_out": _part(held_out),
    }
    run_fit(
        "forecaster",
        files,
        shared,
        {"data": data, "model": {"mode": mode, "output": output}},
        _report,
        usage="ostinato fit series FILE --target COLUMN",
        following=f"ostinato forecast {{run}} {shlex.quote(files[0]) if files else 'FILE'}",
    )


def show_series_score(score: Mapping[str, Any]) -> None:
    """One score as a person reads it."""
    say(
        f"{score['windows']:,} forecasts: mean squared error {score['mse']:.4f}, mean absolute "
        f"error {score['mae']:.4f} (standardised)"
    )
    roots = ", ".join(f"{name} {root:.4g}" for name, root in score["rmse"].items())
    say(f"Root mean squared error in the data's units: {roots}")
    for level, share in score["coverage"].items():
        width = score["width"][level]
        say(f"{float(level):.0%} interval: held {share:.1%}, {width:.3f} wide (standardised)")


def _report(model: Any) -> None:
    figures = model.figures
    show_training(figures, "windows")
    score = show_ranked(
        figures,
        "mse",
        lambda score: "Held-out part, mean squared error (standardised):",
        "{:.4f}",
        ascending=False,
    )
    if score is not None:
        show_series_score(score)


def _part(text: str | None) -> int | float | str | None:
    """A share, a number of rows, or a date, as it was typed."""
    if text is None:
        return None
    try:
        return int(text) if text.strip().isdigit() else float(text)
    except ValueError:
        return text
