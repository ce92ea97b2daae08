"""Stretches of series that a forecaster goes on with."""

from __future__ import annotations

from typing import Any

import numpy as np

from ostinato.data.series import SeriesStore
from ostinato.inspect.reading import ReadingError, reading_of
from ostinato.inspect.reading.labels import numbers_in
from ostinato.inspect.reading.series import Stretch, origins_of
from ostinato.studio.asked import Asked, AskedError
from ostinato.studio.figures import Figure
from ostinato.studio.holding import Holding
from ostinato.studio.prompts.base import LIMITS, Prompt, Row, Told, as_file
from ostinato.studio.prompts.fan import Drawn, forecast_figure
from ostinato.tasks.forecaster.context import read_source
from ostinato.tasks.forecaster.forecast import Forecast, forecast_of
from ostinato.tasks.forecaster.task import Forecaster

__all__ = ["Series", "example_table", "table_in"]

# characters of a table, and series that are offered
MOST_TABLE, _SERIES = 16_000_000, 500


class Series(Prompt):
    """A table, one of its series, and where the forecast begins."""

    verb = "Forecast"
    form = "series"
    fields = ("text", "series", "origin", "horizon")
    files = (".csv",)

    def told(self, model: Any, asked: Asked, holding: Holding) -> Told:
        store, note = table_in(model, asked.text("text", most=MOST_TABLE))
        number = _number_of(store, asked.text("series"))
        origins = origins_of(model, store, number)
        origin = asked.whole("origin", origins[-1])
        if origin not in origins:
            raise AskedError(
                f"The forecast can begin at rows {origins[0]:,} to {origins[-1]:,}, got "
                f"{origin:,}: before, there is too little past, and behind, nothing is known."
            )
        steps = model._steps(asked.whole("horizon"))
        reader = model.context.reader(store, model.settings.model.level, _own(model, steps))
        with holding.within():
            found = model.asker(reader).stretch(number, origin, origin + 1)
        forecast = forecast_of([found], reader, steps)
        rows = store.series(number)[origin : origin + steps, : len(forecast.targets)]
        known = max(0, min(steps, int(store.observed[number]) - origin))
        facts = {
            "series": list(store.ids[:_SERIES]),
            "chosen": store.ids[number],
            "origins": [origins[0], origins[-1]],
            "origin": origin,
            "begins": store.clock.spell(store.times(number, np.array([origin])))[0],
            "note": note,
            "targets": list(forecast.targets),
            "rows": _listed(forecast),
        }
        made = reading_of(model, Stretch(store, number, origin), LIMITS)
        return Told(made, facts, Drawn(forecast, rows[:known]))

    def start(self, model: Any) -> dict[str, Any]:
        columns = model.context.columns
        names = [columns.time, columns.id, *columns.values]
        return {
            "text": example_table(model),
            "columns": [name for name in names if name],
            "horizon": model.context.sizes.horizon,
            "longer": model.network.mode == "recursive",
            "most": MOST_TABLE,
        }

    def figures(self, plain: Row, held: Row | None) -> list[Figure]:
        drawn = [row.told.data for row in (plain, held) if row is not None]
        words = "Shades are intervals; the surer, the paler."
        title = "What comes"
        return [{"title": title, "words": words, "figure": forecast_figure(*drawn)}]

    def opened(self, model: Any, name: str, content: bytes) -> dict[str, Any]:
        try:
            return {"text": content.decode("utf-8-sig")}
        except UnicodeDecodeError:
            raise AskedError(f"{name} is no CSV in UTF-8. Save it as such.") from None


def table_in(model: Forecaster, text: str) -> tuple[SeriesStore, str]:
    """A table that was pasted: CSV with the columns of training, or nothing but values.

    Returns:
        Its series, and what has to be known of them, as a sentence, or "".

    Raises:
        ValueError: it cannot be used; the message says where and why.
    """
    if not text.strip():
        raise AskedError("There are no values. Paste a table, or open a file.")
    first = text.strip().splitlines()[0]
    note = ""
    if not any(sign.isalpha() for sign in first.replace("e", "")):
        text, note = _with_times(model, text)
    with as_file("pasted.csv", text.encode()) as path:
        store = read_source(path, model.settings.data, model.context)
    store.name = "The table"
    return store, note


def example_table(model: Forecaster) -> str:
    """A made-up table that the model can read: waves of its season, of the size of its data."""
    context = model.context
    columns, sizes, clock = context.columns, context.sizes, context.clock
    key = next(iter(context.scaling.means))
    mean, spread = context.scaling.means[key], context.scaling.spreads[key]
    past = sizes.past(model.settings.model.level)
    rows = past + 3 * sizes.horizon
    width = len(columns.values)
    waves = np.sin(2 * np.pi * np.arange(rows + sizes.horizon)[:, None] / max(2, sizes.season))
    values = (mean[:width] + waves * spread[:width]).round(4)
    times = clock.spell(clock.times(np.arange(rows + sizes.horizon)))
    kept = rows + sizes.horizon if columns.known else rows
    unknown = len(columns.targets) + len(columns.past)
    lines = [",".join(name for name in (columns.time, columns.id, *columns.values) if name)]
    for k in range(kept):
        told = ["" if k >= rows and c < unknown else f"{v:g}" for c, v in enumerate(values[k])]
        head = [times[k]] * bool(columns.time) + [context.ids[0]] * bool(columns.id)
        lines.append(",".join([*head, *told]))
    return "\n".join(lines)


def _listed(told: Forecast) -> list[list[Any]]:
    """The forecast as rows of a table: time, then each target."""
    times = told.clock.spell(told.times[0])
    return [[time, *(f"{v:.6g}" for v in told.values[0, k])] for k, time in enumerate(times)]


def _own(model: Forecaster, steps: int) -> int | None:
    return steps if model.network.mode == "recursive" else None


def _number_of(store: SeriesStore, name: str) -> int:
    if name in store.ids:
        return store.ids.index(name)
    if name:
        known = ", ".join(store.ids[:20])
        raise AskedError(f"The table has no series {name!r}. It has: {known}.")
    return 0


def _with_times(model: Forecaster, text: str) -> tuple[str, str]:
    """Bare values as a table; their times are made up."""
    columns, clock = model.context.columns, model.context.clock
    targets = columns.targets
    if columns.past or columns.known or columns.id:
        names = ", ".join(name for name in (columns.time, columns.id, *columns.values) if name)
        raise AskedError(f"Values alone are not enough: the model reads {names}. Paste a table.")
    try:
        values = numbers_in(text)
    except ReadingError as error:
        raise AskedError(str(error)) from error
    if len(targets) == 1:
        values = values.reshape(-1, 1)
    if values.shape[1] != len(targets):
        raise AskedError(
            f"There are {values.shape[1]} values on a line, but {len(targets)} targets: "
            f"{', '.join(targets)}. Give one for each."
        )
    times = clock.spell(clock.times(np.arange(len(values))))
    head = ",".join(name for name in (columns.time, *targets) if name)
    rows = [
        ",".join([times[k]] * bool(columns.time) + [f"{v:.9g}" for v in row])
        for k, row in enumerate(values)
    ]
    note = ""
    if clock.kind != "index":
        note = f"These values have no times: they are read as if they began at {times[0]}."
    return "\n".join([head, *rows]), note
