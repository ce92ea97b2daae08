"""Products with the Gauss-Newton matrix, held to the matrix itself."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn
from torch.func import functional_call, jacrev
from torch.nn import functional as F

import ostinato
from ostinato.engine.fused import EngineWarning
from ostinato.training.hessian_free import Bernoulli, CrossEntropy, Objective, SquaredError
from ostinato.training.hessian_free.objective import Batch
from ostinato.training.hessian_free.products import Curvature, NoProductError
from ostinato.training.hessian_free.space import Space

T, B, I, H, O = 5, 3, 2, 4, 3  # noqa: E741
CPU = torch.device("cpu")


class Net(nn.Module):
    """A recurrent layer, or none, and a readout; gives outputs and hidden states."""

    def __init__(self, kind):
        super().__init__()
        kinds = {"elman": ostinato.RNN, "lstm": ostinato.LSTM, "gru": ostinato.GRU}
        self.layer = kinds[kind](I, H) if kind in kinds else None
        self.hidden = nn.Linear(I, H)
        self.readout = nn.Linear(H, O)

    def forward(self, x):
        h = self.hidden(x).tanh() if self.layer is None else self.layer(x)[0]
        return self.readout(h), h


def squared(maker):
    return SquaredError(torch.randn(T, B, O, generator=maker))


def squared_over_rows(maker):
    return SquaredError(torch.randn(T, B, O, generator=maker), rows=B)


def squared_at_the_end(maker):
    weight = torch.zeros(T, 1)
    weight[-1] = 2.0
    return SquaredError(torch.randn(T, B, O, generator=maker), weight=weight)


def classes(maker):
    return CrossEntropy(torch.randint(O, (T, B), generator=maker))


def weighted_classes(maker):
    weight = torch.rand(T, B, generator=maker)
    return CrossEntropy(torch.randint(O, (T, B), generator=maker), weight=weight)


def coins(maker):
    return Bernoulli(torch.rand(T, B, O, generator=maker), rows=B)


def other(maker):
    targets = torch.randn(T, B, O, generator=maker)
    return lambda z: (z - targets).cosh().log().mean()


LOSSES = [squared, squared_over_rows, squared_at_the_end, classes, weighted_classes, coins, other]


def problem(kind, loss, dtype=torch.float64):
    maker = torch.Generator().manual_seed(1)
    torch.manual_seed(0)
    net = Net(kind).to(dtype)
    x = torch.randn(T, B, I, generator=maker)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        loss = loss(maker)
    finally:
        torch.set_default_dtype(before)
    return net, x.to(dtype), converted(loss, dtype)


def converted(loss, dtype):
    for name in ("targets", "weight"):
        value = getattr(loss, name, None)
        if value is not None and value.is_floating_point():
            setattr(loss, name, value.to(dtype))
    return loss


def closure_of(net, x, loss):
    def closure():
        outputs, hidden = net(x)
        return outputs, loss, hidden

    return closure


def explicit(net, x, loss, structural=0.0, bend=torch.ones_like):
    """J' H J + s J_h' D J_h, from whole matrices."""
    space = Space(net)
    weights = {name: p.detach() for name, p in space.named.items()}
    with ostinato.engine("eager"):
        outputs, hidden = functional_call(net, weights, (x,))
        jacobians = jacrev(lambda w: functional_call(net, w, (x,)))(weights)
    j_z, j_h = (
        torch.cat([d.flatten(y.dim()) for d in js.values()], -1).flatten(0, -2)
        for js, y in zip(jacobians, (outputs, hidden), strict=True)
    )
    n = outputs.numel()
    h_z = torch.autograd.functional.hessian(loss, outputs).reshape(n, n)
    rows = loss.rows(outputs) if hasattr(loss, "rows") else outputs[..., 0].numel()
    h_h = torch.diag(bend(hidden).flatten()) / rows
    return j_z.T @ h_z @ j_z + structural * j_h.T @ h_h @ j_h


def matrix_of(product, size, dtype):
    return torch.stack([product(row) for row in torch.eye(size, dtype=dtype)], -1)


def curvature(net, closures, **options):
    space = Space(net)
    return space, Curvature(space, Batch(closures, "test", CPU), **options)


@pytest.mark.parametrize("forward", [True, False], ids=["forward", "back twice"])
@pytest.mark.parametrize("loss", LOSSES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("kind", ["memoryless", "elman", "lstm", "gru"])
def test_a_product_is_that_of_the_explicit_matrix(kind, loss, forward):
    net, x, loss = problem(kind, loss)
    space, product = curvature(net, closure_of(net, x, loss), forward=forward)
    found = matrix_of(product, space.read().numel(), x.dtype)
    wanted = explicit(net, x, loss)
    assert wanted.abs().max() > 1e-3
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("distance", ["squared", "cross-entropy"])
@pytest.mark.parametrize("kind", ["memoryless", "elman", "lstm", "gru"])
def test_structural_damping_adds_the_change_of_the_hidden_states(kind, distance):
    net, x, loss = problem(kind, squared_over_rows)
    space, product = curvature(net, closure_of(net, x, loss), structural=0.7, distance=distance)
    found = matrix_of(product, space.read().numel(), x.dtype)
    bend = {"squared": torch.ones_like, "cross-entropy": lambda h: 1 / (1 - h**2)}[distance]
    wanted = explicit(net, x, loss, 0.7, bend)
    assert (wanted - explicit(net, x, loss)).abs().max() > 1e-3
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)
    undamped = matrix_of(product.undamped, space.read().numel(), x.dtype)
    torch.testing.assert_close(undamped, explicit(net, x, loss), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("loss", [squared_over_rows, classes, coins], ids=lambda f: f.__name__)
@pytest.mark.parametrize("kind", ["elman", "lstm", "gru"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_the_kernels_give_the_explicit_matrix_without_a_warning(kind, loss, dtype):
    net, x, loss = problem(kind, loss, dtype)
    with ostinato.engine("llvm"), warnings.catch_warnings():
        warnings.simplefilter("error", EngineWarning)
        space, product = curvature(net, closure_of(net, x, loss), structural=0.3)
        found = matrix_of(product, space.read().numel(), x.dtype)
    wanted = explicit(net.double(), x.double(), converted(loss, torch.float64), 0.3)
    exact = dtype == torch.float64
    torch.testing.assert_close(
        found.double(), wanted, rtol=1e-9 if exact else 1e-4, atol=1e-12 if exact else 1e-6
    )


@pytest.mark.parametrize("engine", ["eager", "llvm"])
def test_rows_of_different_lengths_and_a_learned_first_state(engine):
    torch.manual_seed(0)
    cell = ostinato.cells.Elman(I, H)
    layer = ostinato.Recurrent(cell, initial_state="learned").double()
    x = torch.randn(T, B, I, dtype=torch.float64)
    lengths = torch.tensor([5, 2, 4])
    loss = SquaredError(torch.randn(T, B, H, dtype=torch.float64), rows=B)
    with ostinato.engine(engine), warnings.catch_warnings():
        warnings.simplefilter("error", EngineWarning)
        space, product = curvature(layer, lambda: (layer(x, lengths=lengths)[0], loss))
        found = matrix_of(product, space.read().numel(), x.dtype)
    weights = {name: p.detach() for name, p in space.named.items()}
    jacobian = jacrev(lambda w: functional_call(layer, w, (x, None, lengths))[0])(weights)
    j = torch.cat([d.flatten(3) for d in jacobian.values()], -1).flatten(0, -2)
    # what is past the end of a row does not move
    assert j.unflatten(0, (T, B, H))[2:, 1].abs().max() == 0
    torch.testing.assert_close(found, j.T @ j / B, rtol=1e-9, atol=1e-12)


def test_chunks_make_the_matrix_of_the_whole_batch():
    net, x, _ = problem("elman", squared)
    targets = torch.randn(T, B, O, dtype=x.dtype)

    def part(rows):
        return closure_of(net, x[:, rows], SquaredError(targets[:, rows], rows=x[:, rows].shape[1]))

    v = torch.randn(Space(net).read().numel(), dtype=x.dtype)
    _, whole = curvature(net, part(slice(0, 3)), structural=0.5)
    _, parts = curvature(net, [part(slice(0, 1)), part(slice(1, 3))], structural=0.5)
    torch.testing.assert_close(parts(v), whole(v))
    torch.testing.assert_close(parts.gradient(), whole.gradient())
    assert parts.value() == pytest.approx(whole.value())


def test_rows_of_an_objective_divide_the_change_of_hidden_states():
    net, x, loss = problem("elman", other)

    def closure(rows):
        outputs, hidden = net(x)
        return Objective(outputs, loss, hidden, rows=rows)

    v = torch.ones(Space(net).read().numel(), dtype=x.dtype)
    changes = []
    for rows in (1, 4):
        _, product = curvature(net, lambda rows=rows: closure(rows), structural=1.0)
        changes.append(product(v) - product.undamped(v))
    torch.testing.assert_close(changes[0], 4 * changes[1])


def test_several_outputs_share_one_loss():
    net, x, _ = problem("gru", squared)

    def loss(pair):
        return pair[0].square().sum() + (pair[0].sum() * pair[1].sum()).exp()

    def closure():
        outputs, hidden = net(x)
        return (outputs, 0.1 * hidden), loss

    space, product = curvature(net, closure)
    found = matrix_of(product, space.read().numel(), x.dtype)
    weights = {name: p.detach() for name, p in space.named.items()}

    def both(w):
        outputs, hidden = functional_call(net, w, (x,))
        return torch.cat([outputs.flatten(), 0.1 * hidden.flatten()])

    j = torch.cat([d.flatten(1) for d in jacrev(both)(weights).values()], -1)
    cut = T * B * O
    h = torch.autograd.functional.hessian(lambda z: loss((z[:cut], z[cut:])), both(weights))
    torch.testing.assert_close(found, j.T @ h @ j, rtol=1e-9, atol=1e-10)


def test_a_loss_that_is_linear_has_no_curvature():
    net, x, _ = problem("memoryless", squared)
    _, product = curvature(net, lambda: (net(x)[0], lambda z: z.sum()))
    v = torch.ones(Space(net).read().numel(), dtype=x.dtype)
    assert torch.equal(product(v), torch.zeros_like(v))


def test_the_gradient_is_that_of_the_objective():
    net, x, loss = problem("lstm", classes)
    space, product = curvature(net, closure_of(net, x, loss))
    wanted = torch.autograd.grad(loss(net(x)[0]), space.parameters, materialize_grads=True)
    torch.testing.assert_close(product.gradient(), space.flat(wanted))


def test_squared_gradients_are_the_mean_over_predictions():
    net, x, loss = problem("elman", classes)
    space, product = curvature(net, closure_of(net, x, loss))
    outputs = net(x)[0]
    singles = F.cross_entropy(outputs.flatten(0, 1), loss.targets.flatten(), reduction="none")
    wanted = torch.stack(
        [
            space.flat(
                torch.autograd.grad(
                    one, space.parameters, retain_graph=True, materialize_grads=True
                )
            ).square()
            for one in singles
        ]
    ).mean(0)
    found = product.squared_gradients(torch.Generator().manual_seed(0), 4000)
    # 4000 draws leave about two hundredths of noise
    assert (found - wanted).norm() < 0.05 * wanted.norm()
    few = product.squared_gradients(torch.Generator().manual_seed(0), 1)
    assert (few - wanted).norm() > 0.05 * wanted.norm()


def test_the_squared_gradient_of_one_prediction_needs_no_estimate():
    net, x, _ = problem("elman", squared)
    weight = torch.zeros(T, B, dtype=x.dtype)
    weight[-1, 0] = 1
    loss = SquaredError(torch.ones(T, B, O, dtype=x.dtype), weight=weight)
    _, product = curvature(net, closure_of(net, x, loss))
    found = product.squared_gradients(torch.Generator().manual_seed(0), 1)
    torch.testing.assert_close(found, product.gradient().square())


def test_passes_that_are_each_others_transpose_agree_and_others_do_not():
    net, x, loss = problem("elman", squared)
    v = torch.randn(Space(net).read().numel(), dtype=x.dtype)
    _, product = curvature(net, closure_of(net, x, loss))
    assert product.disagreement(v) < 1e-12

    def frozen():
        # holds a weight that nothing can change from outside
        return F.linear(x, kept), loss

    kept = torch.ones(O, I, dtype=x.dtype, requires_grad=True)
    other_net = nn.ParameterDict({"kept": nn.Parameter(kept.detach())})
    kept = other_net["kept"]
    _, blind = curvature(other_net, frozen)
    assert blind.disagreement(torch.ones(O * I, dtype=x.dtype)) == 1.0


def test_structural_damping_without_hidden_states_is_refused():
    net, x, loss = problem("elman", squared)
    with pytest.raises(ValueError, match="needs the hidden states"):
        curvature(net, lambda: (net(x)[0], loss), structural=0.1)


class Once(torch.autograd.Function):
    """A square with a gradient and nothing more."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        return 2 * ctx.saved_tensors[0] * grad


def test_a_model_without_both_ways_is_told_what_to_do():
    net = nn.Linear(2, 1)
    x = torch.ones(3, 2)
    optimizer = ostinato.HessianFree(net)
    with (
        pytest.warns(UserWarning, match="forward mode cannot be used"),
        pytest.raises(NoProductError, match="neither forward mode nor a second derivative"),
    ):
        optimizer.step(lambda: (Once.apply(net(x)), SquaredError(torch.ones(3, 1))))


@pytest.mark.parametrize("loss", [squared, classes, coins], ids=lambda f: f.__name__)
def test_known_losses_say_which_shape_they_need(loss):
    loss = loss(torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="targets must be"):
        loss(torch.zeros(T, B + 1, O))
    with pytest.raises(ValueError, match="rows divides"):
        type(loss)(loss.targets, rows=0)
