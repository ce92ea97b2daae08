"""A forecaster's batches: windows of the past, and what follows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ostinato.data.windows import Windows
from ostinato.doctor.findings import NotAsked, NotThere
from ostinato.doctor.hands.base import Clue, Hands

__all__ = ["Copied", "SeriesHands"]

_TELLING = 0.999
# steps around the one to forecast that a column may tell of
_NEAR = 3


@dataclass(frozen=True)
class Copied:
    """How near forecasts are to the last value, means of squares over all windows and steps.

    Attributes:
        moved: forecast minus last value.
        missed: outcome minus forecast.
        naive: outcome minus last value.
    """

    moved: float
    missed: float
    naive: float


class SeriesHands(Hands):
    """Of a `Forecaster`."""

    def outputs(self, batch: Windows) -> Tensor:
        said: Tensor = self.model.network(batch)
        return said

    def middle(self, batch: Windows) -> Tensor:
        """The forecast as one number each, [H, B, Y]."""
        found: Tensor = self.model.network.output.middle(self.outputs(batch))
        return found

    def error(self, batch: Windows) -> tuple[float, float]:
        assert batch.target is not None
        missed = (self.middle(batch) - batch.target).square()
        return float(missed.sum()), float(missed.numel())

    def stack(self) -> nn.Module:
        found: nn.Module = self.model.network.encoder
        return found

    def columns(self, batch: Windows) -> dict[str, Tensor]:
        columns = self.model.context.columns
        found = {name: batch.past[..., k].flatten() for k, name in enumerate(columns.targets)}
        for k, name in enumerate(columns.past):
            found[name] = batch.covariates[..., k].flatten()
        for k, name in enumerate(columns.known):
            found[name] = batch.known[..., k].flatten()
        return found

    def copied(self, batches: Sequence[Windows]) -> Copied:
        """How near the forecasts are to the last value."""
        if self.model.network.mode == "recursive":
            # a recursive network says one step after the other, each from the value before
            return self._copied([self._next_step(batch) for batch in batches])
        return self._copied([(self.middle(b), b.past[-1:], b.target) for b in batches])

    def _copied(self, told: Sequence[tuple[Tensor, Tensor, Tensor | None]]) -> Copied:
        sums = torch.zeros(3, dtype=torch.float64)
        count = 0
        for said, last, target in told:
            assert target is not None
            parts = (said - last, target - said, target - last)
            sums += torch.stack([part.double().square().sum().cpu() for part in parts])
            count += target.numel()
        return Copied(*(sums / max(count, 1)).tolist())

    def _next_step(self, batch: Windows) -> tuple[Tensor, Tensor, Tensor | None]:
        assert batch.target is not None
        return self.middle(batch), torch.cat([batch.past[-1:], batch.target[:-1]]), batch.target

    def clue(self, batches: Sequence[Windows]) -> Clue | None:
        names = self.model.context.columns.known
        if not names:
            raise NotAsked("no column is known in advance")
        horizon = self.model.context.sizes.horizon
        target = torch.cat([batch.target for batch in batches if batch.target is not None], dim=1)
        known = torch.cat([batch.known for batch in batches], dim=1)[-horizon:]
        if target.shape[1] < 8:
            raise NotThere("fewer than 8 windows are in the batches")
        for k, name in enumerate(names):
            for y, what in enumerate(self.model.context.columns.targets):
                shift, alike = _closest(known[..., k], target[..., y])
                if alike >= _TELLING:
                    return self._telling(name, what, shift, alike, target.shape[1])
        return None

    def _telling(self, name: str, what: str, shift: int, alike: float, windows: int) -> Clue:
        left = [other for other in self.model.context.columns.known if other != name]
        when = "at the same step" if not shift else f"{abs(shift)} step(s) {_side(shift)}"
        return Clue(
            f"the column {name}",
            f"Over the steps to come of {windows:,} windows, {name} follows {what} {when} with a "
            f"correlation of {alike:.5f}.",
            f"What is not known when the forecast is made must not be named as known: take {name} "
            "out.",
            {"known": left},
            figures={"column": name, "correlation": alike, "shift": shift},
        )


def _side(shift: int) -> str:
    return "later" if shift > 0 else "earlier"


def _closest(known: Tensor, target: Tensor) -> tuple[int, float]:
    """The shift of [H, B] at which two are most alike, and how much: |correlation|."""
    best = (0, 0.0)
    steps = len(target)
    for shift in range(-min(_NEAR, steps - 1), min(_NEAR, steps - 1) + 1):
        a = known[max(-shift, 0) : steps - max(shift, 0)]
        b = target[max(shift, 0) : steps - max(-shift, 0)]
        alike = _correlation(a.flatten().double(), b.flatten().double())
        if alike > best[1] + 1e-9 or (alike >= best[1] and abs(shift) < abs(best[0])):
            best = (shift, alike)
    return best


def _correlation(a: Tensor, b: Tensor) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = float(a.norm() * b.norm())
    return abs(float(a @ b)) / scale if scale > 1e-9 else 0.0
