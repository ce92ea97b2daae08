"""Two marked values among many: their sum, their product, or whether they differ."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ostinato.data.problems.checks import check_choice, check_sizes
from ostinato.data.problems.examples import CRITERION, Examples, Rows, Seed

__all__ = ["adding", "multiplication", "xor"]

FORMS = ("early", "halves")


def adding(rows: int, steps: int, *, form: str = "early", seed: Seed = 0) -> Examples:
    """The adding problem: the sum of the two values that are marked.

    At each step a value from U(0, 1) and a mark, which is 1 at two steps and 0 at all others; at
    the last step the sum of the two marked values is asked.

    "early" is the form of Hochreiter and Schmidhuber (1997), section 5.4, as Martens and Sutskever
    (2011) use it: a row has `steps` to 1.1 `steps` steps, the first mark is in its first tenth, the
    second between there and its middle, so that at least half of the row lies after both. As in
    Pascanu's programs (github.com/pascanur/trainingRNNs) nothing else is marked; in the first
    source, the ends are, values are from U(-1, 1), and the target is scaled.

    "halves" is the form of the program of Arjovsky, Shah, Bengio (2016), arXiv:1511.06464
    (github.com/amarshah/complex_RNN), and of later ones: all rows have `steps` steps, and there is
    a mark in each half. Le, Jaitly, Hinton (2015),
    arXiv:1504.00941, and Bai, Kolter, Koltun (2018), arXiv:1803.01271, let both fall anywhere; the
    target and so the loss of always saying 1, which is 1/6, are the same.

    Args:
        rows: N, how many.
        steps: T, at least 10.
        form: "early" or "halves".
        seed: of everything drawn.

    Shapes: inputs [T, N, 2] (value, mark), targets [T, N, 1], one step of each row counted.

    Raises:
        ValueError: a size or the form is out of range.

    Example:
        >>> rows = adding(2, 30, form="halves", seed=1)
        >>> values, marks = rows.inputs[..., 0], rows.inputs[..., 1]
        >>> bool(((values * marks).sum(0) == rows.targets[-1, :, 0]).all())
        True
    """
    return _marked("adding", rows, steps, form, seed)


def multiplication(rows: int, steps: int, *, form: str = "early", seed: Seed = 0) -> Examples:
    """The multiplication problem: as `adding`, with the product of the two marked values.

    Source: Hochreiter and Schmidhuber (1997), section 5.5; Martens and Sutskever (2011).

    Example:
        >>> rows = multiplication(2, 30)
        >>> rows.inputs.shape[1:], rows.loss
        ((2, 2), 'squared')
    """
    return _marked("multiplication", rows, steps, form, seed)


def xor(rows: int, steps: int, *, form: str = "early", seed: Seed = 0) -> Examples:
    """The XOR problem: as `adding`, with bits for values; do the two marked ones differ?

    Neither of the two tells anything alone, which makes it harder than the others.

    Source: Martens and Sutskever (2011), "Learning recurrent neural networks with Hessian-free
    optimization", whose programs ask for it by cross-entropy.

    Example:
        >>> rows = xor(4, 30)
        >>> sorted(set(rows.inputs[..., 0].ravel().tolist())), rows.loss
        ([0.0, 1.0], 'bits')
    """
    return _marked("xor", rows, steps, form, seed)


def _marked(name: str, rows: int, steps: int, form: str, seed: Seed) -> Examples:
    check_sizes(name, rows=(rows, 1), steps=(steps, 10))
    check_choice(name, "form", form, FORMS)
    rng = np.random.default_rng(seed)
    lengths, first, second = _places(rng, rows, steps, form)
    T, n = int(lengths.max()), np.arange(rows)
    inside = np.arange(T)[:, None] < lengths
    values = rng.random((T, rows), np.float32)
    if name == "xor":
        values = np.round(values)
    inputs = np.zeros((T, rows, 2), np.float32)
    inputs[..., 0] = values * inside
    inputs[first, n, 1] = inputs[second, n, 1] = 1
    targets = np.zeros((T, rows, 1), np.float32)
    targets[lengths - 1, n, 0] = _ANSWERS[name](values[first, n], values[second, n])
    mask = np.zeros((T, rows), bool)
    mask[lengths - 1, n] = True
    loss = "bits" if name == "xor" else "squared"
    return Examples(inputs, targets, mask, loss, 1, CRITERION, lengths)


def _places(rng: np.random.Generator, rows: int, steps: int, form: str) -> tuple[Rows, Rows, Rows]:
    """Lengths, and the steps of both marks, [N] each."""
    if form == "halves":
        half = steps // 2
        ends = np.full(rows, steps)
        return ends, rng.integers(half, size=rows), rng.integers(half, steps, rows)
    lengths = rng.integers(steps, steps * 11 // 10, rows, endpoint=True)
    tenth = lengths // 10
    return lengths, rng.integers(tenth), rng.integers(tenth, lengths // 2)


_ANSWERS: dict[str, Callable[[Rows, Rows], Rows]] = {
    "adding": lambda a, b: a + b,
    "multiplication": lambda a, b: a * b,
    "xor": lambda a, b: (a - b) ** 2,
}
