"""Small pictures of digits, seen one pixel at a time."""

from __future__ import annotations

from functools import cache

import numpy as np

from ostinato.data.problems.checks import check_choice, check_sizes
from ostinato.data.problems.examples import Examples, Rows, Seed, Solved
from ostinato.extras import needed

__all__ = ["sequential_digits"]

PARTS = ("train", "validation", "test")

_PIXELS = 64
_BRIGHTEST = 16
# of each five pictures, once shuffled, one is for the test and one for validation
_SHARES = {"test": (0,), "validation": (1,), "train": (2, 3, 4)}
_SOLVED = Solved("rows wrong", 0.05, "at most 5 % wrong, set here: no bound is in common use")


def sequential_digits(
    rows: int, *, part: str = "train", permuted: bool = False, seed: Seed = 0
) -> Examples:
    """Which digit is it, when its pixels come one by one, line by line?

    The 1,797 pictures of 8 x 8 pixels that come with scikit-learn; one in five is kept for the test
    and one for validation, the same for all seeds. Rows are drawn without repetition.

    Source: Le, Jaitly, Hinton (2015), arXiv:1504.00941, with the larger pictures of
    MNIST, also in one fixed random order of the pixels ("permuted").

    Args:
        rows: N, how many; at most 1,077 of "train" and 360 each of the others.
        part: "train", "validation" or "test".
        permuted: the pixels come in an order that was drawn once.
        seed: of which pictures are taken.

    Shapes: inputs [64, N, 1] in 0..1, targets [64, N] in 0..9, of which the last step counts.

    Raises:
        ValueError: a size or the part is out of range.
        MissingExtraError: scikit-learn is missing; the message says what to install.

    Example:
        >>> rows = sequential_digits(4)
        >>> rows.inputs.shape, rows.targets[-1]
        ((64, 4, 1), array([7, 8, 3, 4]))
    """
    check_sizes("sequential_digits", rows=(rows, 1))
    check_choice("sequential_digits", "part", part, PARTS)
    pixels, digits = _part(part)
    if rows > len(digits):
        raise ValueError(
            f"sequential_digits: there are {len(digits):,} pictures for {part}, got rows={rows}. "
            "Ask for fewer."
        )
    which = np.random.default_rng(seed).permutation(len(digits))[:rows]
    inputs = pixels[which].T[..., None]
    if permuted:
        inputs = inputs[np.random.default_rng(0).permutation(_PIXELS)]
    targets = np.zeros((_PIXELS, rows), np.int64)
    targets[-1] = digits[which]
    mask = np.zeros((_PIXELS, rows), bool)
    mask[-1] = True
    return Examples(inputs, targets, mask, "classes", 10, _SOLVED)


@cache
def _part(part: str) -> tuple[Rows, Rows]:
    """Pixels [K, 64] and digits [K]."""
    found = needed("sklearn.datasets", extra="baselines", why="Digits").load_digits()
    shuffled = np.random.default_rng(0).permutation(len(found.target))
    which = shuffled[np.isin(np.arange(len(shuffled)) % 5, _SHARES[part])]
    pixels = (found.data[which] / _BRIGHTEST).astype(np.float32)
    return pixels, found.target[which].astype(np.int64)
