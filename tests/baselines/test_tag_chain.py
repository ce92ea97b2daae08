import itertools

import numpy as np
import pytest

from ostinato.baselines.tag_chain import HiddenMarkovTags, WordsAround


def test_the_best_tags_are_those_of_counted_probabilities():
    sentences = [
        (np.array([0, 1, 2]), np.array([0, 1, 0])),
        (np.array([0, 0, 1]), np.array([0, 0, 1])),
        (np.array([2, 1]), np.array([1, 1])),
    ]
    prior = 0.5
    chain = HiddenMarkovTags(sentences, 3, 2, np.zeros(3, dtype=np.int64), prior=prior)
    start = np.array([2, 1]) + prior
    moves = np.array([[1, 2], [1, 1]]) + prior
    # of the words seen, and of what is seen once: nothing here
    shown = np.array([[3, 0, 1, prior], [0, 3, 1, prior]])
    start, moves, shown = (p / p.sum(axis=-1, keepdims=True) for p in (start, moves, shown))
    for words in itertools.product(range(3), repeat=3):
        (found,) = chain.predict([np.array(words)])

        def likely(tags, words=words):
            p = start[tags[0]] * np.prod([shown[t, w] for t, w in zip(tags, words, strict=True)])
            return p * moves[tags[0], tags[1]] * moves[tags[1], tags[2]]

        paths = list(itertools.product(range(2), repeat=3))
        assert likely(tuple(found)) == pytest.approx(max(map(likely, paths)))
    assert chain.parameters == 1 + 2 + 2 * 3


def test_an_unseen_word_is_read_as_one_of_its_kind():
    kinds = np.array([0, 0, 1, 1, 0, 1])
    # words 0 and 2 occur once, with the tags 0 and 1; of 1 there are many
    sentences = [(np.array([0]), np.array([0])), (np.array([2]), np.array([1]))]
    sentences += [(np.array([1]), np.array([0]))] * 2 + [(np.array([3]), np.array([1]))] * 2
    chain = HiddenMarkovTags(sentences, 6, 2, kinds)
    assert [int(tags[0]) for tags in chain.predict([np.array([4]), np.array([5])])] == [0, 1]


def test_a_chain_needs_words():
    with pytest.raises(ValueError, match="no word to count"):
        HiddenMarkovTags([], 2, 2, np.zeros(2, dtype=np.int64))


def test_words_around_are_read_as_far_as_the_reach():
    rng = np.random.default_rng(0)
    rows, tags = [], []
    for _ in range(300):
        first = int(rng.integers(2))
        rows.append(["ab"[first], "x", "y"])
        # the tag of the last word is told by the first, two words away
        tags.append([2, 3, first])
    near, far = (WordsAround(reach).fit(rows[:200], tags[:200]) for reach in (1, 2))

    def right(tagger):
        found = list(tagger.predict(rows[200:]))
        return np.mean([row[2] == gold[2] for row, gold in zip(found, tags[200:], strict=True)])

    assert right(far) == 1.0
    assert right(near) < 0.8
    assert far.parameters > near.parameters
    assert (far.looks_back, far.name) == (2, "logistic regression on the word and 2 on each side")


def test_endings_and_looks_tell_words_that_were_never_seen():
    rows = [[f"{stem}ing", f"{stem.title()}er", "7"] for stem in ("walk", "talk", "read", "play")]
    tagger = WordsAround(0).fit(rows * 10, [[0, 1, 2]] * 40)
    (found,) = tagger.predict([["singing", "Singer", "1984"]])
    assert found.tolist() == [0, 1, 2]


def test_a_single_tag_needs_no_learning():
    tagger = WordsAround(1).fit([["a", "b"]], [[1, 1]])
    assert [row.tolist() for row in tagger.predict([["c"], ["d", "e"]])] == [[1], [1, 1]]
    assert tagger.parameters == 0
