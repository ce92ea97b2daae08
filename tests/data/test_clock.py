import numpy as np
import polars as pl
import pytest

from ostinato.data.clock import Clock, clock_of, infer_clock, parse_times

HOUR = 3_600_000_000


@pytest.mark.parametrize(
    ("spelled", "first"),
    [
        (["2016-07-01 00:00:00"], "2016-07-01"),
        (["2016-07-01T06:30"], "2016-07-01 06:30:00"),
        (["2016-07-01T00:00:00Z"], "2016-07-01"),
        (["2016-07-01 02:00:00+02:00"], "2016-07-01"),
        (["01.07.2016"], "2016-07-01"),
        (["2016-07"], "2016-07-01"),
        (["07/01/2016", "07/13/2016"], "2016-07-01"),
    ],
)
def test_dates_are_read_as_people_write_them(spelled, first):
    times, dates, bad = parse_times(pl.Series(spelled))
    assert dates
    assert bad is None
    assert Clock("time", 24 * HOUR, 0).spell(times[:1]) == [first]


def test_a_format_decides_what_is_day_and_what_is_month():
    column = pl.Series(["02/03/2020"])
    clock = Clock("time", 24 * HOUR, 0)
    assert clock.spell(parse_times(column, "%d/%m/%Y")[0]) == ["2020-03-02"]
    assert clock.spell(parse_times(column, "%m/%d/%Y")[0]) == ["2020-02-03"]


def test_whole_numbers_are_numbers_and_not_dates():
    for column in (pl.Series([5, 6]), pl.Series(["5", "6"]), pl.Series([5.0, 6.0])):
        times, dates, bad = parse_times(column)
        assert (times.tolist(), dates, bad) == ([5, 6], False, None)
    assert parse_times(pl.Series([5.0, 6.5]))[2] == 1


def test_the_first_time_that_cannot_be_read_is_named():
    assert parse_times(pl.Series(["2020-01-01", "soon", "later"]))[2] == 1
    assert parse_times(pl.Series(["soon"]))[2] == 0


def test_the_usual_step_is_the_most_frequent_one():
    hours = np.array([0, 1, 2, 5, 6, 7]) * HOUR
    assert str(infer_clock(hours, True)) == "1h"
    assert infer_clock(hours[:1], True) is None


@pytest.mark.parametrize(
    ("dates", "name", "following"),
    [
        (["2019-12-31", "2020-01-31", "2020-02-29", "2020-03-31"], "1mo", "2020-04-30"),
        (["2020-01-15", "2020-02-15", "2020-03-15"], "1mo", "2020-04-15"),
        (["2020-01-01", "2020-04-01", "2020-07-01"], "1q", "2020-10-01"),
        (["2017-01-01", "2018-01-01", "2019-01-01"], "1y", "2020-01-01"),
        (["2020-02-27", "2020-02-28", "2020-02-29"], "1d", "2020-03-01"),
    ],
)
def test_months_are_as_long_as_they_are(dates, name, following):
    times, _, _ = parse_times(pl.Series(dates))
    clock = infer_clock(times, True)
    ticks, off = clock.ticks(times)
    assert str(clock) == name
    assert ticks.tolist() == list(range(len(dates)))
    assert not off.any()
    assert clock.spell(clock.times(np.array([len(dates)]))) == [following]


def test_times_between_two_steps_are_told():
    clock = Clock("time", HOUR, 0)
    assert clock.ticks(np.array([HOUR, HOUR + 1]))[1].tolist() == [False, True]
    monthly = clock_of("1mo", 0)
    assert monthly.ticks(np.array([24 * HOUR]))[1].tolist() == [True]


@pytest.mark.parametrize(
    ("step", "season"),
    [("1h", 24), ("15m", 96), ("1d", 7), ("1w", 52), ("1mo", 12), ("1q", 4), ("11h", None)],
)
def test_a_season_is_the_next_natural_cycle(step, season):
    assert clock_of(step, 0).season == season


def test_an_unknown_step_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"'fortnight' is no step.*1h"):
        clock_of("fortnight", 0)


def test_a_clock_is_made_again_from_plain_values():
    clock = clock_of("15m", 123)
    assert Clock(**clock.to_dict()) == clock
