"""The spectral radius of a matrix, measured and set."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["scaled_to_radius", "spectral_radius"]


def spectral_radius(matrix: Tensor) -> float:
    """The largest absolute eigenvalue, from all of them.

    Example:
        >>> round(spectral_radius(torch.tensor([[0.0, 4.0], [1.0, 0.0]])), 6)
        2.0
    """
    if not torch.isfinite(matrix).all():
        raise ValueError("spectral radius: the matrix has entries that are not finite.")
    return float(torch.linalg.eigvals(matrix.detach().double()).abs().max())


def scaled_to_radius(
    matrix: Tensor,
    radius: float,
    *,
    name: str = "reservoir",
    advice: str = 'Raise density, or take another seed, or topology="ring".',
) -> Tensor:
    """The matrix times a number, so that its spectral radius is the one that is wanted.

    Args:
        matrix: [H, H].
        radius: the largest absolute eigenvalue that it shall have.
        name: who asks, for errors.
        advice: what helps where no number does, for errors.

    Raises:
        ValueError: the radius is negative, or no eigenvalue differs from zero, so that no number
            helps.
    """
    if not 0 <= radius < math.inf:
        raise ValueError(
            f"{name}: spectral_radius must be finite and must not be negative, got {radius}."
        )
    if radius == 0:
        return torch.zeros_like(matrix)
    found = spectral_radius(matrix)
    # rounding leaves eigenvalues of a nilpotent matrix at about the square root of eps, or below
    if found <= 1e-7 * float(torch.linalg.matrix_norm(matrix)):
        heard = int((matrix != 0).sum())
        raise ValueError(
            f"{name}: the matrix of {matrix.shape[0]} units with {heard} connections is "
            "nilpotent (all eigenvalues are zero, since no unit hears itself by way of others), so "
            f"it cannot be scaled to the spectral radius {radius}. {advice}"
        )
    return matrix * (radius / found)
