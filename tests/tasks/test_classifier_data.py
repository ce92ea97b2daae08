import tracemalloc

import numpy as np
import pytest

from ostinato.data.columns import TableError
from ostinato.data.store import RowStore
from ostinato.data.tables import rows_of
from ostinato.data.vocabulary import Vocabulary
from ostinato.data.words import WordTokenizer
from ostinato.layers.ngrams import ngram_buckets
from ostinato.tasks.classifier.data import LabelCoder, LabelledRows, pieces
from ostinato.tasks.classifier.network import Inputs

TOKENIZER = WordTokenizer(["the", "film"], lower=True)
LABELS = Vocabulary(["bad", "good"], unknown=False)


def coder(**options):
    return LabelCoder(LABELS, Inputs(TOKENIZER.size), TOKENIZER, **options)


def test_rows_are_kept_as_they_came():
    rows = LabelledRows([rows_of(["naïve", "so"], [["b", "a"], []])], [], [rows_of(["☺"], [["c"]])])
    assert [rows.text(n) for n in range(3)] == ["naïve", "so", "☺"]
    assert rows.labels == ["a", "b", "c"]
    assert [row.tolist() for row in rows.label_rows] == [[0, 1], [], [2]]
    assert rows.parts == [range(2), range(2, 2), range(2, 3)]
    assert rows.several
    assert rows.first_labels().tolist() == [0, -1, 2]
    assert rows.label_counts(np.array([0, 2])).tolist() == [1, 1, 1]
    assert rows.label_counts(np.array([1])).tolist() == [0, 0, 0]
    assert rows.label_places["c"] == "the rows, row 0"


def test_the_fingerprint_tells_data_apart():
    def mark(texts, labels):
        return list(LabelledRows([rows_of(texts, labels)]).fingerprint())

    first = mark(["ab", "c"], ["x", "y"])
    assert first == mark(["ab", "c"], ["x", "y"])
    assert first != mark(["a", "bc"], ["x", "y"])
    assert first != mark(["ab", "c"], ["y", "x"])


@pytest.mark.parametrize("size", [1, 3, 100])
def test_pieces_hold_the_steps_of_the_rows_alone(size, monkeypatch):
    monkeypatch.setattr("ostinato.tasks.classifier.data._PIECE", size)
    store = RowStore.of([[1, 2, 3], [], [4], [5, 6], [7]], dtype="int64")
    found = np.concatenate(list(pieces(store, np.array([0, 1, 3]))))
    assert found.tolist() == [1, 2, 3, 5, 6]


@pytest.mark.parametrize("kind", ["texts", "numbers"])
def test_rows_on_disk_are_not_in_memory(kind, monkeypatch):
    monkeypatch.setattr("ostinato.data.store._BUFFER", 1 << 16)

    def peak(count):
        def read():
            for k in range(0, count, 500):
                one = "a text of some length " * 10 if kind == "texts" else np.ones((20, 4))
                yield rows_of([one] * 500, [f"{(k + n) % 2}" for n in range(500)])

        tracemalloc.start()
        try:
            rows = LabelledRows(read())
            rows.label_counts(np.arange(count))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # of a row, 220 or 320 bytes go to disk; in memory is where it begins
    assert peak(9_000) - peak(3_000) < 6_000 * 120


def test_batches_of_words():
    batch = coder().batch([coder().encode("the film"), coder().encode("film")], [[1], [0]])
    assert batch.x.tolist() == [[2, 3], [3, 0]]
    assert batch.lengths.tolist() == [2, 1]
    assert batch.labels.tolist() == [1, 0]
    assert len(batch.words) == 0
    several = coder(several=True).batch([coder().encode("film")] * 2, [[0, 1], []])
    assert several.labels.tolist() == [[1, 1], [0, 0]]


def test_batches_of_words_with_ngrams():
    some = coder(ngrams=50)
    words = some.words()
    rows = [some.encode(text, words) for text in ("the filmy film", "filmy\nthe")]
    batch = some.batch(rows, words=words)
    names = ["the", "filmy", "film", "<eos>"]
    # the padding is among the places, too
    assert batch.words.tolist() == [2, 0, 3, 1]
    assert batch.x.tolist() == [[0, 1], [1, 3], [2, 0]]
    grams, offsets = ngram_buckets(names, 50)
    assert batch.grams.tolist() == grams.tolist()
    assert batch.offsets.tolist() == offsets.tolist()
    # words that are met later
    later = some.batch([some.encode("film new", words)], words=words)
    assert later.words.tolist() == [3, 0]


def test_a_coder_is_what_it_was():
    for one in (
        coder(several=True, ngrams=9),
        LabelCoder(LABELS, Inputs(0, 3, 8)),
    ):
        again = LabelCoder.from_dict(one.to_dict())
        assert again.to_dict() == one.to_dict()
        assert again.inputs == one.inputs


def test_unknown_labels_name_the_nearest():
    with pytest.raises(
        TableError, match=r"here: the training part had no label 'god'. Did you mea"
    ):
        coder().numbers(("god",), "here")
    with pytest.raises(TableError, match="There are no rows"):
        LabelledRows([], [])
