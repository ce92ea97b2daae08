"""The benchmark of Hessian-free training runs, resumes, and stops where it should."""

import importlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("hessian_free")


@pytest.fixture
def tiny(script):
    return script.Settings(
        "adding",
        steps=10,
        hidden=6,
        gradient_rows=20,
        curvature_rows=10,
        iterations=5,
        most=4,
        held_out=20,
        test=20,
    )


@pytest.mark.parametrize("problem", ["adding", "temporal-order", "memorisation"])
def test_a_quick_run_writes_its_figures(script, problem, tmp_path, capsys):
    path = tmp_path / "figures.json"
    arguments = ["--quick", "--problem", problem, "--out", str(tmp_path), "--json", str(path)]
    assert script.main(arguments) == 0
    rows = json.loads(path.read_text())["rows"]
    momentum = "SGD, growing momentum, clipped"
    assert [row["what"] for row in rows] == ["Hessian-free", "SGD", momentum]
    assert all(0 <= row["figure"] <= 100 for row in rows)
    assert "step 2:" in capsys.readouterr().out
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2


def test_a_run_that_is_resumed_takes_the_same_course(script, tiny, tmp_path):
    logs = []
    for name, stops in (("whole", [4]), ("parts", [2, 4])):
        out = tmp_path / name
        out.mkdir()
        for number, most in enumerate(stops):
            script.hessian_free(replace(tiny, most=most), out, resume=number > 0)
        lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
        logs.append([{k: v for k, v in line.items() if k != "seconds"} for line in lines])
    assert logs[0] == logs[1]
    assert len(logs[0]) == 4


def test_it_ends_when_the_test_is_solved_or_steps_or_hours_are_over(script, tiny):
    line = {"wrong_test": None, "step": 2, "seconds": 10.0}
    assert not script._ended(line, tiny)
    assert script._ended({**line, "step": 4}, tiny)
    assert script._ended({**line, "seconds": 3600.0}, tiny)
    assert script._ended({**line, "wrong_test": 0.009}, tiny)
    assert not script._ended({**line, "wrong_test": 0.011}, tiny)


def test_the_network_begins_as_its_source_says(script):
    settings = script.Settings("adding", hidden=100)
    network = script.Network(settings, settings.rows(1))
    gates = network.layer.cell.gates
    assert (gates.weight_hh != 0).sum(1).tolist() == [15] * 100
    radius = torch.linalg.eigvals(gates.weight_hh.detach()).abs().max()
    assert radius == pytest.approx(1.1, rel=1e-4)
    assert 0.0007 < gates.weight_ih.std() < 0.0013
    assert network.readout.bias.item() == pytest.approx(1, abs=0.05)
    order = script.Settings("temporal-order")
    bias = script.Network(order, order.rows(1)).readout.bias
    assert bias.tolist() == pytest.approx([-1.386] * 4, abs=0.2)
    assert script.Settings("memorisation").scale == 0.1
    assert script.Settings("memorisation", input_scale=0.5).scale == 0.5


def test_the_rows_of_the_curvature_are_none_of_the_gradients(script, tiny):
    network = script.Network(tiny, tiny.rows(1))
    chunks, curvature = script._batches(tiny, network, 1)
    assert len(chunks) == 2
    outputs = [closure()[0].detach() for closure in (*chunks, curvature)]
    assert all(not torch.equal(outputs[2], output) for output in outputs[:2])
    assert not torch.equal(outputs[0], outputs[1])


def test_what_is_asked_for_goes_before_what_was_chosen(script, tmp_path):
    told = {}
    for given in ([], ["--structural", "0.25"]):
        arguments = ["--quick", "--problem", "memorisation", "--out", str(tmp_path), *given]
        assert script.main(arguments) == 0
        told[len(given)] = json.loads((tmp_path / "settings.json").read_text())
    assert [settings["structural"] for settings in told.values()] == [1.0, 0.25]
    assert [settings["damping"] for settings in told.values()] == [0.1, 0.1]
    assert told[0]["most"] == 2


def test_descent_gets_the_seconds_it_is_given(script, tiny):
    found = script.plain_sgd(tiny, 0.2)
    assert found["steps"] >= 1
    assert 0 <= found["wrong"] <= 1
