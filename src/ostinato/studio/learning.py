"""How runs learn: what each has recorded so far, and in which settings they differ."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.inspect.curves import read_lines
from ostinato.training.runs import CONFIG, RunError, load_run

__all__ = ["AXES", "Learning", "Progress", "differing", "flat_settings", "smoothed"]

Line = list[tuple[int, float]]

# what a curve may be drawn over: as metrics.jsonl names it, and in words
AXES = {"step": "updates of the weights", "tokens": "tokens read", "seconds": "seconds of training"}

METRICS = "metrics.jsonl"

# a run that has not written a line for so long is not called running
_SILENT_AFTER = 120.0


@dataclass(frozen=True)
class Learning:
    """What a run has recorded so far.

    Attributes:
        key: of the run.
        task: "language_model", ...; "" where the folder cannot be read at the moment.
        status: "running", "silent" (not over, and no line for two minutes), "new" (no line yet),
            "unreadable", or how it ended: "finished", "patience", "interrupted".
        step: updates of the weights so far.
        lines: by name ("loss", "val_loss", "lr", ...), (step, value).
        clocks: "tokens" and "seconds" where recorded, (step, value).
        monitor: the name that decides which weights are best.
        mode: "min" or "max".
        settings: of the run, flat, by dotted name.
        problem: what is wrong with the folder, or "".
    """

    key: str
    task: str = ""
    status: str = "new"
    step: int = 0
    lines: Mapping[str, Line] = field(default_factory=dict)
    clocks: Mapping[str, Line] = field(default_factory=dict)
    monitor: str = "val_loss"
    mode: str = "min"
    settings: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""

    @property
    def best(self) -> tuple[int, float] | None:
        """Step and value of the best validation; None where there was none."""
        line = self.lines.get(self.monitor)
        if not line:
            return None
        return (min if self.mode == "min" else max)(line, key=lambda point: point[1])

    @property
    def last_loss(self) -> float | None:
        """The last training loss; None where there was none."""
        line = self.lines.get("loss")
        return line[-1][1] if line else None

    def along(self, line: Line, axis: str) -> list[float]:
        """Where the points of a line lie on an axis of `AXES`; [] where it was not recorded.

        Between two records of an axis, values are interpolated.

        Example:
            >>> told = Learning("a", clocks={"tokens": [(0, 0.0), (10, 640.0)]})
            >>> told.along([(5, 1.5), (10, 1.2)], "tokens")
            [320.0, 640.0]
        """
        steps = [step for step, _ in line]
        if axis == "step":
            return [float(step) for step in steps]
        clock = self.clocks.get(axis, [])
        if not clock or not steps:
            return []
        known, values = zip(*clock, strict=True)
        return [float(x) for x in np.interp(steps, known, values)]


class Progress:
    """Reads what runs have recorded, anew only where a file has changed.

    Example:
        >>> Progress().read("a", Path("nowhere")).status
        'unreadable'
    """

    def __init__(self) -> None:
        self._read: dict[Path, tuple[Any, Learning]] = {}

    def read(self, key: str, folder: Path) -> Learning:
        """What a run folder has recorded; never raises for what a folder may hold."""
        stamp = (_changed(folder / CONFIG), _changed(folder / METRICS))
        kept = self._read.get(folder)
        if kept is None or kept[0] != stamp:
            kept = self._read[folder] = (stamp, _learning(key, folder))
        told = kept[1]
        if told.status in ("running", "silent"):
            # time passes though no file changes
            return _with_status(told, _alive(folder))
        return told


def _with_status(told: Learning, status: str) -> Learning:
    return Learning(**{**told.__dict__, "status": status})


def _changed(path: Path) -> tuple[int, int]:
    try:
        told = path.stat()
    except OSError:
        return (0, 0)
    return (told.st_mtime_ns, told.st_size)


def _alive(folder: Path) -> str:
    changed, _ = _changed(folder / METRICS)
    return "running" if time.time() - changed / 1e9 < _SILENT_AFTER else "silent"


def _learning(key: str, folder: Path) -> Learning:
    try:
        run = load_run(folder, weights=False)
        told = read_lines(folder / METRICS)
    except (RunError, OSError, json.JSONDecodeError) as error:
        return Learning(key, status="unreadable", problem=str(error))
    lines, clocks = _lines_by_name(told)
    settings = run.settings.get("settings", {})
    training = settings.get("training", {})
    step = max((line[-1][0] for line in lines.values()), default=0)
    ended = run.settings.get("figures", {}).get("training") or {}
    status = "new"
    if ended and step <= ended.get("steps", 0):
        status = str(ended.get("stopped", "finished"))
    elif lines:
        status = _alive(folder)
    return Learning(
        key,
        run.task,
        status,
        step,
        lines,
        clocks,
        training.get("monitor", "val_loss"),
        training.get("monitor_mode", "min"),
        flat_settings(settings),
    )


def _lines_by_name(told: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Line], dict[str, Line]]:
    lines: dict[str, Line] = {}
    clocks: dict[str, Line] = {}
    for record in told:
        step = record.get("step")
        if not isinstance(step, int):
            continue
        for name, value in record.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                continue
            if name in AXES:
                clocks.setdefault(name, []).append((step, float(value)))
            elif name != "epoch":
                lines.setdefault(name, []).append((step, float(value)))
    clocks.pop("step", None)
    return lines, {name: line for name, line in clocks.items() if any(x for _, x in line)}


def smoothed(line: Line, weight: float) -> Line:
    """A line whose each value is a mean of it and those before, later ones weighing more.

        m[t] = (w m[t-1] + (1 - w) v[t]) / (1 - w^t)    (the divisor applied last)

    The exponential mean with its start put right, as in Kingma, Ba (2014), arXiv:1412.6980,
    section 3.

    Args:
        line: (step, value).
        weight: w, what the past weighs, 0 (nothing) or more, below 1.

    Raises:
        ValueError: the weight is out of range.

    Example:
        >>> smoothed([(1, 4.0), (2, 2.0)], 0.5)
        [(1, 4.0), (2, 2.6666666666666665)]
    """
    if not 0 <= weight < 1:
        raise ValueError(f"Smoothing must be 0 or more and below 1, got {weight:g}.")
    mean = 0.0
    made = []
    for t, (step, value) in enumerate(line, start=1):
        mean = weight * mean + (1 - weight) * value
        made.append((step, mean / (1 - weight**t)))
    return made


def flat_settings(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted name.

    Example:
        >>> flat_settings({"model": {"cell": "lstm", "cell_options": {}}})
        {'model.cell': 'lstm', 'model.cell_options': {}}
    """
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            flat |= flat_settings(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def differing(runs: Sequence[Learning]) -> dict[str, list[Any]]:
    """The settings in which runs differ: for each its value in every run, None where it has none.

    Of runs of several tasks, only settings that all of them have are compared.

    Example:
        >>> a = Learning("a", settings={"model.cell": "gru", "data.lower": False})
        >>> b = Learning("b", settings={"model.cell": "lstm", "data.lower": False})
        >>> differing([a, b])
        {'model.cell': ['gru', 'lstm']}
    """
    runs = [run for run in runs if run.settings]
    names = list(dict.fromkeys(name for run in runs for name in run.settings))
    if len({run.task for run in runs}) > 1:
        names = [name for name in names if all(name in run.settings for run in runs)]
    rows = {name: [run.settings.get(name) for run in runs] for name in names}
    return {name: row for name, row in rows.items() if any(value != row[0] for value in row)}
