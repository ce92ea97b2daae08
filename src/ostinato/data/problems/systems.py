"""Systems whose next value follows from their past, as NumPy arrays in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ostinato.data.problems.examples import Seed

__all__ = ["lorenz", "lorenz_walk", "mackey_glass", "narma10"]

Array = NDArray[np.float64]


def mackey_glass(
    steps: int, *, tau: float = 17.0, delta: float = 0.1, discard: int = 1000, seed: Seed = 0
) -> Array:
    """The Mackey-Glass system, one value for each unit of time.

        dy/dt = 0.2 y(t - tau) / (1 + y(t - tau)^10) - 0.1 y(t)

    by Euler's method with steps of `delta`, of which every 1/delta-th is kept. Chaotic for tau
    above 16.8; 17 is mild, 30 is wild.

    Source: Jaeger (2001), GMD report 148, section 6.1. The values before the first, which it does
    not tell, are drawn around 1.2.

    Args:
        steps: T, how many values.
        tau: the delay, a whole number of `delta`.
        delta: step of the method; 1/delta must be whole.
        discard: units of time that are left out at the beginning.
        seed: of the values before the first.

    Shapes: [T].

    Raises:
        ValueError: steps, discard, tau or delta are out of range.

    Example:
        >>> y = mackey_glass(1000)
        >>> y.shape, bool(0.2 < y.min() < y.max() < 1.4)
        ((1000,), True)
    """
    _check("mackey_glass", steps, discard)
    if delta <= 0 or not _whole(1 / delta) or tau < delta or not _whole(tau / delta):
        raise ValueError(
            f"mackey_glass: 1/delta and tau/delta must be whole and positive, got tau={tau} and "
            f"delta={delta}. Take delta=0.1."
        )
    lag, every = round(tau / delta), round(1 / delta)
    first = 1.2 + 0.2 * (np.random.default_rng(seed).random(lag + 1) - 0.5)
    y: list[float] = first.tolist()
    for n in range(lag, lag + (steps + discard) * every):
        past = y[n - lag]
        y.append(y[n] + delta * (0.2 * past / (1 + past**10) - 0.1 * y[n]))
    return np.array(y[lag + every :: every][discard:])


def narma10(
    steps: int, *, discard: int = 200, seed: Seed = 0, inputs: Array | None = None
) -> tuple[Array, Array]:
    """The tenth-order NARMA system: from each input and the nine before to the next value.

        y[n+1] = 0.3 y[n] + 0.05 y[n] (y[n] + ... + y[n-9]) + 1.5 u[n-9] u[n] + 0.1

    with u uniform in [0, 0.5]. A task in it: find y[n] from u up to n.

    The recursion can run away, as it does in 5 of 100 drawn sequences of ten thousand steps; a
    sequence that does is refused.

    Source: Atiya and Parlos (2000), doi:10.1109/72.846741, with the constants as Jaeger's
    "Adaptive nonlinear system identification with echo state networks" (2003) and others have them.

    Args:
        steps: T, how many values.
        discard: steps that are left out at the beginning, where y starts from zero.
        seed: of the inputs.
        inputs: u [discard + T], in place of drawn ones.

    Shapes: u [T] and y [T].

    Raises:
        ValueError: a size is out of range, `inputs` is of another length, or y runs away.

    Example:
        >>> u, y = narma10(1000)
        >>> u.shape, y.shape, bool(0 <= u.min() <= u.max() <= 0.5)
        ((1000,), (1000,), True)
    """
    _check("narma10", steps, discard)
    total = steps + discard
    drawn = np.random.default_rng(seed).uniform(0, 0.5, total) if inputs is None else inputs
    if drawn.shape != (total,):
        raise ValueError(
            f"narma10: {discard} + {steps} inputs [{total}] are needed, got {list(drawn.shape)}."
        )
    u: list[float] = drawn.tolist()
    y = [0.0] * 10
    for n in range(9, total - 1):
        y.append(0.3 * y[n] + 0.05 * y[n] * sum(y[n - 9 : n + 1]) + 1.5 * u[n - 9] * u[n] + 0.1)
        if y[-1] > 1e3:
            raise ValueError(
                f"narma10: the sequence of seed {seed} runs away after {n + 1} steps. Take another "
                "seed."
            )
    return np.array(u)[discard:], np.array(y[:total])[discard:]


def lorenz(
    steps: int, *, interval: float = 0.02, substeps: int = 4, discard: int = 1000, seed: Seed = 0
) -> Array:
    """The Lorenz system at equal intervals of time.

        dx/dt = 10 (y - x)    dy/dt = x (28 - z) - y    dz/dt = x y - 8/3 z

    by the classical Runge-Kutta method of fourth order.

    Source: Lorenz (1963), Deterministic nonperiodic flow, Journal of the Atmospheric Sciences 20,
    130-141.

    Args:
        steps: T, how many points.
        interval: time between two of them.
        substeps: steps of the method in each interval.
        discard: points that are left out at the beginning.
        seed: of the first point, drawn in -1..1 around (0, 0, 25).

    Shapes: [T, 3], with x, y and z.

    Raises:
        ValueError: a size is out of range.

    Example:
        >>> points = lorenz(500)
        >>> points.shape, bool((points[:, 2] > 0).all())
        ((500, 3), True)
    """
    _check("lorenz", steps, discard)
    if interval <= 0 or substeps < 1:
        raise ValueError(
            f"lorenz: interval and substeps must be positive, got {interval} and {substeps}."
        )
    point = np.random.default_rng(seed).uniform(-1, 1, 3) + np.array([0.0, 0.0, 25.0])
    return lorenz_walk(point, discard + steps, interval, substeps)[discard:]


def lorenz_walk(point: Array, steps: int, interval: float, substeps: int) -> Array:
    """Where one point [3], or several side by side [3, N], go in `steps` intervals, [T, 3(, N)]."""
    points = np.empty((steps, *point.shape))
    for n in range(steps):
        for _ in range(substeps):
            point = _runge_kutta(_lorenz_slope, point, interval / substeps)
        points[n] = point
    return points


def _lorenz_slope(p: Array) -> Array:
    x, y, z = p
    return np.array([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])


def _runge_kutta(slope: Callable[[Array], Array], p: Array, h: float) -> Array:
    first = slope(p)
    second = slope(p + h / 2 * first)
    third = slope(p + h / 2 * second)
    fourth = slope(p + h * third)
    return p + h / 6 * (first + 2 * second + 2 * third + fourth)


def _check(name: str, steps: int, discard: int) -> None:
    if steps < 1 or discard < 0:
        raise ValueError(
            f"{name}: steps must be at least 1 and discard at least 0, got {steps} and {discard}."
        )


def _whole(number: float) -> bool:
    return abs(number - round(number)) < 1e-9 * max(1.0, number)
