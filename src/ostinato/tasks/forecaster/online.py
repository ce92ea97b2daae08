"""Learning from a stream of rows, a few at a time, in memory that does not grow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ostinato.data.clock import Clock
from ostinato.data.columns import TableError, TableSource
from ostinato.data.series import SeriesStore
from ostinato.data.windows import WindowReader
from ostinato.tasks.forecaster.context import read_source
from ostinato.tasks.forecaster.forecast import Forecast, forecast_of
from ostinato.tasks.task import evaluating
from ostinato.training.clipping import Clipper
from ostinato.training.module import map_tensors
from ostinato.training.optimisers import build_optimizer

if TYPE_CHECKING:
    from ostinato.tasks.forecaster.task import Forecaster

__all__ = ["Online", "Updated"]

# windows that are learned from at once
_WINDOWS = 32


@dataclass(frozen=True)
class Updated:
    """What an update did.

    Attributes:
        rows: rows that were taken in.
        windows: windows that were learned from.
        loss: their mean loss before that; None: no outcome was known yet.
    """

    rows: int
    windows: int
    loss: float | None


@dataclass
class _Stream:
    """The end of one series.

    Attributes:
        values: its last rows, float64 [R, C].
        start: step of the first of them on the clock.
        clock: of this stream.
        origin: row of `values` from which the next window to learn from forecasts.
        state: of the cells before the first row that this window reads; None: their initial one.
    """

    values: NDArray[np.float64]
    start: int
    clock: Clock
    origin: int
    state: Any = None


class Online:
    """Follows the series of a model, and learns from each window when its outcome is known.

    Each window's cells start from the state in which the stream left them, cut off from its past;
    under the level "instance", where a row looks different from every window, from their initial
    state.

    Args:
        model: what learns, in place.
        store: series that end where the stream begins; None: it begins with the first rows.
    """

    def __init__(self, model: Forecaster, store: SeriesStore | None = None) -> None:
        self.model = model
        settings = model.settings.model
        self._past = model.context.sizes.past(settings.level)
        self._horizon = model.context.sizes.horizon
        # what windows, and the look back at recent forecasts, need
        recent = settings.calibration_windows if settings.calibration == "recent" else 0
        self._keep = self._past + 2 * self._horizon + recent + _WINDOWS
        self._streams: dict[str, _Stream] = {}
        config = model.settings.training.first_order()
        rate = settings.update_lr or config.lr / 10
        self._optimizer = build_optimizer(model, replace(config, lr=rate), fused=False)
        self._clip = Clipper(config.clip, config.clip_by)
        for number in range(0 if store is None else len(store)):
            assert store is not None
            self.begin(store, number, int(store.observed[number]))

    def begin(self, store: SeriesStore, number: int, stop: int) -> None:
        """Let the stream of a series begin behind the first `stop` rows of it."""
        first = max(stop - self._keep, 0)
        values = np.array(store.series(number)[first:stop])
        start = int(store.starts[number]) + first
        # windows whose outcome is known by now were there to be learned from before
        origin = max(len(values) - self._horizon + 1, self._past)
        self._streams[store.ids[number]] = _Stream(values, start, store.clock, origin)

    def update(self, source: TableSource) -> Updated:
        """Take in rows, and learn; see `Forecaster.update`."""
        store = read_source(source, self.model.settings.data, self.model.context)
        for number, name in enumerate(store.ids):
            self._check(store, number, name)
        losses: list[tuple[float, int]] = []
        for number, name in enumerate(store.ids):
            rows = store.series(number)[: store.observed[number]]
            if name not in self._streams:
                self._streams[name] = _Stream(
                    rows[:0].copy(), int(store.starts[number]), store.clock, self._past
                )
            losses += self.take(name, rows)
        windows = sum(count for _, count in losses)
        loss = sum(loss * count for loss, count in losses) / windows if windows else None
        return Updated(int(store.observed.sum()), windows, loss)

    def take(self, name: str, rows: NDArray[np.float64]) -> list[tuple[float, int]]:
        """Append rows [n, C] to a stream and learn: (mean loss, windows) of each step."""
        stream = self._streams[name]
        losses = []
        for first in range(0, len(rows), _WINDOWS):
            stream.values = np.concatenate([stream.values, rows[first : first + _WINDOWS]])
            while (ready := len(stream.values) - self._horizon - stream.origin + 1) > 0:
                losses.append(self._learn(name, stream, min(ready, _WINDOWS)))
            self._forget(stream)
        return losses

    def predict(self, steps: int, levels: Sequence[float], seed: int | None) -> Forecast:
        """Forecast what follows each stream, the cells starting from where it stands."""
        horizon = steps if self.model.network.mode == "recursive" else None
        found, readers = [], []
        with evaluating(self.model):
            for name, stream in self._streams.items():
                reader = self._reader(name, stream, horizon)
                rows = len(stream.values)
                state = self._advanced(reader, stream.origin, stream.state, rows - stream.origin)
                asker = self.model.asker(reader, levels=levels, seed=seed)
                found.append(asker.stretch(0, rows, rows + 1, state=state))
                readers.append(reader)
        return joined([forecast_of([f], r, steps) for f, r in zip(found, readers, strict=True)])

    def _check(self, store: SeriesStore, number: int, name: str) -> None:
        stream = self._streams.get(name)
        if stream is None:
            return
        expected = stream.clock.times(np.array([stream.start + len(stream.values)]))
        given = store.times(number, np.array([0]))
        if expected[0] != given[0]:
            raise TableError(
                f"{store.title(number)}: the stream goes on at {stream.clock.spell(expected)[0]}, "
                f"but these rows begin at {stream.clock.spell(given)[0]}. Give the rows that "
                "follow, or begin another stream (restart)."
            )

    def _learn(self, name: str, stream: _Stream, count: int) -> tuple[float, int]:
        reader = self._reader(name, stream)
        origins = np.arange(stream.origin, stream.origin + count)
        batch = reader.read(np.zeros_like(origins), origins)
        states, state = [], stream.state
        for origin in origins:
            states.append(state)
            state = self._advanced(reader, int(origin), state, 1)
        start = _side_by_side(states)
        if start is None and states[-1] is not None:
            # a stream that begins: only its first window has no state yet
            batch = reader.read(np.zeros_like(origins[:1]), origins[:1])
            state, count = states[1], 1
        device = next(self.model.parameters()).device
        self.model.train()
        loss = self.model.network.loss(batch.to(device), start)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._clip(list(self.model.parameters()))
        self._optimizer.step()
        self.model.eval()
        stream.origin += count
        stream.state = state
        return float(loss.detach()), count

    def _advanced(self, reader: WindowReader, origin: int, state: Any, rows: int) -> Any:
        """The state of the cells, `rows` rows after those before the window from `origin`."""
        network = self.model.network
        if network.level.name == "instance":
            return None
        device = next(self.model.parameters()).device
        while rows > 0:
            count = min(rows, network.sizes.history)
            window = reader.read(np.array([0]), np.array([origin]), targets=False)
            state = network.advance(window.to(device), state, count)
            origin, rows = origin + count, rows - count
        return state

    def _reader(self, name: str, stream: _Stream, horizon: int | None = None) -> WindowReader:
        context = self.model.context
        rows = len(stream.values)
        store = SeriesStore(
            stream.values,
            np.array([0, rows]),
            np.array([rows]),
            np.array([stream.start]),
            (name,),
            context.columns,
            stream.clock,
            "the stream",
        )
        return context.reader(store, self.model.settings.model.level, horizon)

    def _forget(self, stream: _Stream) -> None:
        spare = len(stream.values) - self._keep
        spare = min(spare, stream.origin - self._past)
        if spare > 0:
            stream.values = stream.values[spare:].copy()
            stream.start += spare
            stream.origin -= spare


def joined(parts: Sequence[Forecast]) -> Forecast:
    """Forecasts of several series as one."""
    first = parts[0]
    return replace(
        first,
        ids=tuple(name for part in parts for name in part.ids),
        times=np.concatenate([part.times for part in parts]),
        values=np.concatenate([part.values for part in parts]),
        intervals={
            level: (
                np.concatenate([part.intervals[level][0] for part in parts]),
                np.concatenate([part.intervals[level][1] for part in parts]),
            )
            for level in first.intervals
        },
        past=tuple(one for part in parts for one in part.past),
    )


def _side_by_side(states: Sequence[Any]) -> Any:
    """States of one row each as the state of a batch; None unless all are there."""
    if any(state is None for state in states):
        return None
    flat: list[list[torch.Tensor]] = []
    for state in states:
        parts: list[torch.Tensor] = []
        map_tensors(state, parts.append)
        flat.append(parts)
    together = iter([torch.cat(row, dim=-2) for row in zip(*flat, strict=True)])
    return map_tensors(states[0], lambda _: next(together))
