"""How far a step is trusted."""

from __future__ import annotations

import math

import pytest
import torch

from ostinato.training.hessian_free.damping import (
    back_track,
    line_search,
    next_damping,
    reduction_ratio,
)


def test_the_ratio_is_the_change_over_what_was_foretold():
    assert reduction_ratio(-0.5, -2.0) == 0.25
    assert reduction_ratio(-3.0, -2.0) == 1.5


@pytest.mark.parametrize(
    ("change", "foretold"), [(0.1, -1.0), (math.nan, -1.0), (math.inf, -1.0), (-1.0, 0.0)]
)
def test_a_rise_or_no_forecast_is_the_worst_ratio(change, foretold):
    assert reduction_ratio(change, foretold) == -math.inf


@pytest.mark.parametrize(
    ("ratio", "factor"),
    [
        (0.76, 2 / 3),
        (1.5, 2 / 3),
        (0.75, 1),
        (0.5, 1),
        (0.25, 1),
        (0.24, 3 / 2),
        (-math.inf, 3 / 2),
    ],
)
def test_damping_follows_the_ratio(ratio, factor):
    assert next_damping(0.3, ratio) == pytest.approx(0.3 * factor)


def iterates(*places):
    return [torch.tensor([float(place)]) for place in places]


def test_back_tracking_stops_where_the_objective_stops_to_fall():
    seen = []

    def value(step):
        seen.append(step.item())
        return (step.item() - 3) ** 2

    choice = back_track(value, iterates(1, 2, 3, 4, 5), 9.0)
    assert choice == (2, 0.0)
    # the first is never looked at
    assert seen == [5, 4, 3, 2]


def test_back_tracking_takes_the_last_where_that_is_best():
    assert back_track(lambda step: -step.item(), iterates(1, 2, 3), 0.0) == (2, -3.0)


def test_back_tracking_leaves_iterates_whose_objective_is_not_finite():
    values = {1.0: 0.2, 2.0: 0.1, 3.0: math.nan, 4.0: math.inf}
    choice = back_track(lambda step: values[step.item()], iterates(1, 2, 3, 4), 1.0)
    assert choice == (1, 0.1)


def test_back_tracking_passes_over_iterates_that_are_worse_than_no_step():
    values = {1.0: 0.5, 2.0: 0.3, 3.0: 4.0, 4.0: 2.0}
    assert back_track(lambda step: values[step.item()], iterates(1, 2, 3, 4), 1.0) == (1, 0.3)
    # where all are, it is the least bad
    assert back_track(lambda step: values[step.item()], iterates(1, 2, 3, 4), 0.1) == (1, 0.3)


def test_back_tracking_tells_where_nothing_is_finite():
    assert math.isnan(back_track(lambda step: math.nan, iterates(1, 2), 1.0).value)


def test_the_line_search_takes_the_whole_step_where_it_is_good():
    assert line_search(lambda rate: 1 - rate, 1.0, -1.0) == (1.0, 0.0)


def test_the_line_search_shortens_by_fifths_until_the_fall_is_enough():
    tried = []

    def value(rate):
        tried.append(rate)
        # a valley at 0.3, slope -0.6 at 0
        return (rate - 0.3) ** 2

    rate, reached = line_search(value, 0.09, -0.6)
    assert tried == pytest.approx([1, 0.8, 0.64, 0.512])
    assert rate == pytest.approx(0.512)
    assert reached <= 0.09 - 0.01 * 0.512 * 0.6


def test_the_line_search_wants_a_hundredth_of_the_slope():
    # falls by less than a hundredth of what the slope says, at any length
    assert line_search(lambda rate: 1 - 0.009 * rate, 1.0, -1.0).place == 0.0
    assert line_search(lambda rate: 1 - 0.011 * rate, 1.0, -1.0).place == 1.0


def test_the_line_search_gives_up_and_stays():
    tried = []

    def value(rate):
        tried.append(rate)
        return math.nan

    assert line_search(value, 2.0, -1.0) == (0.0, 2.0)
    assert len(tried) == 60


def test_the_line_search_never_takes_a_rise_for_a_slope_that_rises():
    assert line_search(lambda rate: 1 + 0.001 * rate, 1.0, 1.0).place == 0.0
