"""Made problems, each under its definition: long lags, languages, dynamical systems.

A generator of rows gives `Examples`: inputs, targets, where they count, and when the problem counts
as solved. The systems themselves are plain arrays. All are the same for the same seed.
"""

from __future__ import annotations

from ostinato.data.problems.digits import sequential_digits
from ostinato.data.problems.examples import Examples, Solved
from ostinato.data.problems.languages import anbn, embedded_reber
from ostinato.data.problems.marked import adding, multiplication, xor
from ostinato.data.problems.order import temporal_order
from ostinato.data.problems.recall import copy, memorisation, random_permutation
from ostinato.data.problems.series import (
    delayed_noise,
    predict_lorenz,
    predict_mackey_glass,
    predict_narma10,
)
from ostinato.data.problems.systems import lorenz, mackey_glass, narma10

__all__ = [
    "Examples",
    "Solved",
    "adding",
    "anbn",
    "copy",
    "delayed_noise",
    "embedded_reber",
    "lorenz",
    "mackey_glass",
    "memorisation",
    "multiplication",
    "narma10",
    "predict_lorenz",
    "predict_mackey_glass",
    "predict_narma10",
    "random_permutation",
    "sequential_digits",
    "temporal_order",
    "xor",
]
