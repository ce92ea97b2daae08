"""Tasks traced on rows as they take them."""

import numpy as np
import pytest
import torch

import ostinato as ost
from ostinato.tasks.task import evaluating

SMALL = {"hidden_size": 6, "progress": False, "baselines": False}


@pytest.fixture(scope="module")
def lm():
    text = "to be, or not to be: that is the question.\n" * 9
    return ost.LanguageModel.fit(
        text, num_layers=2, batch_size=1, chunk_length=16, max_steps=3, **SMALL
    )


def test_a_language_model_reads_a_text(lm):
    trace = lm.trace("to be")
    assert trace.labels == (("t", "o", " ", "b", "e"),)
    assert [layer.name for layer in trace.layers] == ["network.stack.0", "network.stack.1"]
    tokens = torch.from_numpy(lm.tokenizer.encode("to be")).long()[:, None]
    with evaluating(lm):
        y, _ = lm.network.outputs(tokens)
    np.testing.assert_array_equal(trace["h", 1], y)
    assert not trace.has_gradients
    several = lm.trace(["to be", "or"], only="c")
    assert several.lengths.tolist() == [5, 2]
    assert several.names == ("c",)
    np.testing.assert_allclose(several["c"][:2, 1], lm.trace("or")["c"][:, 0], rtol=1e-5)


def test_the_loss_of_a_language_model_is_that_of_the_next_tokens(lm):
    trace = lm.trace("to be", gradients=True)
    assert not trace.gradients("h", 1)[-1].any()
    assert np.abs(trace.gradients("h", 1)[:-1]).max(axis=-1).min() > 0
    # nothing but the last score: a loss of one's own
    own = lm.trace("to be", gradients=lambda said: said[0][-1].square().sum())
    assert own.gradients("h", 1)[-1].any()


def test_training_mode_shows_the_dropout_of_training(lm):
    before = lm.training
    calm = lm.trace("to be")
    np.testing.assert_array_equal(calm["h"], lm.trace("to be")["h"])
    drops = ost.LanguageModel(lm.tokenizer, lm.settings.changed(dropout=0.5, num_layers=2))
    first = drops.trace("to be", training=True)["h", 1]
    assert np.abs(first - drops.trace("to be", training=True)["h", 1]).max() > 1e-3
    assert lm.training == before


def test_texts_that_cannot_be_read_are_refused(lm):
    for bad in ("", [], ["a", ""]):
        with pytest.raises(ValueError, match="trace: a text"):
            lm.trace(bad)
    with pytest.raises(ValueError, match=r"Did you mean .network\.stack\.1."):
        lm.trace("to", layers="network.stack.9")


def test_a_tagger_reads_sentences():
    rows = [[("Time", "NOUN"), ("flies", "VERB")], [("Fruit", "NOUN"), ("rots", "VERB")]]
    tagger = ost.Tagger.fit(rows * 9, batch_size=4, epochs=1, **SMALL)
    trace = tagger.trace(["Time rots.", ["Fruit"]], gradients=True)
    assert trace.labels == (("Time", "rots", "."), ("Fruit",))
    assert trace.layers[0].name == "network.stack.0"
    assert trace.layers[0].directions == 2
    assert trace.lengths.tolist() == [3, 1]
    # letters are read by another stack, a row for each word
    assert any("letters" in layer.name for layer in trace.layers)
    assert np.abs(trace.gradients("h", 0, 1)[:3, 0]).max() > 0
    with pytest.raises(ValueError, match="has no words"):
        tagger.trace([])


def test_a_classifier_reads_texts_and_numbers():
    rows = [("a fine day", "good"), ("a foul day", "bad")] * 9
    model = ost.Classifier.fit(rows, epochs=1, **SMALL)
    trace = model.trace("a fine day", gradients=True)
    assert "".join(trace.labels[0]).replace(" ", "") == "afineday"
    assert np.abs(trace.gradients("h")).max() > 0
    numbers = [(np.random.default_rng(k).normal(size=(5, 2)), "ab"[k % 2]) for k in range(20)]
    other = ost.Classifier.fit(numbers, values=["*"], epochs=1, **SMALL)
    trace = other.trace([numbers[0][0], numbers[1][0]], only="h")
    assert trace.labels[0] == ("0", "1", "2", "3", "4")
    assert trace["h"].shape[:2] == (5, 2)
    with pytest.raises(ValueError, match="a row has no step"):
        model.trace("")
    with pytest.raises(ValueError, match="the model reads a text"):
        model.trace(numbers[0][0])


@pytest.mark.parametrize("mode", ["direct", "decoder", "recursive"])
def test_a_forecaster_reads_the_last_window_whose_horizon_is_known(mode):
    table = {"day": range(120), "sales": [float(k % 7) for k in range(120)]}
    model = ost.Forecaster.fit(
        table, target="sales", time="day", horizon=3, season=7, max_steps=2, mode=mode, **SMALL
    )
    trace = model.trace(table, gradients=True)
    beyond = 2 if mode == "recursive" else 0
    assert trace.labels[0][-1] == str(116 + beyond)
    assert len(trace.labels[0]) == len(trace["h"]) == model.context.sizes.history + beyond
    modules = {layer.name.rpartition(".")[0] for layer in trace.layers}
    assert modules == {"network.encoder"} | ({"network.decoder"} if mode == "decoder" else set())
    first = trace.layers[0]
    assert first.name == "network.encoder.0"


def test_a_task_without_rows_to_read_says_what_to_do():
    captioner = ost.Captioner.__new__(ost.Captioner)
    with pytest.raises(ValueError, match=r"Captioner has no rows .* ostinato\.trace\(model"):
        ost.Captioner.trace(captioner, "a")
