"""Ills that show when the network is asked twice, with a change that must not matter."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from ostinato.doctor.checks.registry import check
from ostinato.doctor.findings import Finding, NotThere, Remedy, Severity
from ostinato.doctor.patient import Patient
from ostinato.tasks.registry import TASKS

__all__ = ["batch_axis", "carried_state", "padding"]

# changes above this share of the outputs' own scale are no rounding
_ROUNDING = 1e-4


@check("padding that is heard", None, "tagger", "classifier", "translator", "composer")
def padding(patient: Patient) -> Finding | None:
    """Outputs or losses that change with what stands behind the end of a row."""
    patient.need_sound()
    batch, other, share = _repadded(patient)
    with patient.still():
        before, after = float(patient.loss(batch)), float(patient.loss(other))
    if abs(after - before) <= _ROUNDING * max(abs(before), 1e-3):
        return None
    return Finding(
        "padding",
        Severity.SEVERE,
        "Padding leaks into the result",
        f"{share:.0%} of the steps of a batch are padding. With other values there, the loss of "
        f"the same rows went from {before:.4g} to {after:.4g}.",
        _mask(patient),
        {"before": before, "after": after, "padding": share},
    )


@check("rows of a batch that influence each other", None, *TASKS)
def batch_axis(patient: Patient) -> Finding | None:
    """A swapped batch axis, or a layer that mixes rows: one row's input changes others' outputs."""
    patient.need_sound()
    with patient.still():
        before, after, row, axis = _row_changed(patient)
    others = [k for k in range(before.shape[axis]) if k != row]
    index = torch.tensor(others, device=before.device)
    change = (before - after).index_select(axis, index).abs()
    felt = change.transpose(0, axis).flatten(1).amax(dim=1)
    scale = max(float(before.abs().max()), 1e-6)
    touched = int((felt > _ROUNDING * scale).sum())
    if not touched:
        return None
    return Finding(
        "batch_axis",
        Severity.SEVERE,
        "Rows of a batch influence each other",
        f"Another input in row {row} alone changed the outputs of {touched} of the {len(others)} "
        f"other rows, by up to {float(felt.max()):.3g} (outputs reach {scale:.3g})."
        + _read(patient),
        _turn(patient),
        {"row": row, "touched": touched, "change": float(felt.max()), "scale": scale},
    )


@check("state that is carried where a new row begins", None, "language_model")
def carried_state(patient: Patient) -> Finding | None:
    """A document that hears the one before it, or a batch that hears the one before it."""
    patient.need_sound()
    if patient.task is None:
        return _between_calls(patient)
    return _between_documents(patient)


def _between_documents(patient: Patient) -> Finding | None:
    from ostinato.doctor.hands.language import without_past

    hands: Any = patient.hands
    for batch in patient.batches:
        try:
            other, asked = without_past(batch, hands.model)
        except NotThere:
            continue
        with patient.still():
            before, after = patient.outputs(batch), patient.outputs(other)
        change = float((before - after).abs()[asked].max())
        scale = max(float(before.abs().max()), 1e-6)
        if change <= _ROUNDING * scale:
            return None
        return Finding(
            "carried_state",
            Severity.SEVERE,
            "State is carried over the end of a document",
            f"Other tokens before the end of a document changed the scores in the next one by up "
            f"to {change:.3g} (scores reach {scale:.3g}).",
            Remedy(
                "Let the network hand reset on to its layers, as the task's own network does.",
                command="layer(x, state, reset=reset)",
            ),
            {"change": change, "scale": scale},
        )
    raise NotThere("no document ends within the batches")


def _between_calls(patient: Patient) -> Finding | None:
    batch = patient.batches[0]
    with patient.still():
        first = patient.outputs(batch).clone()
    with patient.still():
        second = patient.outputs(batch)
    if first.shape != second.shape:
        raise NotThere("two calls on the same batch differ in shape")
    change = float((first - second).abs().max()) if first.numel() else 0.0
    scale = max(float(first.abs().max()), 1e-6)
    if change <= _ROUNDING * scale:
        return None
    return Finding(
        "carried_state",
        Severity.SEVERE,
        "State is carried from one batch to the next",
        "The same batch, given twice in evaluation mode under the same seed, brought outputs that "
        f"differ by up to {change:.3g} (they reach {scale:.3g}).",
        Remedy(
            "Unless the second batch goes on where the first ended, start from no state; where it "
            "does, say so for each row:",
            command="layer(x, state, reset=reset) of ostinato.LSTM, GRU and RNN.",
        ),
        {"change": change, "scale": scale},
    )


def _repadded(patient: Patient) -> tuple[Any, Any, float]:
    for batch in patient.batches[:-1]:
        with suppress(NotThere):
            return (batch, *patient.other_padding(batch))
    last = patient.batches[-1]
    return (last, *patient.other_padding(last))


def _row_changed(patient: Patient) -> tuple[Tensor, Tensor, int, int]:
    batch = patient.batches[0]
    axis = patient.row_axis
    before = patient.outputs(batch)
    if before.shape[axis] < 2:
        raise NotThere("the batches have one row only")
    disturbed_row: Any = getattr(patient, "disturbed_row", None)
    if disturbed_row is not None:
        row = before.shape[axis] // 2
        with disturbed_row(row):
            return before, patient.outputs(batch), row, axis
    found = patient.other_row(batch)
    if found is None:
        raise NotThere("the batch has one row only")
    other, row = found
    return before, patient.outputs(other), row, axis


def _read(patient: Patient) -> str:
    if patient.task is not None:
        return ""
    told = []
    for name, layer in patient.layers.items():
        first = "rows" if getattr(layer, "batch_first", False) else "time"
        told.append(f"{name or 'itself'} ({type(layer).__name__}) takes the first axis for {first}")
    return f" {'; '.join(told)}."


def _turn(patient: Patient) -> Remedy:
    if patient.task is not None:
        return Remedy(
            "The cell mixes rows (a mean or a norm over the batch?): let it work on each row alone,"
            " and take ostinato's layer norm where a norm is wanted.",
            {"model.cell": "lstm", "model.cell_options.layer_norm": True},
        )
    told = [getattr(layer, "batch_first", False) for layer in patient.layers.values()]
    wanted = not any(told)
    return Remedy(
        "If rows lie along another axis than the layers think, say so; else look for what works "
        "over the whole batch.",
        command=f"batch_first={wanted} where the layer is made.",
    )


def _mask(patient: Patient) -> Remedy:
    if patient.task is not None:
        return Remedy(
            "Let the network hand lengths on to every layer and pooling, as the task's own does.",
            command="layer(x, lengths=lengths)",
        )
    return Remedy(
        "Hand lengths on to the layers (ostinato.LSTM, GRU and RNN take them), and mask the loss.",
        command="layer(x, lengths=lengths); ostinato.accelerate(module) turns torch's layers into "
        "ours.",
    )
