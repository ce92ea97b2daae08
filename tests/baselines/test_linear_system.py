import numpy as np
import pytest

from ostinato.baselines.linear_system import LinearDynamicalSystem, linear_system
from ostinato.baselines.tracks import Track


def kalman(y, A, C, Q, R, m, P):
    """Log-likelihood of y [T, Y], and the state that is expected after it."""
    total = 0.0
    for row in y:
        error = row - C @ m
        S = C @ P @ C.T + R
        total -= 0.5 * (
            error @ np.linalg.solve(S, error)
            + np.linalg.slogdet(S)[1]
            + len(row) * np.log(2 * np.pi)
        )
        gain = P @ C.T @ np.linalg.inv(S)
        m, P = m + gain @ error, P - gain @ C @ P
        m, P = A @ m, A @ P @ A.T + Q
    return total, m


def stationary(A):
    n = len(A)
    return np.linalg.solve(np.eye(n * n) - np.kron(A, A), np.eye(n).ravel()).reshape(n, n)


def system(y, size, params):
    """The matrices that parameters stand for, levels first."""
    width = y.shape[1]
    both = width + size
    A, Q, P = np.eye(both), np.eye(both), np.zeros((both, both))
    A[width:, width:] = params[: size * size].reshape(size, size)
    C = np.hstack([np.eye(width), params[size * size : -2 * width].reshape(width, size)])
    Q[:width, :width] = np.diag(params[-2 * width : -width])
    P[:width, :width] = np.diag(100 * y.var(axis=0))
    P[width:, width:] = stationary(A[width:, width:])
    return A, C, Q, np.diag(params[-width:]), np.zeros(both), P


@pytest.mark.parametrize("width", [1, 2])
def test_the_likelihood_is_that_of_a_plain_kalman_filter(width):
    rng = np.random.default_rng(0)
    y = rng.normal(size=(40, width)).cumsum(axis=0)
    A = np.array([[0.8, 0.3], [-0.2, 0.5]])
    reads = rng.normal(size=(width, 2))
    params = np.concatenate([A.ravel(), reads.ravel(), np.full(width, 0.3), np.full(width, 0.7)])
    known, _ = kalman(y, *system(y, 2, params))
    assert linear_system(y, 2).loglike(params) == pytest.approx(known, rel=1e-9)


def test_forecasts_are_those_of_the_filtered_state():
    rng = np.random.default_rng(1)
    y = rng.normal(size=(300, 1)).cumsum(axis=0)
    guess = LinearDynamicalSystem(2, iterations=5).fit([Track(y[:200])], 3)
    A, C, Q, R, m, P = system(y, 2, guess.values)
    _, state = kalman(y[:250], A, C, Q, R, m, P)
    ahead = [float((C @ np.linalg.matrix_power(A, h) @ state)[0]) for h in range(3)]
    assert guess.predict(Track(y), np.array([250]))[0, :, 0] == pytest.approx(ahead, rel=1e-6)


def test_fitting_finds_a_likelier_system_that_forecasts_an_oscillation():
    rng = np.random.default_rng(2)
    t = np.arange(600)
    y = (np.cos(t * 0.4) + 0.05 * rng.normal(size=600))[:, None]
    guess = LinearDynamicalSystem(2).fit([Track(y[:400])], 4)
    model = linear_system(y[:400], 2)
    assert model.loglike(guess.values) > model.loglike(model.start_params) + 100
    origins = np.arange(450, 590)
    ahead = y[origins[:, None] + np.arange(4), 0]
    error = (guess.predict(Track(y), origins)[..., 0] - ahead) ** 2
    # the last value would be off by far more
    assert error.mean() < 0.05 * ((y[origins - 1] - ahead) ** 2).mean()
    assert guess.parameters == 4 + 2 + 2


def test_each_option_changes_what_is_found():
    y = np.random.default_rng(3).normal(size=(400, 1)).cumsum(axis=0)
    plain = LinearDynamicalSystem(1, iterations=4).fit([Track(y)], 1).values
    assert len(LinearDynamicalSystem(2, iterations=4).fit([Track(y)], 1).values) > len(plain)
    for other in ({"rows": 100, "iterations": 4}, {"iterations": 9}):
        found = LinearDynamicalSystem(1, **other).fit([Track(y)], 1).values
        assert not np.allclose(found, plain, rtol=1e-6)


def test_no_states_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        LinearDynamicalSystem(0)
