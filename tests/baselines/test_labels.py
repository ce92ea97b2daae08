import sys

import numpy as np
import pytest

from ostinato.baselines.labels import can_regress, majority_accuracy, regression_accuracy
from ostinato.extras import MissingExtraError

ONE = np.eye(3, dtype=int)


def test_the_most_frequent_label_even_where_no_label_has_half_the_rows():
    seen = ONE[[0, 0, 1, 2, 1, 1, 2]]
    assert majority_accuracy(seen, ONE[[1, 1, 0, 2]]) == 0.5


def test_of_several_labels_those_that_half_the_rows_have():
    seen = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 0]])
    asked = np.array([[1, 1, 0], [1, 0, 0]])
    assert majority_accuracy(seen, asked) == 0.5


def test_regression_of_texts_reads_pairs_of_words():
    # each word alone is as frequent with either label
    seen = ["not good", "good not", "not bad", "bad not"] * 10
    targets = np.eye(2, dtype=int)[[0, 1, 1, 0] * 10]
    asked = np.eye(2, dtype=int)[[0, 1]]
    assert regression_accuracy(seen, targets, ["not good", "not bad"], asked) == 1.0


def test_regression_of_numbers_and_of_several_labels():
    draws = np.random.default_rng(0)
    x = draws.normal(size=(200, 2)) * [1, 1000]
    targets = np.stack([x[:, 0] > 0, x[:, 1] > 0, np.ones(200)], axis=1).astype(int)
    got = regression_accuracy(x[:150], targets[:150], x[150:], targets[150:], several=True)
    assert got > 0.9
    one = np.eye(2, dtype=int)[targets[:, 0]]
    assert regression_accuracy(x[:150], one[:150], x[150:], one[150:]) > 0.95


def test_a_missing_library_is_named(monkeypatch):
    assert can_regress()
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MissingExtraError, match=r"ostinato\[baselines\]"):
        regression_accuracy(["a"], ONE, ["a"], ONE)
