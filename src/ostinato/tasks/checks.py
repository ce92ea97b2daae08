"""What the settings of tasks are checked for, in one wording.

Each check looks at fields of a settings object by their names, and refuses what it finds wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = [
    "at_least",
    "check",
    "convex",
    "needless",
    "one_of",
    "parts",
    "shares",
    "text_steps",
    "vectors",
]

# what a text may be cut into, and words where
TOKENS = ("characters", "words", "subwords")
SPLITS = ("punctuation", "blanks")
# what may stand for a missing number of a table
FILLS = ("no", "zero", "forward")


def check(fine: bool, name: str, value: object, need: str) -> None:
    """Refuse a setting that is not fine.

    Example:
        >>> check(0 <= 2 < 1, "dropout", 2, "in 0..1, 1 excluded")
        Traceback (most recent call last):
        ValueError: dropout must be in 0..1, 1 excluded, got 2.
    """
    if not fine:
        raise ValueError(f"{name} must be {need}, got {value!r}.")


def at_least(settings: object, least: float, *names: str) -> None:
    """Refuse numbers below `least`; None stands for no number.

    Example:
        >>> from types import SimpleNamespace as Settings
        >>> at_least(Settings(rows=None, width=0), 1, "rows", "width")
        Traceback (most recent call last):
        ValueError: width must be at least 1, got 0.
    """
    for name in names:
        value = getattr(settings, name)
        need = f"at least {least}" if least else "0 or more"
        check(value is None or value >= least, name, value, need)


def shares(settings: object, *names: str) -> None:
    """Refuse what is no share: 0 or more, and below 1."""
    for name in names:
        value = getattr(settings, name)
        check(0 <= value < 1, name, value, "in 0..1, 1 excluded")


def one_of(settings: object, **known: Sequence[Any]) -> None:
    """Refuse a choice that there is not, each name with the choices that there are.

    Example:
        >>> from types import SimpleNamespace as Settings
        >>> one_of(Settings(feed="end"), feed=("start", "every"))
        Traceback (most recent call last):
        ValueError: feed must be one of start, every, got 'end'.
    """
    for name, choices in known.items():
        value = getattr(settings, name)
        check(value in choices, name, value, f"one of {', '.join(map(str, choices))}")


def parts(settings: Any) -> None:
    """Refuse shares `validation` and `held_out` that leave nothing to train on."""
    shares(settings, "held_out", "validation")
    both = settings.held_out + settings.validation
    check(both < 1, "held_out + validation", both, "below 1, or nothing is left to train on")


def needless(settings: Any, names: Sequence[str], without: str) -> None:
    """Refuse what has been set, and would do nothing.

    Args:
        settings: a dataclass whose fields have defaults.
        names: of the fields that must stand at their defaults.
        without: what they would need, as it goes on from "it is for".
    """
    for name in names:
        value = getattr(settings, name)
        fine = value == getattr(type(settings), name)
        check(fine, name, value, f"left alone: it is for {without}")


def text_steps(settings: Any) -> None:
    """Refuse steps of a text that there are not, and options of words where they are no words."""
    one_of(settings, tokens=TOKENS, split=SPLITS)
    if settings.tokens != "words":
        needless(settings, ("lower", "split"), f"tokens='words', not {settings.tokens!r}")


def convex(settings: Any, fine: bool = True, why: str = "") -> None:
    """Refuse the optimiser "hessian-free" where a task's objective, or its gradient, is not fit."""
    if settings.training.optimizer == "hessian-free":
        check(fine, "optimizer", settings.training.optimizer, f"another one: {why}")
        clip = settings.model.clip_gradient
        need = "none with optimizer='hessian-free', which needs the gradient of the loss itself"
        check(clip is None, "clip_gradient", clip, need)


def vectors(settings: Any) -> None:
    """Refuse `embeddings` where nothing is embedded, and `tune_embeddings` without a file."""
    file = settings.embeddings
    need = "none without vectors of words: give embedding_size"
    check(file is None or settings.embedding_size > 0, "embeddings", file, need)
    tuned = settings.tune_embeddings
    need = "true without embeddings: give a file of vectors"
    check(tuned or file is not None, "tune_embeddings", tuned, need)
