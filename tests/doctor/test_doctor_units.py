import pytest
import torch

import ostinato
from ostinato.doctor import doctor

STACKS = {
    "language_model": lambda model: model.network.stack,
    "tagger": lambda model: model.network.stack,
    "classifier": lambda model: model.network.members[0].stack,
    "forecaster": lambda model: model.network.encoder,
}


@pytest.mark.parametrize("task", STACKS)
def test_units_that_stand_at_an_end_are_found(task, healthy, ill, well):
    model, data = healthy(task)
    well("saturated_units", model, data)
    with torch.no_grad():
        for weight in STACKS[task](model).parameters():
            weight.mul_(500)
    found = ill("saturated_units", "severe", model, data)
    assert found.remedy.settings == {
        "training.weight_decay": pytest.approx(max(10 * model.settings.training.weight_decay, 0.01))
    }


def test_a_forget_gate_may_stay_open_but_not_shut(healthy, ill, well):
    model, data = healthy("language_model")
    gates = model.network.stack.cells[0].gates
    with torch.no_grad():
        gates.bias[12:24] = 9.0
    well("saturated_units", model, data)
    with torch.no_grad():
        gates.bias[12:24] = -9.0
    found = ill("saturated_units", "severe", model, data)
    assert "stack.0.f " in found.evidence


@pytest.mark.parametrize("task", STACKS)
def test_units_that_never_move_are_found(task, make, ill, well):
    maker = {"language_model": "fit_text", "tagger": "fit_tags"}.get(task)
    maker = maker or {"classifier": "fit_labels", "forecaster": "fit_series"}[task]
    source = {
        "language_model": lambda: make["text"](500),
        "tagger": lambda: make["sentences"](60),
        "classifier": lambda: make["tracks"](60),
        "forecaster": make["series"],
    }[task]()
    relu = {"cell": "elman", "cell_options": {"activation": "relu"}, "max_steps": 1}
    model = make[maker](source, **relu)
    stack = STACKS[task](model)
    with torch.no_grad():
        for weight in stack.parameters():
            if weight.dim() == 1:
                weight.fill_(0.5)
    well("dead_units", model, source)
    with torch.no_grad():
        for weight in stack.parameters():
            if weight.dim() == 1:
                weight[: len(weight) * 3 // 4] = -100.0
    found = ill("dead_units", "severe", model, source)
    assert found.figures["share"] == pytest.approx(0.75, abs=0.1)
    assert found.remedy.settings == {"model.cell_options.activation": "tanh"}


def net_and_batch(scale=1.0):
    torch.manual_seed(0)
    net = torch.nn.GRU(3, 16)
    return net, (scale * torch.randn(20, 4, 3), torch.randn(20, 4, 16))


def loss(out, targets):
    return (out[0] - targets).square().mean()


def test_units_of_a_torch_layer_are_looked_at(ill, well):
    net, batch = net_and_batch()
    for name in ("dead_units", "saturated_units", "input_scale"):
        well(name, net, batch, loss=loss)
    with torch.no_grad():
        net.weight_ih_l0.mul_(1000)
    ill("saturated_units", "severe", net, batch, loss=loss)
    with torch.no_grad():
        net.weight_ih_l0.zero_()
        net.weight_hh_l0.zero_()
        net.bias_ih_l0[16:32] = -100.0
        net.bias_hh_l0.zero_()
    ill("dead_units", "severe", net, batch, loss=loss)


@pytest.mark.parametrize("scale", [300.0, 1e-5])
def test_inputs_of_an_unfit_scale_are_found(scale, ill):
    net, batch = net_and_batch(scale)
    found = ill("input_scale", "warning", net, batch, loss=loss)
    assert found.figures["scale"][""] == pytest.approx(scale, rel=0.2)


def test_numbers_that_a_classifier_does_not_scale_are_found(make, ill, well):
    rows = [(1000 * x, label) for x, label in make["tracks"](60)]
    model = make["fit_labels"](rows, max_steps=1)
    well("input_scale", model, rows)
    model = make["fit_labels"](rows, max_steps=1, scale=False)
    assert ill("input_scale", "warning", model, rows).remedy.settings == {"data.scale": True}


def test_numbers_that_a_forecaster_does_not_scale_are_found(make, ill, well):
    table = make["series"]()
    table = table.with_columns(x=table["x"] * 1000)
    model = make["fit_series"](table, max_steps=1)
    well("input_scale", model, table)
    model = make["fit_series"](table, max_steps=1, scale="off")
    assert ill("input_scale", "warning", model, table).remedy.settings == {"data.scale": "series"}


def test_tokens_have_no_scale(make):
    data = make["text"](300)
    model = make["fit_text"](data, embedding_size=0, max_steps=1)
    with ostinato.engine("eager"):
        report = doctor(model, data, only=["input_scale", "dead_units"])
    assert "tokens" in report.skipped["input_scale"]
    assert report.healthy == ("dead_units",)
