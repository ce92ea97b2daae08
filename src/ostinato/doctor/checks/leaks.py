"""Targets that stand in the inputs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ostinato.doctor.calls import tensors_of
from ostinato.doctor.checks.registry import check
from ostinato.doctor.findings import Finding, NotThere, Remedy, Severity
from ostinato.doctor.patient import Patient
from ostinato.doctor.plain import PlainBatch, PlainPatient, disturbed

__all__ = ["leak"]

# steps ahead at which a target is looked for among the inputs
_AHEAD = 3
_ROUNDING = 1e-4


@check(
    "targets that leak into the inputs",
    None,
    "language_model",
    "tagger",
    "classifier",
    "forecaster",
)
def leak(patient: Patient) -> Finding | None:
    """Inputs that tell the answer."""
    patient.need_sound()
    if isinstance(patient, PlainPatient):
        return _ahead(patient)
    hands: Any = patient.hands
    batches = patient.batches
    with patient.still():
        clue = hands.clue(batches)
    if clue is None:
        return None
    return Finding(
        "leak",
        Severity.SEVERE if clue.severe else Severity.WARNING,
        f"The answer stands in the input: {clue.where}",
        clue.told,
        patient.remedy(clue.remedy, **clue.settings),
        clue.figures,
    )


def _ahead(patient: PlainPatient) -> Finding | None:
    """Targets that are inputs of the same or of a later step, which the network can see."""
    batch: PlainBatch = patient.batches[0]
    axis = patient.time_axis
    shift = _shift(batch, axis)
    if shift is None:
        return None
    with patient.still():
        if not _hears(patient, batch, axis, shift):
            return None
    count = tensors_of(batch.targets)[0].numel()
    where = "at the same step" if shift == 0 else f"{shift} step(s) later"
    remedy = (
        "Shift the targets: what is to be said at step t must come after what is read at step t."
        if shift == 0
        else "Read in one direction only: bidirectional=False where the layer is made."
    )
    return Finding(
        "leak",
        Severity.SEVERE,
        "The answer stands in the input",
        f"All {count:,} targets are the inputs {where}, as far as these reach, and "
        "another input there changes what the network says at the step before it."
        if shift
        else f"All {count:,} targets are the inputs at the same step, and another "
        "input there changes what the network says.",
        Remedy(remedy),
        {"shift": shift},
    )


def _shift(batch: PlainBatch, axis: int) -> int | None:
    """How many steps after its own the target of a step is read; None: nowhere near."""
    x, targets = batch.x, batch.targets
    if not isinstance(targets, Tensor) or targets.dim() < 2:
        raise NotThere("there are no targets for each step")
    if targets.dim() == x.dim() - 1 and x.shape[-1] == 1:
        targets = targets.unsqueeze(-1)
    if targets.shape != x.shape:
        raise NotThere("inputs and targets are of different kinds")
    x, targets = x.transpose(0, axis), targets.transpose(0, axis)
    steps = len(x)
    for shift in range(min(_AHEAD, steps - 1) + 1):
        read, asked = x[shift:], targets[: steps - shift]
        if torch.equal(read.to(asked.dtype), asked) and bool((asked != asked[:1]).any()):
            return shift
    return None


def _hears(patient: PlainPatient, batch: PlainBatch, axis: int, shift: int) -> bool:
    """Whether the input `shift` steps after a step in the middle changes what is said there."""
    step = (batch.x.shape[axis] - shift) // 2
    x = batch.x.clone()
    x.select(axis, step + shift).copy_(disturbed(batch.x).select(axis, step + shift))
    before, after = patient.outputs(batch), patient.outputs(batch.replaced(x))
    if before.dim() < 2 or before.shape[axis] != batch.x.shape[axis]:
        raise NotThere("the outputs have no axis of time")
    change = (before - after).select(axis, step).abs().max()
    return float(change) > _ROUNDING * max(float(before.abs().max()), 1e-6)
