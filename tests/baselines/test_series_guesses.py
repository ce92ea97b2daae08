import numpy as np
import pytest

from ostinato.baselines.series import RidgeOnLags, copy_last, seasonal_naive


def test_the_last_value_and_the_last_season_are_repeated():
    past = np.arange(12.0).reshape(2, 6, 1)
    assert copy_last(past, 2)[..., 0].tolist() == [[5, 5], [11, 11]]
    assert seasonal_naive(past, 4, 3)[..., 0].tolist() == [[3, 4, 5, 3], [9, 10, 11, 9]]
    with pytest.raises(ValueError, match="the past has 6 rows, a season 7"):
        seasonal_naive(past, 4, 7)


def test_a_ridge_finds_a_linear_rule_of_all_targets():
    pytest.importorskip("sklearn")
    draws = np.random.default_rng(0)
    past = draws.normal(size=(400, 5, 2))
    ahead = np.stack([past[:, -1] - 2 * past[:, -3], past[:, -2]], axis=1)
    guess = RidgeOnLags(3, penalty=1e-8).fit(past, ahead)
    np.testing.assert_allclose(guess(past[:7]), ahead[:7], atol=1e-6)
    shrunk = RidgeOnLags(3, penalty=1e6).fit(past, ahead)
    assert np.abs(shrunk(past)).mean() < 0.1 * np.abs(ahead).mean()
