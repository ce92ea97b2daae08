"""Temporal order, read off the rows."""

import numpy as np
import pytest

from ostinato.data.problems import temporal_order

TENTHS = {2: [1, 5], 3: [1, 3, 6]}


@pytest.mark.parametrize("symbols", [2, 3])
def test_class_is_the_order_of_the_telling_symbols(symbols):
    rows = temporal_order(400, 30, symbols=symbols, seed=5)
    assert rows.outputs == 2**symbols
    for n in range(400):
        shown = rows.inputs[:, n].argmax(1)
        places = np.flatnonzero(shown < 2)
        assert [place // 3 for place in places] == TENTHS[symbols]
        assert rows.targets[-1, n] == int("".join(map(str, shown[places])), 2)
    assert set(rows.targets[-1]) == set(range(2**symbols))


def test_each_step_shows_one_symbol_and_the_last_one_counts():
    rows = temporal_order(20, 50)
    np.testing.assert_array_equal(rows.inputs.sum(2), 1)
    assert np.argwhere(rows.mask)[:, 0].tolist() == [49] * 20


def test_noise_and_orders_are_equally_likely():
    rows = temporal_order(8000, 20, seed=6)
    shown = rows.inputs.argmax(2)
    noise = np.bincount(shown[shown > 1])[2:] / (shown > 1).sum()
    np.testing.assert_allclose(noise, 0.25, atol=0.01)
    np.testing.assert_allclose(np.bincount(rows.targets[-1]) / 8000, 0.25, atol=0.02)


def test_refuses_other_numbers_of_symbols():
    with pytest.raises(ValueError, match="symbols must be 2 or 3, got 4"):
        temporal_order(1, 20, symbols=4)
    with pytest.raises(ValueError, match="steps must be at least 10"):
        temporal_order(1, 5)
