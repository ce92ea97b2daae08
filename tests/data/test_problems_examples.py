"""What counts as wrong, and as solved."""

import numpy as np
import pytest

from ostinato.data.problems import Examples, Solved, adding, copy, xor

ROWS_WRONG = Solved("rows wrong", 0.3, "here")


def rows_of(targets, mask, loss, outputs, **more):
    targets, mask = np.array(targets), np.array(mask, bool)
    inputs = np.zeros((*mask.shape, 1), np.float32)
    return Examples(inputs, targets, mask, loss, outputs, ROWS_WRONG, **more)


def test_a_number_is_right_within_four_hundredths():
    rows = rows_of([[[1.0], [1.0], [1.0], [1.0]]], [[1, 1, 1, 1]], "squared", 1)
    assert rows.error(np.array([[[1.039], [0.961], [1.041], [np.nan]]])) == 0.5


def test_a_class_is_right_when_it_is_ahead_of_all_others():
    rows = rows_of([[0, 1, 1, 1]], [[1, 1, 1, 1]], "classes", 2)
    scores = [[[2.0, 1.0], [2.0, 1.0], [1.0, 1.0], [np.nan, np.nan]]]
    assert rows.error(np.array(scores)) == 0.75


def test_all_allowed_classes_must_be_ahead():
    allowed = np.array([[[True, True, False]] * 2])
    rows = rows_of([[0, 0]], [[1, 1]], "classes", 3, allowed=allowed)
    assert rows.error(np.array([[[1.0, 2.0, 0.5], [3.0, 0.0, 0.5]]])) == 0.5


def test_a_bit_is_right_on_its_side_of_zero():
    rows = rows_of([[[1.0, 0.0]] * 3], [[1, 1, 1]], "bits", 2)
    assert rows.error(np.array([[[1.0, -1.0], [1.0, 1.0], [0.0, -1.0]]])) == pytest.approx(2 / 3)


def test_one_wrong_step_that_counts_spoils_a_row():
    rows = rows_of([[0, 0], [0, 0]], [[1, 1], [0, 1]], "classes", 2)
    wrong_later = np.array([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]])
    assert rows.error(wrong_later) == 0.5


def test_nrmse_is_in_standard_deviations_of_what_counts():
    targets = np.array([[[9.0]], [[1.0]], [[3.0]]])
    mask = np.array([[False], [True], [True]])
    solved = Solved("nrmse", 0.1, "here")
    rows = Examples(np.zeros((3, 1, 1)), targets, mask, "squared", 1, solved)
    assert rows.error(np.array([[[0.0]], [[2.0]], [[2.0]]])) == pytest.approx(1.0)
    assert rows.error(np.array([[[0.0]], [[1.5]], [[2.5]]])) == pytest.approx(0.5)


def test_forgotten_is_what_no_correlation_tells():
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(1000, 1, 2))
    solved = Solved("forgotten", 0.1, "here")
    rows = Examples(targets, targets, np.ones((1000, 1), bool), "squared", 2, solved)
    half = np.stack([7 - 3 * targets[..., 0], np.zeros((1000, 1))], axis=2)
    assert rows.error(half) == pytest.approx(0.5)
    assert rows.error(targets + rng.normal(size=targets.shape)) == pytest.approx(0.5, abs=0.05)


def test_solved_is_below_the_bound_and_never_by_a_nan():
    assert ROWS_WRONG.met(0.29)
    assert not ROWS_WRONG.met(0.3)
    assert not ROWS_WRONG.met(float("nan"))


@pytest.mark.parametrize("problem", [adding, copy, xor])
def test_the_right_answers_solve_a_problem(problem):
    rows = problem(20, 30)
    answers = rows.targets
    if rows.loss == "classes":
        answers = np.eye(rows.outputs)[answers]
    if rows.loss == "bits":
        answers = 2 * answers - 1
    assert rows.solved_by(answers)
    assert not rows.solved_by(-answers)


def test_outputs_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"must be \[30, 2, 1\] \(steps, rows, outputs\), got"):
        adding(2, 30, form="halves").error(np.zeros((2, 30, 1)))
