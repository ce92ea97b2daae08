import math
from itertools import pairwise

import pytest

from ostinato.tasks.translator.sampling import true_share


def test_the_three_decays_are_those_of_the_paper():
    assert true_share(None, 10**6, rate=1) == 1.0
    assert true_share("linear", 30, rate=100) == pytest.approx(0.7)
    assert true_share("exponential", 30, rate=100) == pytest.approx(0.99**30)
    assert true_share("sigmoid", 30, rate=100) == pytest.approx(100 / (100 + math.exp(0.3)))


@pytest.mark.parametrize("decay", ["linear", "exponential", "sigmoid"])
def test_they_fall_from_one_to_the_floor_and_stay_numbers(decay):
    shares = [true_share(decay, step, rate=50, floor=0.1) for step in range(0, 2000, 10)]
    assert shares[0] > 0.95
    assert all(a >= b for a, b in pairwise(shares))
    assert true_share(decay, 10**9, rate=50, floor=0.1) == 0.1
    assert true_share(decay, 10**9, rate=50) == pytest.approx(0.0)
