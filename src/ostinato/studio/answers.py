"""Readings as the plain values that a page's scripts get."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.inspect.page.material import Answer
from ostinato.inspect.reading import Reading
from ostinato.studio.labels import layer_words, visible
from ostinato.studio.prompts import Row
from ostinato.studio.reading import Part

__all__ = ["cut_words", "labels_of", "lively", "part_answer", "row_answer", "short", "unit_answer"]

# tasks whose steps are no pieces of a text
_NO_TEXT = ("composer", "forecaster")


def row_answer(row: Row) -> dict[str, Any]:
    """An answer: its steps, what was said at each, and what the page shows besides."""
    made = row.told.made
    plain = made.task in _NO_TEXT
    return {
        "axes": [
            {
                "name": axis.name,
                "tokens": labels_of(made, number),
                "pieces": _pieces(made, number),
            }
            for number, axis in enumerate(made.axes)
        ],
        "question": made.question,
        "answers": [
            [[label if plain else visible(label), short(p)] for label, p in answer.choices]
            for answer in row.answers
        ],
        "looks": _looks(row),
        "surprise": _surprise(made, row.answers),
        "whole": list(row.whole),
        "notes": list(made.notes),
        "cut": cut_words(made),
        "facts": dict(row.told.facts),
    }


def part_answer(part: Part) -> dict[str, Any]:
    """What can be looked at, with its layer in words."""
    return vars(part) | {"words": layer_words(part.layer, part.direction)}


def labels_of(made: Reading, axis: int) -> list[str]:
    """What stands at the steps of an axis, as a table shows it."""
    labels = made.axes[axis].labels
    return list(labels) if made.task in _NO_TEXT else [visible(label) for label in labels]


def cut_words(made: Reading) -> str:
    """What was left out, as a sentence, or ""."""
    if made.cut is None:
        return ""
    cut = made.cut
    return f"The input has {cut.steps:,} {cut.unit}; the first {cut.kept:,} are read."


def unit_answer(values: NDArray[Any], kind: str) -> dict[str, Any]:
    """The values [T] of a unit, and what they are compared with.

    Example:
        >>> unit_answer(np.array([0.5, -1.0]), "state")["scale"]
        1.0
    """
    low, high = float(values.min()), float(values.max())
    return {
        "values": [short(float(v)) for v in values],
        "low": short(low),
        "high": short(high),
        "mean": short(float(values.mean())),
        # what counts as fully on, for the colours
        "scale": 1.0 if kind == "gate" else max(abs(low), abs(high)) or 1.0,
    }


def lively(values: NDArray[Any], count: int = 5) -> list[int]:
    """The units of values [T, units] that change most.

    Example:
        >>> lively(np.array([[0.0, 1.0], [0.1, -1.0]]), count=1)
        [1]
    """
    order = np.argsort(-values.std(0), kind="stable")
    return [int(unit) for unit in order[:count]]


def short(value: float) -> float:
    """Few digits, as it goes into a page; what is no number as 0.

    Example:
        >>> short(1 / 3), short(math.nan)
        (0.3333, 0.0)
    """
    return float(f"{value:.4g}") if math.isfinite(value) else 0.0


def _pieces(made: Reading, axis: int) -> list[str]:
    """What the steps add to the running text."""
    if axis == 0 and made.pieces:
        return list(made.pieces)
    labels, joint = made.axes[axis].labels, made.axes[axis].joint
    return [label + joint for label in labels[:-1]] + list(labels[-1:])


def _looks(row: Row, most: int = 3) -> list[list[list[Any]]]:
    """Where attention was most at each step that was written; [] without attention."""
    if not row.looks:
        return []
    look = row.looks[0]
    order = np.argsort(-look.weights, axis=1, kind="stable")[:, :most]
    return [
        [[visible(look.read[k]), short(float(look.weights[step, k]))] for k in places]
        for step, places in enumerate(order.tolist())
    ]


def _surprise(made: Reading, answers: Any) -> list[float | None] | None:
    """Minus the log-probability, in nats, that each step had before it was known."""
    if made.truth == "chosen" or not answers:
        return None
    if made.truth == "written":
        return [_nats(answer) for answer in answers]
    return [None, *(_nats(answer) for answer in answers[:-1])]


def _nats(answer: Answer) -> float | None:
    return None if answer.chance is None else short(-math.log(max(answer.chance, 1e-45)))
