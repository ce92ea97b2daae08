"""The scan against the loop that it stands for."""

import pytest
import torch

from ostinato.engine import associative
from ostinato.engine.associative import adjoint, scan

LENGTHS = (1, 2, 7, 8, 15, 16, 17, 63, 64, 65, 127, 129, 520)


def loop(a, b, start, reverse=False):
    old, found = start, [None] * len(a)
    for t in reversed(range(len(a))) if reverse else range(len(a)):
        old = found[t] = a[t] * old + b[t]
    return torch.stack(found)


def drawn(T, B=2, S=3, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def leaf(*shape):
        # below one, for the states to stay of one size
        return torch.randn(*shape, generator=generator, dtype=dtype).tanh().requires_grad_()

    return leaf(T, B, S), leaf(T, B, S), leaf(B, S)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("T", LENGTHS)
def test_states_and_gradients_equal_the_loops(T, reverse):
    leaves = drawn(T)
    weight = torch.randn(T, 2, 3, dtype=torch.float64)
    found, wanted = scan(*leaves, reverse=reverse), loop(*leaves, reverse)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    for got, want in zip(
        torch.autograd.grad(found, leaves, weight),
        torch.autograd.grad(wanted, leaves, weight),
        strict=True,
    ):
        torch.testing.assert_close(got, want, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("T", [1, 2, 19])
def test_gradients_and_their_gradients_pass_gradcheck(T, reverse):
    leaves = drawn(T, B=1, S=2)

    def run(a, b, start):
        return scan(a, b, start, reverse=reverse)

    torch.autograd.gradcheck(run, leaves)
    torch.autograd.gradgradcheck(run, leaves)


def test_the_adjoint_is_the_same_with_and_without_a_graph():
    a, g, _ = drawn(40)
    for reverse in (False, True):
        with torch.no_grad():
            plain = adjoint(a, g, reverse=reverse)
        graph = adjoint(a, g, reverse=reverse)
        assert graph.requires_grad
        torch.testing.assert_close(plain, graph, rtol=1e-12, atol=1e-12)


def test_an_expanded_factor_costs_no_memory_and_gets_its_sum():
    decay = torch.tensor([0.9, -0.5], dtype=torch.float64, requires_grad=True)
    _, b, start = drawn(70, S=2)
    found = scan(decay.expand(70, 2, 2), b, start)
    wanted = loop(decay.expand(70, 2, 2), b, start)
    (got,), (want,) = (torch.autograd.grad(part.sum(), decay) for part in (found, wanted))
    torch.testing.assert_close(got, want, rtol=1e-11, atol=1e-11)


def test_inputs_in_any_memory_layout():
    a, b, start = (part.detach() for part in drawn(50, S=4))
    strange = [part.transpose(0, 2).contiguous().transpose(0, 2) for part in (a, b)]
    assert not strange[0].is_contiguous()
    found = scan(*strange, start.t().contiguous().t())
    torch.testing.assert_close(found, loop(a, b, start), rtol=1e-9, atol=1e-9)


def test_factors_whose_product_overflows_leave_finite_states_alone():
    a = torch.full((2000, 1, 2), 3.0)
    b, start = torch.zeros(2000, 1, 2), torch.zeros(1, 2)
    # zero times infinity would be no number
    assert torch.equal(scan(a, b, start), torch.zeros(2000, 1, 2))
    b[1999] = 1.0
    assert torch.equal(scan(a, b, start), b)


def test_infinity_and_nan_appear_where_they_do_in_the_loop():
    a, b, start = (part.detach() for part in drawn(100))
    b[30, 0, 0], b[60, 1, 1], a[80, 0, 0] = float("inf"), float("nan"), 0.0
    torch.testing.assert_close(scan(a, b, start), loop(a, b, start), equal_nan=True)


def test_no_loop_over_the_steps_is_taken(monkeypatch):
    taken = []
    walk = associative._walk
    monkeypatch.setattr(
        associative, "_walk", lambda a, *rest: (taken.append(len(a)), walk(a, *rest))
    )
    scan(*(part.detach() for part in drawn(4096)))
    assert taken
    assert max(taken) < 16
