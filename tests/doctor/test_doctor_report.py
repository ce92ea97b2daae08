import json
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

import ostinato
from ostinato.doctor import Finding, Remedy, Report, Severity, doctor
from ostinato.doctor.checks import CHECKS
from ostinato.doctor.findings import NotAsked, NotThere
from ostinato.tasks.registry import TASKS
from ostinato.tasks.tagger.settings import TaggerSettings


def finding(severity, check="padding"):
    return Finding(check, Severity(severity), "A title", "Of 3, 2.", Remedy("Do it."), {"n": 2})


def test_a_report_reads_worst_first_and_as_plain_values():
    report = Report("it", [finding("severe"), finding("note", "leak")], ["gap"], {"lengths": "why"})
    assert report.severe
    assert report.codes == ("padding", "leak")
    assert str(report).splitlines()[:4] == [
        "it",
        "1 severe, 1 note, by 3 checks.",
        "",
        "SEVERE  A title  [padding]",
    ]
    assert "Not looked at: lengths (why)" in str(report)
    told = json.loads(json.dumps(report.to_dict()))
    assert told["findings"][1]["severity"] == "note"
    with pytest.raises(KeyError, match="'gap' found nothing"):
        report["gap"]


def test_findings_come_worst_first(monkeypatch):
    for name, severity in (("weights", "note"), ("leak", "severe"), ("padding", "warning")):
        check = ostinato.doctor.checks.registry.Check(
            name, "", lambda patient, s=severity, n=name: finding(s, n)
        )
        monkeypatch.setitem(CHECKS, name, check)
    report = doctor(torch.nn.GRU(2, 3), only=["weights", "leak", "padding"])
    assert report.codes == ("leak", "padding", "weights")


def test_a_check_that_is_for_others_is_left_out_unless_it_was_asked_for(monkeypatch):
    def nothing(patient):
        raise NotAsked("it has none")

    def cannot(patient):
        raise NotThere("there is none")

    for name, examine in (("weights", nothing), ("leak", cannot)):
        check = ostinato.doctor.checks.registry.Check(name, "", examine)
        monkeypatch.setitem(CHECKS, name, check)
    report = doctor(torch.nn.GRU(2, 3))
    assert report.skipped["leak"] == "there is none"
    assert "weights" not in report.skipped
    assert doctor(torch.nn.GRU(2, 3), only=["weights"]).skipped == {"weights": "it has none"}


def test_remedies_are_written_as_options():
    told = {
        "model.cell": "lstm",
        "data.known": ["a", "b c"],
        "data.scale": True,
        "training.lr": 1e-4,
    }
    assert str(Remedy("Do.", told)) == (
        'Do. Fit again with --set model.cell=lstm --set \'data.known=["a", "b c"]\' '
        "--set data.scale=true --set training.lr=0.0001"
    )
    assert str(Remedy("Run", command="this")) == "Run this"


@pytest.mark.parametrize("task", TASKS)
def test_a_model_is_left_as_it_was(task, healthy):
    model, data = healthy(task)
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    report = doctor(model, data)
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(part.grad is None for part in model.parameters())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert (np.random.get_state()[1] == states[2]).all()
    assert len(report.healthy) >= 8


@pytest.mark.parametrize("task", TASKS)
def test_a_report_is_the_same_each_time(task, healthy):
    model, data = healthy(task)
    assert doctor(model, data).to_dict() == doctor(model, data).to_dict()


@pytest.mark.parametrize("task", TASKS)
def test_a_small_model_that_was_fitted_as_it_should_has_nothing_severe(task, healthy):
    model, data = healthy(task)
    skip = ["copies_last"] if task == "forecaster" else []
    report = doctor(model, data, skip=skip)
    assert not report.severe, report


def test_checks_are_chosen_by_name(healthy):
    model, _ = healthy("tagger")
    assert doctor(model, only=["weights"]).healthy == ("weights",)
    names = [name for name in CHECKS if name != "weights"]
    assert doctor(model, skip=names).healthy == ("weights",)
    with pytest.raises(ValueError, match="Did you mean weights"):
        doctor(model, only=["weigths"])
    with pytest.raises(ValueError, match="no check is left"):
        doctor(model, only=["weights"], skip=["weights"])


def test_each_check_is_named_before_it_is_made(healthy):
    named = []
    doctor(healthy("tagger")[0], only=["weights", "forget_bias"], watch=named.append)
    assert sorted(named) == ["forget_bias", "weights"]


def test_what_cannot_be_used_is_told(healthy, tmp_path):
    model, data = healthy("tagger")
    with pytest.raises(ValueError, match="no recurrent layer"):
        doctor(torch.nn.Linear(2, 3))
    with pytest.raises(ValueError, match="lengths is for plain modules"):
        doctor(model, lengths=[1])
    with pytest.raises(ValueError, match="train is for tasks"):
        doctor(torch.nn.GRU(2, 3), train=data)
    with pytest.raises(ValueError, match="validation is for tasks"):
        doctor(torch.nn.GRU(2, 3), validation=data)
    with pytest.raises(ValueError, match="shares of the text"):
        doctor(healthy("language_model")[0], "the cat\n", validation="a dog\n")
    with pytest.raises(ValueError, match="does not exist"):
        doctor(tmp_path / "nothing")
    with pytest.raises(ValueError, match="standard input"):
        doctor(model, ["-"])
    with pytest.raises(ValueError, match="must be a batch"):
        doctor(torch.nn.GRU(2, 3), (1, 2, 3))
    with pytest.raises(ValueError, match="batch_axis must be 0 or 1"):
        doctor(torch.nn.GRU(2, 3), torch.zeros(2, 2, 2), batch_axis=2)
    with pytest.raises(ValueError, match="3 lengths for 2 rows"):
        doctor(torch.nn.GRU(2, 3), torch.zeros(2, 4, 2), batch_axis=0, lengths=[1, 2, 3])
    with pytest.raises(ValueError, match="must return one number"):
        doctor(torch.nn.GRU(2, 3), torch.zeros(8, 4, 2), loss=lambda out, _: out[0])


def test_rows_that_come_once_are_kept(healthy):
    model, data = healthy("tagger")
    report = doctor(model, iter(data), only=["duplicates", "gap"])
    assert set(report.skipped) == set()


def test_a_run_that_is_being_written_is_waited_for(healthy, run, monkeypatch):
    from ostinato.doctor import ward
    from ostinato.training import RunError

    model, _ = healthy("tagger")
    folder = run(model)
    calls = []

    def load(place, **options):
        calls.append(place)
        if len(calls) < 3:
            raise RunError("its checksum differs")
        return model

    monkeypatch.setattr(ward, "load", load)
    monkeypatch.setattr(ward, "_PAUSE", 0)
    assert doctor(folder, only=["weights"]).healthy == ("weights",)
    assert len(calls) == 3


def test_a_run_whose_weights_are_cut_short_is_told(healthy, run, monkeypatch):
    from ostinato.doctor import ward

    monkeypatch.setattr(ward, "_PAUSE", 0)
    folder = run(healthy("tagger")[0])
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="cut short"):
        doctor(folder)


@dataclass(frozen=True)
class OwnSettings(TaggerSettings):
    TASK: ClassVar[str] = "my_task"


class OwnTask(ostinato.Tagger):
    """A task that is in no list."""

    SETTINGS = OwnSettings


def test_a_task_of_ones_own_is_looked_at_as_far_as_its_loss_goes(make):
    rows = make["sentences"](60)
    small = {"hidden_size": 8, "batch_size": 8, "max_steps": 2, "progress": False}
    report = doctor(OwnTask.fit(rows, baselines=False, **small), rows)
    assert {"weights", "vanishing", "dead_units"} <= set(report.healthy)
    assert "padding" not in [*report.healthy, *report.skipped]


def test_the_page_names_each_check():
    page = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text()
    assert sorted(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == sorted(CHECKS)


def test_each_check_says_what_it_looks_for():
    assert all(check.looks_for and check.examine.__doc__ for check in CHECKS.values())
    assert all(name == check.name for name, check in CHECKS.items())
    with pytest.raises(ValueError, match="no task 'poet'"):
        ostinato.doctor.checks.registry.check("verses", "poet")
