"""Ills that show in what was recorded while training."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise

from ostinato.doctor.checks.registry import check
from ostinato.doctor.findings import Finding, NotThere, Severity
from ostinato.doctor.patient import Patient
from ostinato.tasks.registry import TASKS

__all__ = ["clip_rate", "gradient_spikes", "loss_spikes", "metrics", "unfinished", "warmup"]

# share of the steps that are clipped, above which the limit sets the length of every step
_MOST_CLIPPED = 0.5
# the usual gradient over the limit, from which it is cut to a small part
_FAR = 3.0
# largest gradient norm over the median, without a limit
_SPIKE = 20.0
# a jump of the loss in units of its usual changes, and as a share of all that was gained
_JUMP, _SHARE = 8.0, 0.1
_FEWEST_LINES = 8


@check("losses or scores that are no numbers", *TASKS)
def metrics(patient: Patient) -> Finding | None:
    """Recorded values that are infinite or NaN."""
    history = patient.history
    bad: dict[str, list[int]] = {}
    for line in [*history.training, *history.validation]:
        for name, value in line.items():
            if isinstance(value, float) and not math.isfinite(value):
                bad.setdefault(name, []).append(int(line["step"]))
    if not bad:
        return None
    name, steps = min(bad.items(), key=lambda entry: entry[1][0])
    rate = patient.settings.training.lr
    return Finding(
        "metrics",
        Severity.SEVERE,
        "Recorded values are no numbers",
        f"{name} is infinite or NaN in {len(steps)} line(s), first at step {steps[0]:,}; so are "
        f"{len(bad) - 1} other value(s).",
        patient.remedy("Take smaller steps.", lr=rate / 10),
        {"first_step": steps[0], "names": sorted(bad)},
    )


@check("a training that is under way, or was stopped", *TASKS)
def unfinished(patient: Patient) -> Finding | None:
    """A run whose training has not come to its end."""
    history = patient.history
    training = patient.figures.get("training")
    if training is not None and training.get("stopped") != "interrupted":
        return None
    why = "was stopped" if training is not None else "goes on, or was killed"
    return Finding(
        "unfinished",
        Severity.NOTE,
        "The training has not come to its end",
        f"It {why}; the last line was written at step {history.steps:,}. What is said here is of "
        "the weights that were saved last.",
        patient.remedy(
            "Let it end, or go on with it:",
            "the ostinato fit command it was begun with, and --resume.",
        ),
        {"step": history.steps},
    )


@check("most steps being clipped", *TASKS)
def clip_rate(patient: Patient) -> Finding | None:
    """Clipping that cuts most steps, and so sets their length in place of the learning rate.

    Of Adam, whose steps do not grow with the gradient (Kingma and Ba 2015, arXiv:1412.6980, section
    2.1), far larger gradients than the limit alone are told of: large and small ones weigh alike.
    """
    history = patient.history
    training = patient.settings.training
    if training.clip is None or training.first_order() is not training:
        raise NotThere("nothing was clipped")
    shares = _after_start(history.column("clipped"))
    norms = _after_start(history.column("grad_norm"))
    if not shares:
        raise NotThere("no share of clipped steps was recorded")
    share = statistics.fmean(shares)
    if share <= _MOST_CLIPPED:
        return None
    middle = statistics.median(norms)
    far = middle > _FAR * training.clip
    adaptive = training.optimizer in ("adam", "adamw")
    if adaptive and not far:
        return None
    limit = _rounded(_quantile(norms, 0.9))
    if training.clip_by == "value" or limit <= training.clip:
        limit = training.clip * 4
    return Finding(
        "clip_rate",
        Severity.WARNING if far and not adaptive else Severity.NOTE,
        "Most steps are clipped",
        f"{share:.0%} of the gradients after the first tenth of the steps were cut to "
        f"clip={training.clip:g}: "
        + (
            f"large and small ones weigh alike in the means of {training.optimizer}"
            if adaptive
            else "it sets the length of most steps"
        )
        + f". Half of the recorded gradient norms are above {middle:.3g}, a tenth above "
        f"{_quantile(norms, 0.9):.3g}.",
        patient.remedy("Cut only what is out of the ordinary.", clip=limit),
        {"share": share, "median_norm": middle, "clip": training.clip},
    )


@check("gradients that jump while nothing clips them", *TASKS)
def gradient_spikes(patient: Patient) -> Finding | None:
    """Norms far above the usual ones, in a training without clipping."""
    norms = patient.history.column("grad_norm")
    if patient.settings.training.clip is not None:
        raise NotThere("gradients were clipped")
    if len(norms) < _FEWEST_LINES:
        raise NotThere(f"fewer than {_FEWEST_LINES} gradient norms were recorded")
    middle, most = statistics.median(norms), max(norms)
    if most <= _SPIKE * max(middle, 1e-12):
        return None
    return Finding(
        "gradient_spikes",
        Severity.WARNING,
        "Gradients jump, and nothing clips them",
        f"The largest of {len(norms)} recorded gradient norms is {most:.3g}, {most / middle:.0f} "
        f"times the median of {middle:.3g}.",
        patient.remedy("Clip them.", clip=_rounded(2 * middle)),
        {"largest": most, "median": middle},
    )


@check("a learning rate so high that the loss jumps", *TASKS)
def loss_spikes(patient: Patient) -> Finding | None:
    """Jumps of the training loss, or a loss that ends above where it began."""
    losses = [loss for _, loss in patient.history.losses() if math.isfinite(loss)]
    steps = [step for step, loss in patient.history.losses() if math.isfinite(loss)]
    if len(losses) < _FEWEST_LINES:
        raise NotThere(f"fewer than {_FEWEST_LINES} losses were recorded")
    jumps = _jumps(losses)
    end = statistics.median(losses[-3:])
    grown = end > losses[0] + 0.05 * abs(losses[0])
    if not jumps and not grown:
        return None
    told = f"The training loss ended at {end:.4g}, above its first line, {losses[0]:.4g}."
    if jumps:
        worst = max(jumps, key=lambda k: losses[k] - losses[k - 1])
        told = (
            f"The training loss jumped {len(jumps)} time(s), most at step {steps[worst]:,}: from "
            f"{losses[worst - 1]:.4g} to {losses[worst]:.4g}; it ended at {end:.4g}."
        )
    rate = patient.settings.training.lr
    return Finding(
        "loss_spikes",
        Severity.SEVERE if grown else Severity.WARNING,
        "The learning rate is too high",
        f"{told} lr was {rate:g}.",
        patient.remedy("Take smaller steps.", lr=rate / 3),
        {"jumps": [steps[k] for k in jumps], "first": losses[0], "last": end, "lr": rate},
    )


@check("a warm-up longer than the training", *TASKS)
def warmup(patient: Patient) -> Finding | None:
    """A learning rate that never reached its height."""
    steps = patient.figures.get("training", {}).get("steps") or patient.history.steps
    training = patient.settings.training
    if not training.warmup_steps or steps >= 2 * training.warmup_steps:
        return None
    rates = patient.history.column("lr")
    return Finding(
        "warmup",
        Severity.WARNING,
        "The warm-up takes most of the training",
        f"warmup_steps is {training.warmup_steps:,}, and the training had {steps:,} steps. The "
        f"highest rate recorded is {max(rates, default=0.0):.3g}, of lr={training.lr:g}.",
        patient.remedy("Warm up in a tenth of the steps.", warmup_steps=max(steps // 10, 1)),
        {"warmup_steps": training.warmup_steps, "steps": steps},
    )


def _jumps(losses: Sequence[float]) -> list[int]:
    """Where a loss stands far above the lines before it."""
    changes = [abs(b - a) for a, b in pairwise(losses)]
    usual = statistics.median(changes)
    gained = losses[0] - min(losses)
    found = []
    for k in range(3, len(losses)):
        rise = losses[k] - statistics.median(losses[max(k - 5, 0) : k])
        if rise > _JUMP * usual and rise > _SHARE * gained and rise > 0:
            found.append(k)
    # of a jump that lasts, the first line counts
    return [k for k in found if k - 1 not in found]


def _after_start(values: Sequence[float]) -> list[float]:
    return list(values[len(values) // 10 :])


def _quantile(values: Sequence[float], level: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(level * len(ordered)), len(ordered) - 1)]


def _rounded(value: float) -> float:
    """Two digits.

    Example:
        >>> _rounded(0.03456)
        0.035
    """
    return float(f"{value:.2g}")
