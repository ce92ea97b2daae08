"""Strings of a language, read symbol by symbol: what may come next?"""

from __future__ import annotations

import numpy as np

from ostinato.data.problems.checks import check_sizes
from ostinato.data.problems.examples import Examples, Rows, Seed, Solved, one_hot

__all__ = ["SYMBOLS", "anbn", "embedded_reber"]

# of the Reber grammar, in the order of inputs and outputs
SYMBOLS = "BTPSXVE"

# state -> the symbols that may come, each with the state after it; both are equally likely
_GRAMMAR = {
    0: (("T", 1), ("P", 3)),
    1: (("S", 1), ("X", 2)),
    2: (("X", 3), ("S", 5)),
    3: (("T", 3), ("V", 4)),
    4: (("P", 2), ("V", 5)),
}
_END = 5
_SHORTEST = 5

_REBER_SOLVED = Solved(
    "rows wrong",
    0.01,
    "set here: at every step all symbols that may come are ahead of all others, in 99 % of fresh "
    "strings",
)
_ANBN_SOLVED = Solved(
    "rows wrong",
    0.01,
    "what may come next above one half, all else below, at every step of a string: Suzgun, "
    "Belinkov, Shieber (2018), arXiv:1811.01001; here in 99 % of fresh strings",
)


def embedded_reber(rows: int, steps: int = _SHORTEST, *, seed: Seed = 0) -> Examples:
    """The embedded Reber grammar: an outer letter must be kept while an inner string goes by.

    A string is B, T or P, a string of the Reber grammar, the same T or P again, and E. The
    symbols at each step but the last are inputs, those of the next step targets; one symbol or
    two may come, and `allowed` has them. Inner strings are drawn as the grammar makes them, on
    condition that they are long enough; long ones are rare, but not harder in any other way.

    Source: Hochreiter and Schmidhuber (1997), doi:10.1162/neco.1997.9.8.1735, section 5.1, without
    the condition; the grammar as in Cleeremans, Servan-Schreiber, McClelland (1989).

    Args:
        rows: N, how many.
        steps: the least length of an inner string, B and E counted, over which the outer letter
            must be kept; at least 5, which all have.
        seed: of the strings.

    Shapes: inputs [T, N, 7] in the order BTPSXVE, targets [T, N], allowed [T, N, 7]; T is
    that of the longest row.

    Raises:
        ValueError: a size is out of range.

    Example:
        >>> rows = embedded_reber(3, seed=1)
        >>> for n, length in enumerate(rows.lengths):
        ...     shown = [*rows.inputs[:length, n].argmax(1), rows.targets[length - 1, n]]
        ...     print("".join(SYMBOLS[k] for k in shown))
        BTBPTVPXVPSETE
        BPBTXSEPE
        BPBPTTTTTTVPXVVEPE
    """
    check_sizes("embedded_reber", rows=(rows, 1), steps=(steps, _SHORTEST))
    rng = np.random.default_rng(seed)
    alive = _chances(steps)
    strings = [_embedded(rng, steps - 2, alive) for _ in range(rows)]
    lengths = np.array([len(string) - 1 for string, _ in strings])
    T = int(lengths.max())
    shown, targets = np.zeros((T, rows), np.int64), np.zeros((T, rows), np.int64)
    allowed = np.zeros((T, rows, len(SYMBOLS)), bool)
    for n, (string, choices) in enumerate(strings):
        numbers = [SYMBOLS.index(symbol) for symbol in string]
        shown[: lengths[n], n], targets[: lengths[n], n] = numbers[:-1], numbers[1:]
        for t, choice in enumerate(choices):
            allowed[t, n, [SYMBOLS.index(symbol) for symbol in choice]] = True
    mask = _inside(T, lengths)
    inputs = one_hot(shown, len(SYMBOLS)) * mask[..., None]
    return Examples(inputs, targets, mask, "classes", len(SYMBOLS), _REBER_SOLVED, lengths, allowed)


def _embedded(rng: np.random.Generator, least: int, alive: Rows) -> tuple[str, list[str]]:
    """A string, and what might come after each of its symbols but the last."""
    outer = "TP"[rng.integers(2)]
    inner, choices = "", []
    state = 0
    while state != _END:
        options = _GRAMMAR[state]
        choices.append("".join(symbol for symbol, _ in options))
        # after this symbol at least so many must follow
        more = least - len(inner) - 1
        chances = [1.0 if more <= 0 else alive[more - 1, after] for _, after in options]
        symbol, state = options[int(rng.random() * sum(chances) >= chances[0])]
        inner += symbol
    return f"B{outer}B{inner}E{outer}E", ["TP", "B", *choices, "E", outer, "E"]


def _chances(steps: int) -> Rows:
    """[k, state]: how likely it is that k more symbols do not end a string, up to a factor."""
    alive = np.ones((steps, len(_GRAMMAR) + 1))
    alive[:, _END] = 0
    for k in range(1, steps):
        for state, ((_, one), (_, other)) in _GRAMMAR.items():
            alive[k, state] = alive[k - 1, one] + alive[k - 1, other]
        # the factor keeps it in range however long the string
        alive[k] /= alive[k].max()
    return alive


def anbn(rows: int, steps: int, *, seed: Seed = 0) -> Examples:
    """The language a^n b^n: as many b as there were a, and then the end.

    A start symbol, n times a, n times b, with n from 1..`steps`, each equally likely. At each
    step it is asked which symbols may come next, each yes or no: a after the start, a or b after
    an a, b until there are as many as a, and then the end.

    Source: Gers and Schmidhuber (2001), doi:10.1109/72.963769; the answers as yes or no for each
    symbol as in Suzgun, Belinkov, Shieber (2018), arXiv:1811.01001.

    Args:
        rows: N, how many.
        steps: the largest n.
        seed: of the n.

    Shapes: inputs [T, N, 3] (start, a, b), targets [T, N, 3] (a, b, end); T is 2n + 1 of the
    longest row.

    Raises:
        ValueError: a size is out of range.

    Example:
        >>> rows = anbn(1, 3, seed=1)
        >>> "".join("Sab"[k] for k in rows.inputs.argmax(2)[:, 0])
        'Saabb'
        >>> ["".join(s for s, yes in zip("abE", row) if yes) for row in rows.targets[:, 0]]
        ['a', 'ab', 'ab', 'b', 'E']
    """
    check_sizes("anbn", rows=(rows, 1), steps=(steps, 1))
    n = np.random.default_rng(seed).integers(1, steps, rows, endpoint=True)
    lengths = 2 * n + 1
    t = np.arange(int(lengths.max()))[:, None]
    shown = np.where(t == 0, 0, np.where(t <= n, 1, 2))
    mask = _inside(len(t), lengths)
    inputs = one_hot(shown, 3) * mask[..., None]
    a, b, end = t <= n, (t >= 1) & (t < 2 * n), t == 2 * n
    targets = np.stack([a, b, end], axis=2).astype(np.float32) * mask[..., None]
    return Examples(inputs, targets, mask, "bits", 3, _ANBN_SOLVED, lengths)


def _inside(T: int, lengths: Rows) -> Rows:
    """[T, N], where a step belongs to its row."""
    inside: Rows = np.arange(T)[:, None] < lengths
    return inside
