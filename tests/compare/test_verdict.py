import pytest

from ostinato.compare.bootstrap import Interval
from ostinato.compare.history import Fall, History
from ostinato.compare.verdict import Rival, verdict


def rival(name, gain, low, high, memoryless=True):
    return Rival(name, Interval(gain, low, high), memoryless)


RIDGE = "ridge on 96 lags"
FAR, NEAR = rival("copy last", 40.0, 35.0, 45.0), rival(RIDGE, 12.2, 8.1, 15.3)


@pytest.mark.parametrize(
    ("rivals", "said"),
    [
        (
            [FAR, NEAR],
            "Worth having: yes. It beats the best memoryless model (ridge on 96 lags) by 12.2 % "
            "(8.1 to 15.3).",
        ),
        (
            [FAR, rival(RIDGE, 0.4, -1.0, 1.9)],
            "Worth having: not shown. Ridge on 96 lags may do as well (the network is ahead by 0.4 "
            "% (-1.0 to 1.9)).",
        ),
        (
            [FAR, rival(RIDGE, -0.4, -1.0, 0.9)],
            "Worth having: no. Ridge on 96 lags does as well (the network is behind by 0.4 % (-0.9 "
            "to 1.0)).",
        ),
        (
            [FAR, rival(RIDGE, -5.0, -8.0, -3.0)],
            "Worth having: no. Ridge on 96 lags is better, by 5.0 % (3.0 to 8.0).",
        ),
        (
            [NEAR, rival("hidden Markov model", 3.0, 1.0, 5.0, memoryless=False)],
            "Worth having: yes. It beats the best memoryless model (ridge on 96 lags) by 12.2 % "
            "(8.1 to 15.3), and the best model with a state (hidden Markov model) by 3.0 % (1.0 to "
            "5.0).",
        ),
        (
            [NEAR, rival("hidden Markov model", 1.0, -1.0, 3.0, memoryless=False)],
            "Worth having: not shown. Hidden Markov model, which has a state of its own, may do as "
            "well (the network is ahead by 1.0 % (-1.0 to 3.0)).",
        ),
        (
            # of two that do as well, the one without a state is named
            [
                rival(RIDGE, 0.9, -1.0, 2.0),
                rival("hidden Markov model", 0.5, -1.0, 3.0, memoryless=False),
            ],
            "Worth having: not shown. Ridge on 96 lags may do as well (the network is ahead by 0.9 "
            "% (-1.0 to 2.0)).",
        ),
        (
            [rival("hidden Markov model", 3.0, 1.0, 5.0, memoryless=False)],
            "Worth having: yes. It beats hidden Markov model by 3.0 % (1.0 to 5.0).",
        ),
    ],
)
def test_what_is_said_of_the_worth(rivals, said):
    assert verdict(rivals, "%", None) == (said,)


def history(used, ordered, steps=(0, 1, 2, 5, 10), longest=None):
    def falls(fewest):
        told = [k for k in steps if fewest is None or k < fewest]
        return tuple(Fall(k, 0.0, Interval(1.0, 0.5 if k in told else -0.5, 2.0)) for k in steps)

    return History(0.0, falls(used), falls(ordered), longest, 100, "word")


@pytest.mark.parametrize(
    ("past", "said"),
    [
        (
            history(0, 0),
            "Needs memory: no. On 100 places, it does as well when it reads nothing but one word.",
        ),
        (
            history(1, 0),
            "Needs memory: yes, about 1 word, whose order does not matter; up to 10 were "
            "tried, with no fall that counts.",
        ),
        (
            history(5, 5),
            "Needs memory: yes, about 5 words, in their order; up to 10 were tried, with no fall "
            "that counts.",
        ),
        (
            history(10, 2),
            "Needs memory: yes, about 10 words, of which the order of the last 2 matters.",
        ),
        (
            history(None, 5),
            "Needs memory: yes, more than 10 words, of which the order of the last 5 matters; no "
            "more were tried.",
        ),
        (
            history(None, None),
            "Needs memory: yes, more than 10 words, and their order matters all along; no more "
            "were tried.",
        ),
        (
            history(None, 0, longest=12),
            "Needs memory: yes, all of the past that there is, 12 words at most, whose order does "
            "not matter.",
        ),
        (
            history(None, None, longest=12),
            "Needs memory: yes, all of the past that there is, 12 words at most, in their order.",
        ),
    ],
)
def test_what_is_said_of_the_memory(past, said):
    assert verdict([NEAR], "%", past)[1] == said


@pytest.mark.parametrize(
    ("past", "said"),
    [
        (history(5, 5, (5, 10)), "Needs memory: at most 5 words; fewer were not tried."),
        (
            history(10, 5, (5, 10)),
            "Needs memory: yes, about 10 words, of which the order of the last 5 at most matters.",
        ),
    ],
)
def test_steps_that_were_not_tried_are_not_said_to_be_needed(past, said):
    assert verdict([NEAR], "%", past)[1] == said
