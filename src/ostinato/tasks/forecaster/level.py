r"""What a forecast is relative to, so that a network need not learn the level of a series.

What is taken away from the past is put back into the forecast: the network's numbers are given a
location and a scale.
"""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor, nn

__all__ = ["Level", "Measure"]

# mean and spread of a history, [1, B, Y] each, where they are asked for
Measure: TypeAlias = "tuple[Tensor, Tensor] | None"

_LEAST = 1e-5


class Level(nn.Module):
    """What forecasts are relative to.

    - "off": nothing.
    - "last": the last value; cells read the changes from step to step. As in NLinear (Zeng, Chen,
      Zhang, Xu 2022, arXiv:2205.13504), which subtracts the last value and adds it to the forecast.
    - "season": the value a season before, for each step; cells read the changes from season to
      season.
    - "instance": mean and spread of the past of each window, and a learned gain and shift for each
      target: reversible instance normalisation (RevIN; Kim and others, ICLR 2022). Our gain is the
      exponential of its parameter, so that it stays positive.

    Args:
        name: one of these.
        season: steps of a season.
        targets: Y.

    Shapes: rows are [T, B, Y], the last of them the last that is known.
    """

    def __init__(self, name: str, season: int, targets: int) -> None:
        super().__init__()
        self.name = name
        self.season = season
        if name == "instance":
            self.log_gain = nn.Parameter(torch.zeros(targets))
            self.shift = nn.Parameter(torch.zeros(targets))

    @property
    def extra(self) -> int:
        """Rows that are needed before those that are read."""
        return {"last": 1, "season": self.season}.get(self.name, 0)

    def measure(self, past: Tensor) -> Measure:
        """Mean and spread of the past [W, B, Y], where forecasts are relative to them."""
        if self.name != "instance":
            return None
        spread = (past.var(dim=0, unbiased=False, keepdim=True) + _LEAST).sqrt()
        return past.mean(dim=0, keepdim=True), spread

    def inputs(self, rows: Tensor, measure: Measure) -> Tensor:
        """What cells read of each row, but for the first `extra` ones."""
        return rows.diff(dim=0) if self.name == "last" else self._seen(rows, measure)

    def lags(self, rows: Tensor, measure: Measure, lags: int, count: int = 1) -> Tensor:
        """The last values as they stood at each of the last `count` rows, [count, B, Y, lags]."""
        windows = self._seen(rows, measure).unfold(0, lags, 1)[-count:]
        return windows - windows[..., -1:] if self.name == "last" else windows

    def ahead(self, past: Tensor, measure: Measure, horizon: int) -> tuple[Tensor, Tensor]:
        """Location and scale of the `horizon` steps that follow the past, [H, B, Y] each."""
        if self.name == "season":
            steps = torch.arange(horizon, device=past.device) % self.season
            location = past[len(past) - self.season + steps]
            return location, torch.ones_like(location)
        location, scale = self.next(past, measure)
        shape = (horizon, *past.shape[1:])
        return location[-1:].expand(shape), scale[-1:].expand(shape)

    def next(self, rows: Tensor, measure: Measure, count: int = 1) -> tuple[Tensor, Tensor]:
        """Location and scale of the value behind each of the last `count` rows, [count, B, Y]."""
        last = rows[len(rows) - count :]
        if self.name == "last":
            return last, torch.ones_like(last)
        if self.name == "season":
            begin = len(rows) - count + 1 - self.season
            location = rows[begin : begin + count]
            return location, torch.ones_like(location)
        if measure is None:
            return torch.zeros_like(last), torch.ones_like(last)
        mean, spread = measure
        scale = (spread * torch.exp(-self.log_gain)).expand_as(last)
        return mean - self.shift * scale, scale

    def _seen(self, rows: Tensor, measure: Measure) -> Tensor:
        if self.name == "season":
            return rows[self.season :] - rows[: -self.season]
        if measure is None:
            return rows
        mean, spread = measure
        return (rows - mean) / spread * torch.exp(self.log_gain) + self.shift
