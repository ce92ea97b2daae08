import tracemalloc

import numpy as np
import pytest

from ostinato.data.streams import IGNORED
from ostinato.data.tags import Sentence, TagError
from ostinato.data.vocabulary import Vocabulary
from ostinato.tasks.tagger.data import Coder, TagRows, fit_coder
from ostinato.tasks.tagger.settings import TaggerData

TRAIN = [
    Sentence(("The", "cat", "sat"), ("D", "N", "V")),
    Sentence(("the", "dog"), ("D", "N")),
    Sentence(("cat",), ("N",)),
]
VAL = [Sentence(("A", "dog", "ran"), ("D", "N", "X"), "val.tsv", (3, 4, 5))]


@pytest.fixture
def rows():
    return TagRows(TRAIN, VAL, [])


def test_sentences_come_back_as_they_went_in(rows):
    assert rows.parts == [range(0, 3), range(3, 4), range(4, 4)]
    for n, sentence in enumerate([*TRAIN, *VAL]):
        assert tuple(rows.words[k] for k in rows.word_rows[n]) == sentence.words
        assert tuple(rows.tags[k] for k in rows.tag_rows[n]) == sentence.tags
    assert rows.tag_places["X"] == "val.tsv, line 5"


def test_memory_does_not_grow_with_the_text(monkeypatch):
    # what is held at a time, small beside the text
    monkeypatch.setattr("ostinato.data.store._BUFFER", 1 << 12)
    monkeypatch.setattr("ostinato.tasks.tagger.data._PIECE", 1 << 10)
    words = [f"w{k}" for k in range(50)]

    def peak(count):
        sentences = (
            Sentence(tuple(words[(7 * n + k) % 50] for k in range(20)), ("A", "B") * 10)
            for n in range(count)
        )
        tracemalloc.start()
        try:
            rows = TagRows(sentences)
            rows.word_counts(rows.parts[0])
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small, large = peak(2000), peak(20000)
    # of a sentence, 160 bytes go to disk; in memory is where it begins
    assert large - small < 18000 * 60


def test_counts_are_of_the_part_alone(rows):
    counts = dict(zip(rows.words, rows.word_counts(rows.parts[0]).tolist(), strict=True))
    assert counts == {"The": 1, "cat": 2, "sat": 1, "the": 1, "dog": 1, "A": 0, "ran": 0}
    assert dict(zip(rows.tags, rows.tag_counts(rows.parts[1]).tolist(), strict=True)) == {
        "D": 1,
        "N": 1,
        "V": 0,
        "X": 1,
    }


def test_the_fingerprint_tells_data_apart(rows):
    def mark(*parts):
        return list(TagRows(*parts).fingerprint())

    assert mark(TRAIN, VAL, []) == list(rows.fingerprint())
    moved = [Sentence(("The", "cat"), ("D", "N")), Sentence(("sat", "the", "dog"), ("V", "D", "N"))]
    assert mark([*moved, TRAIN[2]], VAL, []) != mark(TRAIN, VAL, [])
    other = [*TRAIN[:2], Sentence(("cat",), ("V",))]
    assert mark(other, VAL, []) != mark(TRAIN, VAL, [])


def test_numbers_are_settled_by_the_training_part(rows):
    coder = fit_coder(rows, rows.parts[0], TaggerData())
    assert coder.words.entries == ["cat", "the", "dog", "sat"]
    assert coder.tags.entries == ["N", "D", "V"]
    assert "A" not in coder.letters
    assert coder.known(["The", "A", "CAT"]).tolist() == [True, False, True]
    plain = fit_coder(rows, rows.parts[0], TaggerData(lower=False, min_count=2))
    assert plain.words.entries == ["cat"]
    small = fit_coder(rows, rows.parts[0], TaggerData(vocabulary_size=3))
    assert small.words.size == 3


def test_one_tag_alone_teaches_nothing():
    rows = TagRows([Sentence(("a", "b"), ("N", "N"))])
    with pytest.raises(TagError, match="all words have the tag 'N'"):
        fit_coder(rows, rows.parts[0], TaggerData())


def test_a_batch_says_where_which_distinct_word_stands(rows):
    data = TaggerData(batch_size=2, validation=0)
    coder = fit_coder(rows, rows.parts[0], data)
    batches = list(rows.batches(rows.parts[0], coder, coder.code(rows.words), data))
    assert [batch.lengths.tolist() for batch in batches] == [[3, 2], [1]]
    first = batches[0]
    # distinct words as they are written: The, cat, sat, the, dog
    assert first.places.tolist() == [[0, 3], [1, 4], [2, 0]]
    assert first.words.tolist() == [2, 1, 4, 2, 3]
    spelled = [
        "".join(coder.letters.entry(int(k)) for k in first.letters[:length, w])
        for w, length in enumerate(first.letter_lengths)
    ]
    assert spelled == ["The", "cat", "sat", "the", "dog"]
    assert first.tags.tolist() == [[1, 1], [0, 0], [2, IGNORED]]


def test_what_training_lacks_is_unknown_or_ignored(rows):
    data = TaggerData()
    coder = fit_coder(rows, rows.parts[0], data)
    (batch,) = rows.batches(rows.parts[1], coder, coder.code(rows.words), data)
    assert batch.words[batch.places[:, 0]].tolist() == [0, 3, 0]
    assert batch.tags[:, 0].tolist() == [1, 0, IGNORED]
    assert 0 in batch.letters[0]


def test_words_of_a_batch_are_limited(rows):
    data = TaggerData(batch_size=9, max_words=4)
    coder = fit_coder(rows, rows.parts[0], data)
    batches = list(rows.batches(rows.parts[0], coder, coder.code(rows.words), data))
    assert [batch.lengths.tolist() for batch in batches] == [[3], [2, 1]]


def test_of_long_words_the_middle_is_left_out():
    coder = Coder(
        Vocabulary([], unknown=True),
        Vocabulary("abcdefg", unknown=True),
        Vocabulary("NV", unknown=False),
        longest_word=5,
    )
    coded = coder.code(["abcdefg", "abc", "é"])
    assert coded.letters.tolist() == [1, 2, 3, 6, 7, 1, 2, 3, 0]
    assert coded.offsets.tolist() == [0, 5, 8, 9]


def test_a_coder_can_be_written_down_and_read(rows):
    coder = fit_coder(rows, rows.parts[0], TaggerData(lower=False, longest_word=4))
    again = Coder.from_dict(coder.to_dict())
    assert again.to_dict() == coder.to_dict()
    words = ["The", "unheard"]
    for name in ("numbers", "letters", "offsets"):
        assert np.array_equal(getattr(coder.code(words), name), getattr(again.code(words), name))
