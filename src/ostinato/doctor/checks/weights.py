"""Ills that the weights alone show."""

from __future__ import annotations

import math

import torch

from ostinato.doctor.checks.registry import check
from ostinato.doctor.findings import Finding, NotAsked, Remedy, Severity
from ostinato.doctor.patient import Patient
from ostinato.training.blocks import Block, blocks_of

__all__ = ["forget_bias", "weights"]

# below this mean, memories fade about as quickly as with a bias of 0
_LOW = 0.3


@check("weights that are infinite or no numbers")
def weights(patient: Patient) -> Finding | None:
    """Weights that are infinite or no numbers."""
    state = patient.module.state_dict()
    bad = {name: int((~part.isfinite()).sum()) for name, part in state.items()}
    bad = {name: count for name, count in bad.items() if count}
    if not bad:
        return None
    total = sum(part.numel() for part in state.values())
    first, count = next(iter(bad.items()))
    training = getattr(patient.settings, "training", None)
    clipped = training is not None and training.clip is not None
    settings = {"lr": training.lr / 10} if clipped and training is not None else {"clip": 1.0}
    return Finding(
        "weights",
        Severity.SEVERE,
        "Weights are no numbers",
        f"{sum(bad.values()):,} of {total:,} weights are infinite or NaN, in {len(bad)} tensor(s): "
        f"{first} has {count:,}.",
        patient.remedy(
            "The training went out of bounds: let it take smaller steps.",
            "Clip each step by ostinato.training.Clipper(1.0)(module.parameters()).",
            **settings,
        ),
        {"weights": sum(bad.values()), "tensors": sorted(bad)},
    )


@check("a forget gate that starts half shut")
def forget_bias(patient: Patient) -> Finding | None:
    """A forget gate whose bias is near 0 or below, so that memories fade from the start.

    Sources of the usual bias of 1: Gers, Schmidhuber, Cummins (2000),
    doi:10.1162/089976600300015015; Jozefowicz, Zaremba, Sutskever (2015).
    """
    found: dict[str, float] = {}
    for name, layer in patient.layers.items():
        for number, value in _forget_biases(blocks_of(layer)).items():
            found[f"{name}.{number}".lstrip(".")] = value
    if not found:
        raise NotAsked("it has no forget gate")
    low = {name: value for name, value in found.items() if value < _LOW}
    if not low:
        return None
    name, value = min(low.items(), key=lambda entry: entry[1])
    kept = 1 / (1 + math.exp(-value))
    return Finding(
        "forget_bias",
        Severity.WARNING,
        "The forget gate's bias is near 0",
        f"In {len(low)} of {len(found)} layer(s) its mean is below {_LOW}: in layer {name} "
        f"{value:.2f}. Unless told otherwise, the gate keeps {kept:.0%} of the memory at a step, "
        f"so half is gone after {math.log(0.5) / math.log(kept):.1f} steps.",
        _open_gate(patient),
        {"mean": found, "kept": kept},
    )


def _forget_biases(blocks: list[Block]) -> dict[int, float]:
    """Layer -> mean bias of its forget gates; two that are added count as one."""
    sums: dict[int, list[torch.Tensor]] = {}
    for block in blocks:
        if block.kind == "bias" and block.gate == "f" and block.role == 1:
            sums.setdefault(block.layer, []).append(block.value.detach().float())
    return {layer: _mean(layer, sums[layer], blocks) for layer in sums}


def _mean(layer: int, parts: list[torch.Tensor], blocks: list[Block]) -> float:
    twice = any(b.second and b.layer == layer and b.kind == "bias" for b in blocks)
    return float(torch.stack([part.mean() for part in parts]).mean()) * (2 if twice else 1)


def _open_gate(patient: Patient) -> Remedy:
    text = "Start the bias at 1, so that the memory lasts until the net has learned what to forget."
    if patient.settings is not None:
        return Remedy(text, {"model.cell_options.forget_bias": 1.0})
    return Remedy(
        text,
        command="Before training: ostinato.initialise(module, forget_bias=1.0)",
    )
