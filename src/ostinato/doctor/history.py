"""How the training of a run went, from its metrics.jsonl."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["History", "read_history"]


@dataclass(frozen=True)
class History:
    """What was recorded while training.

    Attributes:
        training: lines that hold the loss of training, in order; see `training.Recorder`.
        validation: lines of validations, in order.
        monitor: the value of a validation that decides, e.g. "val_loss".
        mode: "min" or "max": which of its values is best.
    """

    training: Sequence[dict[str, Any]]
    validation: Sequence[dict[str, Any]]
    monitor: str = "val_loss"
    mode: str = "min"

    def losses(self) -> list[tuple[int, float]]:
        """(step, loss of training); not all need be numbers."""
        return [(int(line["step"]), float(line["loss"])) for line in self.training]

    @property
    def sign(self) -> float:
        """What the monitored value is multiplied by, so that less is better."""
        return 1.0 if self.mode == "min" else -1.0

    def monitored(self) -> list[tuple[int, float]]:
        """(step, monitored value)."""
        return [
            (int(line["step"]), float(line[self.monitor]))
            for line in self.validation
            if self.monitor in line
        ]

    def column(self, name: str) -> list[float]:
        """A value of the training lines that have it, where it is a number."""
        values = (float(line[name]) for line in self.training if line.get(name) is not None)
        return [value for value in values if math.isfinite(value)]

    @property
    def steps(self) -> int:
        """The last step that was recorded."""
        return max((int(line["step"]) for line in [*self.training, *self.validation]), default=0)


def read_history(folder: Path, monitor: str = "val_loss", mode: str = "min") -> History:
    """Read metrics.jsonl, of a run that is over or under way; empty if there is none.

    Args:
        folder: of the run.
        monitor: name of the value that decides.
        mode: "min" or "max".
    """
    lines = _lines(folder / "metrics.jsonl")
    training = [line for line in lines if isinstance(line.get("loss"), (int, float))]
    validation = [line for line in lines if any(name.startswith("val_") for name in line)]
    return History(training, validation, monitor, mode)


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    texts = path.read_text(encoding="utf-8", errors="replace").splitlines()
    # the last line of a run that goes on may be cut short
    told = [json.loads(text) for text in texts if text.startswith("{") and text.endswith("}")]
    return [line for line in told if "step" in line]
