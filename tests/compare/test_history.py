import numpy as np
import pytest

from ostinato.compare.bootstrap import Interval
from ostinato.compare.history import Fall, History, ladder, trace_history


def needs(k_needed, order_needed, places=200, noise=0.05):
    """A model that loses 1 where it has fewer steps than it needs."""

    def ask(way, k, reach):
        rng = np.random.default_rng((7, k, way == "cut"))
        lost = k < (k_needed if way == "cut" else order_needed)
        return base + lost + noise * rng.normal(size=places)

    base = np.random.default_rng(0).exponential(size=places)
    return base, ask


@pytest.mark.parametrize("k", [0, 1, 5, 20])
def test_the_steps_that_are_used_are_found(k):
    full, ask = needs(k, min(k, 1))
    found = trace_history(full, ask, [0, 1, 2, 5, 10, 20, 40])
    assert found.steps_used == k
    assert found.steps_in_order == min(k, 1)
    assert found.full == pytest.approx(full.mean())


def test_more_than_was_tried_is_said_and_so_is_all_there_is():
    full, ask = needs(99, 99)
    assert trace_history(full, ask, [0, 5, 10]).steps_used is None
    assert trace_history(full, ask, [0, 5, 10], longest=12).steps_used == 12
    # between 10 and 21 nobody has looked
    assert trace_history(full, ask, [0, 5, 10], longest=21).steps_used is None


@pytest.mark.parametrize(
    ("cut", "order", "steps", "used"),
    [
        (2, 2, [0, 1, 2, 5], 2),
        (5, 5, [0, 1, 2, 5], 5),
        (30, 3, [0, 1, 2, 5, 10, 20, 40], 40),
        # what only the order needs is tried of both
        (3, 30, [0, 1, 2, 5, 10, 20, 40], 5),
        (70, 70, [0, 1, 2, 5, 10, 20, 40, 80], 80),
        # all there is
        (99, 99, [0, 1, 2, 5, 10, 20, 40, 80], 99),
    ],
)
def test_steps_are_doubled_until_nothing_is_missed_or_all_is_used(cut, order, steps, used):
    full, ask = needs(cut, order)
    found = trace_history(full, ask, [0, 1, 2, 5], most=1000, longest=99)
    assert [one.steps for one in found.cut] == [one.steps for one in found.shuffle] == steps
    assert found.steps_used == used


def test_steps_are_doubled_up_to_the_most_and_not_where_they_were_given():
    full, ask = needs(99, 99)
    found = trace_history(full, ask, [0, 1, 2, 5], most=39, longest=500)
    assert (found.most_tried, found.steps_used) == (20, None)
    assert trace_history(full, ask, [0, 1, 2, 5], longest=500).most_tried == 5


def test_the_past_is_shuffled_from_k_to_twice_the_most_steps_that_were_cut():
    asked = []
    full, ask = needs(15, 0)

    def noted(way, k, reach):
        asked.append((way, k, reach))
        return ask(way, k, reach)

    trace_history(full, noted, [0, 5], most=1000)
    reaches = {reach for way, _, reach in asked if way == "shuffle"}
    assert reaches == {2 * 20 + 1}
    # and each is asked once
    assert len(asked) == len({one[:2] for one in asked}) == 8


def test_steps_between_which_nothing_is_lost_do_not_hide_a_loss_further_back():
    def ask(way, k, reach):
        return full + (1.0 if k in (0, 5) else 0.0)

    full = np.random.default_rng(0).random(50)
    assert trace_history(full, ask, [0, 1, 2, 5, 10]).steps_used == 10


def test_a_fall_of_less_than_a_hundredth_of_the_largest_does_not_count():
    def ask(way, k, reach):
        return full + {0: 1.0, 1: size, 2: 0.0}[k]

    full = np.random.default_rng(0).random(50)
    size = 0.005
    assert trace_history(full, ask, [0, 1, 2]).steps_used == 1
    size = 0.02
    assert trace_history(full, ask, [0, 1, 2]).steps_used == 2


def test_scores_of_shares_fall_where_losses_rise():
    full, ask = needs(1, 0, noise=0.0)
    found = trace_history(
        np.zeros_like(full), lambda way, k, reach: ask(way, k, reach) - full, [0, 1], higher=True
    )
    assert found.full == 1
    assert [one.score for one in found.cut] == [0, 1]
    assert [one.fall.value for one in found.cut] == [1, 0]


def test_a_model_without_memory_is_seldom_taken_for_one_with():
    # of 100, as each has 7 chances to be told from chance, and none is
    wrong = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        full = rng.exponential(size=200)
        found = trace_history(
            full,
            lambda way, k, reach, full=full, rng=rng: full + rng.normal(size=200),
            range(7),
            seed=seed,
        )
        wrong += found.steps_used != 0
    assert wrong <= 10


def test_steps_must_rise():
    for steps in ([], [1, 0], [2, 2], [-1, 0]):
        with pytest.raises(ValueError, match="steps must rise"):
            trace_history(np.zeros(3), lambda way, k, reach: np.zeros(3), steps)


def test_the_ladder_ends_below_the_longest_past():
    assert ladder(1) == (0,)
    assert ladder(3) == (0, 1, 2)
    assert ladder(41) == (0, 1, 2, 5, 10, 20, 40)
    assert ladder(100, 20) == (0, 1, 2, 5, 10, 20)


def test_plain_values_hold_every_fall():
    fall = Fall(3, 0.5, Interval(0.1, 0.05, 0.2))
    told = History(0.4, (fall,), (fall,), None, 7, "word").to_dict()
    assert told["cut"] == [{"steps": 3, "score": 0.5, "fall": 0.1, "low": 0.05, "high": 0.2}]
    assert (told["asked"], told["unit"], told["steps_used"]) == (7, "word", None)


def test_falls_of_neighbouring_places_are_drawn_in_blocks():
    # places in runs of 20 that fall together, as tokens of one phrase do
    runs = np.repeat(np.random.default_rng(0).normal(0.0, 1.0, 30), 20)
    full = np.zeros(600)

    def width(block):
        found = trace_history(full, lambda way, k, reach: full + runs, [0], block=block).cut[0].fall
        return found.high - found.low

    assert width(None) > 2 * width(1)
