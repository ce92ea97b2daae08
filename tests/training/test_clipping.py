import pytest
import torch
from torch import nn

from ostinato.training import Clipper


def parameters(*gradients):
    made = [nn.Parameter(torch.zeros(len(g))) for g in gradients]
    for parameter, gradient in zip(made, gradients, strict=True):
        parameter.grad = torch.tensor(gradient)
    return made


def test_by_norm_equals_torch():
    ours, theirs = parameters([3.0, 0.0], [4.0]), parameters([3.0, 0.0], [4.0])
    norm = Clipper(2.0)(ours)
    assert norm.item() == pytest.approx(5.0)
    torch.nn.utils.clip_grad_norm_(theirs, 2.0)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_by_value_cuts_each_entry():
    (p,) = parameters([3.0, -0.5, -4.0])
    Clipper(1.0, "value")([p])
    assert p.grad.tolist() == [1.0, -0.5, -1.0]


def test_small_gradients_are_left_alone():
    for by in ("norm", "value"):
        (p,) = parameters([0.3, -0.4])
        clipper = Clipper(1.0, by)
        clipper([p])
        assert torch.equal(p.grad, torch.tensor([0.3, -0.4]))
        assert clipper.share == 0.0


@pytest.mark.parametrize("by", ["norm", "value"])
def test_the_share_of_clipped_steps_is_counted(by):
    clipper = Clipper(1.0, by)
    for size in (5.0, 0.1, 0.1, 5.0):
        clipper(parameters([size]))
    assert clipper.share == 0.5
    assert clipper.take_share() == 0.5
    clipper(parameters([5.0]))
    assert clipper.take_share() == 1.0
    again = Clipper(1.0, by)
    again.load_state_dict(clipper.state_dict())
    again(parameters([0.1]))
    assert again.share == 0.5
    assert again.take_share() == 0.0


def test_no_limit_measures_only():
    (p,) = parameters([3.0, 4.0])
    clipper = Clipper(None)
    assert clipper([p]).item() == 5.0
    assert p.grad.tolist() == [3.0, 4.0]
    assert clipper.share == 0.0


def test_parameters_without_gradient_are_passed_over():
    assert Clipper(1.0)([nn.Parameter(torch.zeros(2))]).item() == 0.0


@pytest.mark.parametrize(
    ("given", "said"),
    [((-1.0,), "above 0, got -1"), ((float("nan"),), "got nan"), ((1.0, "nrm"), "got 'nrm'")],
)
def test_a_word_or_limit_that_means_nothing_does_not_clip_by_value(given, said):
    with pytest.raises(ValueError, match=said):
        Clipper(*given)
