"""The network of a forecaster: cells read the past, and say something about each step to come."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ostinato.data.windows import Windows
from ostinato.tasks.forecaster.level import Level
from ostinato.tasks.forecaster.outputs import Output, make_output
from ostinato.tasks.forecaster.settings import ModelSettings
from ostinato.tasks.stack import Build, build_stack, output_size
from ostinato.training.module import map_tensors

__all__ = ["ForecasterNetwork", "Paths", "Sizes", "Told"]


@dataclass(frozen=True)
class Sizes:
    """What the data settle about the network.

    Attributes:
        targets: Y.
        covariates: P, columns known of the past only.
        known: K, columns known in advance, calendar included.
        series: how many were trained on.
        history: rows that the cells read.
        lags: rows of the linear map.
        horizon: H.
        season: steps of the cycle.
    """

    targets: int
    covariates: int
    known: int
    series: int
    history: int
    lags: int
    horizon: int
    season: int

    def past(self, level: str) -> int:
        """W, rows that a window needs before the forecast."""
        extra = {"last": 1, "season": self.season}.get(level, 0)
        return max(self.history + extra, self.lags + (extra if level == "season" else 0))


@dataclass(frozen=True)
class Told:
    """A forecast by the parameters of an output, [H, B, Y, K]."""

    output: Output
    parameters: Tensor

    def middle(self) -> Tensor:
        """The forecast as one number each, [H, B, Y]."""
        return self.output.middle(self.parameters)

    def quantile(self, level: float) -> Tensor:
        """What each value is below with probability `level`, [H, B, Y]."""
        return self.output.quantile(self.parameters, level)


@dataclass(frozen=True)
class Paths:
    """A forecast by N paths drawn, [N, H, B, Y]."""

    values: Tensor

    def middle(self) -> Tensor:
        """The mean of the paths, [H, B, Y]."""
        return self.values.mean(dim=0)

    def quantile(self, level: float) -> Tensor:
        """What a share `level` of the paths is below, [H, B, Y]."""
        return self.values.quantile(level, dim=0)


class ForecasterNetwork(nn.Module):
    """Cells read the past; what they say is added to a linear map of the last values.

    The linear map is the autoregressive part of LSTNet (Lai, Chang, Yang, Liu 2018,
    arXiv:1703.07015), which there, too, is shared by all targets and added to what the network
    says; here it has an output for each step, and reads values relative to their level.
    Readouts begin at zero, so that training begins from the level alone.

    Three ways to the horizon:

    - "direct": one readout of the state after the last row, for all steps; what is known in
      advance is added linearly. All steps at once, as Wen and others (2017, arXiv:1711.11053) do.
    - "decoder": a second stack goes on from the state of the first, reads what is known of each
      step, and is read out there.
    - "recursive": a readout of the next step, which is then read as if it had been observed; drawn
      many times over, as in DeepAR (Salinas, Flunkert, Gasthaus, Januschowski 2020,
      arXiv:1704.04110). Trained on the observed values.

    Args:
        sizes: what the data settle.
        settings: of the model.
        cell: what builds the cell, in place of `settings.cell`.
    """

    def __init__(self, sizes: Sizes, settings: ModelSettings, *, cell: Build | None = None) -> None:
        super().__init__()
        self.sizes = sizes
        self.mode = settings.mode
        self.output = make_output(settings.output, settings.quantiles, settings.beta)
        self.level = Level(settings.level, sizes.season, sizes.targets)
        width = sizes.targets + sizes.covariates + sizes.known + settings.series_embedding
        # number 0 is any series that was not trained on
        self.embedding = (
            nn.Embedding(sizes.series + 1, settings.series_embedding)
            if settings.series_embedding
            else None
        )
        self.encoder = build_stack(settings, width, cell=cell)
        self.dropout = nn.Dropout(settings.output_dropout)
        steps = sizes.horizon if self.mode == "direct" else 1
        said = sizes.targets * self.output.raw
        if self.mode == "decoder":
            self.decoder = build_stack(
                replace(settings, initial_state="zeros"), sizes.known + 1, cell=cell
            )
        self.readout = _zeroed(nn.Linear(output_size(self.encoder), steps * said))
        self.ahead = (
            _zeroed(nn.Linear(sizes.known, said, bias=False))
            if self.mode == "direct" and sizes.known
            else None
        )
        lag_steps = 1 if self.mode == "recursive" else sizes.horizon
        self.skip = _zeroed(nn.Linear(sizes.lags, lag_steps)) if sizes.lags else None

    def forward(self, batch: Windows, state: Any = None) -> Tensor:
        """Parameters of the output for each step of the horizon, [H, B, Y, K].

        A recursive network reads the observed values of the horizon, too, but for the last one.

        Args:
            batch: the windows.
            state: what the cells start from; None: their initial state.
        """
        if self.mode == "recursive":
            return self._one_ahead(batch, state)
        past = batch.past
        measure = self.level.measure(past)
        y, last = self._encode(past, batch, measure, state)
        if self.mode == "decoder":
            raw = self._shaped(self._decode(batch, last))
        else:
            said = self.readout(self.dropout(y[-1]))
            said = said.view(len(batch), self.sizes.horizon, -1)
            raw = self._shaped(said.transpose(0, 1))
            if self.ahead is not None:
                raw = raw + self._shaped(self.ahead(batch.known[self.sizes.history :]))
        if self.skip is not None:
            lags = self.skip(self.level.lags(past, measure, self.sizes.lags)[0])
            raw = _moved(raw, lags.permute(2, 0, 1))
        location, scale = self.level.ahead(past, measure, self.sizes.horizon)
        return self.output.parameters(raw, location, scale)

    def loss(self, batch: Windows, state: Any = None) -> Tensor:
        """What is learned from: a mean over all windows, steps and targets."""
        assert batch.target is not None
        return self.output.training_loss(self.forward(batch, state), batch.target)

    @torch.no_grad()
    def forecast(
        self,
        batch: Windows,
        state: Any = None,
        *,
        samples: int = 100,
        generator: torch.Generator | None = None,
    ) -> Told | Paths:
        """What is to come; of a recursive network `samples` paths, drawn."""
        if self.mode != "recursive":
            return Told(self.output, self.forward(batch, state))
        return Paths(self._walk(batch, state, samples, generator))

    @torch.no_grad()
    def advance(self, batch: Windows, state: Any, rows: int) -> Any:
        """The state of the cells after the first `rows` rows that they read of each window."""
        if not rows:
            return state
        inputs = self._inputs(batch.past, batch, self.level.measure(batch.past))[:rows]
        return self.encoder(inputs, state)[1]

    # reading

    def _encode(self, rows: Tensor, batch: Windows, measure: Any, state: Any) -> tuple[Tensor, Any]:
        y, last = self.encoder(self._inputs(rows, batch, measure), state)
        return y, last

    def _inputs(self, rows: Tensor, batch: Windows, measure: Any) -> Tensor:
        """What the cells read: of the last `history` rows, and of further ones, if there are."""
        beyond = len(rows) - len(batch.past)
        count = self.sizes.history + beyond
        parts = [self.level.inputs(rows, measure)[-count:]]
        if self.sizes.covariates:
            parts.append(batch.covariates)
        if self.sizes.known:
            # a recursive step reads what is known of the step that it forecasts
            shift = 1 if self.mode == "recursive" else 0
            parts.append(batch.known[shift : shift + count])
        if self.embedding is not None:
            parts.append(self.embedding(batch.series + 1).expand(count, -1, -1))
        return torch.cat(parts, dim=-1)

    def _decode(self, batch: Windows, state: Any) -> Tensor:
        horizon = batch.known.shape[0] - self.sizes.history
        steps = torch.linspace(-1, 1, horizon, device=batch.past.device, dtype=batch.past.dtype)
        place = steps[:, None, None].expand(-1, len(batch), 1)
        y, _ = self.decoder(torch.cat([batch.known[self.sizes.history :], place], dim=-1), state)
        said: Tensor = self.readout(self.dropout(y))
        return said

    def _shaped(self, said: Tensor) -> Tensor:
        return said.reshape(*said.shape[:-1], self.sizes.targets, self.output.raw)

    # one step after the other

    def _one_ahead(self, batch: Windows, state: Any) -> Tensor:
        assert batch.target is not None
        rows = torch.cat([batch.past, batch.target[:-1]])
        measure = self.level.measure(batch.past)
        y, _ = self._encode(rows, batch, measure, state)
        return self._next(y[-len(batch.target) :], rows, measure)

    def _next(self, y: Tensor, rows: Tensor, measure: Any) -> Tensor:
        """Parameters of the value behind each of the last rows, as many as `y` has steps."""
        raw = self._shaped(self.readout(self.dropout(y)))
        if self.skip is not None:
            lags = self.level.lags(rows, measure, self.sizes.lags, len(y))
            raw = _moved(raw, self.skip(lags)[..., 0])
        location, scale = self.level.next(rows, measure, len(y))
        return self.output.parameters(raw, location, scale)

    def _walk(
        self, batch: Windows, state: Any, samples: int, generator: torch.Generator | None
    ) -> Tensor:
        if not self.output.spread:
            samples = 1
        horizon = batch.known.shape[0] - self.sizes.history
        measure = self.level.measure(batch.past)
        y, state = self._encode(batch.past, batch, measure, state)
        many = _repeated(batch, samples)
        rows, y = many.past, y[-1:].repeat_interleave(samples, dim=1)
        state = map_tensors(state, lambda part: part.repeat_interleave(samples, dim=-2))
        measure = self.level.measure(rows)
        for step in range(horizon):
            parameters = self._next(y, rows, measure)
            drawn = self.output.sample(parameters, generator)
            rows = torch.cat([rows, drawn])
            if step + 1 < horizon:
                y, state = self.encoder(self._inputs(rows, many, measure)[-1:], state)
        ahead = rows[len(many.past) :].view(horizon, len(batch), samples, -1)
        return ahead.permute(2, 0, 1, 3)


def _moved(raw: Tensor, by: Tensor) -> Tensor:
    """Raw numbers, the first of each (its place) moved: [H, B, Y, R] by [H, B, Y].

    All of an output's raw numbers but one are distances from that one.
    """
    return torch.cat([raw[..., :1] + by[..., None], raw[..., 1:]], dim=-1)


def _zeroed(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _repeated(batch: Windows, times: int) -> Windows:
    def copied(tensor: Tensor) -> Tensor:
        return tensor.repeat_interleave(times, dim=1)

    return Windows(
        copied(batch.past),
        copied(batch.covariates),
        copied(batch.known),
        None,
        batch.series.repeat_interleave(times),
    )
