"""What a task scored: a line of the table, with what it is held against."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

__all__ = ["Figure", "Figures", "load_part", "parts_in"]


@dataclass
class Figure:
    """One figure on real data, and the command that makes it.

    Attributes:
        what: the data and the model, e.g. "EWT, universal tags, default settings".
        command: what one types to get it.
        value: the figure.
        unit: what it counts, e.g. "% accuracy", "BLEU".
        goal: None where there is none.
        more: whether more is better.
        beside: what else was measured the same way, e.g. {"most frequent tag": 88.1}.
        seconds: how long the training took.
        note: a remark, e.g. the version of a metric.
        digits: behind the point.
    """

    what: str
    command: str
    value: float
    unit: str
    goal: float | None = None
    more: bool = True
    beside: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    note: str = ""
    digits: int = 2

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.more else self.value <= self.goal

    def cells(self) -> list[str]:
        """The line of the table: what, command, result, goal, beside, note."""
        sign = "≥" if self.more else "≤"
        goal = "" if self.goal is None else f"{sign} {self.goal:g}{'' if self.met else ', missed'}"
        beside = ", ".join(f"{name} {value:.{self.digits}f}" for name, value in self.beside.items())
        minutes = "" if self.seconds is None else _duration(self.seconds)
        return [
            self.what,
            f"`{self.command}`",
            f"**{self.value:.{self.digits}f}** {self.unit}",
            goal,
            beside,
            ", ".join(part for part in (minutes, self.note) if part),
        ]


Figures: TypeAlias = list[Figure]


def parts_in(folder: Path) -> list[str]:
    """The scripts of a folder, by name."""
    return sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))


def load_part(folder: Path, name: str) -> ModuleType:
    """Import one script of a folder."""
    spec = importlib.util.spec_from_file_location(f"{folder.name}_{name}", folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    # dataclasses look their module up by its name
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
