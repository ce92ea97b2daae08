"""Networks whose memory is known, because their weights are laid by hand, compared task by task."""

import importlib
import json
import math
import sys
from functools import cache

import numpy as np
import pytest
import torch

import ostinato as ost
from ostinato.compare import CompareError
from ostinato.compare.sources import told_of
from ostinato.compare.trial import Asked
from ostinato.data.text import Document

V = 4


class Delay(ost.Cell):
    """A shift register: the last inputs, newest first."""

    def forward(self, x, h):
        return torch.cat([x, h[:, : h.shape[1] - x.shape[1]]], dim=1)


def copied(steps, length, share=0.9, seed=0):
    """Letters of which most are the one `steps` before."""
    rng = np.random.default_rng(seed)
    row = rng.integers(V, size=length)
    for t in range(steps, length):
        if rng.random() < share:
            row[t] = row[t - steps]
    return row


def identity(weight, rows):
    """The first rows of a matrix [N, V] become those of the unit matrix, the others 0."""
    with torch.no_grad():
        weight.zero_()
        weight[rows] = torch.eye(V)


def reads_back(readout, k, outputs, offset=0):
    """A readout that says what was read k steps ago, by the numbers of the outputs."""
    with torch.no_grad():
        readout.weight.zero_()
        readout.bias.zero_()
        for letter, output in enumerate(outputs):
            readout.weight[output, offset + k * V + letter] = math.log(0.9 * V / 0.1)


@cache
def language_model(k, seed=0):
    text = Document("".join("abcd"[n] for n in copied(k + 1, 2400, seed=seed)))
    model = ost.LanguageModel.fit(
        text,
        cell=Delay,
        hidden_size=V * 8,
        num_layers=1,
        batch_size=4,
        chunk_length=16,
        embedding_size=V,
        max_steps=1,
        baselines=False,
        progress=False,
    )
    letters = [model.tokenizer.encode(letter)[0] for letter in "abcd"]
    identity(model.network.embedding.weight, letters)
    reads_back(model.network.readout, k, letters)
    return model, text


@cache
def tagger(k, seed=0):
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(120):
        row = rng.integers(V, size=int(rng.integers(4, 12)))
        rows.append(
            [("abcd"[w], "ABCD"[row[t - k]] if t >= k else "none") for t, w in enumerate(row)]
        )
    model = ost.Tagger.fit(
        rows,
        cell=Delay,
        hidden_size=V * 8,
        embedding_size=V,
        letter_hidden_size=0,
        max_steps=1,
        baselines=False,
        progress=False,
    )
    identity(model.network.words.weight, model.coder.words.numbers(list("abcd")))
    tags = model.coder.tags.numbers(list("ABCD"))
    reads_back(model.network.readout, k, tags)
    if "none" in model.coder.tags:
        with torch.no_grad():
            model.network.readout.bias[model.coder.tags.numbers(["none"])[0]] = 1.0
    return model, rows


@cache
def classifier(k, seed=0):
    rng = np.random.default_rng(seed)
    texts = rng.integers(V, size=(400, 9))
    words = ("aa", "bb", "cc", "dd")
    rows = [(" ".join(words[w] for w in row), "ABCD"[row[-1 - k]]) for row in texts]
    model = ost.Classifier.fit(
        rows,
        cell=Delay,
        hidden_size=V * 8,
        embedding_size=V,
        bidirectional=False,
        pooling="last",
        max_steps=1,
        baselines=False,
        progress=False,
    )
    (member,) = model.network.members
    tokens = [int(model.coder.encode(word)[0]) for word in words]
    identity(member.entry.embedding.weight, tokens)
    reads_back(member.readout, k, model.coder.labels.numbers(list("ABCD")))
    return model, rows


@cache
def forecaster(k, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=600)
    for t in range(k + 1, len(values)):
        if rng.random() < 0.95:
            values[t] = values[t - k - 1]
    table = {"x": values}
    model = ost.Forecaster.fit(
        table,
        target="x",
        horizon=1,
        history=12,
        lags=12,
        season=12,
        level="off",
        calibration="off",
        hidden_size=2,
        max_steps=1,
        baselines=False,
        progress=False,
    )
    with torch.no_grad():
        for part in (model.network.readout, model.network.skip):
            part.weight.zero_()
            part.bias.zero_()
        model.network.skip.weight[0, -1 - k] = 1.0
    return model, table


KINDS = [language_model, tagger, classifier, forecaster]
QUICK = {"progress": False, "resamples": 300, "places": 150}


@pytest.mark.parametrize("k", [0, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_a_network_that_copies_from_k_steps_before_needs_k_steps(kind, k):
    model, data = kind(k)
    found = ost.compare(model, data, steps=[0, 1, 2, 3, 4, 5], **QUICK)
    assert found.history.steps_used == k
    assert found.history.steps_in_order == k
    assert found.confirmed
    assert found.task == model.SETTINGS.TASK
    assert found.network.parameters == sum(p.numel() for p in model.parameters())


def test_the_past_of_a_text_is_tried_until_nothing_is_missed(monkeypatch):
    import ostinato.compare.language_model as room

    monkeypatch.setattr(room, "_FIRST", 1)
    model, text = language_model(4)
    found = ost.compare(model, text, **QUICK).history
    assert [one.steps for one in found.cut] == [0, 1, 2, 5]
    assert (found.steps_used, found.steps_in_order) == (5, 5)
    # unless it would have to read more than this
    monkeypatch.setattr(room, "_READ", 2 * 2 * QUICK["places"])
    short = ost.compare(model, text, **QUICK)
    assert (short.history.most_tried, short.history.steps_used) == (2, None)
    assert short.sentences[1].endswith("no more were tried.")
    assert ost.compare(model, text, full=True, **QUICK).history.steps_used == 5


@cache
def scored(kind, k):
    """Scores alone, which several tests look at."""
    model, data = kind(k)
    return ost.compare(model, data, history=False, **QUICK)


def test_the_score_is_that_of_evaluate():
    model, text = language_model(2)
    score = model.evaluate(text, part="held_out")
    found = scored(language_model, 2)
    assert found.network.score.value == pytest.approx(score.nats_per_token, rel=1e-5)
    assert found.history is None
    model, rows = tagger(2)
    found = scored(tagger, 2)
    assert found.network.score.value == pytest.approx(model.evaluate(rows[108:]).accuracy)
    model, table = forecaster(2)
    score = model.evaluate(table, part="held_out")
    assert scored(forecaster, 2).network.score.value == pytest.approx(score.mse, rel=1e-5)


def test_other_data_are_scored_whole_where_the_training_data_are_named():
    model, rows = classifier(1)
    _, others = classifier(1, seed=5)
    found = ost.compare(model, others, train=rows, history=False, **QUICK)
    assert found.network.score.value == pytest.approx(model.evaluate(others).accuracy)
    assert found.units == "400 rows"
    assert found.confirmed
    model, text = language_model(1)
    _, other = language_model(1, seed=5)
    found = ost.compare(model, other, train=text, history=False, **QUICK)
    assert found.units == "2,399 characters"
    assert found.confirmed


def lines_of(kind, data):
    """The data of a kind as a file has them."""
    if kind is language_model:
        return data.text
    if kind is tagger:
        return "\n".join("".join(f"{word}\t{tag}\n" for word, tag in row) for row in data)
    if kind is classifier:
        return "text,label\n" + "".join(f"{text},{label}\n" for text, label in data)
    return "x\n" + "".join(f"{value}\n" for value in data["x"])


@pytest.mark.parametrize("kind", KINDS)
def test_several_held_out_files_are_scored_together(kind, tmp_path):
    model, _ = kind(1)
    files = {}
    for name, seed in (("train", 0), ("first", 5), ("second", 6)):
        files[name] = str(tmp_path / f"{name}.{'csv' if kind in KINDS[2:] else 'txt'}")
        with open(files[name], "w", encoding="utf-8") as file:
            file.write(lines_of(kind, kind(1, seed=seed)[1]))
    both = [files["first"], files["second"]]
    found = ost.compare(model, both, train=files["train"], history=False, **QUICK)
    assert found.confirmed
    score = model.evaluate(both)
    measure = {"language_model": "nats_per_token", "forecaster": "mse"}.get(found.task, "accuracy")
    assert found.network.score.value == pytest.approx(getattr(score, measure), rel=1e-5)
    alone = ost.compare(model, both[0], train=files["train"], history=False, **QUICK)
    counts = [int(one.units.split()[0].replace(",", "")) for one in (alone, found)]
    assert 1.9 * counts[0] < counts[1] < 2.1 * counts[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_whose_data_have_moved_says_so_and_how_it_was_begun(kind, tmp_path):
    model, _ = kind(1)
    folder = tmp_path / "run"
    model.save(folder)
    starts = [{"command": ["/usr/bin/ostinato", "fit", "some kind", "old place.csv"]}]
    (folder / "environment.json").write_text(json.dumps({"starts": starts}))
    gone = tmp_path / "old place.csv"
    for data, others in ((gone, {}), (kind(1)[1], {"train": gone})):
        with pytest.raises(CompareError) as error:
            ost.compare(model, data, folder=folder, **others, **QUICK)
        told = str(error.value)
        assert str(gone) in told
        assert "begun by `ostinato fit 'some kind' 'old place.csv'`" in told
        assert "name where the same files are now" in told
    _, others = kind(1, seed=5)
    with pytest.raises(CompareError, match="begun by `ostinato fit"):
        ost.compare(model, others, folder=folder, **QUICK)


@pytest.mark.parametrize("record", [None, "no json", '{"starts": []}'])
def test_a_run_that_does_not_say_how_it_was_begun_is_told_of_without(record, tmp_path):
    if record is not None:
        (tmp_path / "environment.json").write_text(record)
    assert told_of(tmp_path) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_simple_model_says_of_a_row_does_not_hang_on_the_others(kind):
    """So nothing that is held out has chosen any of its settings, or been learned from."""
    model, data = kind(2)
    first, other, length = halves(kind)
    asked = Asked(train=data, history=False, resamples=100)
    trial = importlib.import_module(f"ostinato.compare.{kind.__name__}")
    ask = getattr(trial, f"{kind.__name__}_trial")
    one, two = (ask(model, joined(first, last), asked) for last in (first, other))
    assert len(one.guesses) >= 2
    for guess, same in zip(one.guesses, two.guesses, strict=True):
        assert (guess.name, guess.parameters) == (same.name, same.parameters)
        np.testing.assert_array_equal(guess.losses[:length], same.losses[:length])
    assert any(
        (guess.losses[length:] != same.losses[length:]).any()
        for guess, same in zip(one.guesses, two.guesses, strict=True)
    )


def halves(kind):
    """Two test parts, and how many units of the first are scored before the second begins."""
    (_, first), (_, other) = (kind(2, seed=seed) for seed in (5, 6))
    if kind is language_model:
        return str(first.text), str(other.text), len(first.text) - 1
    if kind is forecaster:
        # forecasts begin 12 rows after the series
        return first["x"], other["x"], len(first["x"]) - 12
    return first, other, len(first)


def joined(first, last):
    if isinstance(first, str):
        return Document(first + last)
    if isinstance(first, np.ndarray):
        return {"x": np.concatenate([first, last])}
    return [*first, *last]


@pytest.mark.parametrize("kind", KINDS)
def test_all_models_are_scored_on_the_same_units(kind):
    model, data = kind(2)
    trial = importlib.import_module(f"ostinato.compare.{kind.__name__}")
    found = getattr(trial, f"{kind.__name__}_trial")(
        model, data, Asked(history=False, resamples=100)
    )
    for guess in found.guesses:
        assert guess.losses.shape == found.network.losses.shape == found.weights.shape
        assert np.isfinite(guess.losses).all()
        assert (guess.losses >= 0).all()
        assert guess.parameters >= 0
        assert guess.fit_seconds >= 0
        assert guess.score_seconds >= 0


@pytest.mark.parametrize("kind", KINDS)
def test_data_that_the_run_was_not_fitted_on_are_refused_or_said(kind):
    model, _ = kind(1)
    _, others = kind(1, seed=5)
    with pytest.raises(CompareError, match=r"not the data that the run was fitted on.*--train"):
        ost.compare(model, others, **QUICK)
    found = ost.compare(model, others, train=others, history=False, **QUICK)
    assert not found.confirmed
    assert "does not confirm" in str(found)


def test_a_run_knows_the_test_and_validation_data_that_it_was_given():
    _, rows = tagger(1)
    train, dev, test = rows[:80], rows[80:100], rows[100:]
    model = ost.Tagger.fit(
        train,
        validation=dev,
        test=test,
        hidden_size=4,
        max_steps=1,
        baselines=False,
        progress=False,
    )
    told = {"train": train, "history": False, **QUICK}
    assert ost.compare(model, test, validation=dev, **told).confirmed
    assert not ost.compare(model, test, **told).confirmed


def test_nothing_held_out_is_nothing_to_compare_on():
    _, rows = tagger(1)
    model = ost.Tagger.fit(
        rows, held_out=0.0, hidden_size=4, max_steps=1, baselines=False, progress=False
    )
    with pytest.raises(CompareError, match="held nothing out"):
        ost.compare(model, rows, **QUICK)


def test_sentences_that_depend_on_their_neighbours_are_drawn_in_blocks():
    model, rows = tagger(1)
    assert ost.compare(model, rows, train=rows, history=False, **QUICK).block == 1
    # documents of 20 sentences, every second of which is tagged by another rule
    other = [
        [(word, "none") for word, _ in row] if (k // 20) % 2 else row
        for k, row in enumerate(rows * 3)
    ]
    found = ost.compare(model, other, train=rows, history=False, **QUICK)
    assert found.block >= 10
    assert f"blocks of {found.block} sentences" in found.notes[-1]


def test_another_task_is_refused():
    with pytest.raises(CompareError, match="no simple models beside LSTM"):
        ost.compare(ost.LSTM(2, 2), [])
    with pytest.raises(CompareError, match="places must be at least 2"):
        ost.compare(tagger(0)[0], [], places=1)
    with pytest.raises(CompareError, match="steps must rise"):
        ost.compare(tagger(0)[0], [], steps=[3, 1])


@pytest.mark.parametrize(("resamples", "level", "fewest"), [(1, 0.95, "40"), (99, 0.98, "100")])
def test_one_draw_makes_no_interval(resamples, level, fewest):
    with pytest.raises(CompareError, match=f"need at least {fewest} draws"):
        ost.compare(tagger(0)[0], [], resamples=resamples, level=level)


def test_validation_data_are_refused_where_they_are_a_share():
    for kind in (language_model, forecaster):
        model, data = kind(0)
        with pytest.raises(CompareError, match="Leave validation out"):
            ost.compare(model, data, validation=data)


def test_the_best_guess_of_each_task_is_the_one_that_knows():
    # an order of 3 and more is what the copy of 2 steps before takes
    best, *_, worst = scored(language_model, 2).guesses
    assert "Kneser-Ney" in best.name or "Witten-Bell" in best.name
    assert best.looks_back >= 3 - 1
    assert best.score.value < worst.score.value - 0.3
    names = [one.name for one in scored(forecaster, 2).guesses]
    assert names.index("copy last") > names.index("ridge on 12 lags")
    assert any(name.startswith("linear dynamical") for name in names)
    best = scored(tagger, 2).guesses[0]
    assert best.name == "logistic regression on the word and 2 on each side"
    assert best.score.value > 0.9


def test_models_whose_library_is_missing_are_left_out_and_said(monkeypatch):
    for name in ("hmmlearn", "hmmlearn.hmm", "sklearn"):
        monkeypatch.setitem(sys.modules, name, None)
    model, rows = tagger(2)
    found = ost.compare(model, rows, history=False, **QUICK)
    names = {one.name for one in found.guesses}
    assert names == {"most frequent tag of each word", "most frequent tag"}
    assert any(
        note.startswith("Left out: hidden Markov model") and "ostinato[baselines]" in note
        for note in found.notes
    )


def test_nothing_is_said_of_what_a_model_that_was_left_out_has_learned_from(monkeypatch):
    from ostinato.compare import language_model

    monkeypatch.setattr(language_model, "_CHAINED", 100)
    text = "to be, or not to be: that is the question.\n" * 30
    model = ost.LanguageModel.fit(
        text,
        hidden_size=4,
        num_layers=1,
        batch_size=4,
        max_steps=2,
        progress=False,
        baselines=False,
    )
    said = "The hidden Markov model learned from the last 100 characters."
    assert said in ost.compare(model, text, history=False, **QUICK).notes
    for name in ("hmmlearn", "hmmlearn.hmm"):
        monkeypatch.setitem(sys.modules, name, None)
    assert said not in ost.compare(model, text, history=False, **QUICK).notes


def test_several_targets_and_series_and_covariates_are_compared():
    rng = np.random.default_rng(0)
    table = {
        "name": ["p"] * 150 + ["q"] * 150,
        "x": rng.normal(size=300).cumsum(),
        "y": rng.normal(size=300).cumsum(),
        "z": rng.normal(size=300),
    }
    model = ost.Forecaster.fit(
        table,
        target=("x", "y"),
        past=("z",),
        id="name",
        horizon=2,
        history=5,
        lags=5,
        hidden_size=2,
        max_steps=1,
        baselines=False,
        progress=False,
    )
    found = ost.compare(model, table, steps=[0, 2], **QUICK)
    assert any(one.name.startswith("vector autoregression") for one in found.guesses)
    assert found.network.score.value == pytest.approx(
        model.evaluate(table, part="held_out").mse, rel=1e-5
    )
    assert found.units.startswith("28 forecasts")


def test_rows_of_numbers_have_guesses_of_their_own():
    rng = np.random.default_rng(0)
    rows = [(rng.normal(size=(6, 2)) + (k % 2), "ab"[k % 2]) for k in range(120)]
    model = ost.Classifier.fit(
        rows,
        values=("u", "v"),
        hidden_size=4,
        max_steps=1,
        baselines=False,
        progress=False,
    )
    names = {one.name for one in ost.compare(model, rows, steps=[0, 2], **QUICK).guesses}
    assert names == {
        "most frequent label",
        "logistic regression",
        "gradient boosting",
        "feed-forward network",
        "hidden Markov model for each label",
    }


def test_what_is_thinned_out_is_said_and_full_thins_nothing(monkeypatch):
    import ostinato.compare.language_model as room

    for name in ("_SCORED", "_COUNTED", "_CHAINED", "_PLACES"):
        monkeypatch.setattr(room, name, 200)
    model, text = language_model(0)
    quick = {"progress": False, "resamples": 100, "steps": [0, 1]}
    cheap = ost.compare(model, text, **quick)
    assert cheap.units == "200 characters"
    assert cheap.history.asked <= 200
    told = " ".join(cheap.notes)
    assert "the first 200 of 239" in told
    assert "the last 200 of 2,040" in told
    full = ost.compare(model, text, full=True, **quick)
    assert full.units == "239 characters"
    assert full.history.asked > 230
    assert not any("200" in note for note in full.notes)


def test_seed_level_resamples_and_places_change_the_result():
    model, rows = tagger(2)
    quick = {"progress": False, "steps": [0, 1], "resamples": 200, "places": 20}

    def told(**options):
        return ost.compare(model, rows, **{**quick, **options}).to_dict()

    plain = told()
    assert told(places=40)["history"]["asked"] == 40 != plain["history"]["asked"]
    for options in ({"seed": 1}, {"level": 0.5}, {"resamples": 100}):
        other = told(**options)["guesses"][-1]
        assert other["score_low"] != plain["guesses"][-1]["score_low"]


def test_it_prints_a_table_with_a_verdict():
    model, rows = tagger(3)
    found = ost.compare(model, rows, steps=[0, 3], **QUICK)
    text = str(found)
    assert "(the network)" in text
    assert "accuracy, %, on" in text
    assert found.verdict in " ".join(text.split())
    assert "k counts words on each side" in text
    # the best stands at the bottom
    order = [text.index(f"\n{one.name}  ") for one in found.guesses]
    assert order == sorted(order, reverse=True)
