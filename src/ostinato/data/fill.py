"""Missing values of a series, found and filled, in memory that does not grow with the series."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["FILLS", "Column", "fill_missing", "missing_runs"]

Column = NDArray[np.float64]
Run = tuple[int, int]

_BLOCK = 1 << 20


def missing_runs(column: Column) -> list[Run]:
    """Where values are missing (NaN): (first, behind the last) of each run.

    Example:
        >>> missing_runs(np.array([1, np.nan, np.nan, 4, np.nan]))
        [(1, 3), (4, 5)]
    """
    runs: list[Run] = []
    for start in range(0, len(column), _BLOCK):
        missing = np.isnan(column[start : start + _BLOCK])
        if not missing.any():
            continue
        edges = np.flatnonzero(np.diff(np.concatenate([[False], missing, [False]]))) + start
        for first, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            if runs and runs[-1][1] == first:
                runs[-1] = (runs[-1][0], stop)
            else:
                runs.append((first, stop))
    return runs


def fill_missing(column: Column, way: str, *, season: int = 1) -> int:
    """Fill the missing values of a column, in place.

    Args:
        column: values of one series [T], not all of them missing.
        way: "forward" (the last value before), "linear" (a straight line from the value before to
            the value after), "zero", or "seasonal" (the value a season before). What has nothing
            before it takes the next value, what has nothing after it the last one.
        season: steps of a season, for "seasonal".

    Returns:
        How many values were filled.

    Raises:
        ValueError: there is no such way.

    Example:
        >>> column = np.array([np.nan, 1, 2, np.nan, np.nan, 5])
        >>> fill_missing(column, "linear"), column.tolist()
        (3, [1.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    """
    if way not in FILLS:
        raise ValueError(f"fill must be one of {', '.join(FILLS)}, got {way!r}.")
    runs = missing_runs(column)
    for first, stop in runs:
        FILLS[way](column, first, stop, season)
    return sum(stop - first for first, stop in runs)


def _forward(column: Column, first: int, stop: int, season: int) -> None:
    column[first:stop] = column[first - 1] if first else column[stop]


def _zero(column: Column, first: int, stop: int, season: int) -> None:
    column[first:stop] = 0


def _linear(column: Column, first: int, stop: int, season: int) -> None:
    if first == 0 or stop == len(column):
        _forward(column, first, stop, season)
        return
    before, after = column[first - 1], column[stop]
    share = np.arange(1, stop - first + 1) / (stop - first + 1)
    column[first:stop] = before + share * (after - before)


def _seasonal(column: Column, first: int, stop: int, season: int) -> None:
    if first < season:
        # nothing lies a season before: as far as that goes, a line
        end = min(stop, season)
        value = column[stop] if first == 0 and stop < len(column) else column[max(first - 1, 0)]
        column[first:end] = value
        first = end
    for start in range(first, stop, season):
        end = min(start + season, stop)
        column[start:end] = column[start - season : end - season]


FILLS: dict[str, Callable[[Column, int, int, int], None]] = {
    "forward": _forward,
    "linear": _linear,
    "zero": _zero,
    "seasonal": _seasonal,
}
