import numpy as np
import pytest
from statsmodels.tsa.ar_model import AutoReg
from statsmodels.tsa.vector_ar.var_model import VAR

from ostinato.baselines.autoregression import Autoregression, VectorAutoregression
from ostinato.baselines.tracks import Track


def ar2(rows=4000, seed=0):
    rng = np.random.default_rng(seed)
    x = np.zeros(rows)
    for t in range(2, rows):
        x[t] = 0.5 + 0.6 * x[t - 1] - 0.3 * x[t - 2] + rng.normal()
    return x[:, None]


def pair(rows=3000):
    rng = np.random.default_rng(1)
    moves = np.array([[0.5, 0.3], [0.0, 0.7]])
    x = np.zeros((rows, 2))
    for t in range(1, rows):
        x[t] = moves @ x[t - 1] + rng.normal(size=2)
    return x, moves


def test_the_order_and_the_numbers_of_an_autoregression_are_found():
    guess = Autoregression(12).fit([Track(ar2())], 1)
    assert guess.order == 2
    assert guess.matrices[:, 0, 0] == pytest.approx([0.6, -0.3], abs=0.05)
    assert guess.constant[0] == pytest.approx(0.5, abs=0.1)
    assert guess.parameters == 3
    assert guess.name == "autoregression, order 2"


def test_the_numbers_are_those_of_statsmodels():
    x = ar2(500)
    guess = Autoregression(orders=[3]).fit([Track(x)], 4)
    known = AutoReg(x[:, 0], 3).fit()
    assert [guess.constant[0], *guess.matrices[:, 0, 0]] == pytest.approx(known.params, rel=1e-8)
    ahead = guess.predict(Track(x), np.array([500]))[0, :, 0]
    assert ahead == pytest.approx(known.forecast(4), rel=1e-8)


def test_the_matrices_of_several_targets_are_those_of_statsmodels():
    x, _ = pair(400)
    guess = VectorAutoregression(orders=[2]).fit([Track(x)], 3)
    known = VAR(x).fit(2)
    assert np.allclose(guess.matrices, known.coefs)
    assert np.allclose(guess.predict(Track(x), np.array([400]))[0], known.forecast(x, 3))
    assert guess.parameters == 2 + 2 * 4


def test_targets_alone_do_not_see_each_other():
    x, moves = pair()
    together = VectorAutoregression(orders=[1]).fit([Track(x)], 1)
    alone = Autoregression(orders=[1]).fit([Track(x)], 1)
    assert together.matrices[0] == pytest.approx(moves, abs=0.06)
    assert alone.matrices[0, 0, 1] == 0
    assert alone.parameters == 4


def test_several_series_share_one_map():
    x = ar2()
    apart = Autoregression(orders=[2]).fit([Track(x[:2000]), Track(x[2000:])], 1)
    whole = Autoregression(orders=[2]).fit([Track(x)], 1)
    assert apart.matrices == pytest.approx(whole.matrices, abs=0.01)
    assert not np.array_equal(apart.matrices, whole.matrices)


def test_only_the_last_rows_are_learned_from():
    x = np.concatenate([ar2(1000), np.cumsum(np.ones((300, 1)), axis=0)])
    late = Autoregression(orders=[1], rows=200).fit([Track(x)], 1)
    assert late.matrices[0, 0, 0] == pytest.approx(1.0)


def test_a_series_too_short_for_any_order_is_refused():
    with pytest.raises(ValueError, match="4 rows, too few"):
        Autoregression().fit([Track(np.zeros((4, 1)))], 1)
    with pytest.raises(ValueError, match="at least 1"):
        Autoregression(orders=[0])


def test_a_forecast_needs_its_lags():
    guess = Autoregression(orders=[3]).fit([Track(ar2(100))], 1)
    with pytest.raises(ValueError, match="fewer than the 3 rows"):
        guess.predict(Track(ar2(100)), np.array([2]))
