"""`optimizer="hessian-free"` in the tasks that it is fit for."""

import json
import math
import random

import numpy as np
import pytest
import torch

import ostinato
from ostinato import Captioner, Classifier, Composer, Forecaster, Tagger
from ostinato.data.music import Piece
from ostinato.tasks.plan import Plan
from ostinato.tasks.registry import settings_class

SMALL = {"hidden_size": 6, "optimizer": "hessian-free", "progress": False, "baselines": False}
DRY = {"input_dropout": 0.0, "output_dropout": 0.0}


def sentences(count=60):
    """A letter's tag turns over where the one before it is a vowel."""
    draw = random.Random(0)
    rows = []
    for _ in range(count):
        letters = [draw.choice("aeixyz") for _ in range(8)]
        turned = [False, *(letter in "aei" for letter in letters)]
        pairs = zip(letters, turned, strict=False)
        rows.append([(a, "A" if (a in "aei") != turn else "B") for a, turn in pairs])
    return rows


WORDS = {"embedding_size": 5, "letter_hidden_size": 0, "word_dropout": 0.0, "damping": 0.1}


def tagger(rows=None, **settings):
    own = {**SMALL, **DRY, **WORDS, "batch_size": 64, "max_steps": 3, **settings}
    return Tagger.fit(rows or sentences(24), **own)


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_a_tagger_learns_what_rests_on_the_word_before():
    model = tagger(sentences(), max_steps=12)
    assert model.figures["held_out"]["accuracy"] == 1.0
    assert model.figures["training"]["steps"] == 12


def texts(several=False):
    days = [("a fine day", ("good", "day")), ("a foul night", ("bad",)), ("so so", ("bad", "day"))]
    return [(text, labels if several else labels[0]) for text, labels in days * 10]


WAVE = {"time": list(range(80)), "y": list(np.sin(np.arange(80.0)))}
TUNES = [Piece(((60, 64), (62, 65), (64,)) * n) for n in (2, 3, 4, 5)]
BALANCED = {"label_smoothing": 0.1, "class_weights": "balanced"}
NAMES = [([k % 2, k % 3], ["even", "odd", "none"][k % 3]) for k in range(30)]
KINDS = {
    "tagger": (Tagger, sentences(24), {"word_dropout": 0.3}),
    "classifier": (Classifier, texts(), BALANCED),
    "several": (Classifier, texts(several=True), {"label_separator": "|", "label_smoothing": 0.1}),
    "captioner": (Captioner, NAMES, {}),
    "composer": (Composer, TUNES, {}),
    "mse": (Forecaster, WAVE, {"target": "y", "output": "mse", "horizon": 3, "history": 6}),
    "huber": (Forecaster, WAVE, {"target": "y", "output": "huber", "horizon": 3, "history": 6}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_minimises_is_the_loss_of_the_training_step(kind):
    task, source, own = KINDS[kind]
    settings = task.SETTINGS().changed(optimizer="hessian-free", hidden_size=6, **own)
    prepared = task.prepare(Plan(settings), source, None, None)
    model, batch = prepared.model.train(), next(iter(prepared.train))
    torch.manual_seed(3)
    loss = model.training_step(batch, 0)["loss"]
    torch.manual_seed(3)
    found = model.objective(batch).value()
    torch.testing.assert_close(found, loss)
    wanted, given = (torch.autograd.grad(x, list(model.parameters())) for x in (loss, found))
    torch.testing.assert_close(given, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_every_task_that_it_is_fit_for_is_trained(kind):
    task, source, own = KINDS[kind]
    model = task.fit(source, **{**SMALL, **own}, max_steps=3, log_every=1)
    assert model.figures["training"]["steps"] == 3
    assert math.isfinite(model.figures["training"]["best"])


def test_a_resumed_run_ends_with_the_same_bits(tmp_path):
    whole = tagger(out=tmp_path / "whole", max_steps=6)
    tagger(out=tmp_path / "parts", max_steps=3)
    parts = tagger(out=tmp_path / "parts", max_steps=6, resume=True)
    assert torch.equal(weights(whole), weights(parts))
    assert parts.figures["held_out"] == whole.figures["held_out"]
    assert torch.equal(weights(ostinato.load(tmp_path / "parts")), weights(whole))


@pytest.mark.parametrize(
    "option",
    [
        {"damping": 5.0},
        {"structural_damping": 0.5},
        {"cg_iterations": 2},
        {"batch_size": 6, "accumulate": 3, "curvature_batches": 1},
    ],
    ids=str,
)
def test_each_option_leads_elsewhere(option):
    without = dict(option)
    without.pop("damping", None) and without.update(damping=0.1)
    for name in ("structural_damping", "cg_iterations", "curvature_batches"):
        without.pop(name, None)
    assert not torch.equal(weights(tagger(**option)), weights(tagger(**without)))


def test_batches_that_are_gathered_count_as_one():
    # two runs over the same sentences, in one batch and in four, in float64
    options = {"precision": "64", "max_steps": 2, "validation": 0.0, "held_out": 0.0}
    one = tagger(**options)
    four = tagger(**options, batch_size=6, accumulate=4)
    torch.testing.assert_close(weights(one), weights(four), rtol=1e-5, atol=1e-7)


def test_metrics_hold_what_a_step_did_and_no_rate(tmp_path):
    tagger(out=tmp_path / "run", log_every=1)
    lines = [json.loads(x) for x in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    first = next(line for line in lines if "loss" in line)
    assert first["damping"] == 0.1
    assert first["iterations"] >= 1
    assert first["grad_norm"] > 0
    assert not {"lr", "clipped"} & first.keys()


def test_a_model_goes_on_learning_from_a_stream_by_ordinary_steps():
    model = tagger()
    losses = [model.update(sentences(40), lr=0.02) for _ in range(6)]
    assert losses[-1] < losses[0]


def test_a_forecaster_follows_its_series_by_ordinary_steps():
    task, source, own = KINDS["mse"]
    model = task.fit(source, **{**SMALL, **own}, max_steps=1)
    before = weights(model)
    told = model.update({"time": list(range(80, 90)), "y": list(np.sin(np.arange(80.0, 90.0)))})
    assert told.windows > 0
    assert not torch.equal(weights(model), before)


@pytest.mark.parametrize(
    ("task", "settings", "message"),
    [
        ("language_model", {}, "another one: a language model carries its state"),
        ("translator", {}, "another one: a translator's decoder"),
        ("tagger", {"crf": True}, "another one: the transitions of crf"),
        ("composer", {"output": "note_by_note"}, "another one: note_by_note reads"),
        ("forecaster", {"output": "gaussian"}, "another one: it needs the output mse or huber"),
        *(
            (kind, {"clip_gradient": 1.0}, "clip_gradient must be none with")
            for kind in ("tagger", "classifier", "captioner", "composer")
        ),
        ("tagger", {"lr": 0.1}, "lr has no effect"),
        ("tagger", {"clip": 5.0}, "clip has no effect"),
        ("tagger", {"gradient_noise": 0.1}, "gradient_noise has no effect"),
        ("tagger", {"precision": "bf16"}, "precision must be 32 or 64"),
        ("tagger", {"devices": 2}, "devices must be 1"),
        ("tagger", {"nodes": 2}, "nodes must be 1"),
        ("tagger", {"damping": 0.0}, "damping must be positive"),
        ("tagger", {"curvature_batches": 2}, r"at most accumulate \(1\)"),
    ],
)
def test_where_it_cannot_be_it_says_so(task, settings, message):
    with pytest.raises(ValueError, match=message):
        settings_class(task)().changed(optimizer="hessian-free", **settings)


def test_its_options_are_refused_with_other_optimizers():
    for name in ("damping", "structural_damping", "curvature_batches", "cg_iterations"):
        with pytest.raises(ValueError, match=f"{name} belongs to optimizer"):
            settings_class("tagger")().changed(**{name: 1})


def test_choosing_it_leaves_what_belongs_to_the_other_behind_and_back():
    usual = settings_class("classifier")()
    chosen = usual.changed(optimizer="hessian-free", damping=3.0)
    assert (chosen.training.ema, chosen.training.weight_decay) == (None, 0.01)
    assert usual.changed(ema=0.9, optimizer="hessian-free").training.ema == 0.9
    assert settings_class("classifier").from_dict(chosen.to_dict()) == chosen
    assert chosen.changed(optimizer="adamw").training.damping is None
