"""What a forecaster knows of its data: columns, step, scales, widths; kept beside its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ostinato.data.calendar import usual_cycles
from ostinato.data.clock import Clock
from ostinato.data.columns import TableSource
from ostinato.data.scaling import Scaling
from ostinato.data.series import SeriesColumns, SeriesStore, read_series
from ostinato.data.windows import Parts, WindowReader, WindowShape
from ostinato.tasks.forecaster.network import Sizes
from ostinato.tasks.forecaster.settings import ForecasterSettings, SeriesSettings

__all__ = ["Context", "context_of", "read_source"]

# histories and lags that are not asked for are no longer than this
_LONGEST = 512
_SEASONS = {"history": 4, "lags": 14}


@dataclass(frozen=True)
class Context:
    """What is learned from the data before training.

    Attributes:
        columns: what they mean.
        clock: the step.
        scaling: means and spreads.
        sizes: widths and lengths of the network.
        cycles: of the calendar.
        ids: names of the series that were trained on.
    """

    columns: SeriesColumns
    clock: Clock
    scaling: Scaling
    sizes: Sizes
    cycles: tuple[str, ...]
    ids: tuple[str, ...]

    def reader(self, store: SeriesStore, level: str, horizon: int | None = None) -> WindowReader:
        """Reads windows of a store as this network takes them."""
        sizes = self.sizes
        shape = WindowShape(sizes.past(level), sizes.history, horizon or sizes.horizon, self.cycles)
        known = {name: number for number, name in enumerate(self.ids)}
        numbers = np.array([known.get(name, -1) for name in store.ids], dtype=np.int64)
        return WindowReader(store, shape, self.scaling, numbers)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, from which `from_dict` makes it again."""
        return {
            "columns": asdict(self.columns),
            "clock": self.clock.to_dict(),
            "sizes": asdict(self.sizes),
            "cycles": list(self.cycles),
            "ids": list(self.ids),
            "scaling": self.scaling.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Context:
        columns: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values["columns"].items()
        }
        return cls(
            SeriesColumns(**columns),
            Clock(**values["clock"]),
            Scaling.from_dict(values["scaling"]),
            Sizes(**values["sizes"]),
            tuple(values["cycles"]),
            tuple(values["ids"]),
        )


def read_source(
    source: TableSource,
    data: SeriesSettings,
    context: Context | None = None,
    fill: str | None = None,
) -> SeriesStore:
    """Read a table as the settings say, and, of a fitted model, as it was read for training.

    Args:
        source: see `ostinato.data.columns.read_blocks`.
        data: the settings.
        context: of a fitted model.
        fill: in place of the settings' own.
    """
    columns = SeriesColumns(
        targets=tuple(data.target),
        time=data.time,
        id=data.id,
        past=tuple(data.past),
        known=tuple(data.known),
        time_format=data.time_format,
    )
    if context is not None:
        # what was found out when fitting is not found out again
        targets = columns.targets if data.separate else context.columns.targets
        columns = replace(columns, targets=targets, time=context.columns.time)
    return read_series(
        source,
        columns,
        frequency=None if context else data.frequency,
        fill=fill or data.fill,
        separate=data.separate,
        clock=context.clock if context else None,
    )


def context_of(settings: ForecasterSettings, store: SeriesStore, parts: Parts) -> Context:
    """Settle all that the settings leave open, by the part that is trained on."""
    data, model = settings.data, settings.model
    rows = int((parts.train[:, 1] - parts.train[:, 0]).max())
    cycles = data.calendar
    if cycles is None:
        cycles = usual_cycles(store.clock, rows)
    elif cycles and store.clock.kind == "index":
        raise ValueError(
            f"calendar: {store.name} has no dates. Name the column of dates (time), or give "
            "calendar=[]."
        )
    season = model.season or store.clock.season or data.horizon
    lengths = {}
    for name, seasons in _SEASONS.items():
        asked = getattr(model, name)
        # a short series must hold some windows yet
        lengths[name] = (
            max(min(seasons * season, _LONGEST, rows // 4), 1) if asked is None else asked
        )
    known = len(store.columns.known) + 2 * len(cycles)
    sizes = Sizes(
        targets=len(store.columns.targets),
        covariates=len(store.columns.past),
        known=known,
        series=len(store),
        horizon=data.horizon,
        season=season,
        **lengths,
    )
    scaling = Scaling.of(store, parts.train[:, 1], data.scale)
    return Context(store.columns, store.clock, scaling, sizes, tuple(cycles), store.ids)
