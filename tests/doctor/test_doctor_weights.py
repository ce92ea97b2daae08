import pytest
import torch

import ostinato
from ostinato.doctor import doctor

TASKS = ("language_model", "tagger", "classifier", "forecaster")


@pytest.mark.parametrize("task", TASKS)
def test_weights_that_are_no_numbers_are_found_and_nothing_else_is_run(task, healthy, ill, well):
    model, data = healthy(task)
    well("weights", model)
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] = float("nan")
    found = ill("weights", "severe", model)
    assert found.figures["weights"] == 1
    report = doctor(model, data)
    assert report.severe
    assert report.skipped["batch_axis"] == "the weights are no numbers"


def test_the_remedy_of_broken_weights_is_what_was_not_done_yet(healthy, ill):
    model, _ = healthy("tagger")
    with torch.no_grad():
        model.network.readout.bias[:] = float("inf")
    lr = model.settings.training.lr
    assert ill("weights", "severe", model).remedy.settings == {"training.lr": lr / 10}
    model.settings = model.settings.changed(clip=None)
    assert ill("weights", "severe", model).remedy.settings == {"training.clip": 1.0}


def test_a_forget_bias_of_0_is_found_in_a_task(make, ill, well):
    made = make["fit_text"](max_steps=1)
    well("forget_bias", made)
    made = make["fit_text"](max_steps=1, cell_options={"forget_bias": 0.0})
    found = ill("forget_bias", "warning", made)
    assert found.figures["kept"] == pytest.approx(0.5, abs=0.05)
    assert found.remedy.settings == {"model.cell_options.forget_bias": 1.0}


def test_a_forget_bias_of_0_is_found_in_a_torch_layer(ill, well):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.LSTM(3, 16, num_layers=2))
    found = ill("forget_bias", "warning", net)
    assert set(found.figures["mean"]) == {"0.0", "0.1"}
    ostinato.initialise(net, forget_bias=1.0)
    well("forget_bias", net)


def test_two_biases_count_as_one():
    net = torch.nn.LSTM(3, 4)
    with torch.no_grad():
        net.bias_ih_l0.fill_(0.0)
        net.bias_hh_l0.fill_(0.0)
        net.bias_ih_l0[4:8] = 0.25
        net.bias_hh_l0[4:8] = 0.5
    assert doctor(net, only=["forget_bias"]).healthy == ("forget_bias",)


def test_what_has_no_forget_gate_is_not_looked_at():
    report = doctor(torch.nn.GRU(3, 4), only=["forget_bias"])
    assert report.skipped == {"forget_bias": "it has no forget gate"}
