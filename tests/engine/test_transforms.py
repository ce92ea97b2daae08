"""torch.func, and derivatives in forward mode, by kernels or by the reference."""

import pytest
import torch
from torch.autograd import forward_ad
from torch.func import (
    functional_call,
    grad,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    stack_module_state,
    vjp,
    vmap,
)

import ostinato as ost
from ostinato import cells
from ostinato.engine import fused

close = torch.testing.assert_close
T, B, I, H = 4, 2, 3, 4  # noqa: E741
LENGTHS = torch.tensor([4, 2])
LAYERS = {
    "Recurrent": lambda: ost.Recurrent(cells.GRU(I, H), bidirectional=True),
    "LSTM": lambda: ost.LSTM(I, H, 2),
    "zoneout": lambda: ost.GRU(I, H, zoneout=0.3).eval(),
}


@pytest.fixture(params=LAYERS)
def made(request):
    """(a function of parameters and x, parameters, x)"""
    torch.manual_seed(0)
    layer = LAYERS[request.param]().double()
    parameters = {name: p.detach() for name, p in layer.named_parameters()}
    x = torch.randn(T, B, I, dtype=torch.float64)

    def forward(parameters, x):
        return functional_call(layer, parameters, (x,), {"lengths": LENGTHS})[0]

    return forward, parameters, x


def by_autograd(made):
    """Gradients of the sum of squares as a kernel gives them: (by name, of x)."""
    forward, parameters, x = made
    parameters = {name: p.clone().requires_grad_() for name, p in parameters.items()}
    x = x.clone().requires_grad_()
    loss = forward(parameters, x).square().sum()
    *found, dx = torch.autograd.grad(loss, [*parameters.values(), x])
    return dict(zip(parameters, found, strict=True)), dx


def test_grad_equals_autograd(made):
    forward, parameters, x = made
    found = grad(lambda p, x: forward(p, x).square().sum(), argnums=(0, 1))(parameters, x)
    close(found, by_autograd(made))


def test_vjp_equals_autograd(made):
    forward, parameters, x = made
    y, back = vjp(forward, parameters, x)
    close(back(2 * y), by_autograd(made))


def test_jvp_is_the_adjoint_of_vjp(made):
    forward, parameters, x = made
    tangents = {name: torch.randn_like(p) for name, p in parameters.items()}, torch.randn_like(x)
    y, ahead = jvp(forward, (parameters, x), tangents)
    weights, dx = by_autograd(made)
    back = (dx * tangents[1]).sum() + sum((weights[n] * t).sum() for n, t in tangents[0].items())
    close((2 * y * ahead).sum(), back)


def test_jacobians_of_both_modes_agree(made):
    forward, parameters, x = made
    found = [take(lambda x: forward(parameters, x))(x) for take in (jacfwd, jacrev)]
    close(*found)
    assert found[0].abs().sum() > 0
    # padding of the second row
    assert found[0][:, :, :, 2:, 1].abs().sum() == 0


def test_hessian_is_that_of_differentiating_twice(made):
    forward, parameters, x = made

    def loss(x):
        return forward(parameters, x).square().sum()

    close(hessian(loss)(x), torch.autograd.functional.hessian(loss, x))


@pytest.mark.parametrize("name", LAYERS)
def test_an_ensemble_runs_as_one(name):
    torch.manual_seed(1)
    members = [LAYERS[name]() for _ in range(3)]
    x = torch.randn(T, B, I)
    parameters, buffers = stack_module_state(members)
    base = members[0]

    def forward(parameters, buffers, x):
        return functional_call(base, (parameters, buffers), (x,))[0]

    together = vmap(forward, in_dims=(0, 0, None))(parameters, buffers, x)
    close(together, torch.stack([member(x)[0] for member in members]))


def test_gradients_for_each_row(made):
    x = made[2]
    layer = ost.LSTM(I, H).double()
    parameters = {name: p.detach() for name, p in layer.named_parameters()}

    def loss(parameters, row):
        return functional_call(layer, parameters, (row,))[0].square().sum()

    each = vmap(grad(loss), in_dims=(None, 1))(parameters, x)
    for b in range(B):
        close({name: g[b] for name, g in each.items()}, grad(loss)(parameters, x[:, b]))


def test_dual_numbers_go_through(made):
    forward, parameters, x = made
    tangent = torch.randn_like(x)
    with forward_ad.dual_level():
        y = forward(parameters, forward_ad.make_dual(x, tangent))
        found = forward_ad.unpack_dual(y).tangent
    close(found, jvp(lambda x: forward(parameters, x), (x,), (tangent,))[1])


def test_kernels_stand_aside_for_transforms(made, monkeypatch):
    forward, parameters, x = made
    walked = []
    plain = fused.fit_for
    monkeypatch.setattr(fused, "fit_for", lambda call: walked.append(plain(call)) or walked[-1])
    forward(parameters, x)
    assert all(walked)
    walked.clear()
    vmap(lambda row: forward(parameters, row))(torch.stack([x, x]))
    assert not any(walked)


def test_tracing_leaves_the_stand_ins_where_they_are(made):
    forward, parameters, x = made
    doubled = {name: 2 * p for name, p in parameters.items()}
    with ost.engine("llvm"):
        found = forward(doubled, x)
    with ost.engine("eager"):
        close(found, forward(doubled, x))
