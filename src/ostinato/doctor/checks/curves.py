"""Ills that show in how good it became: over time, and on data it has not seen."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from ostinato.doctor.checks.guesses import is_above_guesses
from ostinato.doctor.checks.registry import check
from ostinato.doctor.checks.remedies import learn, longer
from ostinato.doctor.findings import Finding, NotThere, Remedy, Severity
from ostinato.doctor.patient import Patient
from ostinato.tasks.registry import TASKS

__all__ = ["gap", "not_learning", "still_falling"]

# share of all that was gained that the last quarter still gained
_STILL = 0.1
# held-out error over training error
_GAP = 1.3
# a validation is worse by more than this share
_WORSE = 0.01
_LEVEL = 0.02
_FEWEST_LINES = 8


@check("a training that ended while the loss still fell", *TASKS)
def still_falling(patient: Patient) -> Finding | None:
    """A loss that falls to the very end."""
    history = patient.history
    values, name, sign = history.monitored(), history.monitor, history.sign
    validated = len(values) >= 4
    if not validated:
        values, name, sign = _smoothed(history.losses()), "loss", 1.0
    values = [(step, value) for step, value in values if math.isfinite(value)]
    if len(values) < 4:
        raise NotThere("fewer than 4 validations, and too few losses, were recorded")
    first, last = values[0][1], values[-1][1]
    quarter = values[-1 - max(len(values) // 4, 1)][1]
    gained = sign * (first - last)
    still = sign * (quarter - last) / gained if gained > 0 else 0.0
    if still <= _STILL or sign * last > min(sign * value for _, value in values):
        return None
    return Finding(
        "still_falling",
        Severity.WARNING if validated else Severity.NOTE,
        "The training ended too early" if validated else "The training loss fell to the end",
        f"{name} was best at the very end: {first:.4g} at step {values[0][0]:,}, "
        f"{quarter:.4g} a quarter before the end, {last:.4g} at step {values[-1][0]:,}. "
        f"The last quarter brought {still:.0%} of all that was gained."
        + ("" if validated else " What that does for new data, too few validations tell."),
        patient.remedy("Train twice as long.", **longer(patient))
        if validated
        else _validate(patient),
        {"share": still, "first": first, "last": last, "steps": values[-1][0]},
    )


@check("a training loss that does not fall", *TASKS)
def not_learning(patient: Patient) -> Finding | None:
    """A training that has changed nothing."""
    losses = [loss for _, loss in patient.history.losses() if math.isfinite(loss)]
    if len(losses) < _FEWEST_LINES:
        raise NotThere(f"fewer than {_FEWEST_LINES} losses were recorded")
    first, last = losses[0], statistics.fmean(losses[-(len(losses) // 4) :])
    if last < first - _LEVEL * abs(first) or is_above_guesses(patient):
        return None
    return Finding(
        "not_learning",
        Severity.SEVERE,
        "The training loss does not fall",
        f"It was {first:.4g} in the first of {len(losses)} lines, and {last:.4g} in the last "
        f"quarter of them. lr was {patient.settings.training.lr:g}.",
        learn(patient),
        {"first": first, "last": last, "lines": len(losses)},
    )


@check("errors far higher on what was not trained on", *TASKS)
def gap(patient: Patient) -> Finding | None:
    """A training part known by heart."""
    patient.need_sound()
    with patient.still():
        trained = _errors(patient, patient.batches)
        unseen = _errors(patient, patient.held)
    seen, new = _mean(trained), _mean(unseen)
    spread = _deviation(unseen) + _deviation(trained)
    if new <= _GAP * seen or new - seen <= 2 * spread:
        return None
    harmless = _ended_well(patient)
    return Finding(
        "gap",
        Severity.NOTE if harmless else Severity.WARNING,
        "It does much better on what it was trained on",
        f"The error of an answer is {seen:.4g} on {_count(trained):,.0f} answers of the training "
        f"part and {new:.4g} on {_count(unseen):,.0f} others: {_times(new, seen)} (both measured "
        "without dropout)."
        + (" Validations did not get worse while it was trained." if harmless else ""),
        _loosen(patient),
        {"train": seen, "held_out": new},
    )


def _ended_well(patient: Patient) -> bool:
    """Whether validations show that the score was still at its best when the training ended."""
    try:
        history = patient.history
    except NotThere:
        return False
    values = [history.sign * value for _, value in history.monitored()]
    last = values[-max(len(values) // 4, 1) :]
    # in the last quarter, so that one unlucky validation tells nothing
    return len(values) >= 4 and min(last) <= min(values) + _WORSE * abs(min(values))


def _validate(patient: Patient) -> Remedy:
    """Of a training that nothing judged: let something judge it."""
    text = "Let a validation part tell whether more would help."
    if getattr(patient.settings.data, "validation", None) == 0:
        return patient.remedy(text, validation=0.1)
    training = patient.settings.training
    steps = patient.history.steps
    if training.val_every is None or training.val_every > steps // 8 > 0:
        return patient.remedy(text, val_every=max(steps // 8, 1))
    return patient.remedy(text, "The option --validation of ostinato fit names one.")


def _loosen(patient: Patient) -> Remedy:
    model = patient.settings.model
    rate = getattr(model, "output_dropout", None)
    if rate is not None and rate < 0.5:
        text = "Drop more of what the readout hears."
        return patient.remedy(text, output_dropout=round(min(rate + 0.2, 0.5), 2))
    width = max(model.hidden_size // 2, 1)
    return patient.remedy("Give it less room to learn by heart.", hidden_size=width)


def _errors(patient: Patient, batches: Sequence[Any]) -> list[tuple[float, float]]:
    hands: Any = patient.hands
    return [pair for pair in (hands.error(batch) for batch in batches) if pair[1]]


def _count(pairs: Sequence[tuple[float, float]]) -> float:
    return sum(count for _, count in pairs)


def _mean(pairs: Sequence[tuple[float, float]]) -> float:
    return sum(error for error, _ in pairs) / max(_count(pairs), 1)


def _deviation(pairs: Sequence[tuple[float, float]]) -> float:
    """Of the mean over batches."""
    means = [error / count for error, count in pairs]
    return statistics.stdev(means) / math.sqrt(len(means)) if len(means) > 1 else 0.0


def _times(new: float, seen: float) -> str:
    return f"{new / seen:.1f} times as much" if seen > 1e-3 * new else "over 1,000 times as much"


def _smoothed(losses: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Means of eight stretches of the training."""
    if len(losses) < 16:
        return []
    size = len(losses) // 8
    parts = [losses[k : k + size] for k in range(0, size * 8, size)]
    return [(part[-1][0], statistics.fmean(loss for _, loss in part)) for part in parts]
