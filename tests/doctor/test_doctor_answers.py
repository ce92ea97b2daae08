import pytest
import torch


@pytest.mark.parametrize("task", ["tagger", "classifier"])
def test_one_answer_to_everything_is_found(task, healthy, ill, well):
    model, data = healthy(task)
    network = model.network if task == "tagger" else model.network.members[0]
    with torch.no_grad():
        network.readout.weight.mul_(20)
        network.readout.bias.zero_()
    well("one_answer", model, data)
    with torch.no_grad():
        network.readout.bias[1] = 1000.0
    found = ill("one_answer", "severe", model, data)
    assert found.figures["share"] == 1
    assert found.figures["right"] < 0.7
    assert found.remedy.settings == {"training.lr": model.settings.training.lr / 3}


def test_a_frequent_label_that_is_always_said_is_to_weigh_less(make, ill):
    rows = [(x, "up" if k % 4 else "down") for k, (x, _) in enumerate(make["tracks"](100))]
    model = make["fit_labels"](rows)
    with torch.no_grad():
        model.network.members[0].readout.bias[1] = 1000.0
    found = ill("one_answer", "severe", model, rows)
    assert found.remedy.settings == {"model.class_weights": "balanced"}
    model.settings = model.settings.changed(class_weights="balanced")
    assert "training.lr" in ill("one_answer", "severe", model, rows).remedy.settings


def test_one_answer_is_right_where_nearly_all_have_it(make, well):
    rows = [(x, "up" if k < 8 else "down") for k, (x, _) in enumerate(make["tracks"](100))]
    model = make["fit_labels"](rows)
    with torch.no_grad():
        model.network.members[0].readout.bias[0] = 1000.0
    well("one_answer", model, rows)


def test_forecasts_that_copy_the_last_value_are_found(make, ill, well):
    table = make["series"]()
    # readouts begin at zero, so that an untrained network says what its level says
    still = {"max_steps": 1, "lr": 1e-9, "ema": None}
    found = ill("copies_last", "severe", make["fit_series"](table, **still), table)
    assert found.figures["moved"] < 0.01 * found.figures["naive"]
    assert found.remedy.settings == {"model.level": "season"}
    well("copies_last", make["fit_series"](table, level="season", **still), table)


def test_a_recursive_forecaster_that_copies_is_found(make, ill, well):
    table = make["series"]()
    still = {"max_steps": 1, "lr": 1e-9, "ema": None, "mode": "recursive", "samples": 4}
    ill("copies_last", "severe", make["fit_series"](table, **still), table)
    well("copies_last", make["fit_series"](table, level="season", **still), table)
