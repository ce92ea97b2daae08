import math

import pytest
import torch
from torch import nn

from ostinato.training import TrainingConfig
from ostinato.training.optimisers import Schedule, build_optimizer


def one_update(**settings):
    """The weights of a small layer after two updates."""
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    optimizer = build_optimizer(layer, TrainingConfig(lr=0.1, **settings))
    for _ in range(2):
        optimizer.zero_grad()
        layer(torch.ones(1, 3)).square().sum().backward()
        optimizer.step()
    return torch.cat([layer.weight.detach().flatten(), layer.bias.detach()])


OPTIONS = [
    {"optimizer": "adam"},
    {"optimizer": "sgd"},
    {"optimizer": "sgd", "momentum": 0.0},
    {"weight_decay": 0.5},
    {"momentum": 0.5},
    {"beta2": 0.5},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_each_option_changes_the_update(options):
    assert not torch.equal(
        one_update(weight_decay=0.1), one_update(**{"weight_decay": 0.1, **options})
    )


def test_sgd_is_nesterovs():
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    reference = torch.optim.SGD(layer.parameters(), 0.1, momentum=0.9, nesterov=True)
    for _ in range(2):
        reference.zero_grad()
        layer(torch.ones(1, 3)).square().sum().backward()
        reference.step()
    expected = torch.cat([layer.weight.detach().flatten(), layer.bias.detach()])
    torch.testing.assert_close(one_update(optimizer="sgd", weight_decay=0.0), expected)


def test_decay_leaves_biases_alone():
    layer = nn.Linear(3, 2)
    nn.init.ones_(layer.bias)
    before = layer.weight.detach().clone()
    optimizer = build_optimizer(layer, TrainingConfig(lr=0.1, weight_decay=0.5))
    for parameter in layer.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(layer.weight.detach(), before * (1 - 0.1 * 0.5))
    assert torch.equal(layer.bias.detach(), torch.ones(2))


def test_nothing_to_train_is_said():
    with pytest.raises(ValueError, match="Linear has no trainable parameter"):
        build_optimizer(nn.Linear(2, 2).requires_grad_(False), TrainingConfig())


def rates(total=20, steps=20, **settings):
    schedule = Schedule(TrainingConfig(**settings), total)
    return [schedule(step) for step in range(steps + 1)]


def test_cosine_falls_from_one_to_the_floor():
    curve = rates(schedule="cosine", final_lr=0.1)
    assert curve[0] == 1.0
    assert curve[10] == pytest.approx(0.1 + 0.9 / 2)
    assert curve[20] == pytest.approx(0.1)
    assert curve == sorted(curve, reverse=True)


def test_linear_falls_evenly():
    assert rates(schedule="linear") == pytest.approx([1 - k / 20 for k in range(21)])


def test_constant_stays():
    assert rates(total=math.inf, schedule="constant") == [1.0] * 21


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine", "plateau"])
def test_warm_up_rises_first(schedule):
    curve = rates(schedule=schedule, warmup_steps=4)
    assert curve[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


def test_plateau_waits_and_then_steps_down():
    schedule = Schedule(
        TrainingConfig(schedule="plateau", plateau_patience=2, plateau_factor=0.1), math.inf
    )
    seen = []
    for value in (3.0, 2.0, 2.5, 2.4, 1.0, 1.5, 1.5):
        schedule.observe(value)
        seen.append(schedule(100))
    assert seen == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.01])
    again = Schedule(schedule.config, math.inf)
    again.load_state_dict(schedule.state_dict())
    assert again(100) == schedule(100)


def test_plateau_can_climb():
    schedule = Schedule(
        TrainingConfig(schedule="plateau", plateau_patience=1, monitor_mode="max"), math.inf
    )
    schedule.observe(1.0)
    schedule.observe(2.0)
    assert schedule(5) == 1.0
    schedule.observe(1.5)
    assert schedule(5) == 0.5


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_a_fall_needs_an_end(schedule):
    with pytest.raises(ValueError, match="needs to know the end"):
        Schedule(TrainingConfig(schedule=schedule), math.inf)
