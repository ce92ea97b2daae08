"""Inputs made ready: what each task's network is run on, and what its answers mean."""

import json

import numpy as np
import polars as pl
import pytest
import torch

import ostinato as ost
from ostinato.data.music import Piece
from ostinato.inspect.page import PageError, page_of_model
from ostinato.inspect.reading import Limits, ReadingError, reading_of, reads_text
from ostinato.inspect.reading.base import traced
from ostinato.inspect.reading.captions import Caption, captions
from ostinato.inspect.reading.labels import numbers_in
from ostinato.inspect.reading.pairs import Pair, translations
from ostinato.inspect.reading.series import Stretch, origins_of
from ostinato.tasks.beam import BeamSettings
from ostinato.tasks.forecaster.context import read_source

QUICK = {"batch_size": 2, "progress": False, "baselines": False}
TUNE = Piece(((60, 64), (62,), (), (62, 65)) * 4)
PAIRS = [("one two", "eins zwei"), ("two one", "zwei eins")] * 12
VECTORS = [([0.0, 1.0, 2.0], "up"), ([1.0, 0.0, 2.0], "down")] * 12


@pytest.fixture(scope="module")
def captioner():
    return ost.Captioner.fit(VECTORS, hidden_size=6, max_steps=30, **QUICK).eval()


@pytest.fixture(scope="module", params=["independent", "note_by_note"])
def composer(request):
    options = {"hidden_size": 6, "max_steps": 4, "output": request.param}
    return ost.Composer.fit([TUNE] * 4, validation=TUNE, test=TUNE, **options, **QUICK).eval()


def translator(**settings):
    options = {"tokens": "words", "hidden_size": 8, "embedding_size": 6, "max_steps": 30}
    return ost.Translator.fit(PAIRS, **options, **settings, **QUICK).eval()


def forecaster(**settings):
    table = pl.DataFrame({"t": range(90), "y": [float(k % 5) for k in range(90)]})
    options = {"target": "y", "horizon": 2, "hidden_size": 4, "max_steps": 4}
    return table, ost.Forecaster.fit(table, **options, **settings, **QUICK).eval()


def asked(made, **options):
    return traced(made, only="state", **options)


# captions


def test_a_captioner_tells_the_text_that_it_writes_for_a_vector(captioner):
    made = reading_of(captioner, [0.0, 1.0, 2.0])
    said = asked(made).output
    text = captioner.predict([0.0, 1.0, 2.0])
    assert made.whole(said)[0] == f"Text: {text}"
    best = captions(captioner, np.array([0.0, 1.0, 2.0], np.float32), BeamSettings(1, 0.0))[0]
    assert made.axes[0].labels == (*text, *["<end>"] * best.ended)
    answers = made.answers(said)
    # greedy search writes what is most probable
    assert [answer.choices[0][0] for answer in answers] == [answer.truth for answer in answers]
    total = sum(np.log(answer.chance) for answer in answers)
    assert total == pytest.approx(best.log_probability, rel=1e-4)


def test_a_text_that_is_cut_has_no_end(captioner):
    vector = np.array([0.0, 1.0, 2.0], np.float32)
    best = captions(captioner, vector, BeamSettings(1, 0.0), longest=1)[0]
    made = reading_of(captioner, Caption(vector, best.tokens, best.ended))
    assert not best.ended
    assert len(made.axes[0].labels) == len(made.answers(asked(made).output)) == 1


def test_vectors_are_typed_or_read_from_files(captioner, tmp_path):
    np.savez(tmp_path / "v.npz", vector=np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 2.0]], np.float32))
    (typed, given, file) = (
        reading_of(captioner, source)
        for source in ("0, 1\n2", np.array([0, 1, 2]), str(tmp_path / "v.npz"))
    )
    assert typed.axes == given.axes == file.axes
    assert any("several vectors; the first" in note for note in file.notes)
    assert not any("several vectors" in note for note in typed.notes)


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("0 1", ReadingError, r"has 2 number\(s\), but the model was trained on 3"),
        ("0 1 .", ReadingError, r"line 1: '\.' is no number"),
        ("", ReadingError, "there are no numbers. Give 3"),
        ([0.0, float("nan"), 1.0], ReadingError, "missing"),
        ("vectors.csv", FileNotFoundError, r"no file vectors\.csv"),
    ],
)
def test_vectors_that_cannot_be_used_are_explained(captioner, source, error, message):
    with pytest.raises(error, match=message):
        reading_of(captioner, source)


# music


def test_a_composer_tells_the_chance_of_each_key(composer):
    made = reading_of(composer, TUNE, Limits(top=88))
    said = asked(made).output
    answers = made.answers(said)
    assert made.axes[0].labels[:4] == ("(start)", "C4 E4", "D4", "-")
    with torch.no_grad():
        chances = composer.network.notes.chances(said[0][:, 0])
    for step in (0, 1, 7):
        told = dict(answers[step].choices)
        assert told["C4"] == pytest.approx(float(chances[step, 60 - 21]), rel=1e-3, abs=1e-6)
    assert answers[0].truth == "C4 E4"
    assert answers[-1].truth is None
    nats = composer.score([TUNE.roll()]).nats_per_step
    assert -np.mean([np.log(a.chance) for a in answers[1:-1]]) == pytest.approx(nats, rel=1e-4)


def test_silence_is_read_too(composer):
    made = reading_of(composer, Piece(()))
    assert made.axes[0].labels == ("(start)",)
    assert len(made.answers(asked(made).output)) == 1


def test_a_composers_page_follows_gradients_and_reads_files(composer, tmp_path):
    (tmp_path / "tune.json").write_text(json.dumps(TUNE.steps))
    page = page_of_model(composer, str(tmp_path / "tune.json"), max_steps=5)
    assert len(page.material.axes[0].labels) == 6
    assert any("16 steps; the first 5 are shown" in note for note in page.notes)
    (h,) = (track for track in page.material.tracks if track.name == "h")
    assert h.flow.norms[0] > 0
    with pytest.raises(FileNotFoundError, match="none"):
        page_of_model(composer, str(tmp_path / "none.mid"))
    (tmp_path / "bad.json").write_text("[[900]]")
    with pytest.raises(ValueError, match=r"bad\.json, step 0: notes are whole MIDI numbers"):
        page_of_model(composer, str(tmp_path / "bad.json"))


# translations


@pytest.mark.parametrize("place", ["after", "between", "feeding", "before", None])
def test_a_translator_reads_its_translation_as_it_wrote_it(place):
    settings = {"attention": None} if place is None else {"attention_place": place}
    model = translator(num_layers=2, **settings)
    pair, best = translations(model, "two one", BeamSettings(1))[0]
    made = reading_of(model, "two one")
    found = asked(made, gradients=True)
    answers = made.answers(found.output)
    assert tuple(a.truth for a in answers) == (*pair.pieces, *["<end>"] * best.ended)
    total = sum(np.log(answer.chance) for answer in answers)
    assert total == pytest.approx(best.log_probability, rel=1e-4)
    looks = made.attention(found.output)
    assert len(looks) == (place is not None)
    for look in looks:
        np.testing.assert_allclose(look.weights, best.weights, atol=1e-5)
        assert look.read == ("two", "one", "<end>")
    # what was written last depends on what was read first
    assert np.abs(found.gradients("h", "encoder.0")[0]).max() > 0


def test_a_translation_that_is_given_is_read_instead():
    model = translator()
    tokens = tuple(model.vocabularies.encode_target("zwei zwei")[:-1].tolist())
    made = reading_of(model, Pair("one two", tokens, ("zwei", "zwei"), "zwei zwei"))
    assert made.axes[0].labels == ("zwei", "zwei", "<end>")
    with pytest.raises(PageError, match="3 pieces, more than the 2"):
        page_of_model(model, "one two", max_steps=2)
    with pytest.raises(PageError, match="line is empty"):
        page_of_model(model, "  ")


# series


@pytest.mark.parametrize("mode", ["direct", "decoder", "recursive"])
def test_a_forecaster_reads_the_stretch_that_is_chosen(mode):
    table, model = forecaster(mode=mode)
    store = read_source(table, model.settings.data, model.context)
    origins = origins_of(model, store, 0)
    assert origins[-1] == 90
    history = model.context.sizes.history
    for origin in (origins[0], 88, 90):
        made = reading_of(model, Stretch(store, 0, origin))
        found = asked(made)
        # what is known of the horizon is read by a recursive network alone
        beyond = 1 if mode == "recursive" and origin <= 88 else 0
        labels = tuple(str(k) for k in range(origin - history, origin + beyond))
        assert made.axes[0].labels == labels
        assert found.values("h", "encoder.0").shape[0] == len(labels)
        # a recursive forecast reads what it draws, and then no gradient flows
        assert (made.loss is None) == (mode == "recursive" and origin > 88)
    assert len(made.axes) == (2 if mode == "decoder" else 1)


def test_a_series_that_is_too_short_says_how_much_is_needed():
    table, model = forecaster()
    store = read_source(table[:4], model.settings.data, model.context)
    with pytest.raises(ReadingError, match=r"has 4 row\(s\), but \d+ are needed before a forecast"):
        origins_of(model, store, 0)
    with pytest.raises(PageError, match="more than the 3 that are shown"):
        page_of_model(model, table, max_steps=3)


# rows of numbers, and what is common


def test_a_classifier_of_numbers_tells_the_label_of_each_beginning():
    rows = [(np.full((5, 2), k % 2, dtype=np.float32), "ab"[k % 2]) for k in range(20)]
    model = ost.Classifier.fit(rows, values=("a", "b"), hidden_size=4, max_steps=4, **QUICK).eval()
    made = reading_of(model, rows[1][0])
    answers = made.answers(asked(made).output)
    assert len(answers) == 5
    for step, answer in enumerate(answers, start=1):
        told = model.predict(rows[1][0][:step], probabilities=True)
        assert dict(answer.choices) == pytest.approx(told, rel=1e-4)
    with pytest.raises(ValueError, match="trained on 2"):
        reading_of(model, numbers_in("1 2 3"))
    short = reading_of(model, rows[1][0], Limits(prefixes=4))
    assert short.answers(asked(short).output) == []
    assert "5 are more than 4" in short.notes[0]
    assert not reads_text(model)


def test_limits_are_kept():
    lm = ost.LanguageModel.fit("to be or not\n" * 30, hidden_size=4, max_steps=2, **QUICK).eval()
    made = reading_of(lm, "to be or", Limits(steps=4, top=2))
    assert made.axes[0].labels == tuple("to b")
    assert (made.cut.steps, made.cut.kept, made.cut.unit) == (8, 4, "characters")
    assert {len(answer.choices) for answer in made.answers(asked(made).output)} == {2}
    with pytest.raises(ReadingError, match="text is empty"):
        reading_of(lm, "")
    assert reads_text(lm)


def test_looking_changes_no_weight_and_no_mode(captioner):
    before = {name: value.clone() for name, value in captioner.state_dict().items()}
    captioner.train()
    page_of_model(captioner, [0.0, 1.0, 2.0])
    assert captioner.training
    captioner.eval()
    assert all(torch.equal(before[name], v) for name, v in captioner.state_dict().items())
