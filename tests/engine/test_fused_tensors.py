"""Tensors as people hand them over: views of all kinds, and some that need no gradient."""

import dataclasses
import itertools

import pytest
import torch
from against_eager import compare, in_double, make_call, results, walk_fused
from torch import nn

from ostinato import cells
from ostinato.engine import eager

T, B, I, H = 4, 6, 5, 7  # noqa: E741
WIDE = torch.randn(3 * T, 3 * B, 2 * I, generator=torch.Generator().manual_seed(1))

VIEWS = {
    "transposed": WIDE[:B, :T, :I].transpose(0, 1),
    "time inside": WIDE[:B, :I, :T].permute(2, 0, 1),
    "inputs first": WIDE[:I, :T, :B].permute(1, 2, 0),
    "every other unit": WIDE[:T, :B, ::2],
    "a cut": WIDE[3 : 3 + T, 2 : 2 + B, 4 : 4 + I],
    "every third step": WIDE[::3, ::3, :I],
    "backwards": WIDE[:T, :B, :I].flip(0),
    "one row for all": WIDE[:T, :1, :I].expand(-1, B, -1),
    "one step for all": WIDE[:1, :B, :I].expand(T, -1, -1),
    "one number for all": WIDE[:1, :1, :1].expand(T, B, I),
}


def call_of(make=lambda: cells.GRU(I, H), **changes):
    torch.manual_seed(5)
    cell = make()
    return dataclasses.replace(make_call(cell, cell.state_sizes, I=I, T=T, B=B), **changes)


@pytest.mark.parametrize("form", ["", "lengths", "reverse"])
@pytest.mark.parametrize("name", VIEWS)
def test_any_view_as_the_input(name, form):
    options = {"lengths": torch.tensor([4, 0, 1, 2, 3, 4])} if form == "lengths" else {}
    view = VIEWS[name].detach().requires_grad_()
    compare(call_of(x=view, reverse=form == "reverse", **options))


def test_a_view_passes_its_gradient_on():
    base = WIDE.clone().requires_grad_()
    found = walk_fused(call_of(x=base[:B, :T, :I].transpose(0, 1))).output
    double = base.detach().double().requires_grad_()
    plain = in_double(call_of())
    wanted = eager.walk(dataclasses.replace(plain, x=double[:B, :T, :I].transpose(0, 1))).output
    grads = [torch.autograd.grad(y.sum(), leaf)[0] for y, leaf in ((found, base), (wanted, double))]
    torch.testing.assert_close(grads[0].double(), grads[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "state",
    [
        WIDE[0, :H, :B].t(),
        WIDE[:B, 0, 1 : 1 + H],
        WIDE[0, :1, :H].expand(B, -1),
        WIDE[0, 0, :1].expand(B, H),
        WIDE[0, 0, :H].expand(B, H),
    ],
    ids=["transposed", "strided", "one row", "one number", "one vector"],
)
def test_any_view_as_the_state(state):
    lengths = torch.tensor([4, 0, 1, 2, 3, 4])
    for options in ({}, {"lengths": lengths}):
        compare(call_of(state=(state.detach().requires_grad_(),), **options))


def test_parameters_that_are_views_of_another_tensor():
    flat = torch.randn(4 * H * (I + H) + 4 * H, generator=torch.Generator().manual_seed(2)) * 0.3
    cut = (I * H, 4 * H * I, 4 * H * (I + H))
    given = {
        "gates.weight_ih": flat[: cut[1]].view(I, 4 * H).t().detach().requires_grad_(),
        "gates.weight_hh": flat[cut[1] : cut[2]].view(4 * H, H).detach().requires_grad_(),
        "gates.bias": flat[cut[2] :].flip(0).detach().requires_grad_(),
    }
    compare(call_of(lambda: cells.LSTM(I, H), parameters=given))


def test_gradients_reach_stand_ins_and_not_the_parameters_they_stand_for():
    weight = torch.zeros(3 * H, H, requires_grad=True)
    call = call_of(parameters={"gates.weight_hh": weight})
    walk_fused(call).output.sum().backward()
    assert weight.grad.any()
    assert call.cell.gates.weight_hh.grad is None
    assert call.cell.gates.weight_ih.grad is not None


class Tied(nn.Module):
    """One matrix in two places, under two names."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(H, H)
        self.b = nn.Linear(H, H)
        self.b.weight = self.a.weight
        self.x = nn.Linear(I, H)

    def forward(self, x, h):
        return torch.tanh(self.b(torch.sigmoid(self.a(h))) + self.x(x))


def test_a_tied_matrix_gets_the_sum_of_its_gradients():
    compare(make_call(Tied(), (H,), I=I, T=T, B=B))
    weight = torch.randn(H, H, requires_grad=True)
    compare(make_call(Tied(), (H,), I=I, T=T, B=B, parameters={"a.weight": weight}))


@pytest.mark.parametrize("needs", [*itertools.product([True, False], repeat=3)], ids=str)
def test_gradients_come_for_what_needs_them_alone(needs):
    for make in (lambda: cells.LSTM(I, H), lambda: cells.MGU(I, H)):
        call = call_of(make)
        x_needs, state_needs, parameters_need = needs
        call.x.requires_grad_(x_needs)
        for part in call.state:
            part.requires_grad_(state_needs)
        call.cell.requires_grad_(parameters_need)
        assert walk_fused(call).output.requires_grad is any(needs)
        compare(call)


@pytest.mark.parametrize("kept", ["gates.weight_ih", "gates.weight_hh", "gates.bias"])
def test_one_parameter_learns_and_the_others_are_frozen(kept):
    call = call_of()
    for name, parameter in call.cell.named_parameters():
        parameter.requires_grad_(name == kept)
    compare(call)
    assert f"d {kept}" in results(call, walk_fused(call))


@pytest.mark.parametrize("used", ["output", "state", "states", "none of the last step"])
def test_gradients_come_from_any_of_the_outputs_alone(used):
    def total(call, walk):
        if used == "output":
            return walk.output.square().sum()
        if used == "states":
            return walk.states[1].square().sum()
        if used == "state":
            return walk.state[1].square().sum()
        return walk.output[:-1, 1:].square().sum()

    call = call_of(lambda: cells.LSTM(I, H))
    double = in_double(call)
    leaves = [(one.x, *one.state, *one.cell.parameters()) for one in (call, double)]
    found = torch.autograd.grad(total(call, walk_fused(call)), leaves[0])
    wanted = torch.autograd.grad(total(double, eager.walk(double)), leaves[1])
    for g, want in zip(found, wanted, strict=True):
        torch.testing.assert_close(g.double(), want, rtol=1e-5, atol=1e-6)
