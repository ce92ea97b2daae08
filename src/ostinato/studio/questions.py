"""What the scripts of a page may ask, and the plain values that they get."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.studio.asked import Asked
from ostinato.studio.figures import curves_figure, heat_figure, measures_of
from ostinato.studio.holding import Hold
from ostinato.studio.inside import (
    flow_figure,
    flow_rows,
    look_inside,
    saturation_figure,
    saturation_rows,
)
from ostinato.studio.learning import Learning, Progress, differing
from ostinato.studio.library import Library, Loaded
from ostinato.studio.reading import Choice, Kept, Reading, Told, choose, read, view
from ostinato.studio.writing import Wish, write_events
from ostinato.tasks.language_model.sampling import Sampling

__all__ = ["Questions"]

Answer = dict[str, Any]


class Questions:
    """Answers questions about runs.

    Args:
        library: the runs.
    """

    def __init__(self, library: Library) -> None:
        self.library = library
        self.progress = Progress()
        self._readings = Kept(4)
        self._views = Kept(8)

    # learning curves

    def learning(self) -> list[Learning]:
        """What each run has recorded so far."""
        return [self.progress.read(key, folder) for key, folder in self.library.runs().items()]

    def curves(self, asked: Asked) -> Answer:
        """Curves: axis, smoothing, scale ("log" or "linear"), measures and hidden (with commas).

        With `since`, the `stamp` of an earlier answer, only {"stamp": ...} if nothing is new.
        """
        runs = self.learning()
        stamp = _stamp(runs)
        if asked.text("since") == stamp:
            return {"stamp": stamp}
        measures = measures_of(runs)
        chosen = [name for name in asked.text("measures").split(",") if name in measures]
        hidden = set(asked.text("hidden").split(","))
        shown = [run for run in runs if run.key not in hidden and not run.problem]
        figure = curves_figure(
            shown,
            places={run.key: place for place, run in enumerate(runs)},
            measures=chosen or list(measures)[:1],
            axis=asked.text("axis", "step"),
            smoothing=asked.number("smoothing", 0.0),
            logarithmic=asked.text("scale") == "log",
        )
        return {
            "stamp": stamp,
            "figure": figure,
            "measures": measures,
            "runs": [run_row(run) for run in runs],
            "differing": differing_rows(shown),
        }

    # reading

    def read(self, key: str, asked: Asked) -> Answer:
        """How a model reads a text: tokens, answers after each, and what can be looked at."""
        reading = self._reading(self.library.load(key), asked)
        made = reading.material
        return {
            "tokens": made.tokens,
            "pieces": made.pieces,
            "question": made.question,
            "answers": [[[label, _short(p)] for label, p in row] for row in reading.answers],
            "surprise": None
            if reading.surprise is None
            else [None if s is None else _short(s) for s in reading.surprise],
            "parts": [_part_row(part) for part in reading.parts],
            "chosen": _part_row(choose(reading, Choice())),
            "cut": made.cut,
        }

    def view(self, key: str, asked: Asked) -> Answer:
        """What the units of a layer do over a text: a heat map of all, the values of one."""
        loaded = self.library.load(key)
        reading = self._reading(loaded, asked)
        choice = Choice(
            asked.whole("layer"), asked.whole("direction", 0), asked.text("name") or None
        )
        part = choose(reading, choice)
        values = self._views.get(
            (loaded.key, loaded.stamp, asked.text("text"), part), lambda: view(reading, part)
        )
        unit = asked.whole("unit", 0)
        if not 0 <= unit < part.units:
            raise ValueError(
                f"{part.name} of layer {part.layer} has no unit {unit}. Choose one of "
                f"0..{part.units - 1}."
            )
        answer = _part_row(part) | {"unit": unit, **_unit_row(values[:, unit], part)}
        if asked.flag("figure", True):
            tokens, units = reading.material.tokens, np.arange(part.units)
            answer["figure"] = heat_figure(values, tokens, units, kind=part.kind, name=part.name)
            answer["lively"] = _lively(values)
        return answer

    def _reading(self, loaded: Loaded, asked: Asked) -> Reading:
        text = asked.text("text")
        reading: Reading = self._readings.get(
            (loaded.key, loaded.stamp, text), lambda: read(loaded, text)
        )
        return reading

    # gradients

    def inside(self, key: str, asked: Asked) -> Answer:
        """How gradients flow back through a text, and how far gates are at their ends."""
        loaded = self.library.load(key)
        made = self._reading(loaded, asked).material
        flow, ends = look_inside(made)
        sections = [
            {
                "title": "How gradients flow back from what is answered last",
                "note": "From how far back a change of the state would still change the answer.",
                "figure": flow_figure(flow),
                "heads": ["state", "factor a step", "in words"],
                "rows": flow_rows(flow),
            }
        ]
        if ends is not None:
            sections.append(
                {
                    "title": "How often gates are at their ends",
                    "note": "A dot is a unit. The last layer is shown; the legend shows others.",
                    "figure": saturation_figure(ends),
                    "heads": ["gate", "near its smallest", "near its largest", "stuck units"],
                    "rows": saturation_rows(ends),
                }
            )
        return {"sections": sections, "tokens": len(made.tokens), "cut": made.cut}

    # writing

    def write(self, key: str, asked: Asked) -> Iterator[Answer]:
        """Continue a text; see `write_events` for what comes."""
        loaded = self.library.load(key)
        if loaded.task != "language_model":
            raise ValueError(
                f"{key} is a {loaded.task.replace('_', ' ')}, and only a language model continues "
                "texts. Choose a run of one."
            )
        return write_events(loaded.model, wish_of(asked))


def wish_of(asked: Asked) -> Wish:
    """What is to be written.

    Raises:
        ValueError: a field is missing or out of range; the message names it.

    Example:
        >>> wish_of(Asked({"prompt": "To be", "temperature": 0.5, "top_k": 3})).sampling.top_k
        3
    """
    sampling = Sampling(
        temperature=asked.number("temperature", 1.0),
        top_k=asked.whole("top_k"),
        top_p=asked.number("top_p"),
        repetition_penalty=asked.number("repetition_penalty", 1.0),
    )
    holds = [
        Hold(h.whole("layer", 0), h.text("name", "h"), h.whole("unit", 0), h.number("value", 0.0))
        for h in asked.inner("holds")
    ]
    watch = [
        (w.whole("layer", 0), w.text("name", "h"), w.whole("unit", 0)) for w in asked.inner("watch")
    ]
    return Wish(
        asked.text("prompt"),
        asked.numbers("written") or [],
        asked.numbers("written_held"),
        asked.whole("length", 200),
        sampling,
        asked.whole("seed", 0),
        holds,
        asked.flag("hold_prompt", True),
        watch[0] if watch else None,
    )


def run_row(run: Learning) -> Answer:
    """A run as a row of the table of runs."""
    step, value = run.best or (None, None)
    return {
        "key": run.key,
        "task": run.task.replace("_", " "),
        "status": run.status,
        "step": run.step,
        "loss": _finite(run.last_loss),
        "best": _finite(value),
        "best_step": step,
        "monitor": run.monitor,
        "problem": run.problem,
    }


def differing_rows(runs: list[Learning]) -> Answer:
    """The settings in which runs differ, as a table: heads, and rows of texts."""
    able = [run for run in runs if run.settings]
    rows = [[name, *map(plain, values)] for name, values in differing(able).items()]
    return {"heads": ["setting", *(run.key for run in able)], "rows": rows}


def plain(value: Any) -> str:
    """A setting as a table shows it.

    Example:
        >>> plain(None), plain(True), plain(0.003), plain({}), plain("lstm")
        ('-', 'yes', '0.003', '-', 'lstm')
    """
    if value is None or value in ({}, []):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _stamp(runs: list[Learning]) -> str:
    parts = [
        f"{run.key}:{run.status}:{run.step}:{sum(len(line) for line in run.lines.values())}"
        for run in runs
    ]
    # also of no runs, a stamp is something
    return ";".join([f"{len(runs)}", *parts])


def _part_row(part: Told) -> Answer:
    return {
        "layer": part.layer,
        "direction": part.direction,
        "name": part.name,
        "kind": part.kind,
        "units": part.units,
    }


def _unit_row(values: NDArray[Any], part: Told) -> Answer:
    low, high = float(values.min()), float(values.max())
    return {
        "values": [_short(float(v)) for v in values],
        "low": _short(low),
        "high": _short(high),
        "mean": _short(float(values.mean())),
        # what counts as fully on, for the colours
        "scale": 1.0 if part.kind == "gate" else max(abs(low), abs(high)) or 1.0,
    }


def _lively(values: NDArray[Any], count: int = 5) -> list[int]:
    """The units that change most over a text."""
    order = np.argsort(-values.std(0), kind="stable")
    return [int(unit) for unit in order[:count]]


def _short(value: float) -> float:
    """Few digits, as it goes into a page; what is no number as 0."""
    return float(f"{value:.4g}") if math.isfinite(value) else 0.0


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
