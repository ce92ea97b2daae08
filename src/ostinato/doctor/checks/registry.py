"""All checks by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from ostinato.doctor.findings import Finding, NotAsked
from ostinato.doctor.patient import Patient
from ostinato.tasks.registry import TASKS

__all__ = ["CHECKS", "Check", "check"]

Examine: TypeAlias = Callable[[Patient], "Finding | None"]


@dataclass(frozen=True)
class Check:
    """One thing that is looked for.

    Attributes:
        name: for --only and --skip.
        looks_for: in a few words.
        tasks: whose models are looked at; None in it stands for plain modules, () for all.
        examine: patient -> what was found, or None; raises `NotThere` where it cannot look.
    """

    name: str
    looks_for: str
    examine: Examine
    tasks: tuple[str | None, ...] = ()

    def __call__(self, patient: Patient) -> Finding | None:
        """Make the check.

        Raises:
            NotThere: it cannot look; `NotAsked`, if the patient is of another kind.
        """
        if self.tasks and patient.task not in self.tasks:
            raise NotAsked(f"it is not for a {patient.noun}")
        return self.examine(patient)


# in the order in which they are made
CHECKS: dict[str, Check] = {}


def check(looks_for: str, *tasks: str | None) -> Callable[[Examine], Examine]:
    """Enter a function into `CHECKS`, under its own name.

    Args:
        looks_for: in a few words.
        tasks: whose models it is for; None stands for plain modules; none at all: all.
    """
    wrong = [task for task in tasks if task is not None and task not in TASKS]
    if wrong:
        raise ValueError(f"check: there is no task {wrong[0]!r}.")

    def enter(examine: Examine) -> Examine:
        name = examine.__name__
        CHECKS[name] = Check(name, looks_for, examine, tasks)
        return examine

    return enter
