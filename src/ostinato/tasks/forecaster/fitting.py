"""Fitting a forecaster: from a table to windows, a model with its first weights, and a score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ostinato.baselines.series import RidgeOnLags, copy_last, seasonal_naive
from ostinato.data.columns import TableSource
from ostinato.data.series import SeriesStore
from ostinato.data.windows import Numbers, Parts, WindowBatches, WindowReader, split
from ostinato.extras import MissingExtraError
from ostinato.tasks.forecaster.calibration import LEAST, conformal_offset, scores
from ostinato.tasks.forecaster.context import context_of, read_source
from ostinato.tasks.forecaster.settings import ForecasterSettings
from ostinato.tasks.task import Plan, Prepared, digest_of, first_weights, rebuilt

if TYPE_CHECKING:
    from ostinato.tasks.forecaster.task import Forecaster

__all__ = ["baseline_errors", "fingerprint", "prepare", "validation_offsets"]

_VALIDATION_WINDOWS = 20_000
_RIDGE_WINDOWS = 20_000
_RIDGE_LAGS = 96


def prepare(kind: type[Forecaster], plan: Plan, source: TableSource) -> Prepared:
    """Read the table, cut it into parts, and build the model; see `Forecaster.fit`."""
    settings: ForecasterSettings = plan.settings
    data = settings.data
    _check(settings)
    store = read_source(source, data)
    digest = digest_of(fingerprint(store))
    plan.check_data(digest)
    parts = split(store, data.train, data.validation, data.held_out)
    if plan.earlier is None:
        context = context_of(settings, store, parts)
    else:
        context = rebuilt(kind, plan.earlier, plan.cell).context
    model = first_weights(plan, lambda: kind(context, settings, cell=plan.cell))
    reader = context.reader(store, settings.model.level)
    train = WindowBatches(
        reader,
        parts.train,
        data.batch_size,
        most=data.epoch_windows,
        shuffle=data.shuffle,
        seed=settings.training.seed,
        inside=True,
    )
    validation = _batches(reader, parts.validation, data.batch_size)
    windows = 0 if validation is None else validation.windows
    if settings.model.calibration == "validation" and windows < LEAST:
        raise ValueError(
            f"calibration: 'validation' needs {LEAST} windows or more in the validation part, and "
            f"there are {windows}. Give a larger one (validation), or calibration='recent'."
        )

    def measure() -> Mapping[str, Any]:
        model.calibrate(reader, parts.validation)
        model.follow(store)
        return _measure(model, reader, parts, plan.baselines)

    return Prepared(model, train, digest, validation, measure)


def validation_offsets(
    model: Forecaster, reader: WindowReader, part: Numbers
) -> dict[float, list[list[float]]]:
    """What intervals are corrected by so that they hold on a part: by level, [H][Y]."""
    batches = _batches(reader, part, 1)
    if batches is None:
        return {}
    errors: dict[float, list[Any]] = {}
    asker = model.asker(reader, calibration="off")
    for number in range(len(reader.store)):
        first, count = int(batches.first[number]), int(batches.counts[number])
        for stretch in asker.stretches(number, first, first + count):
            for level, (lower, upper) in stretch.intervals.items():
                errors.setdefault(level, []).append(scores(lower, upper, stretch.actual))
    found = {
        level: conformal_offset(np.concatenate(parts), level) for level, parts in errors.items()
    }
    return {level: offset.tolist() for level, offset in found.items() if not np.isnan(offset).any()}


def baseline_errors(
    reader: WindowReader, train: Numbers, part: Numbers, season: int
) -> dict[str, float]:
    """Mean squared error of simple guesses on a part, standardised.

    The ridge is there where scikit-learn is installed (extra `baselines`).
    """
    horizon = reader.shape.horizon
    guesses: dict[str, Any] = {"copy last": lambda past: copy_last(past, horizon)}
    if reader.shape.past >= season:
        guesses["seasonal naive"] = lambda past: seasonal_naive(past, horizon, season)
    lags = min(_RIDGE_LAGS, reader.shape.past)
    try:
        ridge = RidgeOnLags(lags)
    except MissingExtraError:
        pass
    else:
        seen = WindowBatches(reader, train, 4096, most=_RIDGE_WINDOWS, inside=True)
        pairs = [_pair(batch) for batch in seen]
        ridge.fit(*(np.concatenate(side) for side in zip(*pairs, strict=True)))
        guesses[f"ridge on {lags} lags"] = ridge
    sums = dict.fromkeys(guesses, 0.0)
    count = 0
    for batch in WindowBatches(reader, part, 1024, most=None):
        past, ahead = _pair(batch)
        count += ahead.size
        for name, guess in guesses.items():
            sums[name] += float(((guess(past) - ahead) ** 2).sum())
    return {name: total / count for name, total in sums.items()}


def _measure(
    model: Forecaster, reader: WindowReader, parts: Parts, baselines: bool
) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name, part in (("validation", parts.validation), ("held_out", parts.held_out)):
        if _batches(reader, part, 1) is None:
            continue
        figures[name] = model.score(reader, part).to_dict()
        if baselines:
            found = baseline_errors(reader, parts.train, part, model.context.sizes.season)
            figures[f"{name}_baselines" if name == "validation" else "baselines"] = found
    return figures


def _batches(reader: WindowReader, part: Numbers, batch_size: int) -> WindowBatches | None:
    if not (part[:, 1] > part[:, 0]).any():
        return None
    return WindowBatches(reader, part, batch_size, most=_VALIDATION_WINDOWS)


def _pair(batch: Any) -> tuple[Any, Any]:
    return batch.past.transpose(0, 1).numpy(), batch.target.transpose(0, 1).numpy()


def fingerprint(store: SeriesStore) -> Iterator[bytes]:
    """The series as bytes, for `digest_of`."""
    yield repr((store.ids, store.columns, store.clock, store.offsets.tolist())).encode()
    for first in range(0, len(store.values), 1 << 18):
        yield np.ascontiguousarray(store.values[first : first + (1 << 18)]).tobytes()


def _check(settings: ForecasterSettings) -> None:
    data, model = settings.data, settings.model
    if model.mode == "recursive" and data.past:
        raise ValueError(
            f"past: {', '.join(data.past)} would have to be forecast, too, as a recursive forecast "
            "reads what it has said. Give mode='direct' or 'decoder', or name them as targets."
        )


def renamed(plan: Plan, validation: Any) -> Plan:
    """A plan whose validation part begins at a date that was given in place of data."""
    return replace(plan, settings=plan.settings.changed(validation=validation))
