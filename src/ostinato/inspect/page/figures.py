"""A walk of many units in two dimensions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ostinato.inspect.page.material import Numbers

__all__ = ["Plane", "plane_of"]


@dataclass(frozen=True)
class Plane:
    """A walk of many units, seen in the plane in which it moves most.

    Attributes:
        points: [T, 2].
        shares: of the variance, along each of the two axes.
    """

    points: NDArray[np.float64]
    shares: tuple[float, float]


def plane_of(values: Numbers) -> Plane | None:
    """Project values [T, units] on their two first principal components.

    None where there are fewer than 3 steps, or nothing moves.

    Example:
        >>> line = np.outer(np.arange(4.0), [3.0, 4.0]).astype(np.float32)
        >>> plane = plane_of(line)
        >>> np.abs(plane.points[:, 0]).round(6).tolist(), round(plane.shares[0], 6)
        ([7.5, 2.5, 2.5, 7.5], 1.0)
    """
    if len(values) < 3:
        return None
    centred = values.astype(np.float64) - values.mean(axis=0, dtype=np.float64)
    left, strengths, _ = np.linalg.svd(centred, full_matrices=False)
    total = float((strengths**2).sum())
    if not total:
        return None
    points = np.zeros((len(values), 2))
    kept = min(2, len(strengths))
    points[:, :kept] = left[:, :kept] * strengths[:kept]
    shares = [float(s**2) / total for s in strengths[:2]] + [0.0, 0.0]
    return Plane(points, (shares[0], shares[1]))
