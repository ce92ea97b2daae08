"""Ills of how an answer is written: where it looks, what it hears, how it goes on by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ostinato.doctor.checks.registry import check
from ostinato.doctor.checks.remedies import learn
from ostinato.doctor.checks.texts import unseen
from ostinato.doctor.findings import Finding, NotThere, Remedy, Severity
from ostinato.doctor.patient import Patient

__all__ = ["attention", "free_running", "source"]

# share of the most even weights' entropy, above which attention looks nowhere
_EVEN = 0.95
# share of a line's steps that look at one place, and of the lines that do so
_STEADY, _MANY_STEADY = 0.95, 0.8
# shorter lines have no room to look around
_FEWEST_STEPS = 4
# share of the error that another row's input must add
_HEARD = 0.02
# correlation of the lengths of both sides, below which lines may not belong together
_ALIKE, _FEWEST_LINES = 0.2, 30
# tokens found by itself over those found reading the truth
_KEPT = 0.6
# nats of its own steps over those of the data
_DRIFTS, _STUCK = 1.25, 0.4
# nats by which they differ at least
_FELT = 0.1


@check("attention that is spread evenly, or never moves", "translator")
def attention(patient: Patient) -> Finding | None:
    """A translator that looks everywhere at once, or always at one place."""
    patient.need_sound()
    hands: Any = patient.hands
    with patient.still():
        found = [_looked(*hands.attention(batch)) for batch in patient.batches]
    even = np.concatenate([one[0] for one in found])
    steady = np.concatenate([one[1] for one in found])
    if not len(even):
        raise NotThere(f"no line of the batches has {_FEWEST_STEPS} tokens on each side")
    evenness, still = float(even.mean()), float((steady >= _STEADY).mean())
    figures = {"evenness": evenness, "steady": still, "lines": len(even)}
    if evenness > _EVEN:
        return Finding(
            "attention",
            Severity.WARNING,
            "Attention looks nowhere",
            f"Over {len(even):,} lines, its weights are as even as {evenness:.1%} of what the most "
            "even ones were (by their entropy): each step reads the mean of the whole source.",
            _attend(patient),
            figures,
        )
    if still <= _MANY_STEADY:
        return None
    return Finding(
        "attention",
        Severity.WARNING,
        "Attention never moves",
        f"In {still:.0%} of {len(even):,} lines, one place of the source has the most weight at "
        f"{_STEADY:.0%} of the steps or more.",
        _attend(patient),
        figures,
    )


@check("an input that is not listened to", "translator", "captioner")
def source(patient: Patient) -> Finding | None:
    """A text that is as probable for another row's input: nothing of the input reaches it."""
    patient.need_sound()
    hands: Any = patient.hands
    batches = patient.batches
    with patient.still():
        own = [hands.error(batch) for batch in batches]
        other = [hands.error(hands.others(batch)) for batch in batches]
    right, wrong = (sum(e for e, _ in part) / sum(n for _, n in part) for part in (own, other))
    if wrong - right > _HEARD * right:
        return None
    alike = _alike(batches)
    apart = alike is not None and alike < _ALIKE
    told = "" if alike is None else f" Lengths of both sides have a correlation of {alike:.2f}."
    return Finding(
        "source",
        Severity.SEVERE,
        "It does not listen to its input",
        f"A token costs {right:.4g} nats where the input is its own, and {wrong:.4g} where it is "
        f"another row's.{told}",
        Remedy(
            "See that line k of one file belongs to line k of the other, and mend the files:",
            command="paste SOURCE TARGET | head",
        )
        if apart
        else learn(patient),
        {"right": right, "wrong": wrong, "lengths": alike},
    )


@check(
    "a network that drifts away when it goes on by itself",
    "language_model",
    "translator",
    "captioner",
    "composer",
)
def free_running(patient: Patient) -> Finding | None:
    """A network that does far worse where it reads what it said itself, not the truth.

    In training it reads the truth before each step. Texts for an input are compared with the true
    ones, token by token. What goes on for ever is judged by how it surprises the network: where the
    network is right, as much as the data do; Braverman, Chen, Kakade, Narasimhan, Zhang and Zhang
    (2019, "Calibration, Entropy Rates, and Memory in Language Models") measure how it rises.
    """
    patient.need_sound()
    batches = unseen(patient)
    with patient.still():
        if patient.task in ("translator", "captioner"):
            return _apart(patient, batches)
        return _drifting(patient, batches)


def _apart(patient: Patient, batches: Sequence[Any]) -> Finding | None:
    """Tokens that are found: reading the true ones before each, and by itself."""
    hands: Any = patient.hands
    pairs = [hands.guessed(batch) for batch in batches]
    texts = hands.written(batches)
    tokens = sum(max(len(one.given), len(one.right)) for one in texts)
    if not tokens or not sum(right for right, _ in pairs):
        raise NotThere("it finds no token of its texts")
    forced = sum(right for right, _ in pairs) / sum(count for _, count in pairs)
    both = sum((Counter(one.given) & Counter(one.right)).total() for one in texts)
    free = both / tokens
    if free >= _KEPT * forced:
        return None
    return Finding(
        "free_running",
        Severity.WARNING,
        "On its own, it drifts away",
        f"It finds {forced:.0%} of the tokens where it reads the true ones before them. Of the "
        f"{tokens:,} tokens of {len(texts):,} texts that it wrote by itself, {free:.0%} are those "
        "of the true ones, in any order.",
        _by_itself(patient, drifts=True),
        {"forced": forced, "free": free, "texts": len(texts)},
    )


def _drifting(patient: Patient, batches: Sequence[Any]) -> Finding | None:
    """Nats of the data, the true ones read before each step, and of its own steps."""
    hands: Any = patient.hands
    told = [hands.error(batch) for batch in batches]
    draws = torch.Generator(patient.device).manual_seed(patient.seed)
    total, steps = hands.own(batches, draws)
    true = sum(error for error, _ in told) / max(sum(count for _, count in told), 1)
    own = total / max(steps, 1)
    if not steps or true <= 0:
        raise NotThere("nothing is written by itself")
    ratio = own / true
    if _STUCK <= ratio <= _DRIFTS or abs(own - true) < _FELT:
        return None
    drifts = ratio > _DRIFTS
    return Finding(
        "free_running",
        Severity.WARNING,
        "On its own, it drifts away" if drifts else "On its own, it repeats itself",
        f"A step of the data costs {true:.4g} nats, the true ones read before it; one of {steps:,} "
        f"of its own steps {own:.4g}, its own read before it: {ratio:.2f} times as much.",
        _by_itself(patient, drifts),
        {"true": true, "own": own, "steps": steps},
    )


def _looked(weights: Any, said: Any, read: Any) -> tuple[Any, Any]:
    """Of each line with room to look around: how even its weights are, and how steady, 0..1."""
    T, S = said.sum(0), read.sum(0)
    rooms = (T >= _FEWEST_STEPS) & (S >= _FEWEST_STEPS)
    inside = weights.float().masked_fill(~read.transpose(0, 1)[None], 0.0)
    entropy = -(inside * inside.clamp(min=1e-12).log()).sum(-1)
    even = (entropy * said).sum(0) / T.clamp(min=1) / S.clamp(min=2).log()
    places = torch.nn.functional.one_hot(inside.argmax(-1), inside.shape[-1]) * said[..., None]
    steady = places.sum(0).amax(-1) / T.clamp(min=1)
    return even[rooms].double().cpu().numpy(), steady[rooms].double().cpu().numpy()


def _alike(batches: Sequence[Any]) -> float | None:
    """The correlation of the lengths of both sides, where both are texts; None: too few tell."""
    if not hasattr(batches[0], "source_lengths"):
        return None
    left, right = (
        torch.cat([getattr(one, side).cpu() for one in batches]).double()
        for side in ("source_lengths", "lengths")
    )
    if len(left) < _FEWEST_LINES or not float(left.std()) * float(right.std()):
        return None
    return float(torch.corrcoef(torch.stack([left, right]))[0, 1])


def _attend(patient: Patient) -> Remedy:
    model = patient.settings.model
    if model.attention != "additive":
        return patient.remedy(
            "Score by a layer of its own, which learns at any scale.", attention="additive"
        )
    return learn(patient)


def _by_itself(patient: Patient, drifts: bool) -> Remedy:
    if not drifts:
        rate = getattr(patient.settings.model, "output_dropout", None)
        if rate is not None and rate < 0.5:
            return patient.remedy(
                "It is too sure of what it knows by heart: drop more of what the readout hears.",
                output_dropout=round(min(rate + 0.2, 0.5), 2),
            )
        return learn(patient)
    if patient.task == "translator" and patient.settings.model.sampling is None:
        return patient.remedy(
            "Let it read guesses of its own in training, too.",
            sampling="linear",
            sampling_floor=0.5,
        )
    rate = getattr(patient.settings.model, "input_dropout", None)
    if rate is not None and rate < 0.5:
        return patient.remedy(
            "Drop some of what it reads, so that it learns to go on from what is not quite right.",
            input_dropout=round(min(rate + 0.1, 0.5), 2),
        )
    if patient.task == "language_model":
        length = 2 * patient.settings.data.chunk_length
        return patient.remedy("Let gradients go back further.", chunk_length=length)
    return learn(patient)
