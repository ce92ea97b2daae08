"""Learners go downhill as they say, and remedies begin as their sources say."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import ostinato
from ostinato import cells
from ostinato.data.problems import adding, anbn, memorisation
from ostinato.longlag import PROBLEMS, REMEDIES, learners
from ostinato.longlag.learners import GradientLearner, HessianFreeLearner, ReservoirLearner
from ostinato.longlag.network import LOSSES, Network, Tensors
from ostinato.reservoirs.layer import Reservoir
from ostinato.spectral import spectral_radius

NAMES = ["sgd", "clip", "momentum", "hf", "esn", "lstm", "gru", "gated", "irnn", "indrnn"]


def network(rows, seed=0, units=6):
    torch.manual_seed(seed)
    return Network([cells.Elman(rows.inputs.shape[2], units)], rows.outputs)


def start(name, problem="adding", lag=20, seed=0):
    torch.manual_seed(seed)
    rows = PROBLEMS[problem].rows(30, lag, [0])
    return REMEDIES[name].start(PROBLEMS[problem], lag, rows), rows


ROWS = [adding(5, 12, seed=1), memorisation(5, 6, seed=1), anbn(5, 4, seed=1)]


@pytest.mark.parametrize("rows", ROWS, ids=["squared", "classes", "bits"])
def test_loss_is_the_mean_at_the_steps_that_count(rows):
    net = network(rows)
    scores = net(torch.from_numpy(rows.inputs))
    total, count = 0.0, 0
    for t, n in np.argwhere(rows.mask):
        wanted = torch.from_numpy(np.asarray(rows.targets[t, n]))
        if rows.loss == "classes":
            total += F.cross_entropy(scores[t, n], wanted)
        elif rows.loss == "bits":
            total += F.binary_cross_entropy(torch.sigmoid(scores[t, n]), wanted)
        else:
            total += (scores[t, n] - wanted).square().mean()
        count += 1
    torch.testing.assert_close(net.loss(Tensors.of(rows)), total / count)


@pytest.mark.parametrize("rows", ROWS, ids=["squared", "classes", "bits"])
def test_steps_after_the_end_of_a_row_change_nothing(rows):
    net = network(rows)
    before = net.loss(Tensors.of(rows))
    after = np.arange(len(rows.inputs))[:, None] >= rows.lengths
    rows.inputs[after] = 9.0
    torch.testing.assert_close(net.loss(Tensors.of(rows)), before)
    rows.inputs[after] = 0.0


def test_a_centre_is_taken_from_the_inputs():
    rows = ROWS[0]
    net = network(rows)
    plain = net.answer(rows)
    net.centre.fill_(0.3)
    moved = adding(5, 12, seed=1)
    moved.inputs[:] += 0.3
    np.testing.assert_allclose(net.answer(moved), plain, atol=1e-5)
    assert np.abs(net.answer(rows) - plain).max() > 1e-3


def test_a_gradient_step_is_plain_descent_and_tells_the_loss_before():
    rows = ROWS[0]
    net = network(rows)
    loss = net.loss(Tensors.of(rows))
    wanted = [
        p - 0.1 * g
        for p, g in zip(
            net.parameters(), torch.autograd.grad(loss, list(net.parameters())), strict=True
        )
    ]
    learner = GradientLearner(net, torch.optim.SGD(net.parameters(), 0.1), batch=5)
    assert learner.learn(rows) == pytest.approx(loss.item())
    for found, value in zip(net.parameters(), wanted, strict=True):
        torch.testing.assert_close(found.detach(), value.detach())


def test_a_clipped_step_is_no_longer_than_the_limit():
    rows = ROWS[0]
    net = network(rows)
    before = torch.nn.utils.parameters_to_vector(net.parameters()).detach().clone()
    learner = GradientLearner(net, torch.optim.SGD(net.parameters(), 1.0), batch=5, clip=1e-3)
    learner.learn(rows)
    after = torch.nn.utils.parameters_to_vector(net.parameters()).detach()
    assert (after - before).norm().item() == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("rows", ROWS, ids=["squared", "classes", "bits"])
def test_hessian_free_steps_lower_the_loss_of_every_kind(rows):
    net = network(rows)
    learner = HessianFreeLearner(net, batch=5, share=0.6, damping=0.1, structural=0.03)
    first = net.loss(Tensors.of(rows)).item()
    for _ in range(5):
        learner.learn(rows)
    assert net.loss(Tensors.of(rows)).item() < 0.8 * first


def test_hessian_free_sums_over_steps_and_averages_over_the_rows_of_the_gradient():
    rows = ROWS[1]
    net = network(rows)
    learner = HessianFreeLearner(net, batch=5, share=0.4)
    x, wanted = torch.from_numpy(rows.inputs[:, 2:]), torch.from_numpy(rows.targets[:, 2:])
    total = F.cross_entropy(net(x).flatten(0, 1), wanted.flatten(), reduction="sum")
    assert learner.learn(rows) == pytest.approx(total.item() / 3, rel=1e-5)


def test_hessian_free_takes_the_curvature_of_a_share_of_the_rows():
    rows = ROWS[0]
    ends = []
    for share in (0.4, 0.6):
        net = network(rows)
        HessianFreeLearner(net, batch=5, share=share).learn(rows)
        ends.append(net.readout.weight.detach().clone())
    assert (ends[0] != ends[1]).any()


def test_a_reservoir_learns_by_ridge_of_all_rows_so_far():
    one, two = adding(40, 12, form="halves", seed=1), adding(40, 12, form="halves", seed=2)
    reservoir = Reservoir(2, 20, seed=0)
    learner = ReservoirLearner(reservoir, 1, penalty=1e-3, batch=40)
    assert learner.learn(one) is None
    learner.answer(one)
    learner.learn(two)
    found = learner.answer(two)[-1]
    x = torch.cat([torch.from_numpy(rows.inputs).double() for rows in (one, two)], 1)
    features = torch.cat([reservoir(x)[0][-1], x[-1]], 1)
    targets = torch.from_numpy(np.concatenate([one.targets[-1], two.targets[-1]])).double()
    mean, middle = features.mean(0), targets.mean(0)
    F0, Y0 = features - mean, targets - middle
    weight = torch.linalg.solve(F0.T @ F0 + 1e-3 * torch.eye(22).double(), F0.T @ Y0)
    wanted = (features[40:] - mean) @ weight + middle
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-6, atol=1e-8)


def test_rows_of_a_reservoir_may_be_walked_in_parts(monkeypatch):
    rows = memorisation(32, 3, seed=1)

    def answer():
        learner = ReservoirLearner(Reservoir(4, 20, seed=0), 3, penalty=1e-3, batch=32)
        learner.learn(rows)
        return learner.answer(rows), len(learner._parts(rows))

    whole, one = answer()
    # 5 rows of 13 steps and 24 numbers each
    monkeypatch.setattr(learners, "_HELD", 5 * 13 * 24 + 1)
    parts, several = answer()
    assert (one, several) == (1, 7)
    np.testing.assert_allclose(parts, whole, rtol=1e-7, atol=1e-9)


def test_a_penalty_that_is_too_small_grows():
    # three rows cannot tell 22 features apart
    rows = adding(3, 12, form="halves", seed=1)
    learner = ReservoirLearner(Reservoir(2, 20, seed=0), 1, penalty=0.0, batch=3)
    learner.learn(rows)
    np.testing.assert_allclose(learner.answer(rows)[-1], rows.targets[-1], atol=1e-3)
    assert learner.readout.penalty > 0
    # with more of them, none is needed
    learner.learn(adding(100, 12, form="halves", seed=2))
    learner.answer(rows)
    assert learner.readout.penalty == 0


def test_a_reservoir_learns_classes_and_bits_as_numbers():
    for rows in (memorisation(32, 3, seed=1), anbn(30, 3, seed=1)):
        reservoir = Reservoir(rows.inputs.shape[2], 200, spectral_radius=0.99, seed=0)
        learner = ReservoirLearner(reservoir, rows.outputs, penalty=1e-8, batch=30)
        learner.learn(rows)
        assert rows.error(learner.answer(rows)) == 0


def test_all_remedies_are_there_and_tell_their_source():
    assert list(REMEDIES) == NAMES
    assert all(len(remedy.source) > 20 and remedy.about for remedy in REMEDIES.values())


@pytest.mark.parametrize("name", NAMES)
def test_each_remedy_learns_something_of_every_kind_of_loss(name):
    for problem in ("adding", "memorisation-5", "anbn"):
        learner, rows = start(name, problem, 10)
        before = learner.answer(rows) if name != "esn" else None
        losses = [learner.learn(rows) for _ in range(2)]
        after = learner.answer(rows)
        assert np.isfinite(after).all()
        if name == "esn":
            assert losses == [None, None]
        else:
            assert (after != before).any()
            assert losses[1] < losses[0]


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides_how_a_remedy_begins(name):
    def first(seed):
        learner, rows = start(name, seed=seed)
        learner.learn(rows)
        return learner.answer(rows)

    np.testing.assert_array_equal(first(1), first(1))
    assert (first(1) != first(2)).any()


def test_sgd_and_clip_are_those_of_pascanu():
    for name in ("sgd", "clip"):
        learner, _ = start(name)
        (cell,) = learner.network.layer.cells
        assert cell.gates.weight_hh.std().item() == pytest.approx(0.1, rel=0.05)
        assert cell.gates.weight_ih.std().item() == pytest.approx(0.1, rel=0.25)
        assert not cell.gates.bias.any()
        assert not learner.network.readout.bias.any()
        assert learner.clipper.limit == (1.0 if name == "clip" else None)
        assert learner.optimiser.param_groups[0]["lr"] == 0.01
        assert learner.optimiser.param_groups[0]["momentum"] == 0
        assert learner.batch == 20


@pytest.mark.parametrize("name", ["momentum", "hf"])
@pytest.mark.parametrize(("problem", "scale"), [("adding", 0.001), ("memorisation-5", 0.1)])
def test_a_good_beginning_is_that_of_table_4(name, problem, scale):
    learner, rows = start(name, problem)
    (cell,) = learner.network.layer.cells
    assert spectral_radius(cell.gates.weight_hh) == pytest.approx(1.1, rel=1e-5)
    assert ((cell.gates.weight_hh != 0).sum(1) == 15).all()
    assert cell.gates.weight_ih.std().item() == pytest.approx(scale, rel=0.2)
    assert not cell.gates.bias.any()
    np.testing.assert_allclose(learner.network.centre, rows.inputs.mean((0, 1)), rtol=1e-6)
    if problem == "adding":
        middle = rows.targets[rows.mask].mean()
        assert learner.network.readout.bias.item() == pytest.approx(middle)


def test_momentum_grows_after_a_thousand_updates():
    learner, _ = start("momentum")
    momentum = learner.optimiser.momentum
    assert [momentum(t) for t in (0, 999, 1000)] == [0.9, 0.9, 0.995]
    assert learner.batch == 100


@pytest.mark.parametrize("name", ["lstm", "gru", "gated"])
def test_gates_begin_by_keeping(name):
    learner, rows = start(name, "temporal-order")
    states = learner.network.layer(torch.from_numpy(rows.inputs))[0]
    with torch.no_grad():
        (cell,) = learner.network.layer.cells
        old = cell.initial_state(1)
        old = tuple(torch.ones_like(part) for part in old)
        new = cell(torch.zeros(1, rows.inputs.shape[2]), *old)
    kept = (
        new[1][1]
        if name == "lstm" and isinstance(new[1], tuple)
        else new[-1]
        if isinstance(new, tuple)
        else new
    )
    assert states.shape[2] == 100
    # about sigmoid(1) = 0.73 of the old value is left, and something is added
    assert kept.mean().item() > 0.6


def test_irnn_begins_by_adding_up():
    learner, _ = start("irnn")
    (cell,) = learner.network.layer.cells
    torch.testing.assert_close(cell.gates.weight_hh.detach(), torch.eye(100))
    assert cell.gates.weight_ih.std().item() == pytest.approx(0.001, rel=0.2)
    assert not cell.gates.bias.any()


def test_indrnn_stays_within_its_bound():
    learner, rows = start("indrnn")
    first, second = learner.network.layer.cells
    bound = 2 ** (1 / len(rows.inputs))
    assert 0 <= first.weight_hh.min() < 0.2
    assert second.weight_hh.min() >= 1 / bound
    with torch.no_grad():
        first.weight_hh[0], second.weight_hh[0] = 3.0, -3.0
    learner.learn(rows)
    assert first.weight_hh.max().item() == pytest.approx(bound)
    assert second.weight_hh.min().item() == pytest.approx(-bound)


def test_networks_run_on_kernels_with_the_same_answers():
    learner, rows = start("gru")
    plain = learner.answer(rows)
    with ostinato.engine("llvm"):
        np.testing.assert_allclose(learner.answer(rows), plain, atol=1e-5)


def test_losses_are_known_for_every_kind():
    assert set(LOSSES) == {"squared", "classes", "bits"}
