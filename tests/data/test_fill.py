import numpy as np
import pytest

from ostinato.data import fill
from ostinato.data.fill import fill_missing, missing_runs

NAN = np.nan


@pytest.mark.parametrize(
    ("way", "filled"),
    [
        ("forward", [1, 1, 2, 2, 2, 5, 6, 6]),
        ("linear", [1, 1, 2, 3, 4, 5, 6, 6]),
        ("zero", [0, 1, 2, 0, 0, 5, 6, 0]),
        ("seasonal", [1, 1, 2, 1, 2, 5, 6, 5]),
    ],
)
def test_each_way_fills_in_its_own_manner(way, filled):
    column = np.array([NAN, 1, 2, NAN, NAN, 5, 6, NAN])
    assert fill_missing(column, way, season=2) == 4
    assert column.tolist() == filled


def test_a_gap_longer_than_a_season_repeats_it():
    column = np.array([1.0, 2.0, NAN, NAN, NAN, NAN, NAN])
    fill_missing(column, "seasonal", season=2)
    assert column.tolist() == [1, 2, 1, 2, 1, 2, 1]


def test_seasons_that_are_not_there_yet_take_what_is_near():
    column = np.array([3.0, NAN, NAN, 4.0])
    fill_missing(column, "seasonal", season=5)
    assert column.tolist() == [3, 3, 3, 4]


def test_runs_across_blocks_are_one_run(monkeypatch):
    monkeypatch.setattr(fill, "_BLOCK", 3)
    column = np.array([1, 2, NAN, NAN, NAN, NAN, NAN, 8, NAN])
    assert missing_runs(column) == [(2, 7), (8, 9)]


def test_an_unknown_way_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="one of forward, linear, zero, seasonal, got 'best'"):
        fill_missing(np.array([NAN, 1.0]), "best")
