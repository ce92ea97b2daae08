"""Say again what came at the beginning."""

from __future__ import annotations

import numpy as np

from ostinato.data.problems.checks import check_choice, check_sizes
from ostinato.data.problems.examples import CRITERION, Examples, Rows, Seed, one_hot

__all__ = ["copy", "memorisation", "random_permutation"]

MARKERS = ("held", "once")


def memorisation(
    rows: int,
    steps: int,
    *,
    symbols: int = 5,
    kinds: int = 2,
    everywhere: bool = True,
    seed: Seed = 0,
) -> Examples:
    """The noiseless memorisation problem: a pattern, a long silence, a sign, and the pattern again.

    `symbols` symbols of `kinds` kinds, then `steps` steps of a blank; then one step of a sign and
    blanks, over which the pattern is to be told. Before that the blank is the right answer. With 5
    of 2 kinds it is the 5-bit problem, with 10 of 5 kinds the 20-bit problem.

    Where `rows` is a multiple of all the patterns there are (32 of 5 bits), each comes equally
    often.

    Source: Martens and Sutskever (2011), "Learning recurrent neural networks with Hessian-free
    optimization"; the layout as in Pascanu's programs
    (github.com/pascanur/trainingRNNs).

    Args:
        rows: N, how many.
        steps: how long the pattern is to be kept.
        symbols: P, how many to remember.
        kinds: K, how many there are.
        everywhere: the answer counts at all steps; otherwise over the last P only.
        seed: of the patterns.

    Shapes: T is steps + 2P; inputs [T, N, K + 2] (kinds, blank, sign), targets [T, N] in 0..K, K
    for the blank.

    Raises:
        ValueError: a size is out of range.

    Example:
        >>> rows = memorisation(1, 6, seed=3)
        >>> "".join("01.!"[k] for k in rows.inputs.argmax(2)[:, 0])
        '10000......!....'
        >>> "".join("01."[k] for k in rows.targets[:, 0])
        '...........10000'
    """
    check_sizes(
        "memorisation", rows=(rows, 1), steps=(steps, 1), symbols=(symbols, 1), kinds=(kinds, 2)
    )
    pattern = _patterns(np.random.default_rng(seed), rows, symbols, kinds)
    blank, sign = kinds, kinds + 1
    T = steps + 2 * symbols
    shown = np.full((T, rows), blank)
    shown[:symbols] = pattern
    shown[symbols + steps] = sign
    targets = np.full((T, rows), blank)
    targets[-symbols:] = pattern
    mask = np.full((T, rows), everywhere)
    mask[-symbols:] = True
    return Examples(one_hot(shown, kinds + 2), targets, mask, "classes", kinds + 1, CRITERION)


def _patterns(rng: np.random.Generator, rows: int, symbols: int, kinds: int) -> Rows:
    """[P, N]; all there are equally often where that can be."""
    # beyond any batch, and beyond what an integer holds
    number = kinds**symbols if symbols * np.log2(kinds) < 32 else None
    if number is None or rows % number:
        return rng.integers(kinds, size=(symbols, rows))
    which = rng.permutation(rows) % number
    return np.stack([which // kinds**k % kinds for k in range(symbols)])


def random_permutation(rows: int, steps: int, *, symbols: int = 100, seed: Seed = 0) -> Examples:
    """The random permutation problem: the first symbol comes back after a row of random ones.

    The first step shows one of the first two symbols, each later step one of the others; after the
    last, the first symbol is to be told.

    Source: Martens and Sutskever (2011), "Learning recurrent neural networks with Hessian-free
    optimization", who ask for every next symbol and judge the last answer. Here, as in
    Pascanu's programs (github.com/pascanur/trainingRNNs), the loss counts that answer only, too:
    nothing else can be foretold.

    Args:
        rows: N, how many.
        steps: T, at least 2.
        symbols: S, at least 3.
        seed: of the symbols.

    Shapes: inputs [T, N, S], targets [T, N] in 0..S-1, of which the last step counts.

    Raises:
        ValueError: a size is out of range.

    Example:
        >>> rows = random_permutation(4, 20)
        >>> bool((rows.inputs.argmax(2)[0] == rows.targets[-1]).all())
        True
    """
    check_sizes("random_permutation", rows=(rows, 1), steps=(steps, 2), symbols=(symbols, 3))
    rng = np.random.default_rng(seed)
    shown = rng.integers(2, symbols, (steps, rows))
    shown[0] = rng.integers(2, size=rows)
    targets = np.zeros((steps, rows), np.int64)
    targets[-1] = shown[0]
    mask = np.zeros((steps, rows), bool)
    mask[-1] = True
    return Examples(one_hot(shown, symbols), targets, mask, "classes", symbols, CRITERION)


def copy(
    rows: int,
    steps: int,
    *,
    symbols: int = 10,
    kinds: int = 8,
    marker: str = "held",
    seed: Seed = 0,
) -> Examples:
    """The copying memory problem: symbols, a delay, a marker, and the symbols again.

    `symbols` symbols of `kinds` kinds, `steps` - 1 blanks, and P + 1 steps that begin with a
    marker; the answer is a blank, but the symbols in the last P steps. Who says a blank, and
    then each symbol with the same probability, has a loss of P ln K / (steps + 2P).

    Source: Bai, Kolter, Koltun (2018), arXiv:1803.01271, and their program
    (github.com/locuslab/TCN), where the marker is shown to the end ("held"); Arjovsky, Shah, Bengio
    (2016), arXiv:1511.06464, and theirs (github.com/amarshah/complex_RNN), where it is shown once,
    before blanks ("once"). Symbols are unit vectors; the former's program gives their numbers 0..9
    as they are.

    Args:
        rows: N, how many.
        steps: the delay.
        symbols: P, how many to remember.
        kinds: K, how many there are.
        marker: "held" or "once".
        seed: of the symbols.

    Shapes: T is steps + 2P; inputs [T, N, K + 2] (blank, kinds, marker), targets [T, N] in 0..K, 0
    for the blank, all counted.

    Raises:
        ValueError: a size or the marker is out of range.

    Example:
        >>> rows = copy(1, 6, symbols=4, seed=3)
        >>> "".join(".12345678|"[k] for k in rows.inputs.argmax(2)[:, 0])
        '7122.....|||||'
        >>> "".join(".12345678"[k] for k in rows.targets[:, 0])
        '..........7122'
    """
    check_sizes("copy", rows=(rows, 1), steps=(steps, 1), symbols=(symbols, 1), kinds=(kinds, 2))
    check_choice("copy", "marker", marker, MARKERS)
    pattern = np.random.default_rng(seed).integers(1, kinds + 1, (symbols, rows))
    T, place = steps + 2 * symbols, symbols + steps - 1
    shown = np.zeros((T, rows), np.int64)
    shown[:symbols] = pattern
    shown[place : None if marker == "held" else place + 1] = kinds + 1
    targets = np.zeros((T, rows), np.int64)
    targets[-symbols:] = pattern
    mask = np.ones((T, rows), bool)
    return Examples(one_hot(shown, kinds + 2), targets, mask, "classes", kinds + 1, CRITERION)
