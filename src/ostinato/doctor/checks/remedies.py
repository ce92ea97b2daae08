"""What several checks tell to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ostinato.doctor.findings import Remedy
from ostinato.doctor.patient import Patient

__all__ = ["learn", "longer"]


def learn(patient: Patient) -> Remedy:
    """Of a model that has learned nothing: another rate, or more time."""
    training, usual = patient.settings.training, type(patient.settings)().training
    if training.lr < usual.lr / 3:
        return patient.remedy("It has learned nothing: take longer steps.", lr=usual.lr)
    if training.lr > usual.lr * 3:
        return patient.remedy("It has learned nothing: take smaller steps.", lr=usual.lr)
    return patient.remedy("It has learned nothing yet: train longer.", **longer(patient))


def longer(patient: Patient) -> dict[str, Any]:
    """The setting that ended the training, doubled."""
    training = patient.settings.training
    done: Mapping[str, Any] = patient.figures.get("training", {})
    limits = {"max_steps": "steps", "max_time": "seconds", "epochs": "epochs"}
    given = {name: value for name in limits if (value := getattr(training, name)) is not None}
    ended = [name for name in given if done.get(limits[name], 0) >= given[name]]
    name = ended[0] if ended else next(iter(given))
    return {name: 2 * given[name]}
