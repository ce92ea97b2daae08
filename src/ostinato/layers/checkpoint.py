"""The option `checkpoint_every`: less memory in training, for more time."""

from __future__ import annotations

from typing import Literal, TypeAlias

from ostinato.engine import Every

__all__ = ["CheckpointEvery", "check_every"]

CheckpointEvery: TypeAlias = int | bool | Literal["sqrt"] | None


def check_every(name: str, given: CheckpointEvery) -> Every | None:
    """Bring the option into the engine's form.

    Raises:
        ValueError: it is neither a number of steps, nor True or "sqrt", nor None or False.
    """
    if given is None or given is False:
        return None
    if given is True or given == "sqrt":
        return "sqrt"
    if isinstance(given, int) and given >= 1:
        return given
    raise ValueError(
        f'{name}: checkpoint_every must be a number of steps from 1 up, True (or "sqrt": the '
        f"square root of the length), or None, got {given!r}."
    )
