"""Which of two symbols came first."""

from __future__ import annotations

import numpy as np

from ostinato.data.problems.checks import check_sizes
from ostinato.data.problems.examples import CRITERION, Examples, Seed, one_hot

__all__ = ["temporal_order"]

# where the telling symbols may stand, in tenths of the row
_PLACES = {2: ((1, 2), (5, 6)), 3: ((1, 2), (3, 4), (6, 7))}
_NOISE = 4


def temporal_order(rows: int, steps: int, *, symbols: int = 2, seed: Seed = 0) -> Examples:
    """The temporal order problem: in which order did the telling symbols come?

    Each step shows one of six symbols. At two steps it is one of the first two, A or B; at all
    others one of the four that tell nothing. At the end the order is asked, one of AA, AB, BA, BB
    (with `symbols` 3: one of eight).

    Two telling symbols are in the second and the sixth tenth of the row, three in the second, the
    fourth and the seventh.

    Source: Hochreiter and Schmidhuber (1997), experiments 6a and 6b; the tenths, and rows that all
    have the same length and no symbols for beginning and end, as in Pascanu's programs
    (github.com/pascanur/trainingRNNs) of Pascanu, Mikolov, Bengio (2013), arXiv:1211.5063.

    Args:
        rows: N, how many.
        steps: T, at least 10.
        symbols: 2 or 3.
        seed: of everything drawn.

    Shapes: inputs [T, N, 6], targets [T, N] in 0..2^symbols - 1, of which the last step counts.
    The first telling symbol is the highest bit, and B is 1.

    Raises:
        ValueError: a size is out of range.

    Example:
        >>> rows = temporal_order(2, 30, seed=2)
        >>> ["".join("ABcdef"[k] for k in row) for row in rows.inputs.argmax(2).T]
        ['fcdddAffecddeefcAfdcdeefffceed', 'ddfBeeccdeecdedefBdcdeffdfdecc']
        >>> rows.targets[-1]
        array([0, 3])
    """
    check_sizes("temporal_order", rows=(rows, 1), steps=(steps, 10))
    if symbols not in _PLACES:
        raise ValueError(f"temporal_order: symbols must be 2 or 3, got {symbols}.")
    rng = np.random.default_rng(seed)
    shown = rng.integers(2, 2 + _NOISE, (steps, rows))
    targets = np.zeros((steps, rows), np.int64)
    for low, high in _PLACES[symbols]:
        place = rng.integers(low * steps // 10, high * steps // 10, rows)
        telling = rng.integers(2, size=rows)
        shown[place, np.arange(rows)] = telling
        targets[-1] = 2 * targets[-1] + telling
    mask = np.zeros((steps, rows), bool)
    mask[-1] = True
    return Examples(one_hot(shown, 2 + _NOISE), targets, mask, "classes", 2**symbols, CRITERION)
