from collections import Counter, defaultdict

import numpy as np
import pytest

from ostinato.baselines.tagging import MostFrequentTag


def test_it_is_what_counting_word_by_word_gives():
    draws = np.random.default_rng(0)
    words, tags = draws.integers(0, 30, 500), draws.integers(0, 5, 500)
    seen = defaultdict(Counter)
    for word, tag in zip(words, tags, strict=True):
        seen[word][tag] += 1
    overall = min(range(5), key=lambda tag: (-(tags == tag).sum(), tag))
    expected = [
        min(range(5), key=lambda tag: (-seen[w][tag], tag)) if w in seen else overall
        for w in range(40)
    ]
    pieces = [(words[k : k + 70], tags[k : k + 70]) for k in range(0, 500, 70)]
    guess = MostFrequentTag(pieces, 40, 5)
    assert guess.predict(np.arange(40)).tolist() == expected
    right = np.mean([expected[w] == t for w, t in zip(words, tags, strict=True)])
    assert guess.accuracy(pieces) == pytest.approx(right)


def test_nothing_to_count_is_refused():
    with pytest.raises(ValueError, match="no word to count"):
        MostFrequentTag([], 3, 2)
