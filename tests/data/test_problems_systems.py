"""Made problems obey the equations they are defined by."""

import numpy as np
import pytest

from ostinato.data.problems import lorenz, mackey_glass, narma10


def test_mackey_glass_obeys_its_difference_equation():
    fine = mackey_glass(400, tau=17, delta=1.0, discard=0, seed=3)
    now, past = fine[17:-1], fine[:-18]
    np.testing.assert_allclose(fine[18:], now + 0.2 * past / (1 + past**10) - 0.1 * now, rtol=1e-13)


def test_mackey_glass_keeps_one_of_the_steps_in_a_unit_of_time():
    # Euler's method, written out on the grid of tenths
    rng = np.random.default_rng(5)
    y = list(1.2 + 0.2 * (rng.random(171) - 0.5))
    for n in range(170, 170 + 300):
        y.append(y[n] + 0.1 * (0.2 * y[n - 170] / (1 + y[n - 170] ** 10) - 0.1 * y[n]))
    np.testing.assert_array_equal(mackey_glass(30, discard=0, seed=5), y[180::10])
    np.testing.assert_array_equal(mackey_glass(20, discard=10, seed=5), y[280::10])


def test_mackey_glass_is_the_attractor_of_the_report():
    # section 6.3.1 has variance 0.067 for tau = 30, which is that of the values once squashed
    squashed = np.tanh(mackey_glass(20_000, tau=30) - 1)
    assert squashed.var() == pytest.approx(0.067, abs=0.002)


def test_mackey_glass_depends_on_tau_and_seed():
    one = mackey_glass(50)
    assert not np.allclose(one, mackey_glass(50, tau=30))
    assert not np.allclose(one, mackey_glass(50, seed=1))
    np.testing.assert_array_equal(one, mackey_glass(50))


def test_narma_obeys_its_equation():
    u, y = narma10(300, seed=2)
    for n in range(9, 299):
        expected = 0.3 * y[n] + 0.05 * y[n] * y[n - 9 : n + 1].sum() + 1.5 * u[n - 9] * u[n] + 0.1
        assert y[n + 1] == pytest.approx(expected, rel=1e-13)
    assert u.min() >= 0
    assert u.max() <= 0.5
    assert u.std() == pytest.approx(0.5 / np.sqrt(12), rel=0.1)


def test_narma_that_runs_away_is_refused():
    with pytest.raises(ValueError, match=r"runs away after \d+ steps. Take another"):
        narma10(300, inputs=np.full(500, 1.5))
    with pytest.raises(ValueError, match=r"200 \+ 300 inputs \[500\] are needed, got \[7\]"):
        narma10(300, inputs=np.zeros(7))


def test_lorenz_obeys_its_differential_equation():
    h = 1e-4
    p = lorenz(2000, interval=h, substeps=1, discard=0)
    slope = (p[2:] - p[:-2]) / (2 * h)
    x, y, z = p[1:-1].T
    expected = np.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], axis=1)
    np.testing.assert_allclose(slope, expected, atol=1e-2)


def test_lorenz_has_the_order_of_its_method():
    def end(substeps):
        return lorenz(10, interval=0.02, substeps=substeps, discard=0)[-1]

    far = [abs(end(substeps) - end(32)).max() for substeps in (1, 2)]
    # half the step, a sixteenth of the error
    assert 10 < far[0] / far[1] < 25


@pytest.mark.parametrize("make", [mackey_glass, narma10, lorenz])
def test_sizes_out_of_range_are_refused(make):
    with pytest.raises(ValueError, match=f"{make.__name__}: steps must be at least 1"):
        make(0)
    with pytest.raises(ValueError, match="discard at least 0, got 5 and -1"):
        make(5, discard=-1)


def test_a_step_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="must be whole"):
        mackey_glass(5, delta=0.3)
    with pytest.raises(ValueError, match="must be whole"):
        mackey_glass(5, tau=17.05)
    with pytest.raises(ValueError, match="interval and substeps"):
        lorenz(5, interval=0)
