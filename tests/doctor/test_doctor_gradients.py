import pytest
import torch

import ostinato
from ostinato.doctor import doctor

DEEP = {"max_steps": 1, "lr": 1e-9, "chunk_length": 24}


def shrunk(layer, gain):
    torch.manual_seed(0)
    ostinato.initialise(layer, "orthogonal", gain=gain)


def loss(out, targets):
    return (out[0] - targets).square().mean()


def batch(steps=30, rows=4, inputs=3, hidden=16):
    torch.manual_seed(1)
    return torch.randn(steps, rows, inputs), torch.randn(steps, rows, hidden)


def test_gradients_of_a_language_model_that_vanish_are_found(make, ill, well):
    data = make["text"](500)
    model = make["fit_text"](data, cell="elman", **DEEP)
    shrunk(model.network.stack, 1.0)
    well("vanishing", model, data)
    shrunk(model.network.stack, 0.2)
    found = ill("vanishing", "warning", model, data)
    assert found.figures["factor"] < 0.2
    assert found.remedy.settings == {"model.cell": "lstm"}


@pytest.mark.parametrize("task", ["tagger", "classifier", "forecaster"])
def test_gradients_of_other_tasks_that_vanish_are_found(task, make, ill, well):
    maker, source = {
        "tagger": ("fit_tags", make["sentences"](60)),
        "classifier": ("fit_labels", make["tracks"](60, steps=(12, 16))),
        "forecaster": ("fit_series", make["series"]()),
    }[task]
    longer = {"history": 16} if task == "forecaster" else {}
    model = make[maker](source, cell="elman", max_steps=2, **longer)
    stack = {
        "tagger": lambda: model.network.stack,
        "classifier": lambda: model.network.members[0].stack,
        "forecaster": lambda: model.network.encoder,
    }[task]()
    shrunk(stack, 1.0)
    well("vanishing", model, source)
    shrunk(stack, 0.1)
    assert ill("vanishing", "warning", model, source).figures["factor"] < 0.15


def test_an_lstm_that_forgets_at_once_is_told_to_begin_otherwise(make, ill):
    data = make["text"](500)
    model = make["fit_text"](data, cell_options={"forget_bias": -4.0}, **DEEP)
    found = ill("vanishing", "warning", model, data)
    assert found.remedy.settings == {"model.cell_options.forget_bias": 2.0}


def test_gradients_of_torch_layers_that_vanish_are_found(ill, well):
    for kind in (torch.nn.RNN, torch.nn.GRU, torch.nn.LSTM):
        torch.manual_seed(0)
        net = kind(3, 16, batch_first=kind is torch.nn.GRU)
        x, y = batch()
        told = (x.transpose(0, 1), y.transpose(0, 1)) if net.batch_first else (x, y)
        ostinato.initialise(net, "orthogonal")
        if kind is not torch.nn.RNN:
            ostinato.initialise(net, forget_bias=3.0)
        well("vanishing", net, told, loss=loss)
        if kind is torch.nn.RNN:
            ostinato.initialise(net, "orthogonal", gain=0.2)
        else:
            ostinato.initialise(net, "zeros", input="zeros", forget_bias=-2.0)
        found = ill("vanishing", "warning", net, told, loss=loss)
        assert found.remedy.command.startswith("Before training: ostinato.initialise(module, ")


def test_gradients_that_explode_are_found(make, ill, well):
    data = make["text"](500)
    model = make["fit_text"](
        data, cell="elman", cell_options={"activation": "relu"}, clip=None, **DEEP
    )
    stack = model.network.stack
    ostinato.initialise(stack, "identity", bias="zeros")
    well("exploding", model, data)
    ostinato.initialise(stack, "identity", gain=1.3)
    with torch.no_grad():
        # all units are on
        for block in stack.parameters():
            if block.dim() == 1:
                block.fill_(1.0)
    found = ill("exploding", "warning", model, data)
    assert found.remedy.settings == {"training.clip": 1.0}
    assert max(found.figures["by_lag"]) == pytest.approx(1.3**23, rel=0.01)
    ostinato.initialise(stack, "identity", gain=2.0)
    model.settings = model.settings.changed(clip=1.0)
    assert ill("exploding", "severe", model, data).remedy.settings == {"model.cell": "lstm"}


def test_exploding_gradients_of_a_torch_layer_are_found(ill, well):
    net = torch.nn.RNN(3, 16, nonlinearity="relu")
    x, y = batch()
    ostinato.initialise(net, "identity", bias="zeros")
    well("exploding", net, (x, y), loss=loss)
    ostinato.initialise(net, "identity", gain=1.5)
    with torch.no_grad():
        net.bias_ih_l0.fill_(1.0)
        net.weight_ih_l0.zero_()
    ill("exploding", "severe", net, (x, y), loss=loss)


def test_gradients_that_are_cut_off_are_noted(make, ill, well):
    data = make["text"](500)
    model = make["fit_text"](data, cell="elman", cell_options={"activation": "relu"}, **DEEP)
    ostinato.initialise(model.network.stack, "identity", bias="zeros")
    with torch.no_grad():
        for block in model.network.stack.parameters():
            if block.dim() == 1:
                block.fill_(0.5)
    found = ill("truncated", "note", model, data)
    assert found.remedy.settings == {"data.chunk_length": 48}
    shrunk(model.network.stack, 0.2)
    well("truncated", model, data)


def test_what_lies_before_a_reset_is_no_lag(make, well):
    documents = ["".join(make["text"](6, seed=k)) + "\n%%\n" for k in range(60)]
    data = "".join(documents)
    settings = {"separator": "\n%%\n", "cell": "elman", "chunk_length": 48}
    model = make["fit_text"](data, max_steps=1, **settings)
    shrunk(model.network.stack, 1.0)
    well("vanishing", model, data)


def test_rows_that_are_too_short_are_not_judged():
    x, y = batch(steps=4)
    report = doctor(torch.nn.GRU(3, 16), (x, y), loss=loss, only=["vanishing"])
    assert "at least 6 steps" in report.skipped["vanishing"]


def test_a_subclass_of_a_torch_layer_is_passed_over():
    class Own(torch.nn.GRU):
        pass

    report = doctor(Own(3, 16), batch(), loss=loss, only=["vanishing", "batch_axis"], batch_axis=1)
    assert set(report.skipped) == {"vanishing"}
    assert report.healthy == ("batch_axis",)


def test_no_loss_no_gradients():
    report = doctor(torch.nn.GRU(3, 16), batch()[0], only=["vanishing"])
    assert "give loss" in report.skipped["vanishing"]
