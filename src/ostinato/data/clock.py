"""Times as whole steps: what the step of a series is, and where a row stands on it."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ostinato.data.columns import TableError

__all__ = ["Clock", "Times", "clock_of", "infer_clock", "parse_times"]

# microseconds since 1970 of dates and times, or whole numbers
Times = NDArray[np.int64]

_UNITS = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 7 * 86_400_000_000,
}
DAY = _UNITS["d"]
_MONTHS = {"mo": 1, "q": 3, "y": 12}
_FORMATS = ("%Y-%m", "%Y/%m", "%m/%d/%Y", "%m/%d/%Y %H:%M", "%Y%m%d %H:%M", "%b %Y")
_ZONE = re.compile(r"(Z|[+-]\d\d:?\d\d)$")


@dataclass(frozen=True)
class Clock:
    """From times to whole numbers that grow by one a row, and back.

    Attributes:
        kind: "time" (a fixed duration), "months" (so many calendar months), "month ends" (the same,
            counted from the end of the month), or "index" (plain numbers, or the row's number).
        step: microseconds, months, or the difference of two numbers.
        origin: the time of step 0: microseconds since 1970, or a number.

    Example:
        >>> hourly = Clock("time", 3_600_000_000, 0)
        >>> hourly.spell(hourly.times(np.array([25])))
        ['1970-01-02 01:00:00']
        >>> str(hourly), str(Clock("months", 3, 0)), hourly.season
        ('1h', '1q', 24)
    """

    kind: str
    step: int
    origin: int

    def ticks(self, times: Times) -> tuple[Times, NDArray[np.bool_]]:
        """The number of each time, and which of them do not stand on the clock at all."""
        if not self._by_month:
            ticks, rest = np.divmod(times - self.origin, self.step)
            return ticks, rest != 0
        months, within = _split(times, self.kind)
        (first,), (anchor,) = _split(np.array([self.origin]), self.kind)
        ticks, rest = np.divmod(months - first, self.step)
        return ticks, (rest != 0) | (within != anchor)

    def times(self, ticks: Times) -> Times:
        """The time of each number."""
        if not self._by_month:
            return self.origin + ticks * self.step
        (first,), (anchor,) = _split(np.array([self.origin]), self.kind)
        months = first + ticks * self.step + (1 if self.kind == "month ends" else 0)
        begin = months.astype("datetime64[M]").astype("datetime64[us]")
        found: Times = begin.astype(np.int64) + anchor
        return found

    @property
    def _by_month(self) -> bool:
        return self.kind in ("months", "month ends")

    def spell(self, times: Times) -> list[str]:
        """Times as text: dates alone where all are at midnight."""
        if self.kind == "index":
            return [str(time) for time in times.tolist()]
        midnight = (self._by_month or self.step % DAY == 0) and not (times % DAY).any()
        whole = not (times % _UNITS["s"]).any()
        unit = "D" if midnight else "s" if whole else "us"
        stamps = times.astype("datetime64[us]").astype(f"datetime64[{unit}]")
        return [str(stamp).replace("T", " ") for stamp in stamps]

    def series(self, times: Times) -> pl.Series:
        """Times as a column."""
        column = pl.Series(times)
        return column if self.kind == "index" else column.cast(pl.Datetime("us"))

    @property
    def season(self) -> int | None:
        """Steps of the natural cycle: a day, a week of days, a year of weeks or months, if any."""
        if self.kind == "index":
            return None
        if self._by_month:
            return 12 // self.step if 12 % self.step == 0 and self.step < 12 else None
        for cycle in (DAY, 7 * DAY, 52 * 7 * DAY):
            if self.step < cycle and cycle % self.step == 0:
                return cycle // self.step
        return None

    def __str__(self) -> str:
        if self.kind == "index":
            return str(self.step)
        units = _MONTHS if self._by_month else _UNITS
        name, size = max(
            ((n, s) for n, s in units.items() if self.step % s == 0), key=lambda unit: unit[1]
        )
        return f"{self.step // size}{name}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, from which `Clock(**values)` makes it again."""
        return asdict(self)


def parse_times(column: pl.Series, format: str | None = None) -> tuple[Times, bool, int | None]:
    """A column of times as whole numbers.

    Dates and times come as microseconds since 1970 (in UTC, where they name a zone); a column of
    whole numbers stays what it is.

    Args:
        column: of text, dates, times or numbers.
        format: how text spells them, e.g. "%d.%m.%Y %H:%M"; None: found out.

    Returns:
        The times, whether they are dates (and no plain numbers), and the first row that cannot be
        read, if any.

    Raises:
        TableError: the format is none.
    """
    if column.dtype.is_temporal():
        parsed = column.cast(pl.Datetime("us"))
        return _filled(parsed, True)
    if column.dtype.is_numeric():
        whole = column.cast(pl.Int64, strict=False)
        if column.dtype.is_float():
            whole = pl.select(pl.when(whole.cast(pl.Float64) == column).then(whole)).to_series()
        return _filled(whole, False)
    text = column.cast(pl.String).str.strip_chars()
    if format is None:
        numbers = text.cast(pl.Int64, strict=False)
        if text.len() and numbers.null_count() == 0:
            return _filled(numbers, False)
    return _filled(_parse_text(text, format), True)


def infer_clock(times: Times, dates: bool) -> Clock | None:
    """The clock of one series: its most frequent step; None where there are fewer than two rows.

    Example:
        >>> str(infer_clock(np.array([0, 10, 20, 40, 50]), dates=False))
        '10'
    """
    steps = np.diff(times)
    steps = steps[steps > 0]
    if not len(steps):
        return None
    sizes, counts = np.unique(steps, return_counts=True)
    usual = int(sizes[counts.argmax()])
    if not dates:
        return Clock("index", usual, int(times[0]))
    if 28 * DAY <= usual <= 366 * DAY:
        found = _infer_months(times)
        if found is not None:
            return found
    return Clock("time", usual, int(times[0]))


def clock_of(step: str, origin: int) -> Clock:
    """The clock that a person names: "15m", "1h", "1d", "1w", "1mo", "1q", "1y".

    Raises:
        ValueError: it is none of these.

    Example:
        >>> clock_of("15m", 0).season
        96
    """
    found = re.fullmatch(r"(\d*)\s*([a-zA-Z]+)", step.strip())
    name = found[2].lower() if found else ""
    if found is None or name not in {**_UNITS, **_MONTHS}:
        raise ValueError(
            f"frequency: {step!r} is no step. Write a number and a unit, such as "
            f"{', '.join('1' + unit for unit in ('s', 'm', 'h', 'd', 'w', 'mo', 'q', 'y'))}."
        )
    count = int(found[1] or 1)
    if name in _MONTHS:
        (within,) = _split(np.array([origin]), "month ends")[1]
        return Clock("month ends" if within == -DAY else "months", count * _MONTHS[name], origin)
    return Clock("time", count * _UNITS[name], origin)


def _infer_months(times: Times) -> Clock | None:
    for kind in ("months", "month ends"):
        months, within = _split(times, kind)
        if (within == within[0]).all():
            sizes, counts = np.unique(np.diff(months), return_counts=True)
            return Clock(kind, max(int(sizes[counts.argmax()]), 1), int(times[0]))
    return None


def _split(times: Times, kind: str) -> tuple[Times, Times]:
    """Months since 1970, and microseconds since the month began, or back from where it ends."""
    stamps = times.astype("datetime64[us]")
    months = stamps.astype("datetime64[M]")
    anchor = months + 1 if kind == "month ends" else months
    return months.astype(np.int64), (stamps - anchor.astype("datetime64[us]")).astype(np.int64)


def _filled(column: pl.Series, dates: bool) -> tuple[Times, bool, int | None]:
    missing = column.is_null()
    bad = int(missing.arg_true()[0]) if missing.any() else None
    numbers = column.to_physical() if dates else column
    return numbers.fill_null(0).to_numpy().astype(np.int64), dates, bad


def _parse_text(text: pl.Series, format: str | None) -> pl.Series:
    options: dict[str, Any] = {"time_unit": "us", "strict": False}
    if format is not None:
        try:
            return _plain(text, format, options)
        except pl.exceptions.PolarsError as error:
            why = str(error).split("\n", 1)[0].removesuffix(".")
            raise TableError(
                f"time_format={format!r} cannot be read by: {why}. Write it like '%d.%m.%Y %H:%M'."
            ) from error
    first = next((one for one in text.head(1000) if one), "")
    if _ZONE.search(first) and ":" in first:
        options["time_zone"] = "UTC"
    best = pl.Series([None] * len(text), dtype=pl.Datetime("us"))
    for attempt in (None, *_FORMATS):
        try:
            found = _plain(text, attempt, options)
        except pl.exceptions.PolarsError:
            continue
        if found.null_count() < best.null_count():
            best = found
        if not best.null_count():
            break
    return best


def _plain(text: pl.Series, format: str | None, options: dict[str, Any]) -> pl.Series:
    if format is not None and "%d" not in format:
        # a month alone stands for its first day
        text, format = text + "-01", format + "-%d"
    if format is not None and "%H" in format and "%M" not in format:
        # an hour alone stands for its first minute
        text, format = text + "|00", format + "|%M"
    found = text.str.to_datetime(format, **options)
    return found.dt.replace_time_zone(None).cast(pl.Datetime("us"))
