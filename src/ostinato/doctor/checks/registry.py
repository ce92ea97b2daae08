"""All checks by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from ostinato.doctor.findings import Finding
from ostinato.doctor.patient import Patient

__all__ = ["CHECKS", "Check", "check"]

Examine: TypeAlias = Callable[[Patient], "Finding | None"]


@dataclass(frozen=True)
class Check:
    """One thing that is looked for.

    Attributes:
        name: for --only and --skip.
        looks_for: in a few words.
        examine: patient -> what was found, or None; raises `NotThere` where it cannot look.
    """

    name: str
    looks_for: str
    examine: Examine


# in the order in which they are made
CHECKS: dict[str, Check] = {}


def check(looks_for: str) -> Callable[[Examine], Examine]:
    """Enter a function into `CHECKS`, under its own name.

    Args:
        looks_for: in a few words.
    """

    def enter(examine: Examine) -> Examine:
        name = examine.__name__
        CHECKS[name] = Check(name, looks_for, examine)
        return examine

    return enter
