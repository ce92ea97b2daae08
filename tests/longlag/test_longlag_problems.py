"""Every problem of the suite makes rows that its own answers solve."""

import numpy as np
import pytest

from ostinato.data.problems import embedded_reber
from ostinato.longlag import PROBLEMS
from ostinato.longlag.names import chosen
from ostinato.longlag.problems import Problem

# none may go missing
NAMES = [
    "adding",
    "adding-halves",
    "multiplication",
    "xor",
    "temporal-order",
    "temporal-order-3",
    "memorisation-5",
    "memorisation-20",
    "random-permutation",
    "copy",
    "embedded-reber",
    "anbn",
    "digits",
    "digits-permuted",
    "narma10",
    "mackey-glass",
    "lorenz",
    "memory-capacity",
]


def answers(rows):
    if rows.loss == "classes":
        right = np.eye(rows.outputs)[rows.targets]
        return right if rows.allowed is None else rows.allowed.astype(float)
    return 2 * rows.targets - 1 if rows.loss == "bits" else rows.targets


def test_all_are_there():
    assert list(PROBLEMS) == NAMES


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=NAMES)
def test_rows_are_as_asked_and_their_targets_solve_them(problem):
    (lag,) = problem.lags((15,))
    rows = problem.rows(6, lag, [3, 1])
    assert rows.inputs.shape[:2] == rows.mask.shape
    assert rows.mask.shape[1] == 6
    assert rows.inputs.dtype == np.float32
    assert rows.solved_by(answers(rows))
    assert not rows.solved_by(-answers(rows)[::-1])
    again = problem.rows(6, lag, [3, 1])
    np.testing.assert_array_equal(rows.inputs, again.inputs)
    other = problem.rows(6, lag, [3, 2])
    assert other.inputs.shape != rows.inputs.shape or (other.inputs != rows.inputs).any()


@pytest.mark.parametrize("name", [name for name in NAMES if PROBLEMS[name].only is None])
def test_a_longer_lag_is_longer(name):
    problem = PROBLEMS[name]
    short, long = (problem.rows(3, lag, [0]) for lag in (12, 40))
    if name in ("mackey-glass", "lorenz"):
        # not the rows are longer, but what is asked is further away
        for rows, lag in ((short, 12), (long, 40)):
            np.testing.assert_array_equal(rows.targets[:-lag], rows.inputs[lag:])
    else:
        assert len(long.inputs) > len(short.inputs)


def test_a_problem_of_one_lag_is_tried_at_that():
    assert PROBLEMS["digits"].lags((5, 10)) == (64,)
    assert PROBLEMS["adding"].lags((5, 10, 20)) == (10, 20)


def test_parts_of_a_data_set_differ_and_end():
    digits = PROBLEMS["digits"]
    train, test = (digits.rows(400, 64, [0], part=part) for part in ("train", "test"))
    assert train.mask.shape[1] == test.mask.shape[1] == 360
    seen = {picture.tobytes() for picture in train.inputs[..., 0].T.copy()}
    assert not any(picture.tobytes() in seen for picture in test.inputs[..., 0].T.copy())


def test_a_problem_of_ones_own_is_a_generator_and_a_name():
    mine = Problem("reber-short", embedded_reber, "steps", least=5)
    assert len(mine.rows(3, 8, [0]).inputs) >= 10


def test_unknown_names_are_answered_by_the_nearest():
    with pytest.raises(ValueError, match=r"'temporal_order' is none of .* mean 'temporal-order'\?"):
        chosen("--problems", ["adding", "temporal_order"], PROBLEMS)
    assert [p.name for p in chosen("", ["copy", "xor", "copy"], PROBLEMS)] == ["copy", "xor"]
    assert len(chosen("", [], PROBLEMS)) == len(NAMES)
