import numpy as np
import pytest

from ostinato.compare.bootstrap import Interval
from ostinato.compare.history import Fall, History, ladder, trace_history


def needs(k_needed, order_needed, places=200, noise=0.05):
    """A model that loses 1 where it has fewer steps than it needs."""

    def ask(way, k):
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


def test_steps_between_which_nothing_is_lost_do_not_hide_a_loss_further_back():
    def ask(way, k):
        return full + (1.0 if k in (0, 5) else 0.0)

    full = np.random.default_rng(0).random(50)
    assert trace_history(full, ask, [0, 1, 2, 5, 10]).steps_used == 10


def test_a_fall_of_less_than_a_hundredth_of_the_largest_does_not_count():
    def ask(way, k):
        return full + {0: 1.0, 1: size, 2: 0.0}[k]

    full = np.random.default_rng(0).random(50)
    size = 0.005
    assert trace_history(full, ask, [0, 1, 2]).steps_used == 1
    size = 0.02
    assert trace_history(full, ask, [0, 1, 2]).steps_used == 2


def test_scores_of_shares_fall_where_losses_rise():
    full, ask = needs(1, 0, noise=0.0)
    found = trace_history(
        np.zeros_like(full), lambda way, k: ask(way, k) - full, [0, 1], higher=True
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
            lambda way, k, full=full, rng=rng: full + rng.normal(size=200),
            range(7),
            seed=seed,
        )
        wrong += found.steps_used != 0
    assert wrong <= 10


def test_steps_must_rise():
    for steps in ([], [1, 0], [2, 2], [-1, 0]):
        with pytest.raises(ValueError, match="steps must rise"):
            trace_history(np.zeros(3), lambda way, k: np.zeros(3), steps)


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
        found = trace_history(full, lambda way, k: full + runs, [0], block=block).cut[0].fall
        return found.high - found.low

    assert width(None) > 2 * width(1)
