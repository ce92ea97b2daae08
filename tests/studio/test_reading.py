import dataclasses

import numpy as np
import pytest
import torch

from ostinato import Classifier
from ostinato.studio.inside import (
    flow_figure,
    flow_rows,
    look_inside,
    saturation_figure,
    saturation_rows,
)
from ostinato.studio.library import Loaded
from ostinato.studio.material import MOST_READ, material
from ostinato.studio.reading import Choice, choose, read, view

TEXT = "to be, or not to be"


@pytest.fixture(scope="module")
def lm(library):
    return library.load("lm")


def walked(model, text):
    """Scores and states of a text, from the network itself."""
    ids = torch.tensor(model.tokenizer.encode(text).astype(np.int64))[:, None]
    with torch.no_grad():
        outputs, _, states = model.network.stack(model.network._enter(ids), all_states=True)
        return ids[:, 0], model.network.scores(outputs)[:, 0], states


def test_a_language_model_tells_what_it_expects_after_each_token(lm):
    found = read(lm, TEXT)
    ids, scores, _ = walked(lm.model, TEXT)
    assert "".join(found.material.pieces) == TEXT
    assert found.material.tokens[:3] == ("t", "o", "␣")
    p = scores.softmax(-1)
    for step, row in enumerate(found.answers):
        assert row[0][1] == pytest.approx(float(p[step].max()))
        assert [value for _, value in row] == sorted((v for _, v in row), reverse=True)
        assert row[0][0].replace("␣", " ").replace("⏎", "\n") == lm.model.tokenizer.decode(
            [int(p[step].argmax())]
        )
    surprise = [-float(p[k, ids[k + 1]].log()) for k in range(len(ids) - 1)]
    assert found.surprise[0] is None
    assert found.surprise[1:] == pytest.approx(surprise, rel=1e-5)


def test_all_names_of_the_cell_can_be_looked_at(lm):
    found = read(lm, TEXT)
    kinds = {(part.layer, part.name): part.kind for part in found.parts}
    assert kinds[0, "h"] == kinds[1, "c"] == "state"
    assert kinds[1, "f"] == "gate"
    assert {part.units for part in found.parts} == {8}
    _, _, (h, c) = walked(lm.model, TEXT)
    for name, states in (("h", h), ("c", c)):
        for layer in (0, 1):
            part = choose(found, Choice(layer, 0, name))
            np.testing.assert_allclose(view(found, part), states[layer, :, 0], rtol=1e-4, atol=1e-6)
    gate = view(found, choose(found, Choice(1, 0, "f")))
    assert gate.shape == (len(TEXT), 8)
    assert (gate > 0).all()
    assert (gate < 1).all()


def test_unless_chosen_the_first_state_of_the_last_layer_is_shown(lm):
    part = choose(read(lm, TEXT), Choice())
    assert (part.layer, part.name) == (1, "h")


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (Choice(1, 0, "forget"), r"Layer 1 has no 'forget'. Choose one of h, c"),
        (Choice(2), r"no layer 2 with direction 0. Choose one of 0 direction 0, 1 direction 0"),
        (Choice(0, 1), r"no layer 0 with direction 1"),
    ],
)
def test_choices_that_are_not_there_name_those_that_are(lm, choice, message):
    with pytest.raises(ValueError, match=message):
        choose(read(lm, TEXT), choice)


def test_a_text_that_is_too_long_is_cut_and_says_so(lm):
    text = "to be " * 400
    found = material(lm, text)
    assert len(found.tokens) == MOST_READ
    assert found.cut == "The text has 2,400 characters; the first 2,000 are read."
    assert material(lm, TEXT).cut == ""


def test_a_tagger_tells_the_tags_of_each_word(library):
    tagger = library.load("tagger")
    found = read(tagger, "Time flies  fast.")
    assert found.material.pieces == ("Time", " flies", "  fast", ".")
    best = [tag for _, tag in tagger.model.predict("Time flies fast.")]
    assert [row[0][0] for row in found.answers] == best
    for row in found.answers:
        assert sum(p for _, p in row) == pytest.approx(1, rel=1e-5)
    assert {part.direction for part in found.parts} == {0, 1}
    back = view(found, choose(found, Choice(0, 1, "h")))
    there = view(found, choose(found, Choice(0, 0, "h")))
    assert back.shape == there.shape == (4, 6)
    assert not np.allclose(back, there)
    assert found.surprise is None


def test_a_classifier_tells_the_label_of_each_beginning(library):
    classifier = library.load("classifier")
    text = "a good film, good"
    found = read(classifier, text)
    assert "".join(found.material.pieces) == text
    for step in range(len(found.answers)):
        told = classifier.model.predict(
            "".join(found.material.pieces[: step + 1]), probabilities=True
        )
        assert dict(found.answers[step]) == pytest.approx(told, rel=1e-4)


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("lm", "Zebra!", "not in the training text"),
        ("tagger", "  ", "Give a sentence of at least one word"),
        ("classifier", "", "Give a text"),
        ("forecaster", "1, 2, 3", "is a forecaster, which reads no text here"),
    ],
)
def test_what_cannot_be_read_is_refused(library, key, text, message):
    with pytest.raises(ValueError, match=message):
        material(library.load(key), text)


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        ([("a film", "x"), ("the film", "y")], {"cell": "none"}, "has no recurrent layer"),
        (
            [(np.ones((3, 2)), "x"), (np.zeros((3, 2)), "y")],
            {"values": ["*"]},
            "reads rows of numbers, not texts",
        ),
    ],
)
def test_classifiers_that_read_no_steps_of_text_say_so(tmp_path, rows, settings, message):
    model = Classifier.fit(
        rows * 10, hidden_size=4, max_steps=1, progress=False, baselines=False, **settings
    )
    with pytest.raises(ValueError, match=message):
        material(Loaded("it", tmp_path, (), "classifier", model), "a film")


@pytest.mark.parametrize("key", ["lm", "tagger", "classifier"])
def test_gradients_flow_back_from_the_last_answer(library, key):
    loaded = library.load(key)
    made = material(loaded, TEXT if key == "lm" else "a good film")
    flow, ends = look_inside(made)
    steps = len(made.tokens)
    assert {len(one.norms) for one in flow.flows if one.direction == 0} == {steps}
    assert any(one.norms[0] > 0 for one in flow.flows)
    assert ends is not None
    assert len(flow_rows(flow)) == len(flow_figure(flow)["data"]) == len(flow.flows)
    assert len(saturation_rows(ends)) == len(saturation_figure(ends)["data"]) == len(ends.gates)
    shown = [trace["name"] for trace in saturation_figure(ends)["data"] if trace["visible"] is True]
    last = f"layer {ends.gates[-1].layer.rpartition('.')[2]}, "
    assert shown
    assert all(name.startswith(last) for name in shown)
    # of the loss that is meant: twice the loss, twice the gradient
    twice = dataclasses.replace(made, loss=lambda output: 2 * made.loss(output))
    doubled, _ = look_inside(twice)
    for one, two in zip(flow.flows, doubled.flows, strict=True):
        np.testing.assert_allclose(two.norms, 2 * one.norms, rtol=1e-4)
