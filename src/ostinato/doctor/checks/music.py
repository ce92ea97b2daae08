"""Ills of music that is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ostinato.doctor.checks.registry import check
from ostinato.doctor.checks.remedies import learn
from ostinato.doctor.findings import Finding, Severity
from ostinato.doctor.patient import Patient

__all__ = ["composed"]

# share of the steps that are as the one before, and how much of what is left the data may have
_HELD, _OVER = 0.95, 0.5
# notes a step over those of the data
_THIN, _DENSE = 0.5, 2.0
_SILENT = 0.02


@check("music that is silent, stands on one chord, or is far too dense or thin", "composer")
def composed(patient: Patient) -> Finding | None:
    """What it writes after some pieces, beside the pieces."""
    patient.need_sound()
    hands: Any = patient.hands
    batches = patient.batches
    with patient.still():
        draws = torch.Generator(patient.device).manual_seed(patient.seed)
        own = hands.composed(batches, draws)
    data = hands.pieces(batches)
    figures: dict[str, Any] = {"pieces": len(own), "steps": sum(map(len, own))}
    for name, measure in (("notes", _notes), ("held", _held)):
        figures[name], figures[f"{name}_of_data"] = measure(own), measure(data)
    found = _ill(figures)
    if found is None:
        return None
    severity, title, told = found
    written = f"{figures['steps']:,} steps that it wrote after {len(own):,} pieces"
    return Finding("composed", severity, title, f"{written} {told}.", learn(patient), figures)


def _ill(told: dict[str, Any]) -> tuple[Severity, str, str] | None:
    notes, usual = told["notes"], told["notes_of_data"]
    density = f"have {notes:.2f} notes a step, the pieces {usual:.2f}"
    if notes <= _SILENT * usual:
        return Severity.SEVERE, "It writes silence", density
    if told["held"] > _HELD and 1 - told["held"] < _OVER * (1 - told["held_of_data"]):
        held = f"are like the step before in {told['held']:.0%}, of the pieces' own "
        return (
            Severity.SEVERE,
            "It stands on one chord",
            f"{held}{told['held_of_data']:.0%} are",
        )
    if notes < _THIN * usual:
        return Severity.WARNING, "Its music is too thin", density
    if notes > _DENSE * usual:
        return Severity.WARNING, "Its music is too dense", density
    return None


def _notes(rolls: Sequence[Tensor]) -> float:
    """Notes a step."""
    return sum(float(roll.sum()) for roll in rolls) / max(sum(map(len, rolls)), 1)


def _held(rolls: Sequence[Tensor]) -> float:
    """The share of the steps that are as the one before."""
    same = sum(int((roll[1:] == roll[:-1]).all(-1).sum()) for roll in rolls)
    return same / max(sum(max(len(roll) - 1, 0) for roll in rolls), 1)
