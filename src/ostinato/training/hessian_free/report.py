"""What one step of the optimiser did."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Report"]


@dataclass
class Report:
    """What one step did.

    Attributes:
        step: its number, counted from 1.
        objective: on the batch of the gradient, before the step.
        objective_after: the same after it; as before where the step was refused.
        gradient_norm: of the gradient.
        damping: lambda that the step was made with.
        damping_after: lambda of the next step.
        curvature_objective: on the batch of the curvature, before the step.
        curvature_after: the same after the chosen iterate, before the line search.
        foretold: what the quadratic without damping said that the difference of these would be.
        ratio: rho, the difference over what was foretold; minus infinity where it rose.
        iterations: of conjugate gradients.
        stopped: why they stopped; see `Solution`.
        chosen: the iteration whose x was taken.
        rate: the part of it that the line search took; 0 where the step was refused.
        step_norm: length of the change of the parameters.
        refused: why the parameters were left as they were; "" for a step that was taken.
    """

    step: int
    damping: float
    objective: float = math.nan
    objective_after: float = math.nan
    gradient_norm: float = math.nan
    damping_after: float = math.nan
    curvature_objective: float = math.nan
    curvature_after: float = math.nan
    foretold: float = math.nan
    ratio: float = math.nan
    iterations: int = 0
    stopped: str = ""
    chosen: int = 0
    rate: float = 0.0
    step_norm: float = 0.0
    refused: str = ""

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values."""
        return asdict(self)

    def __str__(self) -> str:
        if self.refused:
            now = f"damping now {self.damping_after:.3g}"
            return f"step {self.step} refused: {self.refused}; {now}"
        return (
            f"step {self.step}: objective {self.objective:.6g} -> {self.objective_after:.6g}, "
            f"damping {self.damping:.3g}, ratio {self.ratio:.3g}, iterations {self.chosen} of "
            f"{self.iterations} ({self.stopped}), rate {self.rate:.3g}"
        )
