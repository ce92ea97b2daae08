"""The forecaster: fitted on series, asked for what is to come."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np

from ostinato.data.columns import TableSource
from ostinato.data.series import SeriesStore
from ostinato.data.windows import Numbers, WindowReader, Windows, split
from ostinato.tasks.forecaster.backtest import Backtest, run_backtest
from ostinato.tasks.forecaster.context import Context, read_source
from ostinato.tasks.forecaster.forecast import Forecast, forecast_of
from ostinato.tasks.forecaster.network import ForecasterNetwork
from ostinato.tasks.forecaster.online import Online, Updated
from ostinato.tasks.forecaster.scoring import ForecastScore, score_stretches
from ostinato.tasks.forecaster.settings import ForecasterSettings
from ostinato.tasks.forecaster.stretch import Asker, Stretch
from ostinato.tasks.stack import Build
from ostinato.tasks.task import Plan, Prepared, Task, evaluating
from ostinato.tasks.tracing import Question
from ostinato.training.hessian_free import Objective

__all__ = ["Forecaster"]

CONTEXT = "series.json"


class Forecaster(Task):
    r"""A recurrent model of time series: values to come, and how sure they are.

    `fit` takes a table: a CSV or Parquet file, "-", a polars data frame, or a mapping of columns;
    see `ostinato.data.series.read_series`. Its end (`held_out`, a tenth) is kept for the score;
    what comes before (`validation`, a tenth) decides which weights are best; the rest is trained
    on.

    Made by `fit` or `load`, or from its parts, to be trained by a Lightning `Trainer` of one's own.

    Args:
        context: what is known of the data.
        settings: of data, network and training.
        cell: what builds the cell, in place of `settings.model.cell`.

    Attributes:
        network: windows to what is said about the steps to come.
        figures: what `fit` measured, by name: "held_out" and "validation" (see
            `ForecastScore.to_dict`), "baselines" (mean squared errors of simple guesses on the
            held-out part) and "validation_baselines", "training"; plain values.

    Example:
        >>> table = {"day": range(200), "sales": [k % 7 for k in range(200)]}
        >>> model = Forecaster.fit(table, target="sales", time="day", horizon=3, season=7,
        ...     hidden_size=4, max_steps=2, progress=False)
        >>> model.predict(table).to_frame().shape
        (3, 6)
    """

    SETTINGS: ClassVar = ForecasterSettings
    settings: ForecasterSettings

    def __init__(
        self,
        context: Context,
        settings: ForecasterSettings | None = None,
        *,
        cell: Build | None = None,
    ) -> None:
        super().__init__(settings or ForecasterSettings())
        self.context = context
        self.network = ForecasterNetwork(context.sizes, self.settings.model, cell=cell)
        self.offsets: dict[float, Any] = {}
        self._online: Online | None = None

    # training

    @classmethod
    def prepare(cls, plan: Plan, source: TableSource, validation: Any, test: Any) -> Prepared:
        from ostinato.tasks.forecaster.fitting import prepare, renamed

        if isinstance(validation, str):
            plan, validation = renamed(plan, validation), None
        if validation is not None or test is not None:
            raise ValueError(
                "Forecaster.fit: validation and held_out are parts of the series here: shares, "
                "numbers of rows, or the dates at which they begin."
            )
        return prepare(cls, plan, source)

    def training_step(self, batch: Windows, batch_idx: int) -> dict[str, Any]:
        return {"loss": self.network.loss(batch), "tokens": len(batch)}

    def objective(self, batch: Windows) -> Objective:
        assert batch.target is not None
        loss = partial(self.network.output.training_loss, target=batch.target)
        return Objective(self.network(batch), loss, rows=len(batch))

    def validation_step(self, batch: Windows, batch_idx: int) -> None:
        parameters = self.network(batch)
        assert batch.target is not None
        self.record(
            "val_loss", self.network.output.loss(parameters, batch.target), weight=len(batch)
        )
        error = self.network.output.middle(parameters) - batch.target
        self.record("val_mse", error.square().mean(), weight=len(batch))

    # asking

    def predict(
        self,
        source: TableSource | None = None,
        *,
        horizon: int | None = None,
        intervals: Sequence[float] | None = None,
        samples: int | None = None,
        seed: int | None = 0,
        paths: bool = False,
        fill: str | None = None,
    ) -> Forecast:
        """Forecast what follows each series of a table.

        Args:
            source: the past, as for `fit`; where columns are known in advance, with rows for the
                steps to come whose targets are empty. None: what `update` was given last.
            horizon: steps; as fitted unless given. Only a recursive model goes beyond that.
            intervals: their probabilities; those of the settings unless given.
            samples: paths of a recursive forecast, as in the settings unless given.
            seed: of the paths.
            paths: keep the paths.
            fill: what is put where rows or values are missing, in place of the settings' own.

        Raises:
            FileNotFoundError, ValueError: the table or the horizon cannot be used.
        """
        steps = self._steps(horizon)
        if source is None:
            return self._online_or_none().predict(steps, self._levels(intervals), seed)
        store = read_source(source, self.settings.data, self.context, fill)
        reader = self._reader(store, steps if self.network.mode == "recursive" else None)
        asker = self.asker(reader, levels=self._levels(intervals), samples=samples, seed=seed)
        with evaluating(self):
            found = [
                asker.stretch(number, int(rows), int(rows) + 1, paths=paths)
                for number, rows in enumerate(store.observed)
            ]
        return forecast_of(found, reader, steps)

    def evaluate(
        self,
        source: TableSource,
        *,
        part: str = "all",
        intervals: Sequence[float] | None = None,
        seed: int | None = 0,
        fill: str | None = None,
    ) -> ForecastScore:
        """Score the forecasts from every row of a table.

        Args:
            source: as for `fit`.
            part: "all", "held_out" or "validation": only what `fit` would take for it.
            intervals: their probabilities; those of the settings unless given.
            seed: of the paths of a recursive forecast.
            fill: what is put where rows or values are missing, in place of the settings' own.

        Raises:
            FileNotFoundError, ValueError: the table cannot be used, or has no window.
        """
        store = read_source(source, self.settings.data, self.context, fill)
        reader = self._reader(store)
        return self.score(reader, self._part(store, part), intervals=intervals, seed=seed)

    def backtest(
        self,
        source: TableSource,
        *,
        part: str = "held_out",
        every: int | None = None,
        update: bool = False,
        intervals: Sequence[float] | None = None,
        seed: int | None = 0,
        fill: str | None = None,
    ) -> Backtest:
        """Forecast again and again, as time goes by, and compare with what came.

        Args:
            source: as for `fit`.
            part: "all", "held_out" or "validation".
            every: rows between two forecasts; the horizon unless given.
            update: learn from what came before each forecast, as `update` does. The model is
                then another one.
            intervals: their probabilities; those of the settings unless given.
            seed: of the paths of a recursive forecast.
            fill: what is put where rows or values are missing, in place of the settings' own.

        Raises:
            FileNotFoundError, ValueError: the table cannot be used, or has no window.
        """
        store = read_source(source, self.settings.data, self.context, fill)
        levels = self._levels(intervals)
        return run_backtest(self, store, self._part(store, part), every, update, levels, seed)

    def update(self, rows: TableSource) -> Updated:
        """Learn from new rows of the series, in memory that does not grow with them.

        The rows go on where those before them ended: after `fit`, those that it read; after `load`,
        the stream begins with the first rows given. Each window whose outcome the new rows tell is
        learned from once, its cells starting from the state that the stream left them in.

        Args:
            rows: a table like the one that was fitted on.

        Returns:
            How many rows were taken in, how many windows learned from, and their mean loss before
            that.

        Raises:
            FileNotFoundError, ValueError: the table cannot be used, or does not go on where the
                stream stands.
        """
        if self._online is None:
            self._online = Online(self)
        return self._online.update(rows)

    def restart(self) -> None:
        """Forget the stream that `update` follows: the next rows begin another one."""
        self._online = None

    # what the above share

    def asker(
        self,
        reader: WindowReader,
        *,
        levels: Sequence[float] | None = None,
        calibration: str | None = None,
        samples: int | None = None,
        seed: int | None = 0,
    ) -> Asker:
        """What asks the network for forecasts; see `Asker`."""
        model = self.settings.model
        return Asker(
            self.network,
            reader,
            model.intervals if levels is None else levels,
            calibration=model.calibration if calibration is None else calibration,
            windows=model.calibration_windows,
            offsets={k: np.asarray(v, dtype=np.float32) for k, v in self.offsets.items()},
            samples=samples or model.samples,
            seed=seed,
        )

    def score(
        self,
        reader: WindowReader,
        part: Numbers,
        *,
        intervals: Sequence[float] | None = None,
        seed: int | None = 0,
    ) -> ForecastScore:
        """What `evaluate` does, for rows `part` [S, 2] of series that have been read already."""
        with evaluating(self):
            asker = self.asker(reader, levels=self._levels(intervals), seed=seed)
            found = self._all(asker, reader, part)
            return score_stretches(found, reader.store.columns.targets, reader.spread)

    def calibrate(self, reader: WindowReader, part: Numbers) -> None:
        """Measure the corrections of intervals on rows `part` [S, 2]; see `Asker`."""
        from ostinato.tasks.forecaster.fitting import validation_offsets

        if self.settings.model.calibration != "off":
            with evaluating(self):
                self.offsets = validation_offsets(self, reader, part)

    def follow(self, store: SeriesStore) -> None:
        """Let `update` go on where these series end."""
        self._online = Online(self, store)

    def _all(self, asker: Asker, reader: WindowReader, part: Numbers) -> Iterator[Stretch]:
        for number, (first, stop) in enumerate(part.tolist()):
            begin = max(first, reader.shape.past)
            yield from asker.stretches(number, begin, stop - reader.shape.horizon + 1)

    def _reader(self, store: SeriesStore, horizon: int | None = None) -> WindowReader:
        return self.context.reader(store, self.settings.model.level, horizon)

    def _steps(self, horizon: int | None) -> int:
        fitted = self.context.sizes.horizon
        if horizon is None:
            return fitted
        most = None if self.settings.model.mode == "recursive" else fitted
        if horizon < 1 or (most is not None and horizon > most):
            upper = f"1..{most}" if most is not None else "at least 1"
            raise ValueError(
                f"predict: horizon must be {upper}, got {horizon}. A model forecasts as many steps "
                "as it was fitted for; mode='recursive' goes on as long as one likes."
            )
        return horizon

    def _levels(self, intervals: Sequence[float] | None) -> tuple[float, ...]:
        model = self.settings.model
        levels = model.intervals if intervals is None else tuple(intervals)
        wrong = [level for level in levels if not 0 < level < 1]
        if wrong:
            raise ValueError(f"intervals must be between 0 and 1, such as 0.8, got {wrong[0]}.")
        unknown = [level for level in levels if level not in self.offsets]
        if model.calibration == "validation" and unknown:
            raise ValueError(
                f"intervals: {unknown[0]} was not calibrated; {list(self.offsets)} were. Fit with "
                f"intervals={[*self.offsets, *unknown]}."
            )
        return levels

    def _part(self, store: SeriesStore, part: str) -> Numbers:
        if part not in ("all", "held_out", "validation"):
            raise ValueError(f"part must be 'all', 'held_out' or 'validation', got {part!r}.")
        if part == "all":
            return np.stack([np.zeros_like(store.observed), store.observed], axis=1)
        data = self.settings.data
        parts = split(store, data.train, data.validation, data.held_out)
        return parts.held_out if part == "held_out" else parts.validation

    def _online_or_none(self) -> Online:
        if self._online is None:
            raise ValueError(
                "predict: there is nothing to go on from. Give a table, or call update first."
            )
        return self._online

    def question(self, source: Any) -> Question:
        from ostinato.tasks.forecaster.tracing import question

        return question(self, source)

    # files

    def texts(self) -> dict[str, str]:
        values = {**self.context.to_dict(), "offsets": {str(k): v for k, v in self.offsets.items()}}
        return {CONTEXT: json.dumps(values, ensure_ascii=False, indent=1)}

    @classmethod
    def restore(
        cls, settings: ForecasterSettings, texts: Mapping[str, str], cell: Build | None = None
    ) -> Forecaster:
        values = json.loads(texts[CONTEXT])
        model = cls(Context.from_dict(values), settings, cell=cell)
        model.offsets = {float(level): offset for level, offset in values["offsets"].items()}
        return model
