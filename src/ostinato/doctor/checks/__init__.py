"""What is looked for: a function a finding, each from a patient to a finding or None."""

from ostinato.doctor.checks import (
    answers,
    behaviour,
    curves,
    data,
    gradients,
    guesses,
    leaks,
    lengths,
    music,
    texts,
    training,
    units,
    weights,
    writing,
)
from ostinato.doctor.checks.registry import CHECKS, Check

__all__ = [
    "CHECKS",
    "Check",
    "answers",
    "behaviour",
    "curves",
    "data",
    "gradients",
    "guesses",
    "leaks",
    "lengths",
    "music",
    "texts",
    "training",
    "units",
    "weights",
    "writing",
]
