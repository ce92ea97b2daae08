"""What the scripts of a page may ask, and the plain values that they get."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ostinato.studio.answers import (
    cut_words,
    labels_of,
    lively,
    part_answer,
    row_answer,
    unit_answer,
)
from ostinato.studio.asked import Asked, AskedError
from ostinato.studio.figures import curves_figure, heat_figure, measures_of
from ostinato.studio.inside import (
    flow_figure,
    flow_rows,
    look_inside,
    saturation_figure,
    saturation_rows,
)
from ostinato.studio.learning import Learning, Progress, differing
from ostinato.studio.library import Library, Loaded
from ostinato.studio.reading import Choice, Kept, Reading, choose, prompt_for, read, view
from ostinato.studio.wishes import holds_of, wish_of
from ostinato.studio.writing import write_events

__all__ = ["Questions"]

Answer = dict[str, Any]

# characters of a file in base 64
_MOST_FILE = 22_000_000


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
        """What a model makes of what it is given: steps, answers, and what can be looked at.

        The fields are those of its prompt, and `holds`, a list of units with `layer`, `direction`,
        `name`, `unit` and `value`.
        """
        reading = self._reading(self.library.load(key), asked)
        return {
            "plain": row_answer(reading.plain),
            "held": None if reading.held is None else row_answer(reading.held),
            "parts": [part_answer(part) for part in reading.parts],
            "chosen": part_answer(choose(reading, Choice())),
            "figures": reading.figures,
        }

    def view(self, key: str, asked: Asked) -> Answer:
        """What the units of a layer do over the steps: a heat map of all, the values of one.

        Besides the fields of `read`: layer, direction, name and unit of what is looked at, `held`
        (look at the answer with units held), `figure` (draw the heat map, too).
        """
        loaded = self.library.load(key)
        reading = self._reading(loaded, asked)
        choice = Choice(
            asked.text("layer") or None, asked.whole("direction", 0), asked.text("name") or None
        )
        part, held = choose(reading, choice), asked.flag("held")
        row = reading.row(held)
        values = self._views.get((*self._key(loaded, asked), part, held), lambda: view(row, part))
        unit = asked.whole("unit", 0)
        if not 0 <= unit < part.units:
            raise ValueError(
                f"{part.name} of layer {part.layer} has no unit {unit}. Choose one of "
                f"0..{part.units - 1}."
            )
        answer = part_answer(part) | {"unit": unit, **unit_answer(values[:, unit], part.kind)}
        if asked.flag("figure", True):
            labels, units = labels_of(row.told.made, part.axis), np.arange(part.units)
            answer["figure"] = heat_figure(
                values,
                labels,
                units,
                kind=part.kind,
                name=part.name,
                along=row.told.made.axes[part.axis].name,
            )
            answer["lively"] = lively(values)
        return answer

    def open(self, key: str, asked: Asked) -> Answer:
        """What a file (`name`, `content` in base 64) says, as fields of the form."""
        loaded = self.library.load(key)
        try:
            content = base64.b64decode(asked.text("content", most=_MOST_FILE), validate=True)
        except ValueError:
            raise AskedError("content must be a file in base 64.") from None
        return prompt_for(loaded).opened(loaded.model, asked.text("name", "file"), content)

    def _reading(self, loaded: Loaded, asked: Asked) -> Reading:
        holds = holds_of(asked)
        reading: Reading = self._readings.get(
            self._key(loaded, asked), lambda: read(loaded, asked, holds)
        )
        return reading

    def _key(self, loaded: Loaded, asked: Asked) -> tuple[Any, ...]:
        fields = asked.raw(prompt_for(loaded).fields)
        return (loaded.key, loaded.stamp, fields, tuple(holds_of(asked)))

    # gradients

    def inside(self, key: str, asked: Asked) -> Answer:
        """How gradients flow back through a text, and how far gates are at their ends."""
        loaded = self.library.load(key)
        reading = self._reading(loaded, asked)
        made = reading.row(reading.held is not None).told.made
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
        return {
            "sections": sections,
            "steps": len(made.axes[0].labels),
            "cut": cut_words(made),
            "facts": dict(reading.plain.told.facts),
        }

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


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
