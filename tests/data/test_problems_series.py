"""Rows of series, held against the systems they are cut from."""

import numpy as np
import pytest

from ostinato.data.problems import (
    delayed_noise,
    mackey_glass,
    narma10,
    predict_lorenz,
    predict_mackey_glass,
    predict_narma10,
)


def test_narma_rows_obey_the_recursion():
    rows = predict_narma10(3, 80, washout=30, seed=2)
    u, y = rows.inputs[..., 0].astype(float), rows.targets[..., 0].astype(float)
    for n in range(9, 79):
        past = y[n - 9 : n + 1].sum(0)
        told = 0.3 * y[n] + 0.05 * y[n] * past + 1.5 * u[n - 9] * u[n] + 0.1
        np.testing.assert_allclose(y[n + 1], told, rtol=1e-5)
    assert np.flatnonzero(rows.mask.all(1))[0] == 30
    assert not (u[:, 0] == u[:, 1]).any()


def runs_away(n):
    try:
        narma10(5000, seed=[3, n, 0])
    except ValueError:
        return True
    return False


def test_narma_rows_that_run_away_are_drawn_again():
    assert any(runs_away(n) for n in range(60))
    rows = predict_narma10(60, 5000, seed=3)
    assert np.isfinite(rows.targets).all()
    assert rows.targets.max() < 1000


def test_mackey_glass_rows_are_pieces_of_one_series():
    rows = predict_mackey_glass(3, 20, steps=120, tau=30.0, seed=4)
    series = mackey_glass(3 * 140, tau=30.0, seed=4).astype(np.float32) - 1
    for n in range(3):
        piece = series[140 * n : 140 * (n + 1)]
        np.testing.assert_allclose(rows.inputs[:, n, 0], piece[:120], atol=1e-6)
        np.testing.assert_allclose(rows.targets[:, n, 0], piece[20:], atol=1e-6)


def test_lorenz_rows_follow_the_equations():
    rows = predict_lorenz(2, 7, steps=60, interval=0.001, seed=5)
    x, y, z = (
        np.moveaxis(rows.inputs.astype(float) * 10, 2, 0) + np.array([0, 0, 25])[:, None, None]
    )

    def slope(values):
        return (values[2:] - values[:-2]) / 0.002

    now = slice(1, -1)
    np.testing.assert_allclose(slope(x), 10 * (y - x)[now], atol=0.05)
    np.testing.assert_allclose(slope(y), (x * (28 - z) - y)[now], atol=0.2)
    np.testing.assert_allclose(slope(z), (x * y - 8 / 3 * z)[now], atol=0.2)
    np.testing.assert_array_equal(rows.targets[:-7], rows.inputs[7:])


@pytest.mark.parametrize("delays", [1, 6])
def test_delayed_noise_asks_for_each_of_the_last_inputs(delays):
    rows = delayed_noise(4, delays, seed=6)
    u = rows.inputs[..., 0]
    assert len(u) == 4 * delays + 100
    assert np.abs(u).max() <= 0.5
    for t in range(delays, len(u)):
        for k in range(1, delays + 1):
            np.testing.assert_array_equal(rows.targets[t, :, k - 1], u[t - k])
    assert rows.mask.sum() == 4 * (len(u) - delays)


def test_seeds_draw_other_rows():
    for problem in (predict_narma10, predict_mackey_glass, predict_lorenz):
        one, same, other = (problem(2, seed=seed).inputs for seed in (1, 1, [1, 2]))
        np.testing.assert_array_equal(one, same)
        assert (one != other).any()


def test_refuses_what_is_out_of_range():
    with pytest.raises(ValueError, match="predict_narma10: steps must be at least 52, got 50"):
        predict_narma10(1, 50)
    with pytest.raises(ValueError, match="predict_lorenz: horizon must be at least 1, got 0"):
        predict_lorenz(1, 0)
    with pytest.raises(ValueError, match="delayed_noise: steps must be at least 12, got 11"):
        delayed_noise(1, 10, steps=11)
