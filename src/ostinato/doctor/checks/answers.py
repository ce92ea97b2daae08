"""Ills that show in the answers."""

from __future__ import annotations

from typing import Any

import torch

from ostinato.doctor.checks.registry import check
from ostinato.doctor.findings import Finding, Severity
from ostinato.doctor.patient import Patient

__all__ = ["copies_last", "one_answer"]

# share of the answers that are the same, and of the right ones that may be so at most
_SAME, _MOST = 0.95, 0.8
# times as frequent as it were if all labels were alike
_FREQUENT = 1.1
# how far forecasts are from the last value, over how far the outcomes are
_NEAR = 0.05
# errors this near to those of the last value, or above, say the same
_AS_GOOD = 0.98


@check("one answer to everything", "tagger", "classifier")
def one_answer(patient: Patient) -> Finding | None:
    """A model that says the same label of nearly all."""
    patient.need_sound()
    hands: Any = patient.hands
    batches = patient.batches
    with patient.still():
        told = [hands.answers(batch) for batch in batches]
    right = torch.cat([pair[0] for pair in told])
    given = torch.cat([pair[1] for pair in told])
    names = told[0][2]
    counts = torch.bincount(given, minlength=len(names))
    label = int(counts.argmax())
    share = float(counts[label]) / max(len(given), 1)
    truly = float((right == label).float().mean())
    if share < _SAME or truly > _MOST:
        return None
    name = names[label]
    model = patient.settings.model
    equal = getattr(model, "class_weights", None) == "equal"
    # a label that is not frequent is not said for being so
    balanced = equal and truly > _FREQUENT / len(names)
    settings = (
        {"class_weights": "balanced"} if balanced else {"lr": patient.settings.training.lr / 3}
    )
    return Finding(
        "one_answer",
        Severity.SEVERE,
        "It gives one answer to everything",
        f"{share:.0%} of its answers to {len(given):,} questions are {name!r}, which is right for "
        f"{truly:.0%} of them.",
        patient.remedy(
            "Let rare labels weigh as much as frequent ones."
            if balanced
            else "A step that was too large may have thrown it there: take smaller ones.",
            **settings,
        ),
        {"label": name, "share": share, "right": truly},
    )


@check("forecasts that copy the last value", "forecaster")
def copies_last(patient: Patient) -> Finding | None:
    """A forecaster that says what it saw last."""
    patient.need_sound()
    hands: Any = patient.hands
    batches = patient.batches
    with patient.still():
        found = hands.copied(batches)
    if found.naive <= 0 or found.moved > _NEAR * found.naive:
        return None
    ratio = found.missed / found.naive
    useless = ratio >= _AS_GOOD
    model = patient.settings.model
    settings: dict[str, Any] = {"epochs": (patient.settings.training.epochs or 10) * 2}
    text = "If there is a season, forecast relative to it."
    if model.level != "season":
        settings = {"level": "season"}
    else:
        text = "Train longer."
    return Finding(
        "copies_last",
        Severity.SEVERE if useless else Severity.WARNING,
        "Forecasts copy the last value",
        f"The mean square of forecast minus last value is {found.moved:.3g}, that of outcome minus "
        f"last value {found.naive:.3g}: {found.moved / found.naive:.1%}. The squared error is "
        f"{ratio:.0%} of that of the last value. (Of a random walk, nothing better can be said.)",
        patient.remedy(text, **settings),
        {"moved": found.moved, "naive": found.naive, "error": found.missed},
    )
