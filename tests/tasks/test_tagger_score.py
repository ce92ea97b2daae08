import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from ostinato.tasks.tagger.score import TagScore, is_spans, spans

TAGS = ["A", "B", "C"]


def test_rates_are_those_of_scikit_learn():
    draws = np.random.default_rng(0)
    gold, given = draws.integers(0, 3, 200), draws.integers(0, 3, 200)
    score = TagScore(TAGS)
    for k in range(0, 200, 20):
        row = slice(k, k + 20)
        score.add([TAGS[g] for g in gold[row]], given[row], draws.random(20) < 0.8)
    rates = precision_recall_fscore_support(gold, given)
    told = score.to_dict()
    for k, tag in enumerate(TAGS):
        found = told["by_tag"][tag]
        expected = [float(rate[k]) for rate in rates]
        assert [found[name] for name in ("precision", "recall", "f1", "words")] == pytest.approx(
            expected
        )
    assert told["accuracy"] == pytest.approx((gold == given).mean())
    assert told["macro_f1"] == pytest.approx(rates[2].mean())
    assert (told["words"], told["sentences"]) == (200, 10)


def test_unknown_words_are_scored_apart():
    score = TagScore(TAGS)
    score.add(["A", "B", "C"], np.array([0, 0, 2]), np.array([True, False, False]))
    told = score.to_dict()
    assert (told["unknown_words"], told["unknown_accuracy"]) == (2, 0.5)


def test_a_tag_unseen_in_training_counts_as_wrong():
    score = TagScore(TAGS)
    score.add(["A", "Z"], np.array([0, 0]), np.ones(2, bool))
    told = score.to_dict()
    assert told["accuracy"] == 0.5
    assert told["unseen_tags"] == {"Z": 1}


def test_a_tag_that_does_not_occur_is_left_out_of_the_mean():
    score = TagScore(TAGS)
    score.add(["A", "A"], np.array([0, 0]), np.ones(2, bool))
    assert score.to_dict()["macro_f1"] == 1


# of seqeval's README
GOLD = [
    ["O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O"],
    ["B-PER", "I-PER", "O"],
]
FOUND = [
    ["O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC", "O"],
    ["B-PER", "I-PER", "O"],
]


def test_spans_count_only_where_both_ends_and_the_name_are_right():
    names = ["O", "B-MISC", "I-MISC", "B-PER", "I-PER"]
    score = TagScore(names)
    for gold, found in zip(GOLD, FOUND, strict=True):
        score.add(gold, np.array([names.index(tag) for tag in found]), np.ones(len(gold), bool))
    told = score.to_dict()
    assert told["span_f1"] == 0.5
    assert told["by_span"]["PER"] == {"precision": 1, "recall": 1, "f1": 1, "spans": 1}
    assert told["by_span"]["MISC"]["f1"] == 0


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-A I-A B-A", [("A", 0, 1), ("A", 2, 2)]),
        ("I-A I-A O I-B", [("A", 0, 1), ("B", 3, 3)]),
        ("B-A I-B I-B", [("A", 0, 0), ("B", 1, 2)]),
        ("O O", []),
    ],
)
def test_where_spans_begin_and_end(tags, expected):
    assert list(spans(tags.split())) == expected


def test_what_marks_spans():
    assert is_spans(["B-A", "I-A", "O"])
    assert not is_spans(["NOUN", "B-A"])
    assert not is_spans(["O"])
    assert "span_f1" not in TagScore(TAGS).to_dict()
