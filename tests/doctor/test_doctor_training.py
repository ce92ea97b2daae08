import math

import pytest

from ostinato.doctor import doctor
from ostinato.training import TrainingConfig


def lines(losses, every=20, **columns):
    return [
        {"step": every * (k + 1), "loss": loss, **{n: column[k] for n, column in columns.items()}}
        for k, loss in enumerate(losses)
    ]


def falling(count=20):
    return [3 * math.exp(-k / 5) + 1 + 0.01 * (-1) ** k for k in range(count)]


TASKS = ("language_model", "tagger", "classifier", "forecaster")


@pytest.mark.parametrize("task", TASKS)
def test_losses_that_are_no_numbers_are_found(task, healthy, run, ill, well):
    model, _ = healthy(task)
    well("metrics", run(model, lines(falling())))
    bad = [*lines(falling(4)), {"step": 100, "val_loss": float("nan")}]
    found = ill("metrics", "severe", run(model, bad))
    assert found.figures == {"first_step": 100, "names": ["val_loss"]}


def test_what_hessian_free_steps_do_not_know_is_not_asked_of_them(healthy, run, ill):
    model, _ = healthy("tagger")
    model.settings = model.settings.changed(optimizer="hessian-free", lr=TrainingConfig.lr)
    found = ill("metrics", "severe", run(model, lines([*falling(4), float("nan")])))
    assert found.remedy.settings == {"training.optimizer": "adamw"}
    assert "know no such setting" in found.remedy.text
    clipped = lines(falling(), clipped=[1.0] * 20, grad_norm=[50.0] * 20)
    report = doctor(run(model, clipped), only=["clip_rate"])
    assert "clip_rate" not in report
    assert "clip_rate" not in report.healthy


def test_a_training_that_has_not_ended_is_noted(healthy, run, ill, well):
    model, _ = healthy("tagger")
    well("unfinished", run(model, lines(falling())))
    model.figures = {}
    found = ill("unfinished", "note", run(model, lines(falling(5))))
    assert "goes on, or was killed" in found.evidence
    found = ill(
        "unfinished", "note", run(model, lines(falling()), training={"stopped": "interrupted"})
    )
    assert "was stopped" in found.evidence
    assert found.figures == {"step": 400}


@pytest.mark.parametrize("task", TASKS)
def test_a_limit_that_cuts_most_steps_is_found(task, healthy, run, ill, well):
    model, _ = healthy(task)
    norms = [5.0 + k % 4 for k in range(20)]
    few = lines(falling(), grad_norm=norms, clipped=[0.1] * 20)
    well("clip_rate", run(model, few, settings={"clip": 7.0}))
    many = lines(falling(), grad_norm=norms, clipped=[0.9] * 20)
    plain = {"clip": 1.0, "optimizer": "sgd", "beta2": None}
    found = ill("clip_rate", "warning", run(model, many, settings=plain))
    assert found.figures["share"] == pytest.approx(0.9)
    assert found.remedy.settings == {"training.clip": 8.0}
    assert "sets the length of most steps" in found.evidence


def test_a_limit_that_cuts_off_little_is_but_noted(healthy, run, ill):
    model, _ = healthy("tagger")
    some = lines(falling(), grad_norm=[1.5] * 20, clipped=[0.9] * 20)
    plain = {"clip": 1.0, "optimizer": "sgd", "beta2": None}
    found = ill("clip_rate", "note", run(model, some, settings=plain))
    assert found.remedy.settings == {"training.clip": 1.5}


def test_steps_of_adam_do_not_hang_on_the_limit(healthy, run, ill, well):
    model, _ = healthy("tagger")
    for norm in (1.5, 7.0):
        some = lines(falling(), grad_norm=[norm] * 20, clipped=[0.9] * 20)
        folder = run(model, some, settings={"clip": 1.0, "optimizer": "adam"})
        if norm < 3:
            well("clip_rate", folder)
        else:
            assert "in the means of adam" in ill("clip_rate", "note", folder).evidence


def test_the_start_of_a_training_may_be_clipped(healthy, run, well):
    model, _ = healthy("tagger")
    clipped = [1.0, 1.0] + [0.4] * 18
    well("clip_rate", run(model, lines(falling(), grad_norm=[1.0] * 20, clipped=clipped)))


def test_gradients_that_jump_unclipped_are_found(healthy, run, ill, well):
    model, _ = healthy("language_model")
    norms = [1.0 + 0.1 * (k % 3) for k in range(20)]
    well("gradient_spikes", run(model, lines(falling(), grad_norm=norms), settings={"clip": None}))
    norms[7] = 400.0
    found = ill("gradient_spikes", "warning", run(model, lines(falling(), grad_norm=norms)))
    assert found.figures["largest"] == 400
    assert found.remedy.settings == {"training.clip": 2.2}


@pytest.mark.parametrize("task", TASKS)
def test_a_loss_that_jumps_is_found(task, healthy, run, ill, well):
    model, _ = healthy(task)
    well("loss_spikes", run(model, lines(falling())))
    losses = falling()
    losses[12:14] = [4.0, 2.5]
    found = ill("loss_spikes", "warning", run(model, lines(losses)))
    assert found.figures["jumps"] == [260]
    assert found.remedy.settings == {"training.lr": pytest.approx(model.settings.training.lr / 3)}


def test_a_loss_that_ends_above_its_beginning_is_severe(healthy, run, ill):
    model, _ = healthy("classifier")
    risen = [1.0 + 0.1 * k for k in range(20)]
    assert ill("loss_spikes", "severe", run(model, lines(risen))).figures["last"] > 2.5


def test_a_warm_up_that_never_ends_is_found(healthy, run, ill, well):
    model, _ = healthy("forecaster")
    ended = {"steps": 400, "stopped": "finished"}
    well("warmup", run(model, lines(falling()), settings={"warmup_steps": 40}, training=ended))
    folder = run(model, lines(falling()), settings={"warmup_steps": 500}, training=ended)
    found = ill("warmup", "warning", folder)
    assert found.remedy.settings == {"training.warmup_steps": 40}


def test_a_line_that_is_being_written_is_passed_over(healthy, run, well):
    folder = run(healthy("tagger")[0], lines(falling()))
    path = folder / "metrics.jsonl"
    path.write_text(path.read_text() + '{"step": 420, "loss"')
    well("metrics", folder)
