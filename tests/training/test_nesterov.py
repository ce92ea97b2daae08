import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from ostinato.training import TrainingConfig
from ostinato.training.nesterov import MomentumSchedule, Nesterov
from ostinato.training.optimisers import build_optimizer

rng = np.random.default_rng(0)
A = np.diag([1.0, 10.0, 100.0])
START = np.array([1.0, -2.0, 3.0])


def by_the_paper(momentum, steps, lr=0.004):
    """The two equations of Sutskever et al. (2013), on a quadratic bowl."""
    theta, v = START.copy(), np.zeros(3)
    for t in range(steps):
        mu = momentum(t)
        v = mu * v - lr * (A @ (theta + mu * v))
        theta = theta + v
    return theta


def by_the_optimiser(momentum, steps, lr=0.004):
    weight = nn.Parameter(torch.tensor(START))
    optimizer = Nesterov([weight], lr, momentum)
    for _ in range(steps):
        optimizer.zero_grad()
        (0.5 * weight @ torch.tensor(A) @ weight).backward()
        optimizer.step()
    return optimizer.theta(weight).numpy()


@pytest.mark.parametrize("steps", [1, 2, 249, 251, 600])
def test_steps_are_those_of_the_papers_equations_while_momentum_changes(steps):
    schedule = MomentumSchedule(0.99, total_steps=600, final_steps=50)
    np.testing.assert_allclose(
        by_the_optimiser(schedule, steps), by_the_paper(schedule, steps), rtol=1e-9, atol=1e-12
    )


def test_a_constant_momentum_steps_as_torchs_does():
    ours, theirs = (nn.Parameter(torch.tensor(START)) for _ in range(2))
    pairs = (
        (ours, Nesterov([ours], 0.004, 0.9, weight_decay=0.1)),
        (theirs, torch.optim.SGD([theirs], 0.004, 0.9, weight_decay=0.1, nesterov=True)),
    )
    for _ in range(20):
        for weight, optimizer in pairs:
            optimizer.zero_grad()
            (0.5 * weight @ torch.tensor(A) @ weight).backward()
            optimizer.step()
    # torch's first step has no velocity behind it, and ours has none either
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("t", [0, 249, 250, 499, 500, 9_999, 10_000, 10**6])
def test_the_schedule_is_the_papers(t):
    wanted = min(1 - 2 ** (-1 - np.log2(np.floor(t / 250) + 1)), 0.995)
    assert MomentumSchedule(0.995)(t) == pytest.approx(wanted)


def test_the_end_of_a_run_has_less_momentum():
    schedule = MomentumSchedule(0.99, total_steps=100_000)
    assert schedule(98_999) == 0.99
    assert schedule(99_000) == 0.9
    # a tenth of a short run at most, and never more momentum than there was
    short = MomentumSchedule(0.99, total_steps=500)
    assert (short(449), short(450)) == (0.75, 0.75)
    assert MomentumSchedule(0.99, total_steps=100_000, final_steps=0)(99_999) == 0.99
    assert MomentumSchedule(0.5, total_steps=math.inf)(10**7) == 0.5


def test_a_state_dict_takes_up_the_run_where_it_was():
    def run(stop):
        weight = nn.Parameter(torch.tensor(START))
        optimizer = Nesterov([weight], 0.004, MomentumSchedule(0.99))
        for t in range(300):
            if t == stop:
                state = copy.deepcopy(optimizer.state_dict())
                optimizer = Nesterov([weight], 0.1, MomentumSchedule(0.99))
                optimizer.load_state_dict(state)
            optimizer.zero_grad()
            (0.5 * weight @ torch.tensor(A) @ weight).backward()
            optimizer.step()
        return weight.detach()

    assert torch.equal(run(None), run(260))


def test_a_closure_gives_its_loss():
    weight = nn.Parameter(torch.ones(1))
    optimizer = Nesterov([weight], 0.1)

    def closure():
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert float(optimizer.step(closure).detach()) == 1.0
    assert float(weight.detach()) < 1


def test_the_config_asks_for_it():
    layer = nn.Linear(2, 2)
    config = TrainingConfig(
        optimizer="sgd",
        lr=0.1,
        momentum_schedule="sutskever",
        momentum_max=0.99,
        momentum_final=100,
    )
    optimizer = build_optimizer(layer, config, total_steps=10_000)
    assert isinstance(optimizer, Nesterov)
    assert optimizer.momentum(9_899) == pytest.approx(min(1 - 0.5 / 40, 0.99))
    assert optimizer.momentum(9_900) == 0.9
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.01, 0.0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MomentumSchedule(1.0), "largest must be in"),
        (lambda: MomentumSchedule(0.9, final=1.5), "final must be in"),
        (lambda: MomentumSchedule(0.9, final_steps=-1), "0 or more"),
        (lambda: Nesterov([nn.Parameter(torch.ones(1))], 0.1, 1.0), "momentum must be"),
        (lambda: Nesterov([nn.Parameter(torch.ones(1))], -0.1), "lr must be"),
        (lambda: TrainingConfig(momentum_schedule="sutskever"), 'optimizer="sgd"'),
        (lambda: TrainingConfig(optimizer="sgd", momentum_max=0.9), "momentum_schedule"),
    ],
)
def test_bad_settings_say_what_to_do(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_theta_stays_where_a_gradient_is_missing_while_momentum_grows():
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    other = torch.nn.Parameter(torch.tensor([1.0]))
    optimizer = Nesterov([weight, other], lr=0.1, momentum=lambda t: t / 10)
    weight.grad, other.grad = torch.ones(1), torch.ones(1)
    optimizer.step()
    theta = optimizer.theta(weight)
    weight.grad = None
    optimizer.step()
    torch.testing.assert_close(optimizer.theta(weight), theta)
    assert not torch.equal(optimizer.theta(other), theta)
