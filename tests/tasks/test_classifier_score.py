import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss, precision_score, recall_score

from ostinato.tasks.classifier.score import LabelScore

DRAWS = np.random.default_rng(0)


def test_one_label_a_row_agrees_with_sklearn():
    told = DRAWS.dirichlet([1, 1, 1], size=50)
    gold = DRAWS.integers(0, 3, 50)
    score = LabelScore(["a", "b", "c"])
    for part in (slice(0, 20), slice(20, 50)):
        score.add([[k] for k in gold[part]], told[part])
    best = told.argmax(1)
    figures = score.to_dict()
    assert figures["accuracy"] == (best == gold).mean()
    assert figures["macro_f1"] == pytest.approx(f1_score(gold, best, average="macro"))
    assert figures["nats"] == pytest.approx(log_loss(gold, told))
    assert figures["rows"] == 50
    assert figures["confusion"][1][2] == ((gold == 1) & (best == 2)).sum()
    by_label = figures["by_label"]["b"]
    assert by_label["precision"] == pytest.approx(precision_score(gold == 1, best == 1))
    assert by_label["recall"] == pytest.approx(recall_score(gold == 1, best == 1))


def test_several_labels_a_row_agree_with_sklearn():
    told = DRAWS.random((50, 3))
    asked = DRAWS.random((50, 3)) < 0.4
    score = LabelScore(["a", "b", "c"], several=True)
    score.add([np.flatnonzero(row).tolist() for row in asked], told)
    given = told >= 0.5
    figures = score.to_dict()
    assert figures["accuracy"] == (given == asked).all(1).mean()
    assert figures["micro_f1"] == pytest.approx(f1_score(asked, given, average="micro"))
    assert figures["macro_f1"] == pytest.approx(f1_score(asked, given, average="macro"))
    assert figures["nats"] == pytest.approx(
        sum(log_loss(asked[:, k], told[:, k]) for k in range(3))
    )
    assert "confusion" not in figures


def test_labels_that_do_not_occur_have_no_part_in_the_mean():
    score = LabelScore(["a", "b"])
    score.add([[0]], np.array([[0.9, 0.1]]))
    assert score.macro_f1 == 1.0
    assert LabelScore(["a"]).accuracy == 0.0
