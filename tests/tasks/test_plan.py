import numpy as np
import pytest

import ostinato as ost
from ostinato.data.music import Piece
from ostinato.tasks.plan import Prepared

QUICK = {"max_steps": 1, "progress": False, "baselines": False, "validation": 0, "held_out": 0}
WORDS = [["one"] * n for n in (2, 3, 3, 9)]

FITS = {
    "tagger": lambda: ost.Tagger.fit(
        [[(word, "AB"[k % 2]) for k, word in enumerate(row)] for row in WORDS],
        hidden_size=4,
        **QUICK,
    ),
    "classifier": lambda: ost.Classifier.fit(
        [(" ".join(row), "AB"[len(row) % 2]) for row in WORDS], hidden_size=4, **QUICK
    ),
    "composer": lambda: ost.Composer.fit(
        [Piece(((60,),) * len(row)) for row in WORDS], hidden_size=4, **QUICK
    ),
}


@pytest.mark.parametrize("task", FITS)
def test_a_run_records_how_long_the_rows_are_that_it_trains_on(task, tmp_path):
    model = FITS[task]()
    told = {"rows": 4, "shortest": 2, "median": 3.0, "longest": 9}
    assert model.figures["data"]["lengths"] == told
    model.save(tmp_path)
    assert ost.load(tmp_path).figures["data"]["lengths"] == told


def test_rows_that_do_not_differ_in_length_have_none_recorded():
    assert Prepared(None, [], "digest").recorded == {"sha256": "digest"}
    model = ost.LanguageModel.fit("to be, or not\n" * 30, batch_size=2, hidden_size=4, **QUICK)
    assert set(model.figures["data"]) == {"sha256"}


def test_an_end_that_a_translator_adds_is_a_step_of_the_line():
    pairs = [("a b", "b a"), ("a", "a b c")] * 3
    model = ost.Translator.fit(pairs, tokens="words", hidden_size=4, embedding_size=4, **QUICK)
    lengths = model.figures["data"]["lengths"]
    assert (lengths["shortest"], lengths["longest"]) == (3, 4)
    assert isinstance(lengths["longest"], int)
    assert np.isfinite(lengths["median"])
