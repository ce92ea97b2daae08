"""Where a time stands in the cycles of the calendar, as sine and cosine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ostinato.data.clock import DAY, Clock, Times

__all__ = ["CYCLES", "calendar_features", "usual_cycles"]

_HOUR = DAY // 24
_YEAR = 365 * DAY

# name -> length in microseconds
CYCLES = {
    "hour": _HOUR,
    "day": DAY,
    "week": 7 * DAY,
    "month": 30 * DAY,
    "year": _YEAR,
}


def usual_cycles(clock: Clock, rows: int) -> tuple[str, ...]:
    """The cycle that is worth knowing, if so many rows see it twice.

    Of steps shorter than a day that is the day, of days the week, of longer steps the year.

    Example:
        >>> usual_cycles(Clock("time", 3_600_000_000, 0), rows=24 * 300)
        ('day',)
    """
    if clock.kind == "index":
        return ()
    step = clock.step if clock.kind == "time" else clock.step * CYCLES["month"]
    name = "day" if step < DAY else "week" if step < CYCLES["week"] else "year"
    length = CYCLES[name]
    return (name,) if 2 * step <= length and 2 * length <= rows * step else ()


def calendar_features(times: Times, cycles: Sequence[str]) -> NDArray[np.float32]:
    """Sine and cosine of the place in each cycle.

    A cycle begins with its hour, its day, its Monday, its month, its year; months and years are
    as long as they are.

    Args:
        times: microseconds since 1970, any shape.
        cycles: names of them; see `CYCLES`.

    Returns:
        [*times.shape, 2 * cycles].

    Raises:
        ValueError: there is no such cycle.

    Example:
        >>> calendar_features(np.array([6 * 3_600_000_000]), ["day"]).round(3).tolist()
        [[1.0, 0.0]]
    """
    wrong = next((name for name in cycles if name not in CYCLES), None)
    if wrong is not None:
        raise ValueError(f"calendar: there is no cycle {wrong!r}. There are {', '.join(CYCLES)}.")
    shares = [_share(times, name) for name in cycles]
    angles = 2 * np.pi * np.stack(shares, axis=-1) if shares else np.zeros((*times.shape, 0))
    waves = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
    return waves.reshape(*times.shape, 2 * len(shares)).astype(np.float32)


def _share(times: Times, name: str) -> NDArray[np.float64]:
    if name in ("month", "year"):
        stamps = times.astype("datetime64[us]")
        unit = "M" if name == "month" else "Y"
        begin = stamps.astype(f"datetime64[{unit}]")
        end = (begin + 1).astype("datetime64[us]")
        start = begin.astype("datetime64[us]")
        share: NDArray[np.float64] = (stamps - start) / (end - start)
        return share
    # 1970 began on a Thursday
    shifted = times + 3 * DAY if name == "week" else times
    return np.asarray((shifted % CYCLES[name]) / CYCLES[name], dtype=np.float64)
