import numpy as np
import polars as pl
import pytest

from ostinato.data.calendar import calendar_features, usual_cycles
from ostinato.data.clock import clock_of, parse_times


def _at(*dates):
    return parse_times(pl.Series(dates))[0]


@pytest.mark.parametrize(
    ("cycle", "begins", "quarter"),
    [
        ("hour", "2024-05-13 07:00:00", "2024-05-13 07:15:00"),
        ("day", "2024-05-13 00:00:00", "2024-05-13 06:00:00"),
        ("week", "2024-05-13 00:00:00", "2024-05-14 18:00:00"),
        ("month", "2024-02-01 00:00:00", "2024-02-08 06:00:00"),
        ("year", "2023-01-01 00:00:00", "2023-04-02 06:00:00"),
    ],
)
def test_a_cycle_begins_where_the_calendar_says(cycle, begins, quarter):
    found = calendar_features(_at(begins, quarter), [cycle])
    np.testing.assert_allclose(found, [[0, 1], [1, 0]], atol=1e-6)


def test_cycles_stand_side_by_side():
    times = _at("2024-05-13 06:00:00").reshape(1, 1)
    assert calendar_features(times, ["day", "week"]).shape == (1, 1, 4)
    assert calendar_features(times, []).shape == (1, 1, 0)


@pytest.mark.parametrize(
    ("step", "rows", "cycles"),
    [
        ("15m", 1000, ("day",)),
        ("1h", 48, ("day",)),
        ("1h", 47, ()),
        ("1d", 100, ("week",)),
        ("1mo", 24, ()),
        ("1mo", 25, ("year",)),
        ("1y", 100, ()),
    ],
)
def test_the_cycle_of_the_season_is_worth_knowing_when_seen_twice(step, rows, cycles):
    assert usual_cycles(clock_of(step, 0), rows) == cycles


def test_an_unknown_cycle_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"no cycle 'moon'.*hour, day"):
        calendar_features(np.array([0]), ["moon"])
