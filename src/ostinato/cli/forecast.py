"""`ostinato forecast` and `ostinato backtest`: ask a fitted forecaster."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostinato.cli.fit_series import show_series_score
from ostinato.cli.options import AsJson, Device, RunFolder, Seed
from ostinato.cli.output import say, say_beside, say_json, say_next, say_table

if TYPE_CHECKING:
    from ostinato.tasks.forecaster.forecast import Forecast
    from ostinato.tasks.forecaster.task import Forecaster

__all__ = ["backtest", "forecast"]

Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...",
        help='CSV (also gz) or Parquet, as for fit; "-" is standard input.',
        show_default=False,
    ),
]
Intervals = Annotated[
    list[float] | None,
    typer.Option("--interval", help="Probability of an interval, e.g. 0.8. May be repeated."),
]
Fill = Annotated[
    str | None, typer.Option(help="For what is missing: forward, linear, zero, seasonal.")
]
Csv = Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the table there.")]

# lines of a table that are shown
_LINES = 48


def forecast(
    run: RunFolder,
    files: Files,
    horizon: Annotated[int | None, typer.Option(min=1, help="Steps.", show_default=False)] = None,
    intervals: Intervals = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Paths of a recursive forecast.")
    ] = None,
    fill: Fill = None,
    csv: Csv = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw it: .png, .svg or .html.", show_default=False),
    ] = None,
    seed: Seed = 0,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Forecast what follows the series of a table."""
    if plot is not None:
        from ostinato.inspect.pictures import picture_kind

        picture_kind(plot)
    model = _load(run, device)
    found = model.predict(
        files, horizon=horizon, intervals=intervals, samples=samples, seed=seed, fill=fill
    )
    if csv is not None:
        found.to_csv(csv)
    if plot is not None:
        _draw(found, plot)
    again = f"ostinato backtest {shlex.quote(str(run))} {shlex.join(files)}"
    if as_json:
        say_json({"run": str(run), **found.to_dict(), "next": again})
        return
    _show_table(found.to_frame(), csv)
    for path in (csv, plot):
        if path is not None:
            say_beside(f"Wrote {path}")
    say_next(again, why="how good such forecasts are")


def backtest(
    run: RunFolder,
    files: Files,
    part: Annotated[str, typer.Option(help="held_out, validation or all.")] = "held_out",
    every: Annotated[
        int | None, typer.Option(min=1, help="Rows between forecasts. \\[default: the horizon]")
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Learn from what came before each forecast.")
    ] = False,
    intervals: Intervals = None,
    fill: Fill = None,
    csv: Csv = None,
    seed: Seed = 0,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Forecast again and again as time goes by, and compare with what came."""
    model = _load(run, device)
    found = model.backtest(
        files, part=part, every=every, update=update, intervals=intervals, seed=seed, fill=fill
    )
    if csv is not None:
        found.to_csv(csv)
    following = f"ostinato forecast {shlex.quote(str(run))} {shlex.join(files)}"
    if as_json:
        say_json({"run": str(run), "part": part, **found.to_dict(), "next": following})
        return
    show_series_score(found.to_dict())
    if csv is not None:
        say_beside(f"Wrote {csv}")
    say_next(following)


def _load(run: Path, device: str | None) -> Forecaster:
    from ostinato.cli.ask import device_of
    from ostinato.tasks.forecaster.task import Forecaster

    return Forecaster.load(run).to(device_of(device))


def _draw(found: Forecast, path: Path) -> None:
    from ostinato.inspect.fan import Fan, draw_fans

    fans = []
    for number, name in enumerate(found.ids):
        times, values = found.past[number]
        for place, target in enumerate(found.targets):
            fans.append(
                Fan(
                    f"{name}: {target}" if name else target,
                    found.axis(times),
                    values[:, place],
                    found.axis(found.times[number]),
                    found.values[number, :, place],
                    {
                        level: (lower[number, :, place], upper[number, :, place])
                        for level, (lower, upper) in found.intervals.items()
                    },
                )
            )
    steps = found.values.shape[1]
    draw_fans(fans, path, title=f"Forecast of {steps} step(s) of {found.clock}")


def _show_table(frame: Any, csv: Path | None) -> None:
    def spelled(value: Any) -> str:
        return f"{value:.4f}" if isinstance(value, float) else str(value)

    rows = [tuple(spelled(value) for value in row) for row in frame.head(_LINES).rows()]
    say_table(rows, heads=frame.columns)
    if frame.height > _LINES:
        more = "" if csv else " (--csv FILE has them all)"
        say(f"... and {frame.height - _LINES:,} more rows{more}")
