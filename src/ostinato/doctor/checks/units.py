"""Units that do nothing, or stand at the end of their range; inputs of an unfit scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ostinato.doctor.calls import LayerCall
from ostinato.doctor.checks.registry import check
from ostinato.doctor.findings import Finding, NotThere, Remedy, Severity
from ostinato.doctor.patient import Patient
from ostinato.layers.tracing import Part, Trace, trace

__all__ = ["dead_units", "input_scale", "saturated_units"]

# a unit whose deviation is below this share of its layer's largest does not move
_STILL = 1e-4
_MANY_DEAD, _MOST_DEAD = 0.1, 0.5
# how near to an end counts as at it, as a share of the range
_END = 0.01
_MANY_AT_END, _MOST_AT_END = 0.8, 0.95
_FEWEST = 32
_LARGE, _SMALL = 10.0, 1e-3
# functions with two ends
_ENDS = {
    "sigmoid": (0.0, 1.0),
    "special_expit": (0.0, 1.0),
    "hardsigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "hardtanh": (-1.0, 1.0),
}
# gates that keep the old state: open for long is what they are for
_KEEPERS = frozenset({"f", "z"})


@dataclass(frozen=True)
class _Seen:
    """Values of one name at all valid steps, [N, units]."""

    layer: str
    name: str
    kind: str
    function: str
    values: NDArray[np.float64]


@check("units that never move")
def dead_units(patient: Patient) -> Finding | None:
    """Units whose state is the same at every step of every row."""
    layers: dict[str, tuple[int, int]] = {}
    for seen in _seen(patient):
        if seen.kind != "state":
            continue
        deviation = seen.values.std(axis=0)
        dead = int((deviation <= _STILL * max(float(deviation.max()), 1e-6)).sum())
        before = layers.get(seen.layer, (0, 0))
        layers[seen.layer] = max(before, (dead, len(deviation)), key=lambda pair: pair[0])
    dead = sum(pair[0] for pair in layers.values())
    units = sum(pair[1] for pair in layers.values())
    name, worst = max(layers.items(), key=lambda entry: entry[1][0] / max(entry[1][1], 1))
    share = worst[0] / max(worst[1], 1)
    if share <= _MANY_DEAD:
        return None
    return Finding(
        "dead_units",
        Severity.SEVERE if share > _MOST_DEAD else Severity.WARNING,
        "Units are dead",
        f"{dead:,} of {units:,} units never change, over all steps and rows of a batch; in layer "
        f"{name} {worst[0]:,} of {worst[1]:,}.",
        _revive(patient, worst[1] - worst[0]),
        {"dead": dead, "units": units, "layer": name, "share": share},
    )


@check("units and gates that stand at an end of their range")
def saturated_units(patient: Patient) -> Finding | None:
    """Sigmoids and hyperbolic tangents through which no gradient comes.

    A gate that keeps the old state (f of an LSTM, z of a GRU) may be open at all times.
    """
    shares: dict[str, float] = {}
    for seen in _seen(patient):
        ends = _ENDS.get(seen.function)
        if ends is not None:
            shares[f"{seen.layer}.{seen.name}".lstrip(".")] = _at_end(seen, ends)
    if not shares:
        raise NotThere("it has no activation with ends")
    name, share = max(shares.items(), key=lambda entry: entry[1])
    if share <= _MANY_AT_END:
        return None
    rest = sorted(shares.items(), key=lambda entry: -entry[1])[1:4]
    told = ", ".join(f"{other} {each:.0%}" for other, each in rest)
    return Finding(
        "saturated_units",
        Severity.SEVERE if share > _MOST_AT_END else Severity.WARNING,
        "Units are saturated",
        f"{share:.0%} of the values of {name} lie within {_END:.0%} of an end of their range, "
        f"where nearly no gradient comes through{f' ({told})' if told else ''}.",
        _calm(patient),
        {"share": shares},
    )


@check("inputs of an unfit scale")
def input_scale(patient: Patient) -> Finding | None:
    """Numbers so large that they saturate every gate, or so small that they are not heard."""
    scales: dict[str, float] = {}
    for walked in patient.walked:
        call = walked.call
        if call.x.is_floating_point():
            inside = _valid(call)
            values = call.time_first(call.x.detach())[inside]
            scales.setdefault(call.name, float(values.float().square().mean().sqrt()))
    if not scales:
        raise NotThere("its layers read tokens, not numbers")
    name, scale = max(scales.items(), key=lambda entry: abs(np.log10(max(entry[1], 1e-30))))
    if _SMALL < scale < _LARGE:
        return None
    return Finding(
        "input_scale",
        Severity.WARNING,
        "Inputs are too large" if scale >= _LARGE else "Inputs are too small",
        f"What the layer {name or 'itself'} reads has a root mean square of {scale:.3g}; gates and "
        "first weights are made for about 1.",
        _standardise(patient, scale),
        {"scale": scales},
    )


def _seen(patient: Patient) -> Sequence[_Seen]:
    """All named values of all layers, in the first batch, measured once.

    Raises:
        NotThere: there is too little to see.
    """
    if "values" not in patient.measured:
        patient.measured["values"] = [
            seen for walked in patient.walked for seen in _looked(patient, walked.call)
        ]
    found: Sequence[_Seen] = patient.measured["values"]
    if not found:
        raise NotThere("no layer's steps could be looked into")
    if max(len(seen.values) for seen in found) < _FEWEST:
        raise NotThere(f"fewer than {_FEWEST} steps are in a batch")
    return found


def _looked(patient: Patient, call: LayerCall) -> list[_Seen]:
    inputs = [part.detach() if isinstance(part, Tensor) else part for part in call.inputs]
    with patient.still():
        try:
            found = trace(call.layer, *inputs, **call.keywords)
        except ValueError:
            # a subclass of torch's layers, whose steps nobody knows
            return []
    return [_values(found, part, call.name) for part in found.parts if part.kind != "pre"]


def _values(found: Trace, part: Part, module: str) -> _Seen:
    lengths = found.layer(part.layer).lengths
    inside = np.arange(len(part.values))[:, None] < lengths
    name = ".".join(each for each in (module, part.layer) if each)
    values = part.values[inside].astype(np.float64)
    return _Seen(name, part.name, part.kind, part.function, values)


def _at_end(seen: _Seen, ends: tuple[float, float]) -> float:
    low, high = ends
    near = _END * (high - low)
    at_low, at_high = seen.values <= low + near, seen.values >= high - near
    if seen.name in _KEEPERS:
        return float(at_low.mean())
    return float((at_low | at_high).mean())


def _valid(call: LayerCall) -> Tensor:
    T, B = call.time_first(call.y).shape[:2]
    if call.lengths is None:
        return torch.ones(T, B, dtype=torch.bool)
    return torch.arange(T)[:, None] < call.lengths


def _revive(patient: Patient, alive: int) -> Remedy:
    options = getattr(getattr(patient.settings, "model", None), "cell_options", {})
    if options.get("activation") == "relu":
        text = "Rectified units that are never above 0 learn no more: take another activation."
        return Remedy(text, {"model.cell_options.activation": "tanh"})
    if patient.settings is not None:
        rate = patient.settings.training.lr
        text = "Units often die of steps that are too large: take smaller ones."
        return patient.remedy(text, lr=rate / 3)
    text = f"Start them anew, with a smaller learning rate, or do with {max(alive, 1)} units."
    start = 'ostinato.initialise(module, "orthogonal", input="glorot")'
    return Remedy(text, command=f"Before training: {start}")


def _calm(patient: Patient) -> Remedy:
    if patient.settings is not None:
        text = "Large weights saturate: hold them down."
        decay = patient.settings.training.weight_decay
        return patient.remedy(text, weight_decay=max(decay * 10, 0.01))
    start = 'ostinato.initialise(module, "orthogonal", input="glorot")'
    text = "Start with smaller weights, and scale the inputs to about 1."
    return Remedy(text, command=f"Before training: {start}")


def _standardise(patient: Patient, scale: float) -> Remedy:
    text = "Standardise what is read: subtract its mean, and divide by its deviation."
    if patient.task == "classifier" and not patient.settings.data.scale:
        return patient.remedy(text, scale=True)
    if patient.task == "forecaster" and patient.settings.data.scale == "off":
        return patient.remedy(text, scale="series")
    start = f"ostinato.initialise(module, input_gain={1 / scale:.2g}, "
    return Remedy(text, command=f'Or else, before training: {start}input="uniform")')
