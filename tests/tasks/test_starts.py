"""Settings for long ranges reach the network of every task."""

import pytest
import torch

from ostinato.layers.clip_gradient import ClipGradient
from ostinato.tasks.registry import TASKS, settings_class
from ostinato.tasks.stack import build_stack

KINDS = sorted(TASKS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_task_takes_them_by_name(kind):
    settings = settings_class(kind)().changed(
        initialise="orthogonal", initialise_gain=0.5, forget_bias=2.0, cell="gru", hidden_size=8
    )
    stack = build_stack(settings.model, 3)
    for cell in stack.cells:
        for block in cell.gates.weight_hh.detach().split(8):
            torch.testing.assert_close(torch.linalg.svdvals(block), torch.full((8,), 0.5))
        assert (cell.gates.bias[8:16] == 2.0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_every_task_starts_the_weights_of_its_inputs(kind):
    settings = settings_class(kind)().changed(initialise_input="zeros", cell="gru", hidden_size=8)
    for cell in build_stack(settings.model, 3).cells:
        assert not cell.gates.weight_ih.any()
        assert cell.gates.weight_hh.any()


@pytest.mark.parametrize("kind", KINDS)
def test_every_task_clips_through_time(kind):
    model = settings_class(kind)().changed(clip_gradient=0.1, clip_gradient_by="value").model
    stack = build_stack(model, 3)
    assert stack._in_time[0].options.clip_gradient == ClipGradient(0.1, by="value")


def test_layers_start_one_by_one():
    model = settings_class("language_model")().changed(
        initialise="identity, zeros", cell="elman", hidden_size=6, num_layers=2
    )
    first, second = build_stack(model.model, 3).cells
    assert torch.equal(first.gates.weight_hh, torch.eye(6))
    assert not second.gates.weight_hh.any()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"initialise_gain": 0.5}, "initialise_gain must be 1 where"),
        ({"chrono": 2}, "chrono must be above 2"),
        ({"chrono": 9, "forget_bias": 1.0}, "chrono must be none"),
        ({"clip_gradient": 0.0}, "clip_gradient must be above 0"),
        ({"clip_gradient_by": "size"}, "clip_gradient_by must be"),
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        settings_class("classifier")().changed(**wrong)
