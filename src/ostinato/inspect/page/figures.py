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
    # the components of the smaller side give those of the other
    wide = centred.shape[1] <= len(centred)
    variances, vectors = np.linalg.eigh(centred.T @ centred if wide else centred @ centred.T)
    total = float(variances.sum())
    if total <= 0:
        return None
    kept = min(2, len(variances))
    variances, vectors = variances[::-1][:kept].clip(0), vectors[:, ::-1][:, :kept]
    points = np.zeros((len(values), 2))
    points[:, :kept] = centred @ vectors if wide else vectors * np.sqrt(variances)
    shares = [float(one) / total for one in variances] + [0.0, 0.0]
    return Plane(points, (shares[0], shares[1]))
