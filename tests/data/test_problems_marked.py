"""Adding, multiplication and XOR, recomputed from the inputs."""

import numpy as np
import pytest

from ostinato.data.problems import adding, multiplication, xor

ANSWERS = [
    (adding, lambda a, b: a + b),
    (multiplication, lambda a, b: a * b),
    (xor, lambda a, b: float(int(a) ^ int(b))),
]


def marks(rows, n):
    return np.flatnonzero(rows.inputs[:, n, 1])


@pytest.mark.parametrize("form", ["early", "halves"])
@pytest.mark.parametrize(("problem", "answer"), ANSWERS)
def test_target_follows_from_the_two_marked_values(problem, answer, form):
    rows = problem(50, 40, form=form, seed=3)
    for n, length in enumerate(rows.lengths):
        first, second = marks(rows, n)
        a, b = rows.inputs[[first, second], n, 0]
        assert rows.targets[length - 1, n, 0] == np.float32(answer(a, b))
        assert np.flatnonzero(rows.mask[:, n]).tolist() == [length - 1]


def test_early_marks_leave_half_of_the_row():
    rows = adding(4000, 50, form="early", seed=1)
    places = np.array([marks(rows, n) for n in range(4000)])
    assert (places[:, 0] < rows.lengths // 10).all()
    assert (places[:, 1] >= rows.lengths // 10).all()
    assert (places[:, 1] < rows.lengths // 2).all()
    # every place is taken, and none more than its share
    for column, number in ((0, 5), (1, 22)):
        counts = np.bincount(places[:, column])
        assert counts[counts > 0].size == number
    assert np.bincount(places[:, 0]).max() / 4000 == pytest.approx(1 / 5, abs=0.03)


def test_early_rows_are_up_to_a_tenth_longer_and_empty_afterwards():
    rows = adding(500, 50, form="early", seed=1)
    assert set(rows.lengths) == set(range(50, 56))
    after = np.arange(len(rows.inputs))[:, None] >= rows.lengths
    assert not rows.inputs[after].any()
    assert rows.inputs[..., 0][~after].all()


def test_halves_hold_one_mark_each_anywhere():
    rows = adding(4000, 20, form="halves", seed=2)
    places = np.array([marks(rows, n) for n in range(4000)])
    assert set(rows.lengths) == {20}
    assert set(places[:, 0]) == set(range(10))
    assert set(places[:, 1]) == set(range(10, 20))
    assert np.abs(np.bincount(places[:, 0]) / 4000 - 0.1).max() < 0.02


def test_always_saying_one_has_the_loss_that_papers_tell():
    targets = adding(20_000, 20, form="halves").targets[-1]
    assert ((targets - 1) ** 2).mean() == pytest.approx(1 / 6, abs=0.004)


def test_one_bit_of_xor_tells_nothing():
    rows = xor(20_000, 20, form="halves", seed=4)
    first = (rows.inputs[:10, :, 0] * rows.inputs[:10, :, 1]).sum(0)
    asked = rows.targets[-1, :, 0]
    assert first.mean() == pytest.approx(0.5, abs=0.01)
    assert asked[first == 1].mean() == pytest.approx(0.5, abs=0.015)
    assert asked[first == 0].mean() == pytest.approx(0.5, abs=0.015)


@pytest.mark.parametrize("problem", [adding, multiplication, xor])
def test_seed_decides_all(problem):
    one, same, other = (problem(5, 30, seed=seed) for seed in (7, 7, [7, 1]))
    np.testing.assert_array_equal(one.inputs, same.inputs)
    np.testing.assert_array_equal(one.targets, same.targets)
    assert one.inputs.shape != other.inputs.shape or (one.inputs != other.inputs).any()


def test_refuses_what_is_out_of_range():
    with pytest.raises(ValueError, match=r"adding: steps must be at least 10, got 9\."):
        adding(1, 9)
    with pytest.raises(ValueError, match=r"xor: rows must be at least 1, got 0\."):
        xor(0, 20)
    with pytest.raises(ValueError, match="form must be one of early, halves, got 'late'"):
        multiplication(1, 20, form="late")
