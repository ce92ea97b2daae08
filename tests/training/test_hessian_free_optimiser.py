"""The steps of the optimiser."""

from __future__ import annotations

import copy
import itertools
import logging
import math

import pytest
import torch
from torch import nn

import ostinato
from ostinato import HessianFree
from ostinato.training.hessian_free import CrossEntropy, SquaredError

T, B, I, H, O = 6, 12, 2, 5, 3  # noqa: E741


class Net(nn.Module):
    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.layer = ostinato.RNN(I, H)
        self.readout = nn.Linear(H, O)

    def forward(self, x):
        h = self.layer(x)[0]
        return self.readout(h), h


def batch_of(net, seed=0, rows=B):
    maker = torch.Generator().manual_seed(seed)
    x = torch.randn(T, rows, I, generator=maker).to(net.readout.weight.dtype)
    loss = CrossEntropy((x.sum(-1).cumsum(0).clamp(-1, 1).round() + 1).long(), rows=rows)

    def closure():
        outputs, hidden = net(x)
        return outputs, loss, hidden

    return closure


def weights(net):
    return [p.detach().clone() for p in net.parameters()]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def after(steps=2, *, net=None, curvature=None, **options):
    """The weights after some steps."""
    net = Net() if net is None else net
    optimizer = HessianFree(net, **{"damping": 0.5, "structural": 0.1, **options})
    for step in range(steps):
        optimizer.step(
            batch_of(net, step), None if curvature is None else batch_of(net, *curvature)
        )
        assert not optimizer.report.refused
    return weights(net)


def test_a_linear_model_is_solved_in_one_step():
    torch.manual_seed(0)
    net = nn.Linear(4, 2, dtype=torch.float64)
    x, y = torch.randn(50, 4, dtype=torch.float64), torch.randn(50, 2, dtype=torch.float64)
    optimizer = HessianFree(net, damping=1e-12, progress=0)
    optimizer.step(lambda: (net(x), SquaredError(y)))
    ones = torch.cat([x, torch.ones(50, 1, dtype=torch.float64)], 1)
    wanted = torch.linalg.lstsq(ones, y).solution
    torch.testing.assert_close(net.weight.detach(), wanted[:4].T)
    torch.testing.assert_close(net.bias.detach(), wanted[4])
    assert optimizer.report.ratio == pytest.approx(1)


def test_a_step_is_that_of_the_damped_matrix():
    torch.manual_seed(0)
    net = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    x, y = torch.randn(20, 1, dtype=torch.float64), torch.randn(20, 1, dtype=torch.float64)
    start = net.weight.item()
    gradient = ((start * x - y) * x).mean()
    HessianFree(net, damping=0.7).step(lambda: (net(x), SquaredError(y)))
    wanted = start - gradient / (x.square().mean() + 0.7)
    assert net.weight.item() == pytest.approx(wanted.item())


@pytest.mark.parametrize(
    "changed",
    [
        {"damping": 0.4},
        {"structural": 0.0},
        {"structural": 0.5},
        {"distance": "cross-entropy"},
        {"iterations": 2},
        {"progress": 0.1},
        {"decay": 0.0},
        {"precondition": 0.0},
        {"precondition": 0.5},
        {"draws": 1},
    ],
    ids=str,
)
def test_every_option_changes_the_steps(changed):
    assert same(after(), after())
    assert not same(after(), after(**changed))


def test_the_objective_falls_and_the_report_tells():
    net = Net()
    optimizer = HessianFree(net, damping=0.5, structural=0.1)
    before = weights(net)
    first = optimizer.step(batch_of(net))
    report = optimizer.report
    assert report.step == 1
    assert report.objective == first
    assert report.objective_after < 0.9 * first
    moved = torch.cat([(a - b).flatten() for a, b in zip(weights(net), before, strict=True)])
    assert report.step_norm == pytest.approx(moved.norm().item(), rel=1e-4)
    assert report.curvature_objective == pytest.approx(first)
    change = report.curvature_after - report.curvature_objective
    assert report.ratio == pytest.approx(change / report.foretold)
    assert 1 <= report.chosen <= report.iterations
    assert report.damping == 0.5
    assert optimizer.param_groups[0]["damping"] == report.damping_after
    assert report.to_dict()["step"] == 1
    second = optimizer.step(batch_of(net))
    assert second == pytest.approx(report.objective_after)


def test_damping_follows_the_ratio_from_step_to_step():
    net = Net()
    optimizer = HessianFree(net, damping=100.0)
    optimizer.step(batch_of(net))
    # so small a step is foretold well
    assert optimizer.report.ratio > 0.75
    assert optimizer.param_groups[0]["damping"] == pytest.approx(100 * 2 / 3)


def test_batches_of_gradient_and_curvature_are_both_heard():
    assert not same(after(curvature=(5,)), after())
    assert not same(after(curvature=(5,)), after(curvature=(6,)))
    net = Net()
    optimizer = HessianFree(net, damping=0.5)
    optimizer.step(batch_of(net, 1), batch_of(net, 2))
    with torch.no_grad():
        rewound = Net()
        values = [closure()[1](closure()[0]) for closure in (batch_of(rewound, s) for s in (1, 2))]
    assert optimizer.report.objective == pytest.approx(values[0].item(), rel=1e-5)
    assert optimizer.report.curvature_objective == pytest.approx(values[1].item(), rel=1e-5)


def test_a_batch_in_chunks_makes_the_step_of_the_whole():
    results = []
    for chunks in (1, 3):
        net = Net().double()
        maker = torch.Generator().manual_seed(0)
        x = torch.randn(T, B, I, generator=maker, dtype=torch.float64)
        y = torch.randint(O, (T, B), generator=maker)

        def part(x, y, net=net):
            return lambda: (net(x)[0], CrossEntropy(y, rows=x.shape[1]))

        parts = [part(*xy) for xy in zip(x.chunk(chunks, 1), y.chunk(chunks, 1), strict=True)]
        optimizer = HessianFree(net, damping=0.5)
        optimizer.step(parts, curvature=parts[0] if chunks == 1 else part(x, y))
        results.append(weights(net))
    torch.testing.assert_close(results[0], results[1])


def test_the_kernels_take_the_same_steps():
    # in double precision and few iterations: each of conjugate gradients' makes ten times as much
    # of what rounding leaves
    results = []
    for engine in ("eager", "llvm"):
        with ostinato.engine(engine):
            results.append(after(3, net=Net().double(), iterations=5))
    torch.testing.assert_close(results[0], results[1], rtol=1e-10, atol=1e-10)


def test_going_on_from_a_saved_state_is_going_on(tmp_path):
    straight, begun = Net(), Net()
    optimizers = [HessianFree(net, damping=0.5, structural=0.1) for net in (straight, begun)]
    for step in range(2):
        for net, optimizer in zip((straight, begun), optimizers, strict=True):
            optimizer.step(batch_of(net, step))
    torch.save({"net": begun.state_dict(), "optimizer": optimizers[1].state_dict()}, tmp_path / "s")
    kept = torch.load(tmp_path / "s", weights_only=True)
    resumed = Net(seed=3)
    resumed.load_state_dict(kept["net"])
    other = HessianFree(resumed, damping=9.0, iterations=3)
    other.load_state_dict(kept["optimizer"])
    for step in range(2, 5):
        optimizers[0].step(batch_of(straight, step))
        other.step(batch_of(resumed, step))
    assert same(weights(straight), weights(resumed))
    assert other.report == optimizers[0].report
    assert other.report.step == 5


def refused(optimizer, net, closure, why, caplog, curvature=None):
    """That a step leaves all as it was, raises the damping and says why."""
    before, damping = weights(net), optimizer.param_groups[0]["damping"]
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="ostinato"):
        optimizer.step(closure, curvature)
    assert same(weights(net), before)
    assert optimizer.param_groups[0]["damping"] == pytest.approx(1.5 * damping)
    assert why in optimizer.report.refused
    assert optimizer.report.rate == 0
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "refused" in record.getMessage()
    assert why in record.getMessage()


class BreakingError(SquaredError):
    """A squared error whose curvature is not a number after some products."""

    good = 3

    def curvature(self, outputs):
        product = super().curvature(outputs)
        calls = iter(range(1000))
        return lambda change: product(change) * (1 if next(calls) < self.good else math.nan)


def test_a_loss_that_is_not_a_number_is_refused(caplog):
    net = Net()
    optimizer = HessianFree(net)
    x, y = torch.randn(T, B, I), torch.full((T, B, O), math.nan)
    refused(optimizer, net, lambda: (net(x)[0], SquaredError(y)), "not finite", caplog)
    # and the next one goes well
    optimizer.step(batch_of(net))
    assert not optimizer.report.refused


def test_a_curvature_that_breaks_among_the_products_is_refused(caplog):
    net = Net()
    optimizer = HessianFree(net)
    optimizer.step(batch_of(net))
    x, y = torch.randn(T, B, I), torch.zeros(T, B, O)
    refused(optimizer, net, lambda: (net(x)[0], BreakingError(y)), "product", caplog)
    assert optimizer.report.iterations == 2


def test_a_loss_that_breaks_after_every_iterate_is_refused(caplog):
    net = Net()
    optimizer = HessianFree(net)
    x = torch.randn(T, B, I)
    start = weights(net)

    def closure():
        outputs = net(x)[0]
        moved = not torch.equal(net.readout.weight.detach(), start[-2])
        return outputs * (math.nan if moved and not torch.is_grad_enabled() else 1), SquaredError(
            torch.zeros(T, B, O)
        )

    refused(optimizer, net, closure, "after any iterate", caplog)


def test_a_step_that_no_length_makes_good_is_refused(caplog):
    net = Net()
    optimizer = HessianFree(net)
    good = batch_of(net)

    def worse_wherever_it_is_tried():
        outputs, loss, _ = good()
        return outputs, lambda z: loss(z) + (0 if torch.is_grad_enabled() else 100)

    refused(optimizer, net, worse_wherever_it_is_tried, "lowers the objective", caplog, good)
    # the solution was good for the curvature: it is where the next step starts
    assert "solution" in optimizer.state[net.readout.weight]


def test_a_solution_after_which_the_objective_rose_is_no_start_for_the_next():
    net = Net()
    optimizer = HessianFree(net)
    good = batch_of(net)
    optimizer.step(good)
    assert "solution" in optimizer.state[net.readout.weight]

    def worse_wherever_it_is_tried():
        outputs, loss, _ = good()
        return outputs, lambda z: loss(z) + (0 if torch.is_grad_enabled() else 100)

    optimizer.step(good, worse_wherever_it_is_tried)
    assert optimizer.report.ratio == -math.inf
    assert not optimizer.report.refused
    assert "solution" not in optimizer.state[net.readout.weight]
    optimizer.step(good)
    assert "solution" in optimizer.state[net.readout.weight]


def test_at_the_end_of_what_numbers_can_tell_the_damping_stays():
    torch.manual_seed(0)
    net = nn.Linear(4, 1)
    x, y = torch.randn(50, 4), torch.randn(50, 1)
    optimizer = HessianFree(net, damping=1e-3, decay=0)
    for _ in range(8):
        optimizer.step(lambda: (net(x), SquaredError(y)))
    assert "rounding" in optimizer.report.refused
    kept, damping = weights(net), optimizer.param_groups[0]["damping"]
    optimizer.step(lambda: (net(x), SquaredError(y)))
    assert optimizer.param_groups[0]["damping"] == damping
    assert same(weights(net), kept)


def test_an_error_in_a_closure_leaves_the_parameters():
    net = Net()
    optimizer = HessianFree(net)
    before = weights(net)
    calls = iter(range(100))
    closure = batch_of(net)

    def failing():
        if next(calls) == 12:
            raise KeyError("lost")
        return closure()

    with pytest.raises(KeyError, match="lost"):
        optimizer.step(failing)
    assert same(weights(net), before)


def test_dropout_is_the_same_all_through_a_step_and_another_in_the_next():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 40), nn.Dropout(0.5), nn.Linear(40, 1))
    x, y = torch.randn(30, 4), torch.randn(30, 1)
    seen = []

    def closure():
        outputs = net(x)
        seen.append(torch.rand(1).item())
        return outputs, SquaredError(y)

    optimizer = HessianFree(net, damping=0.1)
    optimizer.step(closure)
    assert len(seen) > 5
    assert len(set(seen)) == 1
    # the quadratic is that of one function, so it foretells well
    assert optimizer.report.ratio > 0.5
    optimizer.step(closure)
    assert len(set(seen)) == 2


def test_frozen_and_shared_parameters():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 1))
    net[2].weight = net[0].weight
    net[4].bias.requires_grad_(False)
    kept = net[4].bias.clone()
    x, y = torch.randn(40, 3), torch.randn(40, 1)
    optimizer = HessianFree(net, damping=0.1)
    for _ in range(3):
        optimizer.step(lambda: (net(x), SquaredError(y)))
        assert optimizer.report.ratio > 0.5
    assert net[2].weight is net[0].weight
    assert torch.equal(net[4].bias, kept)
    assert sum(p.numel() for p in optimizer.param_groups[0]["params"]) == 9 + 3 + 3 + 3


class Doubled(torch.autograd.Function):
    """Twice x, with a reverse that can be differentiated, and no forward mode."""

    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, grad):
        return 2 * grad


def test_a_model_without_forward_mode_goes_back_twice_and_says_so_once():
    results = []
    for double in (doubled := Doubled.apply, lambda x: 2 * x):
        net = Net().double()
        maker = torch.Generator().manual_seed(0)
        x = torch.randn(T, B, I, generator=maker, dtype=torch.float64)
        y = torch.randn(T, B, O, generator=maker, dtype=torch.float64)
        closure = lambda net=net, x=x, y=y, double=double: (double(net(x)[0]), SquaredError(y))  # noqa: E731
        optimizer = HessianFree(net, damping=0.5, iterations=5)
        if double is doubled:
            with pytest.warns(UserWarning, match="forward mode cannot be used") as caught:
                optimizer.step(closure)
            assert len(caught) == 1
        else:
            optimizer.step(closure)
        optimizer.step(closure)
        results.append(weights(net))
    torch.testing.assert_close(results[0], results[1], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kind", ["RNN", "GRU"])
def test_layers_of_torch_itself_are_trained(kind):
    torch.manual_seed(0)
    layer = getattr(nn, kind)(I, H)
    maker = torch.Generator().manual_seed(0)
    x, y = torch.randn(T, B, I, generator=maker), 0.5 * torch.randn(T, B, H, generator=maker)
    optimizer = HessianFree(layer, damping=0.1)
    for _ in range(3):
        optimizer.step(lambda: (layer(x)[0], SquaredError(y)))
        assert optimizer.report.ratio > 0.5


def test_a_memoryless_network_learns_what_descent_of_the_same_cost_does_not():
    torch.manual_seed(0)
    x = torch.randn(60, 10)
    net = chain([10, 20, 1], nn.Tanh)
    reached, others = raced(net, x, x[:, :3].prod(1, keepdim=True).tanh(), steps=12)
    assert reached < 0.05 * min(others)


def test_a_deep_autoencoder_leaves_the_plateau_that_holds_descent_of_the_same_cost():
    torch.manual_seed(0)
    x = torch.randn(60, 10) @ torch.randn(10, 10) / 3
    net = chain([10, 8, 6, 3, 6, 8, 10], nn.Sigmoid)
    reached, others = raced(net, x, x, steps=10)
    mean = SquaredError(x)(x.mean(0).expand_as(x)).item()
    assert reached < 0.9 * mean
    assert min(others) > 0.99 * mean


def chain(sizes, activation):
    layers = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), activation()]
    return nn.Sequential(*layers[:-1])


def raced(first, x, y, steps):
    """What our steps reach, and what descent at several rates does for their cost."""
    loss, net, passes = SquaredError(y), copy.deepcopy(first), 0
    optimizer = HessianFree(net, damping=0.01, iterations=50)
    for _ in range(steps):
        optimizer.step(lambda: (net(x), loss))
        # a product costs three gradients at most; then gradients, draws and evaluations
        passes += 3 * optimizer.report.iterations + 40
    others = [descent(first, x, loss, rate, passes) for rate in (0.03, 0.1, 0.3)]
    return loss(net(x)).item(), others


def descent(net, x, loss, rate, steps):
    net = copy.deepcopy(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(net(x)).backward()
        optimizer.step()
    return loss(net(x)).item()


@pytest.mark.parametrize(
    ("option", "need"),
    [
        ({"damping": 0}, "damping must be positive"),
        ({"structural": -1}, "structural must not be negative"),
        ({"distance": "far"}, "distance must be one of .*squared"),
        ({"iterations": 0}, "iterations must be at least 1"),
        ({"progress": -1}, "progress must not be negative"),
        ({"decay": 2}, "decay must be in 0..1"),
        ({"precondition": 2}, "precondition must be in 0..1"),
        ({"draws": 0}, "draws must be at least 1"),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(option, need):
    with pytest.raises(ValueError, match=need):
        HessianFree(Net(), **option)


def test_what_cannot_be_optimised_is_refused():
    with pytest.raises(ValueError, match="no trainable parameter"):
        HessianFree(nn.Tanh())
    with pytest.raises(ValueError, match="of one dtype on one device"):
        HessianFree(nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1).double()]))
    with pytest.raises(ValueError, match="are one group"):
        HessianFree(Net()).add_param_group({"params": [nn.Parameter(torch.zeros(1))]})


@pytest.mark.parametrize(
    ("closure", "error", "need"),
    [
        (lambda: 3, TypeError, "closure must return .*got int"),
        (lambda: (torch.zeros(1),), TypeError, "got a tuple of 1"),
        (lambda: (torch.zeros(1), torch.zeros(1)), TypeError, "loss a function"),
        ([], ValueError, "closure is empty"),
        ([3], TypeError, "function without arguments"),
    ],
    ids=str,
)
def test_closures_of_another_kind_are_refused(closure, error, need):
    with pytest.raises(error, match=need):
        HessianFree(Net()).step(closure)


def test_a_loss_that_is_not_convex_raises_the_damping_until_a_step_is_found():
    torch.manual_seed(0)
    net, x = nn.Linear(3, 2), torch.randn(10, 3)
    optimizer = HessianFree(net, damping=1.0)

    def closure():
        return net(x), lambda outputs: 10 * torch.cos(outputs).mean()

    first = optimizer.step(closure)
    assert "not positive" in optimizer.report.refused
    assert optimizer.report.damping_after == 1.5
    for _ in range(20):
        last = optimizer.step(closure)
    assert last < first - 1


@pytest.mark.parametrize(
    ("closure", "said"),
    [
        (
            lambda net, x: (net(x), lambda outputs: outputs.square()),
            r"one number, got a",
        ),
        (lambda net, x: (net(x).detach(), SquaredError(torch.zeros(4, 2))), "not detached"),
        (
            lambda net, x: (net(x), SquaredError(torch.zeros(4, 2), weight=torch.zeros(4))),
            "weights are all 0",
        ),
    ],
)
def test_a_closure_that_cannot_be_learned_from_is_told_why(closure, said):
    net, x = nn.Linear(3, 2), torch.ones(4, 3)
    with pytest.raises(ValueError, match=said):
        HessianFree(net).step(lambda: closure(net, x))


def test_parameters_in_place_of_the_module_are_refused():
    with pytest.raises(TypeError, match=r"not model\.parameters"):
        HessianFree(nn.Linear(3, 2).parameters())
