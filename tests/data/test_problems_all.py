"""What holds for rows of every problem, at any size and seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.data import problems

# by name: from rows and a lag to the generator's arguments
GENERATORS = {
    "adding": lambda rows, lag, seed: problems.adding(rows, 9 + lag, seed=seed),
    "multiplication": lambda rows, lag, seed: problems.multiplication(
        rows, 9 + lag, form="halves", seed=seed
    ),
    "xor": lambda rows, lag, seed: problems.xor(rows, 9 + lag, seed=seed),
    "temporal_order": lambda rows, lag, seed: problems.temporal_order(
        rows, 9 + lag, symbols=3, seed=seed
    ),
    "memorisation": lambda rows, lag, seed: problems.memorisation(rows, lag, seed=seed),
    "random_permutation": lambda rows, lag, seed: problems.random_permutation(
        rows, 1 + lag, seed=seed
    ),
    "copy": lambda rows, lag, seed: problems.copy(rows, lag, marker="once", seed=seed),
    "embedded_reber": lambda rows, lag, seed: problems.embedded_reber(rows, 4 + lag, seed=seed),
    "anbn": lambda rows, lag, seed: problems.anbn(rows, lag, seed=seed),
    "delayed_noise": lambda rows, lag, seed: problems.delayed_noise(rows, lag, seed=seed),
}


@pytest.mark.parametrize("name", GENERATORS)
@settings(max_examples=25, deadline=None)
@given(rows=st.integers(1, 9), lag=st.integers(1, 40), seed=st.integers(0, 2**32))
def test_rows_are_whole(name, rows, lag, seed):
    found = GENERATORS[name](rows, lag, seed)
    T, N = found.mask.shape
    assert rows == N
    assert found.inputs.shape[:2] == found.targets.shape[:2] == (T, N)
    assert found.inputs.dtype == np.float32
    assert found.lengths.max() == T
    inside = np.arange(T)[:, None] < found.lengths
    # something is asked of every row, and nothing after its end
    assert found.mask.any(0).all()
    assert not found.mask[~inside].any()
    assert not found.inputs[~inside].any()
    if found.loss == "classes":
        assert found.targets.dtype == np.int64
        assert found.targets.min() >= 0
        assert found.targets.max() < found.outputs
    else:
        assert found.targets.shape == (T, N, found.outputs)
    if found.allowed is not None:
        right = np.take_along_axis(found.allowed, found.targets[..., None], axis=2)[..., 0]
        assert right[found.mask].all()
