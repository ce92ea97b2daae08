"""Rows cut from made series: identify a system, foretell one, tell what was heard before."""

from __future__ import annotations

import numpy as np

from ostinato.data.problems.checks import check_sizes
from ostinato.data.problems.examples import Examples, Rows, Seed, Solved
from ostinato.data.problems.systems import lorenz_walk, mackey_glass, narma10

__all__ = ["delayed_noise", "predict_lorenz", "predict_mackey_glass", "predict_narma10"]

_NARMA_SOLVED = Solved("nrmse", 0.2, "set here: a linear filter of 30 inputs reaches 0.37")
_AHEAD_SOLVED = Solved("nrmse", 0.1, "set here: 99 % of the variance foretold")
_NOISE_SOLVED = Solved("forgotten", 0.1, "set here: nine tenths of the memory capacity asked for")

# Lorenz's x, y and z are brought to about -2..2
_CENTRE, _SPREAD = np.array([0.0, 0.0, 25.0]), 10.0


def predict_narma10(rows: int, steps: int = 200, *, washout: int = 50, seed: Seed = 0) -> Examples:
    """Find the output of the NARMA-10 system from its input; see `narma10`.

    Rows that run away are drawn again.

    Args:
        rows: N, how many.
        steps: T.
        washout: first steps that do not count.
        seed: of the inputs.

    Shapes: inputs [T, N, 1] in 0..0.5, targets [T, N, 1].

    Raises:
        ValueError: a size is out of range.

    Example:
        >>> rows = predict_narma10(2, 100)
        >>> rows.inputs.shape, int(rows.mask.sum())
        ((100, 2, 1), 100)
    """
    _check("predict_narma10", rows, steps, washout)
    pairs = [_narma_row(steps, [*_numbers(seed), n]) for n in range(rows)]
    inputs, targets = (np.stack(part, axis=1)[..., None] for part in zip(*pairs, strict=True))
    return _rows(inputs, targets, washout, _NARMA_SOLVED)


def _narma_row(steps: int, seed: list[int]) -> tuple[Rows, Rows]:
    for attempt in range(100):
        row = _unless_it_runs_away(steps, [*seed, attempt])
        if row is not None:
            return row
    raise ValueError(
        f"predict_narma10: rows of {steps} steps run away too often. Take fewer steps."
    )


def _unless_it_runs_away(steps: int, seed: list[int]) -> tuple[Rows, Rows] | None:
    try:
        return narma10(steps, seed=seed)
    except ValueError:
        return None


def predict_mackey_glass(
    rows: int,
    horizon: int = 84,
    *,
    steps: int = 300,
    tau: float = 17.0,
    washout: int = 100,
    seed: Seed = 0,
) -> Examples:
    """Foretell the Mackey-Glass system `horizon` units of time ahead; see `mackey_glass`.

    Source: 84 units ahead: Jaeger and Haas (2004), doi:10.1126/science.1091277, who run freely
    to there, where the answer here is asked at once.

    Args:
        rows: N, how many, cut from one series.
        horizon: how far ahead.
        steps: T.
        tau: the system's delay.
        washout: first steps that do not count.
        seed: of the values before the first.

    Shapes: inputs [T, N, 1], y - 1, and targets [T, N, 1], the same `horizon` steps later.

    Raises:
        ValueError: a size is out of range.

    Example:
        >>> rows = predict_mackey_glass(2, 10, steps=150)
        >>> bool((rows.inputs[10:] == rows.targets[:-10]).all())
        True
    """
    _check("predict_mackey_glass", rows, steps, washout, horizon=(horizon, 1))
    every = steps + horizon
    y = mackey_glass(rows * every, tau=tau, seed=seed).reshape(rows, every).T[..., None] - 1
    return _rows(y[:steps], y[horizon:], washout, _AHEAD_SOLVED)


def predict_lorenz(
    rows: int,
    horizon: int = 25,
    *,
    steps: int = 200,
    interval: float = 0.02,
    washout: int = 50,
    seed: Seed = 0,
) -> Examples:
    """Foretell the Lorenz system `horizon` intervals ahead; see `lorenz`.

    Args:
        rows: N, how many, each from a point of its own.
        horizon: how far ahead.
        steps: T.
        interval: time between two steps.
        washout: first steps that do not count.
        seed: of the points.

    Shapes: inputs [T, N, 3], x, y and z - 25, each a tenth, and targets [T, N, 3], the same
    `horizon` steps later.

    Raises:
        ValueError: a size is out of range.

    Example:
        >>> rows = predict_lorenz(2, 10, steps=100)
        >>> bool((rows.inputs[10:] == rows.targets[:-10]).all())
        True
    """
    _check("predict_lorenz", rows, steps, washout, horizon=(horizon, 1))
    first = np.random.default_rng(seed).uniform(-1, 1, (3, rows)) + _CENTRE[:, None]
    # as many steps as it takes to reach the attractor
    points = lorenz_walk(first, 200 + steps + horizon, interval, 4)[200:].transpose(0, 2, 1)
    scaled = (points - _CENTRE) / _SPREAD
    return _rows(scaled[:steps], scaled[horizon:], washout, _AHEAD_SOLVED)


def delayed_noise(rows: int, delays: int, *, steps: int | None = None, seed: Seed = 0) -> Examples:
    """Memory capacity: tell all of the last `delays` inputs, which are noise.

        MC = sum over k of r^2(u[t-k], y_k[t]),    k = 1..K

    and the error is 1 - MC / K, the share that is forgotten.

    Source: Jaeger (2001), "Short term memory in echo state networks", GMD report 152.

    Args:
        rows: N, how many.
        delays: K.
        steps: T; 4K + 100 unless given, of which the first K do not count.
        seed: of the noise.

    Shapes: inputs [T, N, 1] in -0.5..0.5, targets [T, N, K], k = 1 first.

    Raises:
        ValueError: a size is out of range.

    Example:
        >>> rows = delayed_noise(1, 3, steps=20)
        >>> bool((rows.targets[3:, 0, 2] == rows.inputs[:-3, 0, 0]).all())
        True
    """
    check_sizes("delayed_noise", rows=(rows, 1), delays=(delays, 1))
    T = 4 * delays + 100 if steps is None else steps
    check_sizes("delayed_noise", steps=(T, delays + 2))
    u = np.random.default_rng(seed).uniform(-0.5, 0.5, (T, rows))
    targets = np.zeros((T, rows, delays))
    for k in range(1, delays + 1):
        targets[k:, :, k - 1] = u[:-k]
    return _rows(u[..., None], targets, delays, _NOISE_SOLVED)


def _rows(inputs: Rows, targets: Rows, washout: int, solved: Solved) -> Examples:
    T, N, outputs = targets.shape
    mask = np.repeat(np.arange(T)[:, None] >= washout, N, axis=1)
    given, wanted = inputs.astype(np.float32), targets.astype(np.float32)
    return Examples(given, wanted, mask, "squared", outputs, solved)


def _check(name: str, rows: int, steps: int, washout: int, **more: tuple[int, int]) -> None:
    check_sizes(name, rows=(rows, 1), washout=(washout, 0), **more)
    check_sizes(name, steps=(steps, washout + 2))


def _numbers(seed: Seed) -> list[int]:
    return [seed] if isinstance(seed, int) else list(seed)
