import re

import numpy as np
import pytest

from ostinato.doctor import doctor


def other_words(words):
    return [word[::-1] + "q" for word in words]


def test_characters_that_a_model_cannot_read_are_found(healthy, ill, well):
    model, data = healthy("language_model")
    report = doctor(model, data + "§ 7 §", only=["unknown", "gap"])
    assert report["unknown"].figures["characters"] == "7§"
    assert "see unknown" in report.skipped["gap"]
    found = ill("unknown", "severe", model, data + "§ 7 §")
    assert found.figures["unknown"] == 3
    assert found.remedy.settings == {"data.min_count": 2}


def test_unknown_characters_with_a_token_of_their_own_are_counted(make, ill, well):
    data = make["text"](500) + "§"
    model = make["fit_text"](data, min_count=2)
    well("unknown", model, data)
    ill("unknown", "severe", model, re.sub("[aeiostr ]", "§", data))


def test_unknown_words_of_a_text_are_found(make, ill, well):
    data = make["text"](600)
    model = make["fit_text"](data, tokens="words", batch_size=2)
    well("unknown", model, data)
    strange = "\n".join(other_words(data.split()))
    found = ill("unknown", "severe", model, strange)
    assert found.remedy.settings == {"data.tokens": "subwords"}


def test_unknown_words_of_a_tagger_are_found(make, ill, well):
    rows = make["sentences"](80)
    model = make["fit_tags"](rows, min_count=1)
    well("unknown", model, rows)
    half = make["words"] + other_words(make["words"])[:5]
    ill("unknown", "warning", model, make["sentences"](80, words=half))
    strange = make["sentences"](80, words=other_words(make["words"]))
    assert "ostinato fit tags" in ill("unknown", "severe", model, strange).remedy.command
    model = make["fit_tags"](rows, min_count=2)
    assert ill("unknown", "severe", model, strange).remedy.settings == {"data.min_count": 1}
    model = make["fit_tags"](rows, vocabulary_size=4)
    assert ill("unknown", "severe", model, rows).remedy.settings == {"data.vocabulary_size": 8}


def texts(make, words=None, count=60):
    rows = []
    for k in range(count):
        told = make["text"](6, seed=k).split()
        rows.append((" ".join(told if words is None else words(told)), "ab"[k % 2]))
    return rows


def test_unknown_words_of_a_classifier_are_found(make, ill, well):
    model = make["fit_labels"](texts(make), values=[])
    well("unknown", model, texts(make))
    ill("unknown", "severe", model, texts(make, other_words))


def test_numbers_are_never_unknown(healthy):
    model, data = healthy("classifier")
    assert "unknown" in doctor(model, data, only=["unknown"]).skipped["unknown"]


# tests give a validation part; nothing else is to be kept apart
WHOLE = {"pairs": {}, "captions": {"held_out": 0.0}, "music": {"held_out": 0.0}}


def test_sentences_in_both_parts_are_found(make, ill, well):
    draws = np.random.default_rng(0)
    rows = [[(f"w{n}", "AB"[n % 2]) for n in draws.integers(0, 200, 6).tolist()] for _ in range(60)]
    well("duplicates", make["fit_tags"](rows), rows)
    twice = rows + rows[:15]
    found = ill("duplicates", "severe", make["fit_tags"](twice, held_out=0.0), [*twice])
    assert found.figures["share"] > 0.9


def test_short_sentences_that_are_alike_weigh_as_little_as_they_score(make, ill, well):
    draws = np.random.default_rng(0)
    long = [
        [(f"w{n}", "AB"[n % 2]) for n in draws.integers(0, 400, 40).tolist()] for _ in range(60)
    ]
    short = [[("w1", "B")]] * 6
    # a tenth of the sentences beyond the training part, and a few in a thousand of the words
    model = make["fit_tags"]([*short, *long[:40]], validation=[*short[:2], *long[40:]], held_out=0)
    data = {"validation": [*short[:2], *long[40:]]}
    well("duplicates", model, [*short, *long[:40]], **data)
    again = [*short[:2], *long[38:]]
    model = make["fit_tags"]([*short, *long[:40]], validation=again, held_out=0)
    found = ill("duplicates", "note", model, [*short, *long[:40]], validation=again)
    assert (found.figures["twice"], found.figures["rows"]) == (82, 882)


def test_rows_in_both_parts_are_found(make, ill, well):
    rows = make["tracks"](100)
    well("duplicates", make["fit_labels"](rows), rows)
    twice = [row for row in rows[:50] for _ in range(3)]
    found = ill("duplicates", "severe", make["fit_labels"](twice), twice)
    assert found.figures["twice"] > 0.5 * found.figures["rows"]


@pytest.mark.parametrize("kind", ["pairs", "captions", "music"])
def test_what_writers_were_trained_on_is_known_again(kind, make, ill, well):
    data, other = make[kind](40), make[kind](20, seed=1)
    model = make[f"fit_{kind}"](data, validation=other, max_steps=2, **WHOLE[kind])
    well("duplicates", model, data, validation=other)
    model = make[f"fit_{kind}"](data, validation=data[:20], max_steps=2, **WHOLE[kind])
    found = ill("duplicates", "severe", model, data, validation=data[:20])
    assert found.figures["twice"] == found.figures["rows"] == 20


def test_words_that_a_translator_does_not_know_are_found(make, ill, well):
    data = make["pairs"](60)
    model = make["fit_pairs"](data, joint=False, max_steps=2, min_count=1)
    well("unknown", model, data)
    model = make["fit_pairs"](data, joint=False, max_steps=2, vocabulary_size=6)
    found = ill("unknown", "severe", model, data)
    assert found.remedy.settings == {"data.vocabulary_size": 12}


def test_passages_in_both_parts_are_found(make, ill, well):
    data = make["text"](900)
    well("duplicates", make["fit_text"](data, validation=0.1), data)
    twice = make["text"](60) * 12
    found = ill("duplicates", "severe", make["fit_text"](twice, validation=0.1), twice)
    assert "passages of 50 characters" in found.evidence


@pytest.mark.parametrize(("count", "severity"), [(5, "note"), (20, "warning"), (50, "severe")])
def test_few_rows_in_both_parts_are_but_noted(count, severity, healthy, make, ill):
    model, data = healthy("classifier")
    some = make["tracks"](100 - count, seed=3) + data[:count]
    found = ill("duplicates", severity, model, some, train=data)
    # all of what is new is looked at, of which four fifths of the old were trained on
    assert found.figures["rows"] == 100
    assert found.figures["share"] == pytest.approx(0.8 * count / 100, abs=0.05)


def test_other_data_can_be_compared_with_what_was_trained_on(healthy, make, ill):
    model, data = healthy("classifier")
    report = doctor(model, data[:90], only=["duplicates"])
    assert "--train" in report.skipped["duplicates"]
    found = ill("duplicates", "severe", model, data[:90], train=data)
    assert found.figures["share"] > 0.6
    report = doctor(model, make["tracks"](40, seed=3), train=data, only=["duplicates"])
    assert report.healthy == ("duplicates",)


def test_columns_that_never_change_are_found(make, ill, well):
    rows = make["tracks"](60)
    well("constant", make["fit_labels"](rows), rows)
    still = [(np.concatenate([x, np.ones((len(x), 1), "f4")], 1), label) for x, label in rows]
    found = ill("constant", "note", make["fit_labels"](still), still)
    assert found.figures == {"columns": ["number 2"]}


def test_covariates_that_never_change_are_found(make, ill, well):
    table = make["series"](a=np.arange(240) % 5, b=[2.0] * 240)
    well("constant", make["fit_series"](table, past=["a"]), table)
    found = ill("constant", "warning", make["fit_series"](table, past=["a"], known=["b"]), table)
    assert found.remedy.settings == {"data.known": []}


def test_marks_between_documents_are_noted(make, ill, well):
    parts = [make["text"](20, seed=k) for k in range(30)]
    plain = "\n".join(parts)
    well("documents", make["fit_text"](plain), plain)
    marked = "\n<|endoftext|>\n".join(parts)
    found = ill("documents", "note", make["fit_text"](marked), marked)
    assert found.remedy.settings == {"data.separator": "<|endoftext|>"}
    assert found.figures["count"] > 20
    told = make["fit_text"](marked, separator="<|endoftext|>", chunk_length=8)
    well("documents", told, marked)
