r"""A linear dynamical system: a hidden state that moves linearly, read out linearly, with noise.

    s[t+1] = A s[t] + w[t],    w ~ N(0, 1)
    y[t]   = C s[t] + v[t],    v ~ N(0, R), R diagonal

Its likelihood is that of the Kalman filter, which also forecasts: C A^h times what the state is
expected to be. statsmodels' `MLEModel` filters, and finds A, C and R by maximum likelihood; A is
kept stationary by its `constrain_stationary_multivariate` (Ansley and Kohn 1986, Journal of
Statistical Computation and Simulation 24, as its documentation cites), and the state begins in its
stationary distribution.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ostinato.baselines.tracks import Floats, Longs, SeriesGuess, Track
from ostinato.extras import needed

__all__ = ["LinearDynamicalSystem", "linear_system"]

# iterations between two looks at what has been found, and of these at most so many
_ITERATIONS = 60


def linear_system(values: Floats, size: int) -> Any:
    """The system of `size` states over a series [T, Y], as a statsmodels `MLEModel`.

    Its parameters, as `start_params` and `loglike` have them: A row by row, C row by row, the
    diagonal of R.

    Raises:
        MissingExtraError: statsmodels is not installed.
    """
    library = needed(
        "statsmodels.tsa.statespace.mlemodel", extra="baselines", why="Linear dynamical systems"
    )
    tools = needed(
        "statsmodels.tsa.statespace.tools", extra="baselines", why="Linear dynamical systems"
    )

    class System(library.MLEModel):  # type: ignore[name-defined, misc]
        def __init__(self, endog: Floats) -> None:
            super().__init__(endog, k_states=size, k_posdef=size, initialization="stationary")
            self["selection"] = np.eye(size)
            self["state_cov"] = np.eye(size)

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
            return np.concatenate([decays.ravel(), bent.ravel(), noise])

        @property
        def param_names(self) -> list[str]:
            return [f"p{k}" for k in range(size * size + size * self.k_endog + self.k_endog)]

        def transform_params(self, unconstrained: Floats) -> Floats:
            found = np.array(unconstrained)
            square = found[: size * size].reshape(size, size)
            moved, _ = tools.constrain_stationary_multivariate(square, np.eye(size))
            found[: size * size] = np.asarray(moved).ravel()
            found[-self.k_endog :] = found[-self.k_endog :] ** 2 + 1e-8
            return found

        def untransform_params(self, constrained: Floats) -> Floats:
            found = np.array(constrained)
            square = found[: size * size].reshape(size, size)
            moved, _ = tools.unconstrain_stationary_multivariate(square, np.eye(size))
            found[: size * size] = np.asarray(moved).ravel()
            found[-self.k_endog :] = np.sqrt(np.maximum(found[-self.k_endog :] - 1e-8, 0))
            return found

        def update(self, params: Floats, **options: Any) -> None:
            params = super().update(params, **options)
            self["transition"] = params[: size * size].reshape(size, size)
            self["design"] = params[size * size : -self.k_endog].reshape(self.k_endog, size)
            self["obs_cov"] = np.diag(params[-self.k_endog :])

    return System(np.asarray(values, dtype=np.float64))


class LinearDynamicalSystem(SeriesGuess):
    """Forecasts by a Kalman filter; needs the extra `baselines`.

    Learned from the longest series; another one is filtered from its beginning.

    Args:
        states: width of the hidden state.
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
        model = linear_system(longest.targets[-self.rows :], self.states)
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
        model = linear_system(track.targets, self.states)
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
