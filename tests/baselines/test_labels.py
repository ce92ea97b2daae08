import sys

import numpy as np
import pytest

from ostinato.baselines.labels import (
    BoostedLabels,
    FeedForwardLabels,
    LabelRegression,
    can_regress,
    majority_accuracy,
    regression_accuracy,
)
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


def _threshold(rows=400):
    x = np.random.default_rng(0).uniform(-1, 1, (rows, 2))
    # an island that no line cuts off
    inside = (np.abs(x) < 0.6).all(axis=1)
    return x, np.eye(2, dtype=int)[inside.astype(int)]


@pytest.mark.parametrize("kind", [BoostedLabels, FeedForwardLabels])
def test_trees_and_networks_find_what_no_line_can(kind):
    x, targets = _threshold()
    guess = kind().fit(x[:300], targets[:300])
    right = (guess.predict(x[300:]) == targets[300:]).all(axis=1).mean()
    line = LabelRegression().fit(x[:300], targets[:300])
    assert right > 0.85
    assert right > (line.predict(x[300:]) == targets[300:]).all(axis=1).mean() + 0.1
    assert guess.parameters > line.parameters == 3


@pytest.mark.parametrize("kind", [LabelRegression, BoostedLabels, FeedForwardLabels])
def test_several_labels_are_guessed_each_by_itself(kind):
    x = np.random.default_rng(1).uniform(-1, 1, (300, 2))
    targets = np.stack([x[:, 0] > 0, x[:, 1] > 0, np.ones(300)], axis=1).astype(int)
    guess = kind(several=True).fit(x[:200], targets[:200])
    assert (guess.predict(x[200:]) == targets[200:]).mean() > 0.9
    assert guess.predict(x[200:])[:, 2].all()


def test_labels_without_a_difference_need_no_learning():
    x, same = np.zeros((4, 1)), np.array([[1, 0]] * 4)
    guess = LabelRegression().fit(x, same)
    assert np.array_equal(guess.predict(x), same.astype(bool))
    assert guess.parameters == 0


def test_texts_and_numbers_are_called_what_they_are():
    texts = LabelRegression().fit(["good day", "bad day"] * 3, ONE[[0, 1] * 3])
    assert (texts.name, texts.looks_back) == ("bag of words and pairs, logistic regression", 1)
    numbers = LabelRegression().fit(np.eye(2), ONE[[0, 1]])
    assert (numbers.name, numbers.looks_back) == ("logistic regression", 0)


def test_texts_whose_words_are_single_letters_are_read_too():
    rows, targets = ["a c g", "t t g"] * 9, ONE[[0, 1] * 9]
    guess = LabelRegression().fit(rows, targets)
    assert guess.predict(["c a", "g t t"]).argmax(axis=1).tolist() == [0, 1]
    # beside longer words they are left out, as scikit-learn does
    longer = LabelRegression().fit([f"{row} word" for row in rows], targets)
    assert longer.parameters < guess.parameters
