import json
import random

import numpy as np
import pytest
import torch

import ostinato
from ostinato import cells
from ostinato.data.tags import TagError, read_sentences
from ostinato.tasks.tagger.settings import TaggerSettings
from ostinato.tasks.tagger.task import Tagger

TINY = {"hidden_size": 8, "embedding_size": 6, "letter_size": 5, "letter_hidden_size": 6}
QUICK = {**TINY, "batch_size": 8, "warmup_steps": 0, "progress": False}


def language(count, seed=0, nouns=("cat", "dog", "bird"), verbs=("sees", "likes")):
    """Sentences of a language in which "fish" is a verb after a noun, and otherwise a noun."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        row = [("the", "DET"), (draw.choice(nouns), "NOUN")]
        if draw.random() < 0.5:
            row += [(draw.choice(verbs), "VERB"), ("the", "DET"), ("fish", "NOUN")]
        else:
            row += [("fish", "VERB"), ("here", "ADV")]
        rows.append([*row[draw.choice((0, 1)) :], (".", "PUNCT")])
    return rows


def words_of(rows):
    return [[word for word, _ in row] for row in rows]


def tags_of(rows):
    return [[tag for _, tag in row] for row in rows]


@pytest.fixture(scope="module")
def fitted():
    with ostinato.engine("eager"):
        return Tagger.fit(language(240), epochs=12, lr=0.02, **QUICK)


def test_it_learns_from_words_on_both_sides(fitted):
    rows = language(40, seed=1)
    assert fitted.evaluate(rows).accuracy == 1
    assert tags_of(fitted.predict(words_of(rows))) == tags_of(rows)


def test_unknown_words_are_known_by_their_letters():
    draw = random.Random(0)

    def endings(count):
        stems = ["".join(draw.choice("abdklmoprt") for _ in range(4)) for _ in range(count)]
        return [[(stem + "ing", "VERB"), (stem[::-1] + "ness", "NOUN")] for stem in stems]

    model = Tagger.fit(endings(150), epochs=4, lr=0.02, **QUICK)
    score = model.evaluate(endings(30)).to_dict()
    assert score["unknown_words"] > 50
    assert score["unknown_accuracy"] > 0.95


def test_figures_say_score_guess_and_padding(fitted):
    figures = fitted.figures
    assert figures["held_out"]["accuracy"] > figures["baselines"]["most_frequent_tag"]
    assert figures["held_out"]["sentences"] == 24
    assert figures["padding"] <= 0.1
    assert figures["training"]["tokens"] > 0
    json.dumps(figures)


def test_answers_do_not_depend_on_company_or_order(fitted):
    rows = words_of(language(70, seed=2))
    together = fitted.predict(rows)
    assert together == [fitted.predict([row])[0] for row in rows]
    assert [[word for word, _ in found] for found in together] == rows
    assert fitted.predict(rows[::-1]) == together[::-1]


def test_forms_of_a_question(fitted):
    single = fitted.predict("the cat fish here.")
    assert fitted.predict(["the cat fish here.", "the dog"])[0] == single
    assert fitted.predict([["the", "cat", "fish", "here", "."]]) == [single]
    assert [word for word, _ in fitted.predict("here.", split="blanks")] == ["here."]
    assert fitted.predict([]) == []
    with pytest.raises(TagError, match="Sentence 2 must be a row of words"):
        fitted.predict([["the"], []])


def test_answers_are_streamed(fitted):
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield ["the", "cat"]

    stream = fitted.stream(endless())
    assert next(stream)[0] == ("the", "DET")
    assert len(taken) <= 64 * 8


def test_saved_and_loaded_it_answers_the_same(fitted, tmp_path):
    fitted.save(tmp_path)
    again = ostinato.load(tmp_path)
    assert isinstance(again, Tagger)
    assert again.figures == fitted.figures
    assert again.settings == fitted.settings
    rows = language(30, seed=3)
    assert again.predict(words_of(rows)) == fitted.predict(words_of(rows))
    assert again.evaluate(rows).to_dict() == fitted.evaluate(rows).to_dict()


def test_parts_are_shares_or_files(tmp_path):
    rows = language(40)

    def parts(**options):
        model = Tagger.fit(rows, max_steps=1, **QUICK, **options)
        return model.figures.get("held_out", {}).get("sentences"), model.figures["training"]["best"]

    assert parts()[0] == 4
    assert parts(test=rows[:7])[0] == 7
    assert parts(held_out=0)[0] is None
    assert parts(validation=0)[1] is None
    assert parts(validation=rows[:5], held_out=0)[1] is not None


def test_a_file_is_fitted_as_the_same_rows_are(tmp_path):
    rows = language(30)
    path = tmp_path / "rows.tsv"
    path.write_text("\n\n".join("\n".join("\t".join(pair) for pair in row) for row in rows) + "\n")
    one, other = (Tagger.fit(source, max_steps=2, **QUICK) for source in (rows, path))
    for name, weight in one.state_dict().items():
        assert torch.equal(weight, other.state_dict()[name])


def test_a_resumed_run_ends_as_one_that_was_never_stopped(tmp_path):
    rows = language(60)
    settings = {**QUICK, "save_every": 1}
    whole = Tagger.fit(rows, epochs=3, schedule="constant", **settings)
    Tagger.fit(rows, epochs=1, schedule="constant", out=tmp_path, **settings)
    again = Tagger.fit(rows, epochs=3, out=tmp_path, resume=True, progress=False)
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name])
    with pytest.raises(ValueError, match="begun on other data"):
        Tagger.fit(rows[1:], epochs=4, out=tmp_path, resume=True, progress=False)


@pytest.mark.parametrize("crf", [False, True])
@pytest.mark.parametrize("cell", ["gru", "elman", cells.Gated])
def test_any_cell_will_do(cell, crf, tmp_path):
    model = Tagger.fit(language(20), cell=cell, crf=crf, max_steps=2, **QUICK)
    model.save(tmp_path)
    rows = words_of(language(5, seed=4))
    assert ostinato.load(tmp_path).predict(rows) == model.predict(rows)


def test_the_random_field_learns_which_tags_follow_each_other():
    rows = language(200)
    model = Tagger.fit(rows, crf=True, epochs=8, lr=0.02, **QUICK)
    assert model.evaluate(language(30, seed=5)).accuracy > 0.98
    number = model.coder.tags.number
    following = model.network.crf.following
    assert following[number("DET"), number("NOUN")] > following[number("DET"), number("VERB")]


def test_names_in_spans_are_scored_as_spans():
    rows = [
        [("in", "O"), ("New", "B-LOC"), ("York", "I-LOC")],
        [("Ann", "B-PER"), ("ran", "O")],
    ] * 30
    model = Tagger.fit(rows, epochs=8, lr=0.02, **QUICK)
    score = model.evaluate(rows[:2]).to_dict()
    assert score["span_f1"] == 1
    assert score["by_span"]["all"]["spans"] == 2


def test_tags_that_training_lacks():
    rows = language(20)
    odd = [[("ow", "INTJ")]]
    with pytest.raises(TagError, match=r"sentence, word 1: no sentence .* has the tag 'INTJ'"):
        Tagger.fit(rows, validation=odd, **QUICK)
    model = Tagger.fit(rows, validation=odd + rows, unseen="wrong", max_steps=1, **QUICK)
    score = model.evaluate(odd)
    assert score.accuracy == 0
    assert score.unseen == {"INTJ": 1}
    strict = Tagger.fit(rows, max_steps=1, **QUICK)
    with pytest.raises(TagError, match="not been trained on the tag 'INTJ'"):
        strict.evaluate(odd)
    with pytest.raises(TagError, match="not been trained on the tag 'INTJ'"):
        strict.update(odd)


def test_updates_follow_a_language_that_changes():
    model = Tagger.fit(language(100), epochs=6, lr=0.02, held_out=0, **QUICK)
    # from now on, what ends in "ez" is a verb, and stands where nouns stood
    drifted = [
        [("the", "ADV"), (word, "VERB"), ("fish", "DET"), (".", "PUNCT")]
        for word in ("runez", "eatez", "flez", "stez") * 10
    ]
    before = model.evaluate(drifted).accuracy
    names = {id(p) for p in model.parameters()}
    losses = [model.update(drifted, lr=0.01) for _ in range(6)]
    assert losses[-1] < losses[0]
    assert model.evaluate(drifted).accuracy > max(before, 0.95)
    # it is the same model, no larger than before
    assert {id(p) for p in model.parameters()} == names
    assert not model.training


def test_the_rate_of_updates_is_heeded():
    rows = language(30)
    model = Tagger.fit(rows, max_steps=1, **QUICK)
    before = {n: p.clone() for n, p in model.named_parameters()}
    model.update(rows, lr=0.0)
    # weight decay, too, is a share of the rate
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters())
    model.update(rows)
    assert any(not torch.equal(p, before[n]) for n, p in model.named_parameters())
    with pytest.raises(TagError, match="no sentence to read"):
        model.update([])


@pytest.mark.parametrize("tune", [True, False])
def test_words_may_begin_with_the_vectors_of_a_file(tmp_path, tune):
    path = tmp_path / "vectors.txt"
    vectors = {"cat": [1, 2, 3, 4, 5, 6], "dog": [6, 5, 4, 3, 2, 1], "unheard": [0] * 6}
    path.write_text("".join(f"{w} {' '.join(map(str, v))}\n" for w, v in vectors.items()))
    options = {"embeddings": str(path), "tune_embeddings": tune, **QUICK}
    model = Tagger.fit(language(20), epochs=1, out=tmp_path / "run", **options)
    number = model.coder.words.number("cat")
    vector = model.network.words.weight[number]
    assert torch.equal(vector, torch.tensor(vectors["cat"]).float()) is not tune
    torch.testing.assert_close(vector, torch.tensor(vectors["cat"]).float(), atol=0.2, rtol=0)
    # the folder stands alone
    path.unlink()
    again = ostinato.load(tmp_path / "run")
    assert torch.equal(again.network.words.weight, model.network.words.weight)
    path.write_text("cat 1 2 3 4 5 6\n")
    with pytest.raises(ValueError, match="Give embedding_size=6"):
        Tagger.fit(language(20), **{**options, "embedding_size": 5})


def test_conllu_columns(tmp_path):
    line = "{k}\t{w}\t{w}\t{u}\t{x}\t_\t0\troot\t_\t_\n"
    text = "\n".join(
        "".join(line.format(k=k, w=w, u=t, x=t[:1]) for k, (w, t) in enumerate(row, start=1))
        for row in language(20)
    )
    path = tmp_path / "a.conllu"
    path.write_text(text)
    model = Tagger.fit(path, column="xpos", max_steps=1, **QUICK)
    assert sorted(model.coder.tags.entries) == ["A", "D", "N", "P", "V"]
    assert model.evaluate(path).words == sum(len(s.words) for s in read_sentences(path))


def test_settings_have_three_sections_and_refuse_the_unknown():
    settings = TaggerSettings().changed(column="xpos", hidden_size=3, lr=0.1)
    assert (settings.data.column, settings.model.hidden_size, settings.training.lr) == (
        "xpos",
        3,
        0.1,
    )
    assert TaggerSettings.from_dict(settings.to_dict()) == settings
    with pytest.raises(ValueError, match="Did you mean embedding_size"):
        TaggerSettings().changed(embedding_siz=3)
    with pytest.raises(ValueError, match="one of error, wrong"):
        TaggerSettings().changed(unseen="no")
    with pytest.raises(ValueError, match="below 1, or nothing is left"):
        TaggerSettings().changed(validation=0.5, held_out=0.5)


def test_evaluation_counts_what_prediction_says(fitted):
    rows = language(25, seed=6)
    found = fitted.predict(words_of(rows))
    right = np.mean(
        [a[1] == b[1] for x, y in zip(found, rows, strict=True) for a, b in zip(x, y, strict=True)]
    )
    assert fitted.evaluate(rows).accuracy == pytest.approx(right)
