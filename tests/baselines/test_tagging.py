from collections import Counter, defaultdict

import numpy as np
import pytest

from ostinato.baselines.tagging import MostFrequentTag


def test_it_is_what_counting_word_by_word_gives():
    draws = np.random.default_rng(0)
    words, tags = draws.integers(0, 80, 120), draws.integers(0, 5, 120)
    kinds = np.arange(90) % 3
    # of the third kind, no word is seen once
    kinds[kinds == 2] = np.where(np.arange(30) < 20, 0, 2)
    words[kinds[words] == 2] = 0
    seen = defaultdict(Counter)
    for word, tag in zip(words, tags, strict=True):
        seen[word][tag] += 1
    once = [Counter(), Counter(), Counter()]
    for word, counts in seen.items():
        if counts.total() == 1:
            once[kinds[word]].update(counts)
    assert once[0]
    assert once[1]

    def best(counts):
        return min(range(5), key=lambda tag: (-counts[tag], tag))

    overall = best(Counter(tags.tolist()))
    unseen = [best(counts) if counts else overall for counts in once]
    expected = [best(seen[w]) if w in seen else unseen[kinds[w]] for w in range(90)]
    pieces = [(words[k : k + 50], tags[k : k + 50]) for k in range(0, 120, 50)]
    guess = MostFrequentTag(pieces, 90, 5, kinds)
    assert guess.predict(np.arange(90)).tolist() == expected
    right = np.mean([expected[w] == t for w, t in zip(words, tags, strict=True)])
    assert guess.accuracy(pieces) == pytest.approx(right)


def test_nothing_to_count_is_refused():
    with pytest.raises(ValueError, match="no word to count"):
        MostFrequentTag([], 3, 2)
