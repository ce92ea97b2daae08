"""What is told to be affine or elementwise is so, and what is so is told."""

import pytest
import torch
from custom_cells import CELLS
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import nn

from ostinato import cells
from ostinato.engine.affine import Plan, plan_of
from ostinato.engine.algebra import add, cat, const, div, matmul, mul, neg, pointwise, slice_, sub
from ostinato.engine.algebra import sum_ as sum_of
from ostinato.engine.expressions import Matrix, Program, make
from ostinato.engine.interpret import evaluate, step
from ostinato.engine.trace import trace

W = 4
H0, X = (make(op, (), W, (0, 0)) for op in ("state", "input"))
H1 = make("state", (), W, (1, 0))
VECTOR = make("vector", (), W, (1, 0))
MATRIX = Matrix(0, 0, 0, W, W)
SMOOTH = ("tanh", "sigmoid", "sin")


def program(*new_states, emits=()):
    return Program((W,), ((W, W), (W,)), (W,) * len(new_states), new_states, tuple(emits))


def values(seed=0, states=1):
    generator = torch.Generator().manual_seed(seed)

    def rows(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return [rows(2, W)], [rows(W, W), rows(W)], [rows(2, W) for _ in range(states)]


def known(depth=2):
    """Expressions of inputs and parameters alone."""
    leaves = st.sampled_from([X, VECTOR, const(0.7, W), const(-1.0, 1), sum_of(X)])
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(add, inner, inner),
            st.builds(mul, inner, inner),
            st.builds(lambda a: matmul(a, MATRIX), inner),
            st.builds(lambda op, a: pointwise(op, a), st.sampled_from(SMOOTH), inner),
        ),
        max_leaves=depth,
    )


def affine(own=H0):
    """Expressions that are affine in a state, whatever they look like."""
    return st.recursive(
        st.just(own),
        lambda inner: st.one_of(
            st.builds(add, inner, known()),
            st.builds(sub, known(), inner),
            st.builds(add, inner, inner),
            st.builds(sub, inner, inner),
            st.builds(mul, known(), inner),
            st.builds(lambda a, k: div(a, add(const(1.5), mul(k, k))), inner, known()),
            st.builds(neg, inner),
            st.builds(
                lambda c, a, b: pointwise("where", pointwise("gt", c, const(0.0)), a, b),
                known(),
                inner,
                st.one_of(inner, known()),
            ),
        ),
        max_leaves=4,
    )


def elementwise():
    """Expressions of a state, unit by unit."""
    return st.recursive(
        st.sampled_from([H0, H0, X, VECTOR, matmul(X, MATRIX), sum_of(X)]),
        lambda inner: st.one_of(
            st.builds(mul, inner, inner),
            st.builds(sub, inner, inner),
            st.builds(lambda op, a: pointwise(op, a), st.sampled_from((*SMOOTH, "abs")), inner),
            st.builds(
                lambda a, b, c: pointwise("where", pointwise("gt", a, b), b, c), *[inner] * 3
            ),
        ),
        max_leaves=6,
    )


def anything():
    """Expressions of a state, affine, elementwise or neither."""
    return st.recursive(
        st.sampled_from([H0, H0, X, VECTOR, const(0.3, W)]),
        lambda inner: st.one_of(
            st.builds(add, inner, inner),
            st.builds(mul, inner, inner),
            st.builds(sub, inner, inner),
            st.builds(lambda op, a: pointwise(op, a), st.sampled_from((*SMOOTH, "relu")), inner),
            st.builds(lambda a: matmul(a, MATRIX), inner),
            st.builds(lambda a: mul(a, sum_of(a)), inner),
            st.builds(lambda a: cat([slice_(a, 1, W), slice_(a, 0, 1)]), inner.map(full)),
            st.builds(lambda a: cat([slice_(a, 0, 1), slice_(X, 1, W)]), inner.map(full)),
        ),
        max_leaves=6,
    )


def full(node):
    return node if node.width == W else mul(node, const(1.0, W))


def slopes(new, seed):
    """The whole matrix of derivatives of a new state in the old one, [W, W], at one row."""
    inputs, statics, (h,) = values(seed)

    def run(row):
        return step(program(new), [inputs[0][:1]], statics, [row[None]])[0][0][0]

    return torch.autograd.functional.jacobian(run, h[0])


quick = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))


@quick
@given(affine().map(full))
def test_what_is_affine_is_told_so_and_split_right(new):
    plan = plan_of(program(new), ("h",))
    assert isinstance(plan, Plan)
    (block,) = plan.blocks
    assert block.affine
    inputs, statics, state = values()
    leaves = {"input": inputs, "vector": statics, "state": state}
    roots = [node for node in (block.value, block.slope, block.offset) if node is not None]
    found = evaluate(roots, leaves)
    slope = found[block.slope] if block.slope else torch.zeros(())
    torch.testing.assert_close(
        (slope * state[0] + found[block.offset]).expand(2, W),
        found[block.value].expand(2, W),
        rtol=1e-9,
        atol=1e-9,
    )


@quick
@given(anything().map(full), st.integers(0, 5))
def test_what_is_taken_for_elementwise_is_so_and_its_slope_is_right(new, seed):
    plan = plan_of(program(new), ("h",))
    assume(isinstance(plan, Plan) and len(plan.blocks) == 1)
    (block,) = plan.blocks
    matrix = slopes(new, seed)
    assert torch.equal(matrix, matrix.diag().diag())
    inputs, statics, state = values(seed)
    if block.slope is None:
        assert not matrix.any()
        return
    leaves = {"input": inputs, "vector": statics, "state": state}
    found = evaluate([block.slope], leaves)[block.slope].expand(2, W)
    torch.testing.assert_close(found[0], matrix.diag(), rtol=1e-9, atol=1e-9)


@quick
@given(anything().map(full))
def test_what_is_taken_for_affine_has_one_slope_everywhere(new):
    plan = plan_of(program(new), ("h",))
    assume(isinstance(plan, Plan) and all(block.affine for block in plan.blocks))
    assume(len(plan.blocks) == 1)
    inputs, statics, (h,) = values(1)
    (a,), (b,), (middle,) = (
        step(program(new), inputs, statics, [at])[0] for at in (h, h * 3, h * 2)
    )
    torch.testing.assert_close((a + b) / 2, middle, rtol=1e-8, atol=1e-8)


@quick
@given(elementwise().map(full))
def test_what_is_elementwise_is_never_refused(new):
    assert isinstance(plan_of(program(new), ("h",)), Plan)


NONE = [
    ("a product of states", mul(H0, H0), "Newton"),
    ("a nonlinearity", pointwise("tanh", add(H0, X)), "Newton"),
    ("a condition on the state", pointwise("where", pointwise("gt", H0, X), X, VECTOR), "Newton"),
    ("a division by the state", div(X, H0), "Newton"),
    ("rounding", pointwise("floor", H0), "Newton"),
    ("a matrix", add(X, matmul(H0, MATRIX)), "walk"),
    ("a sum over the units", mul(X, sum_of(H0)), "walk"),
    ("a swap", cat([slice_(H0, 2, W), slice_(H0, 0, 2)]), "walk"),
]


@pytest.mark.parametrize(("new", "way"), [pytest.param(n, w, id=t) for t, n, w in NONE])
def test_what_is_not_affine_is_never_taken_for_it(new, way):
    plan = plan_of(program(new), ("h",))
    if way == "walk":
        assert plan == "the units of h hear each other's past"
    else:
        assert not plan.blocks[0].affine


# several states, and pieces of one


def test_a_state_may_hear_another_in_any_way_once_that_is_known():
    first = add(mul(pointwise("sigmoid", X), H0), X)
    second = add(mul(pointwise("tanh", matmul(H0, MATRIX)), H1), pointwise("tanh", first))
    plan = plan_of(program(first, second), ("a", "b"))
    assert [block.state for block in plan.blocks] == [0, 1]
    assert all(block.affine for block in plan.blocks)
    assert plan.recalled == {0}


def test_states_are_ordered_whichever_is_named_first():
    first = add(mul(pointwise("tanh", matmul(H1, MATRIX)), H0), X)
    plan = plan_of(program(first, add(mul(X, H1), VECTOR)), ("b", "a"))
    assert [block.state for block in plan.blocks] == [1, 0]
    assert plan.recalled == {1}


def test_states_that_hear_each_other_are_named():
    assert plan_of(program(add(H0, H1), mul(X, H0)), ("h", "c")) == "h and c hear each other's past"


def test_a_state_of_two_parts_is_taken_apart():
    """[c, h] side by side, as some write an LSTM's state: h is made of c and hears no past."""
    c, f = slice_(H0, 0, 2), pointwise("sigmoid", slice_(X, 0, 2))
    new = add(mul(f, c), slice_(X, 2, W))
    plan = plan_of(program(cat([new, pointwise("tanh", new)])), ("state",))
    assert plan.pieces == ((0, 0), (0, 2))
    assert [(block.affine, block.slope is None) for block in plan.blocks] == [
        (True, False),
        (True, True),
    ]


def test_a_delay_line_is_a_row_of_states():
    new = cat([slice_(X, 0, 1), slice_(H0, 0, W - 1)])
    plan = plan_of(program(new), ("taps",))
    assert [block.state for block in plan.blocks] == [0, 1, 2, 3]
    assert all(block.slope is None for block in plan.blocks)


def test_a_value_known_by_a_state_is_not_made_again():
    new = add(mul(X, H0), VECTOR)
    plan = plan_of(program(new, emits=[pointwise("tanh", new)]), ("h",))
    assert plan.emits == (pointwise("tanh", make("input", (), W, (1, 0))),)
    assert plan.recalled == frozenset()


# cells


class Exponential(nn.Module):
    """An average that forgets, as people write it."""

    def __init__(self, size):
        super().__init__()
        self.logit = nn.Parameter(torch.randn(size))

    def forward(self, x, h):
        return torch.lerp(h, x, torch.sigmoid(self.logit))


AFFINE = {"mingru", "minlstm", "fo-pooling"}
NEWTON = {"indrnn", "SRU", "activations"}


def recurrence(name):
    if name in CELLS:
        make_cell, input_size, widths = CELLS[name]
        cell = make_cell()
    else:
        cell, input_size = cells.by_name(name)(5, 8), 5
        widths = cell.state_sizes
    return trace(cell, torch.zeros(2, input_size), tuple(torch.zeros(2, w) for w in widths))


@pytest.mark.parametrize("name", [*cells.NAMES, *CELLS])
def test_each_cell_is_known_for_what_it_is(name):
    found = recurrence(name)
    plan = plan_of(found.program, found.state_names)
    assert isinstance(plan, Plan) == (name in AFFINE | NEWTON)
    if isinstance(plan, Plan):
        assert all(block.affine for block in plan.blocks) == (name in AFFINE)


def test_an_exponential_average_is_affine():
    found = trace(Exponential(3), torch.zeros(2, 3), (torch.zeros(2, 3),))
    (block,) = plan_of(found.program, found.state_names).blocks
    assert block.affine
