r"""A linear dynamical system: a hidden state that moves linearly, read out linearly, with noise.

    s[t+1] = A s[t] + w[t],          w ~ N(0, 1)
    l[t+1] = l[t] + u[t],            u ~ N(0, Q), Q diagonal
    y[t]   = C s[t] + l[t] + v[t],   v ~ N(0, R), R diagonal

A is stationary; the levels l, one for each target, wander, so that a forecast need not return to
where the training part was. Its likelihood is that of the Kalman filter, which also forecasts:
C A^h times what s is expected to be, plus what l is. statsmodels' `MLEModel` filters, and finds A,
C, Q and R by maximum likelihood; its `constrain_stationary_multivariate` keeps A stationary (Ansley
and Kohn 1986, Journal of Statistical Computation and Simulation 24, as its documentation cites). s
begins in its stationary distribution, l anywhere: with a hundred times the variance of the series
that was learned from.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ostinato.baselines.tracks import Floats, Longs, SeriesGuess, Track
from ostinato.extras import needed

__all__ = ["LinearDynamicalSystem", "linear_system"]

_ITERATIONS = 60
# no variance is smaller
_LEAST = 1e-8


def linear_system(values: Floats, size: int, variance: Floats | None = None) -> Any:
    """The system of `size` states over a series [T, Y], as a statsmodels `MLEModel`.

    Its parameters, as `start_params` and `loglike` have them: A row by row, C row by row, the
    diagonals of Q and R.

    Args:
        values: the series.
        size: width of the hidden state.
        variance: of each target, a hundred times which the levels begin with, [Y]; None: of
            `values`.

    Raises:
        MissingExtraError: statsmodels is not installed.
    """
    library = needed(
        "statsmodels.tsa.statespace.mlemodel", extra="baselines", why="Linear dynamical systems"
    )
    tools = needed(
        "statsmodels.tsa.statespace.tools", extra="baselines", why="Linear dynamical systems"
    )

    begin = needed(
        "statsmodels.tsa.statespace.initialization", extra="baselines", why="Kalman filters"
    )

    class System(library.MLEModel):  # type: ignore[name-defined, misc]
        def __init__(self, endog: Floats) -> None:
            width = endog.shape[1]
            both = width + size
            super().__init__(endog, k_states=both, k_posdef=both)
            start = begin.Initialization(both)
            spread = endog.var(axis=0) if variance is None else variance
            anywhere = np.diag(100 * np.maximum(spread, 1e-8))
            start.set((0, width), "known", constant=np.zeros(width), stationary_cov=anywhere)
            start.set((width, both), "stationary")
            self.ssm.initialize(start)
            self["selection"] = np.eye(both)
            self["transition", :width, :width] = np.eye(width)
            self["design", :, :width] = np.eye(width)
            self["state_cov", width:, width:] = np.eye(size)

        @property
        def start_params(self) -> Floats:
            width = self.k_endog
            # memories from long to short, each target a sum of all
            decays = np.diag(1 - np.geomspace(0.02, 0.7, size))
            spread = self.endog.std(axis=0)
            reads = np.outer(spread, np.sqrt(1 - np.diag(decays) ** 2)) / np.sqrt(size)
            noise = np.maximum(0.1 * spread**2, 1e-4)
            # equal rows would stay equal for ever
            bent = reads * np.cos(np.arange(width)[:, None] * np.arange(size))
            return np.concatenate([decays.ravel(), bent.ravel(), noise / 10, noise])

        @property
        def param_names(self) -> list[str]:
            width = self.k_endog
            return [f"p{k}" for k in range(size * size + size * width + 2 * width)]

        def transform_params(self, unconstrained: Floats) -> Floats:
            found = np.array(unconstrained)
            square = found[: size * size].reshape(size, size)
            moved, _ = tools.constrain_stationary_multivariate(square, np.eye(size))
            found[: size * size] = np.asarray(moved).ravel()
            found[-2 * self.k_endog :] = found[-2 * self.k_endog :] ** 2 + _LEAST
            return found

        def untransform_params(self, constrained: Floats) -> Floats:
            found = np.array(constrained)
            square = found[: size * size].reshape(size, size)
            moved, _ = tools.unconstrain_stationary_multivariate(square, np.eye(size))
            found[: size * size] = np.asarray(moved).ravel()
            spreads = found[-2 * self.k_endog :]
            found[-2 * self.k_endog :] = np.sqrt(np.maximum(spreads - _LEAST, 0))
            return found

        def update(self, params: Floats, **options: Any) -> None:
            params = super().update(params, **options)
            width = self.k_endog
            self["transition", width:, width:] = params[: size * size].reshape(size, size)
            reads = params[size * size : -2 * width].reshape(width, size)
            self["design", :, width:] = reads
            self["state_cov", :width, :width] = np.diag(params[-2 * width : -width])
            self["obs_cov"] = np.diag(params[-width:])

    return System(np.asarray(values, dtype=np.float64))


class LinearDynamicalSystem(SeriesGuess):
    """Forecasts by a Kalman filter; needs the extra `baselines`.

    Learned from the longest series; another one is filtered from its beginning.

    Args:
        states: width of the hidden state, levels not counted.
        rows: rows that are learned from, the last ones.
        iterations: steps of the optimiser (L-BFGS) at most.

    Attributes:
        values: the parameters found, as `linear_system` orders them.

    Raises:
        MissingExtraError: statsmodels is not installed.

    Example:
        >>> wave = np.cos(np.arange(200) / 3)[:, None]
        >>> guess = LinearDynamicalSystem(2).fit([Track(wave)], 1)
        >>> error = guess.predict(Track(wave), np.arange(100, 150))[:, 0] - wave[100:150]
        >>> bool((error ** 2).mean() < 0.05)
        True
    """

    looks_back = None

    def __init__(
        self, states: int = 4, *, rows: int = 2_000, iterations: int = _ITERATIONS
    ) -> None:
        if states < 1:
            raise ValueError(f"LinearDynamicalSystem: states must be at least 1, got {states}.")
        self.states = states
        self.rows = rows
        self.iterations = iterations
        self.name = f"linear dynamical system, {states} states"

    def fit(self, tracks: Sequence[Track], horizon: int) -> LinearDynamicalSystem:
        self.horizon = horizon
        longest = max(tracks, key=len)
        rows = longest.targets[-self.rows :]
        # a series that is to be forecast does not tell its own variance beforehand
        self._variance = rows.var(axis=0)
        model = linear_system(rows, self.states)
        with warnings.catch_warnings():
            # that the optimiser stopped at its last iteration is what was asked of it
            warnings.simplefilter("ignore")
            start = model.untransform_params(model.start_params)
            found = model.fit(
                start,
                transformed=False,
                method="lbfgs",
                maxiter=self.iterations,
                disp=False,
                cov_type="none",
                return_params=True,
            )
        self.values = np.asarray(found)
        return self

    def predict(self, track: Track, origins: Longs) -> Floats:
        model = linear_system(track.targets, self.states, self._variance)
        model.update(self.values)
        # what the state is expected to be at each row, knowing all rows before it, [T + 1, S]
        expected = np.asarray(model.ssm.filter().predicted_state).T[origins]
        move, read = np.asarray(model["transition"]), np.asarray(model["design"])
        ahead = []
        for _ in range(self.horizon):
            ahead.append(expected @ read.T)
            expected = expected @ move.T
        return np.stack(ahead, axis=1)

    @property
    def parameters(self) -> int:
        return len(self.values)
