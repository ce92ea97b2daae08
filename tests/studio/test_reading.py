import dataclasses

import numpy as np
import pytest
import torch

from ostinato import Classifier
from ostinato.inspect.reading import Limits, reading_of
from ostinato.studio.answers import row_answer
from ostinato.studio.asked import Asked, AskedError
from ostinato.studio.holding import Hold, state_shapes
from ostinato.studio.inside import (
    flow_figure,
    flow_rows,
    look_inside,
    saturation_figure,
    saturation_rows,
)
from ostinato.studio.library import Loaded
from ostinato.studio.prompts import prompt_of
from ostinato.studio.reading import Choice, choose, read, view

TEXT = "to be, or not to be"
TASKS = ["lm", "tagger", "classifier", "translator", "captioner", "composer", "forecaster"]


@pytest.fixture(scope="module")
def lm(library):
    return library.load("lm")


def reads(loaded, text, holds=(), **fields):
    return read(loaded, Asked({"text": text, **fields}), holds)


def begun(loaded, **fields):
    """What a page begins with."""
    start = prompt_of(loaded.task, loaded.model).start(loaded.model)
    text = {"lm": TEXT, "translator": "one two"}.get(loaded.key, start["text"])
    return Asked({"text": text, **fields})


def walked(model, text):
    """Scores and states of a text, from the network itself."""
    ids = torch.tensor(model.tokenizer.encode(text).astype(np.int64))[:, None]
    with torch.no_grad():
        outputs, _, states = model.network.stack(model.network._enter(ids), all_states=True)
        return ids[:, 0], model.network.scores(outputs)[:, 0], states


def test_a_language_model_tells_what_it_expects_after_each_token(lm):
    found = row_answer(reads(lm, TEXT).plain)
    ids, scores, _ = walked(lm.model, TEXT)
    (axis,) = found["axes"]
    assert "".join(axis["pieces"]) == TEXT
    assert axis["tokens"][:3] == ["t", "o", "␣"]
    p = scores.softmax(-1)
    for step, row in enumerate(found["answers"]):
        assert row[0][1] == pytest.approx(float(p[step].max()), rel=1e-3)
        assert [value for _, value in row] == sorted((v for _, v in row), reverse=True)
        assert row[0][0].replace("␣", " ").replace("⏎", "\n") == lm.model.tokenizer.decode(
            [int(p[step].argmax())]
        )
    surprise = [-float(p[k, ids[k + 1]].log()) for k in range(len(ids) - 1)]
    assert found["surprise"][0] is None
    assert found["surprise"][1:] == pytest.approx(surprise, rel=1e-3)


def test_all_names_of_the_cell_can_be_looked_at(lm):
    found = reads(lm, TEXT)
    kinds = {(part.layer, part.name): part.kind for part in found.parts}
    assert kinds["stack.0", "h"] == kinds["stack.1", "c"] == "state"
    assert kinds["stack.1", "f"] == "gate"
    assert {part.units for part in found.parts} == {8}
    _, _, (h, c) = walked(lm.model, TEXT)
    for name, states in (("h", h), ("c", c)):
        for layer in (0, 1):
            part = choose(found, Choice(f"stack.{layer}", 0, name))
            values = view(found.plain, part)
            np.testing.assert_allclose(values, states[layer, :, 0], rtol=1e-4, atol=1e-6)
    gate = view(found.plain, choose(found, Choice("stack.1", 0, "f")))
    assert gate.shape == (len(TEXT), 8)
    assert (gate > 0).all()
    assert (gate < 1).all()


def test_unless_chosen_the_first_state_of_the_last_layer_is_shown(lm, library):
    part = choose(reads(lm, TEXT), Choice())
    assert (part.layer, part.name) == ("stack.1", "h")
    part = choose(reads(library.load("translator"), "one two"), Choice())
    assert (part.layer, part.name, part.axis) == ("decoder.stack.0", "h", 0)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (Choice("stack.1", 0, "forget"), r"Layer stack.1 has no 'forget'. "),
        (Choice("stack.2"), r"no layer 'stack.2'. Did you mean stack.[01]\?"),
        (Choice("stack.0", 1), r"stack.0 is not walked in direction 1"),
    ],
)
def test_choices_that_are_not_there_name_those_that_are(lm, choice, message):
    with pytest.raises(ValueError, match=message):
        choose(reads(lm, TEXT), choice)


def test_a_text_that_is_too_long_is_cut_and_says_so(lm):
    found = row_answer(reads(lm, "to be " * 400).plain)
    assert len(found["axes"][0]["tokens"]) == Limits().steps == 2000
    assert found["cut"] == "The input has 2,400 characters; the first 2,000 are read."
    assert row_answer(reads(lm, TEXT).plain)["cut"] == ""


def test_a_tagger_tells_the_tags_of_each_word(library):
    tagger = library.load("tagger")
    found = reads(tagger, "Time flies  fast.")
    row = row_answer(found.plain)
    assert row["axes"][0]["pieces"] == ["Time", " flies", "  fast", "."]
    best = [tag for _, tag in tagger.model.predict("Time flies fast.")]
    assert [answers[0][0] for answers in row["answers"]] == best
    for answers in row["answers"]:
        assert sum(p for _, p in answers) == pytest.approx(1, rel=1e-3)
    assert {part.direction for part in found.parts} == {0, 1}
    back = view(found.plain, choose(found, Choice("stack.0", 1, "h")))
    there = view(found.plain, choose(found, Choice("stack.0", 0, "h")))
    assert back.shape == there.shape == (4, 6)
    assert not np.allclose(back, there)
    assert row["surprise"] is None


def test_a_classifier_tells_the_label_of_each_beginning(library):
    classifier = library.load("classifier")
    text = "a good film, good"
    found = row_answer(reads(classifier, text).plain)
    pieces = found["axes"][0]["pieces"]
    assert "".join(pieces) == text
    for step, row in enumerate(found["answers"]):
        told = classifier.model.predict("".join(pieces[: step + 1]), probabilities=True)
        assert dict(row) == pytest.approx(told, rel=1e-3)


def test_words_read_in_lower_case_are_shown_as_they_were_typed(tmp_path):
    rows = [("a film that is good", "x"), ("that is bad", "y")] * 10
    options = {"lower": True, "hidden_size": 4, "progress": False, "baselines": False}
    model = Classifier.fit(rows, max_steps=1, **options).eval()
    text = "A Film  THAT is\na film."
    found = row_answer(reads(Loaded("it", tmp_path, (), "classifier", model), text).plain)
    assert "".join(found["axes"][0]["pieces"]) == text
    assert found["axes"][0]["pieces"][:3] == ["A", " Film", "  THAT"]


# units held


@pytest.mark.parametrize("key", TASKS)
def test_units_can_be_held_in_every_task(library, key):
    loaded = library.load(key)
    shapes = state_shapes(loaded.model.network)
    # not the letters of words, which are no steps of their own
    shapes = [shape for shape in shapes if not shape.layer.startswith("letters")]
    holds = {Hold(s.layer, s.name, 1, 3.0, s.direction): None for s in (shapes[0], shapes[-1])}
    found = read(loaded, begun(loaded), [*holds])
    assert found.held is not None
    for hold in holds:
        part = choose(found, Choice(hold.layer, hold.direction, hold.name))
        assert set(view(found.held, part)[:, 1]) == {3.0}
        assert set(view(found.plain, part)[:, 1]) != {3.0}
    plain, held = row_answer(found.plain), row_answer(found.held)
    assert {k: plain[k] for k in ("answers", "facts")} != {k: held[k] for k in ("answers", "facts")}
    alone = read(loaded, begun(loaded))
    assert alone.held is None
    assert row_answer(alone.plain) == plain
    with pytest.raises(ValueError, match="No unit is held"):
        alone.row(True)


@pytest.mark.parametrize("key", TASKS)
def test_what_is_seen_step_by_step_is_of_the_answer_itself(library, key):
    loaded = library.load(key)
    found = read(loaded, begun(loaded))
    row = row_answer(found.plain)
    steps = len(row["axes"][0]["tokens"])
    assert len(row["axes"][0]["pieces"]) == steps
    assert len(row["answers"]) == (0 if key == "forecaster" else steps)
    part = choose(found, Choice())
    assert view(found.plain, part).shape == (steps, part.units)
    assert all(0 <= p <= 1.0001 for answers in row["answers"] for _, p in answers)


# what cannot be read


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("lm", "Zebra!", "not in the training text"),
        ("tagger", "  ", "Give a sentence of at least one word"),
        ("classifier", "", "Give a text"),
        ("translator", " ", "Give a line to translate"),
        ("captioner", "1 2", "trained on 3"),
        ("composer", "H4", "'H4' is no note of a piano"),
        ("forecaster", "", "There are no values"),
    ],
)
def test_what_cannot_be_read_is_refused(library, key, text, message):
    with pytest.raises(ValueError, match=message):
        reads(library.load(key), text)


def test_a_task_that_pages_do_not_know_is_called_by_its_name(tmp_path):
    with pytest.raises(ValueError, match=r"it is a water diviner, which this studio cannot ask"):
        reads(Loaded("it", tmp_path, (), "water_diviner", None), "x")


def test_a_classifier_without_a_cell_says_so(tmp_path):
    rows = [("a film", "x"), ("the film", "y")] * 10
    model = Classifier.fit(rows, cell="none", max_steps=1, progress=False, baselines=False)
    with pytest.raises(ValueError, match="has no recurrent layer"):
        reads(Loaded("it", tmp_path, (), "classifier", model), "a film")


def test_a_classifier_of_numbers_reads_numbers(tmp_path):
    rows = [(np.ones((3, 2), np.float32), "x"), (np.zeros((3, 2), np.float32), "y")] * 10
    options = {"hidden_size": 4, "values": ("a", "b"), "progress": False, "baselines": False}
    model = Classifier.fit(rows, max_steps=1, **options).eval()
    loaded = Loaded("it", tmp_path, (), "classifier", model)
    found = row_answer(reads(loaded, "1 1\n0 1\n").plain)
    assert found["axes"][0]["tokens"] == ["1", "2"]
    start = prompt_of("classifier", model).start(model)
    assert len(row_answer(reads(loaded, start["text"]).plain)["answers"]) == 8
    with pytest.raises(ValueError, match=r"line 2 has 1 number"):
        reads(loaded, "1 1\n1")


def test_fields_of_a_request_are_told_apart():
    one, other = Asked({"text": "a", "beam": 2}), Asked({"text": "a", "beam": 3})
    assert one.raw(["text"]) == other.raw(["text"])
    assert one.raw(["text", "beam"]) != other.raw(["text", "beam"])
    with pytest.raises(AskedError, match="Send 2 at most"):
        Asked({"text": "abc"}).text("text", most=2)


# inside


@pytest.mark.parametrize("key", TASKS)
def test_gradients_flow_back_from_the_last_answer(library, key):
    loaded = library.load(key)
    text = begun(loaded) if key != "captioner" else Asked({"text": "0 1 2", "length": 9, "beam": 3})
    made = read(loaded, text).plain.told.made
    flow, ends = look_inside(made)
    lengths = {len(axis.labels) for axis in made.axes}
    # a walk from the end has just begun where the last answer is given, and pooling hears a step
    if key != "classifier":
        assert {len(one.norms) for one in flow.flows if one.direction == 0} <= lengths
    assert any(one.norms[0] > 0 for one in flow.flows)
    assert ends is not None
    assert len(flow_rows(flow)) == len(flow_figure(flow)["data"]) == len(flow.flows)
    assert len(saturation_rows(ends)) == len(saturation_figure(ends)["data"]) == len(ends.gates)
    shown = [one["name"] for one in saturation_figure(ends)["data"] if one["visible"] is True]
    assert 0 < len(shown) <= len(ends.gates)
    # of the loss that is meant: twice the loss, twice the gradient
    twice = dataclasses.replace(made, loss=lambda output: 2 * made.loss(output))
    doubled, _ = look_inside(twice)
    for one, two in zip(flow.flows, doubled.flows, strict=True):
        np.testing.assert_allclose(two.norms, 2 * one.norms, rtol=1e-4, atol=1e-12)


def test_what_has_no_gradient_says_so(lm):
    made = dataclasses.replace(reading_of(lm.model, TEXT), loss=None)
    with pytest.raises(ValueError, match="through which no gradient flows"):
        look_inside(made)
