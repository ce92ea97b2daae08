import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ostinato.engine import algebra
from ostinato.engine.adjoint import adjoint
from ostinato.engine.expressions import Matrix, Program, make, walk_nodes
from ostinato.engine.interpret import evaluate, reverse_step, step
from ostinato.engine.operations import POINTWISE

W = 7
# away from kinks; ties and ends have tests of their own
SAFE = {"log": (0.2, 3), "sqrt": (0.2, 3), "pow": (0.2, 3), "remainder": (0.3, 0.6)}


def leaf(op, index=0, width=W, start=0):
    return make(op, (), width, (index, start))


def operands(name, generator):
    low, high = SAFE.get(name, (-2.0, 2.0))
    values = torch.rand((POINTWISE[name].arity, 3, W), generator=generator, dtype=torch.float64)
    return [(value * (high - low) + low).requires_grad_() for value in values]


@pytest.mark.parametrize("name", POINTWISE)
def test_each_operation_has_torchs_value_and_derivative(name):
    values = operands(name, torch.Generator().manual_seed(1))
    nodes = [leaf("state", k) for k in range(len(values))]
    if name == "pow":
        values, nodes = values[:1], [nodes[0], algebra.const(2.5)]
        wanted = values[0] ** 2.5
    elif name == "where":
        values[0] = (values[0].detach() > 0).double().requires_grad_()
        wanted = POINTWISE[name].evaluate(*values)
    else:
        wanted = POINTWISE[name].evaluate(*values)
    program = Program((), (), (W,) * len(values), (algebra.pointwise(name, *nodes),))
    (got,), _ = step(program, [], [], values)
    torch.testing.assert_close(got, wanted)
    g = torch.randn_like(wanted)
    d_states, _, _ = reverse_step(program, adjoint(program), [], [], values, [g])
    expected = (
        torch.autograd.grad(wanted, values, g, allow_unused=True)
        if wanted.requires_grad
        else [None] * len(values)
    )
    for found, want in zip(d_states, expected, strict=True):
        torch.testing.assert_close(found, torch.zeros_like(found) if want is None else want)


@pytest.mark.parametrize("name", ["minimum", "maximum"])
def test_equal_operands_share_the_gradient_as_in_torch(name):
    a = torch.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    b = torch.tensor([[1.0, 5.0, 0.0]], requires_grad=True)
    node = algebra.pointwise(name, leaf("state", 0, 3), leaf("state", 1, 3))
    program = Program((), (), (3, 3), (node,))
    found, _, _ = reverse_step(program, adjoint(program), [], [], (a, b), [torch.ones(1, 3)])
    wanted = torch.autograd.grad(getattr(torch, name)(a, b).sum(), (a, b))
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "relu", "exp", "maximum", "where", "add"])
def test_nan_passes_through(name):
    nan = torch.full((1, W), math.nan)
    nodes = [leaf("state", k) for k in range(POINTWISE[name].arity)]
    found = evaluate([algebra.pointwise(name, *nodes)], {"state": [nan] * len(nodes)})
    assert all(found[node].isnan().all() for node in found)


def test_the_table_names_every_operation_once_and_prints_its_operands():
    for name, operation in POINTWISE.items():
        assert operation.name == name
        shown = operation.show.format(*"abc"[: operation.arity])
        assert all(letter in shown for letter in "abc"[: operation.arity])


def test_equal_nodes_are_one_object():
    assert algebra.add(leaf("state"), leaf("state", 1)) is algebra.add(
        leaf("state"), leaf("state", 1)
    )


def test_numbers_are_folded_and_ones_and_zeros_vanish():
    h, one, zero = leaf("state"), algebra.const(1), algebra.const(0)
    assert algebra.mul(h, one) is h
    assert algebra.add(zero, h) is h
    assert algebra.sub(h, zero) is h
    assert algebra.sub(zero, h) is algebra.neg(h)
    assert algebra.neg(algebra.neg(h)) is h
    assert algebra.mul(algebra.const(3), algebra.const(2)) is algebra.const(6)
    assert algebra.mul(h, zero) is not zero, "0 * NaN is NaN"


def test_a_slice_of_a_product_is_a_product_with_fewer_rows():
    product = algebra.matmul(leaf("state"), Matrix(0, 0, 0, 12, W))
    cut = algebra.slice_(product, 4, 8)
    assert (cut.op, cut.width, cut.data) == ("matmul", 4, Matrix(0, 4, 0, 4, W))


def test_a_product_of_joined_values_is_a_sum_of_products():
    joined = algebra.cat([leaf("state", 0, 3), leaf("input", 0, 4)])
    product = algebra.matmul(joined, Matrix(0, 0, 0, 5, 7))
    assert product.op == "add"
    assert [arg.data for arg in product.args] == [Matrix(0, 0, 0, 5, 3), Matrix(0, 0, 3, 5, 4)]


def test_views_cut_and_joined_again_are_the_whole():
    h = leaf("state")
    assert algebra.cat([algebra.slice_(h, 0, 3), algebra.slice_(h, 3, W)]) is h


def test_widths_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="widths 3, 4"):
        algebra.add(leaf("state", 0, 3), leaf("state", 1, 4))
    with pytest.raises(ValueError, match="3:9"):
        algebra.slice_(leaf("state"), 3, 9)


LEAVES = {
    "state": [torch.randn(4, W, dtype=torch.float64) for _ in range(3)],
    "input": [torch.randn(4, W, dtype=torch.float64)],
    "vector": [torch.randn(9, 9, dtype=torch.float64), torch.randn(W, dtype=torch.float64)],
}


@st.composite
def expressions(draw, depth=4):
    """A random node of width W, made by the builders."""
    kind = draw(st.sampled_from(["leaf", "unary", "binary", "matmul", "cat", "sum"]))
    if depth == 0 or kind == "leaf":
        choices = [leaf("state", k) for k in range(3)] + [leaf("input"), leaf("vector", 1)]
        return draw(st.sampled_from([*choices, algebra.const(0.5), algebra.const(1.0, W)]))
    a = algebra.widen(draw(expressions(depth - 1)), W)
    if kind == "unary":
        name = draw(st.sampled_from(["tanh", "sigmoid", "neg", "abs", "relu", "sin"]))
        return algebra.neg(a) if name == "neg" else algebra.pointwise(name, a)
    if kind == "matmul":
        transposed = draw(st.booleans())
        row, column = draw(st.integers(0, 2)), draw(st.integers(0, 2))
        return algebra.matmul(a, Matrix(0, row, column, W, W, transposed))
    if kind == "sum":
        return algebra.mul(algebra.sum_(a), algebra.const(0.1))
    b = algebra.widen(draw(expressions(depth - 1)), W)
    if kind == "cat":
        k = draw(st.integers(1, W - 1))
        return algebra.cat([algebra.slice_(a, k, W), algebra.slice_(b, 0, k)])
    build = draw(st.sampled_from([algebra.add, algebra.sub, algebra.mul]))
    return build(a, b)


def value_of(node):
    return evaluate([node], LEAVES)[node].expand(4, node.width)


@given(expressions(), st.integers(0, W - 1), st.integers(1, W))
def test_any_slice_is_what_a_slice_of_the_value_is(node, start, width):
    node = algebra.widen(node, W)
    stop = min(W, start + width)
    cut = algebra.slice_(node, start, stop)
    torch.testing.assert_close(value_of(cut), value_of(node)[:, start:stop])


@given(expressions())
def test_joined_values_stay_at_the_top(node):
    below = [inner for n in walk_nodes([node]) for inner in n.args if n.op != "cat"]
    assert all(inner.op != "cat" for inner in below)


@given(expressions())
def test_the_reverse_of_any_expression_is_torchs(node):
    program = Program((W,), ((9, 9), (W,)), (W, W, W), (algebra.widen(node, W),))
    state, inputs, statics = (
        [tensor.clone().requires_grad_() for tensor in LEAVES[kind]]
        for kind in ("state", "input", "vector")
    )
    (value,), _ = step(program, inputs, statics, state)
    g = torch.randn_like(value)
    leaves = (*state, *inputs, *statics)
    wanted = (
        torch.autograd.grad(value, leaves, g, allow_unused=True)
        if value.requires_grad
        else [None] * len(leaves)
    )
    found = reverse_step(program, adjoint(program), inputs, statics, state, [g])
    for got, want in zip(sum(found, ()), wanted, strict=True):
        torch.testing.assert_close(got, torch.zeros_like(got) if want is None else want)
