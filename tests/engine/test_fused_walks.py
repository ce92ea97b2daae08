"""Lengths, resets and both directions in any combination, on kernels that are made once."""

import dataclasses
import functools

import pytest
import torch
from against_eager import compare, make_call, padded, walk_fused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ostinato import cells

I, H = 3, 5  # noqa: E741


@functools.cache
def cell_of(name):
    torch.manual_seed(2)
    return cells.by_name(name)(I, H).double()


@st.composite
def forms(draw):
    """Sizes, lengths with zeros, marks anywhere, a direction."""
    T, B = draw(st.integers(1, 7)), draw(st.integers(1, 8))
    lengths = draw(st.none() | st.lists(st.integers(0, T), min_size=B, max_size=B))
    marks = draw(st.none() | st.lists(st.booleans(), min_size=T * B, max_size=T * B))
    return {
        "T": T,
        "B": B,
        "lengths": None if lengths is None else torch.tensor(lengths),
        "reset": None if marks is None else torch.tensor(marks).view(T, B),
        "reverse": draw(st.booleans()),
        "all_states": draw(st.booleans()),
        "seed": draw(st.integers(0, 99)),
    }


@pytest.mark.parametrize("name", ["lstm", "mgu"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(form=forms())
def test_any_form_of_a_walk_equals_the_reference(name, form):
    cell = cell_of(name)
    call = make_call(cell, cell.state_sizes, I=I, dtype=torch.float64, **form)
    if call.lengths is not None:
        call = dataclasses.replace(call, x=padded(call.x, call.lengths))
    compare(call)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_padding_touches_nothing(value):
    cell, lengths = cell_of("lstm"), torch.tensor([2, 0, 5, 4])
    call = make_call(cell, (H, H), I=I, T=5, B=4, dtype=torch.float64, lengths=lengths)
    dirty = dataclasses.replace(call, x=padded(call.x, lengths, value))
    found, wanted = walk_fused(dirty), walk_fused(call)
    assert torch.equal(found.output, wanted.output)
    assert all(map(torch.equal, found.state, wanted.state))
    (grad,) = torch.autograd.grad(found.output.sum(), dirty.x)
    padding = torch.arange(5)[:, None] >= lengths
    assert not grad[padding].any()
    assert (grad[~padding] != 0).all()
    assert not found.output[padding].any()


def test_a_row_does_not_depend_on_the_company_it_keeps():
    """Up to rounding: another tile adds up in another order."""
    cell = cell_of("lstm")
    call = make_call(cell, (H, H), I=I, T=6, B=9, dtype=torch.float64)
    alone = walk_fused(call).output
    lengths = torch.tensor([6, 1, 2, 3, 4, 5, 6, 0, 2])
    mixed = walk_fused(dataclasses.replace(call, lengths=lengths)).output
    for b, n in enumerate(lengths.tolist()):
        torch.testing.assert_close(mixed[:n, b], alone[:n, b], rtol=1e-13, atol=1e-13)


def test_a_mark_on_every_step_makes_each_step_the_first():
    cell = cell_of("lstm")
    marks = torch.ones(4, 3, dtype=torch.bool)
    call = make_call(cell, (H, H), I=I, T=4, B=3, dtype=torch.float64, reset=marks)
    walk = walk_fused(call)
    for t in range(4):
        h, c = cell(call.x[t], *call.reset_state)
        torch.testing.assert_close(walk.output[t], h)
        torch.testing.assert_close(walk.states[1][t], c)
    grads = torch.autograd.grad(walk.output.sum(), call.state)
    assert not any(grad.any() for grad in grads)
