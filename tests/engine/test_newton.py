"""Newton's iteration over whole sequences: what it finds, what it leaves, and its gradient."""

import dataclasses
import warnings

import pytest
import torch
from against_eager import assert_equal, error, in_double, make_call, padded, results

import ostinato
from ostinato import cells
from ostinato.engine import eager, newton, run, scan
from ostinato.engine.fused import EngineWarning
from ostinato.engine.newton import ITERATIONS, fixed_point, implicit

H = 4


class Elementwise:
    """h[t] = tanh(x[t] + u h[t-1]); tensors: start, x, u."""

    reverse = False

    def before(self, states, tensors):
        return torch.cat([tensors[0][None], states[:-1]])

    def step(self, old, tensors):
        made = torch.tanh(tensors[1] + tensors[2] * old)
        return made, (1 - made * made) * tensors[2]


def leaves(T, scale=1.0, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    start, x, u = (torch.randn(*s, generator=generator) for s in ((2, 3), (T, 2, 3), (3,)))
    return [part.to(dtype).requires_grad_() for part in (start, x, u.tanh() * scale)]


def walked(start, x, u):
    states = [start]
    for row in x:
        states.append(torch.tanh(row + u * states[-1]))
    return torch.stack(states[1:])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("T", [1, 2, 33, 1500])
def test_it_finds_what_the_walk_finds(T, dtype):
    tensors = leaves(T, dtype=dtype)
    found, rounds = fixed_point(Elementwise(), torch.zeros(T, 2, 3, dtype=dtype), tensors)
    assert rounds <= 10
    wanted = walked(*(part.double() for part in tensors))
    assert error(found, wanted) <= 10 * torch.finfo(dtype).eps


def test_a_guess_that_is_right_takes_one_round():
    tensors = leaves(50)
    _, rounds = fixed_point(Elementwise(), walked(*tensors).detach(), tensors)
    assert rounds == 1


def test_what_does_not_settle_is_left():
    """Slopes above one: every round makes a few steps right and spoils the rest."""
    tensors = leaves(2000, scale=40.0)
    assert fixed_point(Elementwise(), torch.zeros(2000, 2, 3).double(), tensors) == (
        None,
        ITERATIONS,
    )


def test_a_nan_is_never_taken_for_a_solution():
    tensors = leaves(40)
    with torch.no_grad():
        tensors[1][20] = float("nan")
    assert fixed_point(Elementwise(), torch.zeros(40, 2, 3).double(), tensors)[0] is None


def test_the_gradient_is_that_of_the_walk_and_so_is_its_gradient():
    def run(*tensors):
        solution, _ = fixed_point(Elementwise(), torch.zeros(9, 2, 3).double(), tensors)
        return implicit(Elementwise(), solution, tensors)

    tensors = leaves(9)
    torch.autograd.gradcheck(run, tensors)
    torch.autograd.gradgradcheck(run, tensors)
    weight = torch.randn(9, 2, 3, dtype=torch.float64)
    for got, want in zip(
        torch.autograd.grad(run(*tensors), tensors, weight),
        torch.autograd.grad(walked(*tensors), tensors, weight),
        strict=True,
    ):
        torch.testing.assert_close(got, want, rtol=1e-11, atol=1e-11)


# cells

FORMS = [
    {},
    {"reverse": True},
    {"lengths": torch.tensor([3, 0, 21, 2, 6]), "reverse": True},
    {"reset": torch.rand(21, 5, generator=torch.Generator().manual_seed(1)) < 0.2},
    {
        "lengths": torch.tensor([3, 0, 21, 2, 6]),
        "reset": torch.rand(21, 5, generator=torch.Generator().manual_seed(2)) < 0.2,
    },
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid"])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: " ".join(form) or "plain")
def test_indrnn_equals_the_reference(form, activation, dtype):
    torch.manual_seed(2)
    cell = cells.IndRNN(3, H, activation=activation)
    call = make_call(cell, (H,), I=3, T=21, B=5, dtype=dtype, **form)
    if call.lengths is not None:
        call = dataclasses.replace(call, x=padded(call.x, call.lengths))
    double = in_double(call)
    assert_equal(results(call, scan.walk(call)), results(double, eager.walk(double)), dtype)


def test_indrnn_passes_gradcheck_twice():
    torch.manual_seed(2)
    call = make_call(
        cells.IndRNN(2, 2, activation="tanh"), (2,), I=2, T=6, B=2, dtype=torch.float64
    )
    names = list(dict(call.cell.named_parameters()))

    def walk(x, state, *parameters):
        stand_ins = dict(zip(names, parameters, strict=True))
        walk = scan.walk(dataclasses.replace(call, x=x, state=(state,), parameters=stand_ins))
        return walk.output, *walk.state

    inputs = (call.x, call.state[0], *call.cell.parameters())
    torch.autograd.gradcheck(walk, inputs)
    torch.autograd.gradgradcheck(walk, inputs)


def unsettled():
    torch.manual_seed(0)
    cell = cells.IndRNN(3, H, activation="tanh")
    with torch.no_grad():
        cell.weight_hh.fill_(6.0)
    return make_call(cell, (H,), I=3, T=1200, B=1, dtype=torch.float64)


def test_what_does_not_settle_is_walked_with_one_warning():
    call = unsettled()
    with ostinato.engine("scan"):
        with pytest.warns(
            EngineWarning, match=r"IndRNN is walked step by step: Newton.* 24 rounds"
        ):
            found = run(call)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            again = run(call)
    wanted = eager.walk(call)
    assert torch.equal(found.output, wanted.output)
    assert torch.equal(again.output, wanted.output)


def test_auto_does_not_try_again_what_did_not_settle(monkeypatch):
    call = unsettled()
    with pytest.warns(EngineWarning, match="did not settle"):
        assert scan.walk(call, forced=False) is None
    monkeypatch.setattr(scan, "fixed_point", None)
    assert scan.walk(call, forced=False) is None


def test_the_count_of_rounds_is_that_which_is_told(monkeypatch):
    tensors, seen = leaves(2000, scale=40.0), []

    class Counted(Elementwise):
        def step(self, old, tensors):
            seen.append(None)
            return super().step(old, tensors)

    fixed_point(Counted(), torch.zeros(2000, 2, 3).double(), tensors)
    assert len(seen) == newton.ITERATIONS
    assert f"{ITERATIONS} " in ostinato.explain(cells.IndRNN(3, 4)).parallel
