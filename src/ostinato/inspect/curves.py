"""How training went: the curves of one or several runs, from their metrics.jsonl."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ostinato.inspect.pictures import COLOURS, save_picture
from ostinato.training.runs import RunError, load_run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Curves", "draw_curves", "read_curves", "read_lines"]

Line = list[tuple[int, float]]

_DASHES = ("solid", "dash", "dot", "dashdot")
_STYLES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}


@dataclass(frozen=True)
class Curves:
    """What one run recorded, step by step.

    Attributes:
        name: of the run.
        loss: of training, (step, value).
        validation: by name ("val_loss", ...), (step, value).
        monitor: the name that decided which weights are best.
        mode: "min" or "max".
    """

    name: str
    loss: Line
    validation: Mapping[str, Line]
    monitor: str = "val_loss"
    mode: str = "min"

    @property
    def best(self) -> tuple[int, float] | None:
        """Step and value of the best validation; None where there was none."""
        line = self.validation.get(self.monitor)
        if not line:
            return None
        return (min if self.mode == "min" else max)(line, key=lambda point: point[1])


def read_curves(folder: str | Path) -> Curves:
    """The curves of a run folder.

    Raises:
        RunError: the folder is no run, or has recorded nothing yet.
    """
    folder = Path(folder)
    run = load_run(folder, weights=False)
    path = folder / "metrics.jsonl"
    loss: Line = []
    validation: dict[str, Line] = {}
    for told in read_lines(path):
        step = told.get("step")
        if not isinstance(step, int):
            continue
        if isinstance(told.get("loss"), float):
            loss.append((step, told["loss"]))
        for name, value in told.items():
            if name.startswith("val_") and isinstance(value, float):
                validation.setdefault(name, []).append((step, value))
    if not loss and not validation:
        raise RunError(f"{folder} has recorded no training yet. Train it, or name another run.")
    training = run.settings.get("settings", {}).get("training", {})
    return Curves(
        folder.name or str(folder),
        loss,
        validation,
        training.get("monitor", "val_loss"),
        training.get("monitor_mode", "min"),
    )


def draw_curves(runs: Sequence[Curves], path: str | Path) -> None:
    """Draw the curves of runs: the loss, and below it each other thing that was validated.

    Colours are runs; a line with dots is validation, a thin one training.

    Args:
        runs: at least one.
        path: a picture's name; see `save_picture`.

    Raises:
        ValueError: there is no run.
    """
    if not runs:
        raise ValueError("draw_curves: there is no run to draw. Give at least one.")
    runs = _told_apart(runs)
    others = dict.fromkeys(name for run in runs for name in run.validation if name != "val_loss")
    panels = ["val_loss", *others]
    title = _title(runs)
    save_picture(
        path,
        matplotlib=lambda figure: _drawn(figure, runs, panels, title),
        plotly=lambda: _page(runs, panels, title),
        size=(9.0, 1.6 + 2.9 * len(panels)),
    )


def _told_apart(runs: Sequence[Curves]) -> list[Curves]:
    # folders of one name in different places
    names = [run.name for run in runs]
    return [
        Curves(
            f"{run.name} ({names[: k + 1].count(run.name)})"
            if names.count(run.name) > 1
            else run.name,
            run.loss,
            run.validation,
            run.monitor,
            run.mode,
        )
        for k, run in enumerate(runs)
    ]


def _title(runs: Sequence[Curves]) -> str:
    if len(runs) > 1:
        return f"Learning curves of {len(runs)} runs"
    (run,) = runs
    if run.best is None:
        return f"Learning curves of {run.name}"
    step, value = run.best
    return f"Learning curves of {run.name}: best {_plain(run.monitor)} {value:.4f}, step {step:,}"


def _plain(name: str) -> str:
    return f"validation {name.removeprefix('val_').replace('_', ' ')}"


def _all_positive(runs: Sequence[Curves]) -> bool:
    # of a density, a loss may be below 0
    losses = [line for run in runs for line in (run.loss, run.validation.get("val_loss", []))]
    return all(value > 0 for line in losses for _, value in line)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl, also one that is being written; none where there is no file."""
    if not path.is_file():
        return []
    texts = path.read_text(encoding="utf-8", errors="replace").splitlines()
    # the last line of a run that goes on may be cut short
    return [json.loads(text) for text in texts if text.endswith("}")]


def _drawn(figure: Figure, runs: Sequence[Curves], panels: Sequence[str], title: str) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, name in zip(rows, panels, strict=True):
        for k, run in enumerate(runs):
            colour = COLOURS[k % len(COLOURS)]
            style = _STYLES[_DASHES[k // len(COLOURS) % len(_DASHES)]]
            label = run.name
            if name == "val_loss" and run.loss:
                axes.plot(*zip(*run.loss, strict=True), style, color=colour, lw=0.8, alpha=0.6)
            line = run.validation.get(name, [])
            axes.plot(
                [step for step, _ in line],
                [value for _, value in line],
                style,
                color=colour,
                marker="o",
                ms=3.5,
                lw=1.6,
                label=label,
            )
            if run.monitor == name and run.best is not None:
                axes.plot(*run.best, "*", color=colour, ms=13, markeredgecolor="black")
        axes.set_ylabel("loss" if name == "val_loss" else _plain(name))
        if name == "val_loss" and _all_positive(runs):
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.yaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_formatter("{x:.3g}")
        axes.grid(alpha=0.25)
    rows[0].set_title(title)
    rows[0].legend(
        frameon=False,
        title="dots: validation (star: best)\nthin: training",
        title_fontsize=8,
        alignment="left",
    )
    rows[-1].set_xlabel("updates of the weights")


def _page(runs: Sequence[Curves], panels: Sequence[str], title: str) -> Any:
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=len(panels), cols=1, shared_xaxes=True, vertical_spacing=0.06)
    for k, run in enumerate(runs):
        colour = COLOURS[k % len(COLOURS)]
        for row, name in enumerate(panels, start=1):
            parts = [(f"{run.name}, {_plain(name)}", run.validation.get(name, []), 2.5)]
            if name == "val_loss":
                parts.append((f"{run.name}, training loss", run.loss, 1.0))
            for label, line, width in parts:
                points = go.Scatter(
                    x=[step for step, _ in line],
                    y=[value for _, value in line],
                    name=label,
                    mode="lines+markers" if width > 1 else "lines",
                    line={"color": colour, "width": width},
                )
                if line:
                    figure.add_trace(points, row=row, col=1)
            if run.monitor == name and run.best is not None:
                best = go.Scatter(
                    x=[run.best[0]],
                    y=[run.best[1]],
                    name=f"{run.name}, best",
                    mode="markers",
                    marker={"symbol": "star", "size": 14, "color": colour, "line_width": 1},
                )
                figure.add_trace(best, row=row, col=1)
    for row, name in enumerate(panels, start=1):
        logarithmic = name == "val_loss" and _all_positive(runs)
        figure.update_yaxes(
            title_text="loss" if name == "val_loss" else _plain(name),
            type="log" if logarithmic else "linear",
            row=row,
            col=1,
        )
    figure.update_xaxes(title_text="updates of the weights", row=len(panels), col=1)
    figure.update_layout(title=title, height=140 + 280 * len(panels), hovermode="x unified")
    return figure
