import pytest
import torch
from custom_cells import CELLS, traced_custom

from ostinato import cells
from ostinato.engine.adjoint import adjoint
from ostinato.engine.expressions import Matrix, Program, make, walk_nodes
from ostinato.engine.interpret import reverse_step, step
from ostinato.engine.trace import trace


def traced(cell, input_size, widths):
    x = torch.zeros(2, input_size, dtype=torch.float64)
    state = tuple(torch.zeros(2, width, dtype=torch.float64) for width in widths)
    return trace(cell.double(), x, state)


def terms(node):
    """What a sum is the sum of."""
    return [t for arg in node.args for t in terms(arg)] if node.op == "add" else [node]


def lstm():
    cell = cells.LSTM(3, 4)
    return traced(cell, 3, cell.state_sizes)


@pytest.mark.parametrize("name", CELLS)
def test_the_reverse_of_each_custom_cell_is_torchs(name):
    torch.manual_seed(3)
    program = traced_custom(name)[1].program
    state, inputs = (
        [torch.randn(7, width, dtype=torch.float64, requires_grad=True) for width in sizes]
        for sizes in (program.states, program.inputs)
    )
    statics = [
        (torch.rand(shape, dtype=torch.float64) - 0.3).requires_grad_() for shape in program.statics
    ]
    new, emits = step(program, inputs, statics, state)
    g, ge = ([torch.randn_like(value) for value in values] for values in (new, emits))
    leaves = (*state, *inputs, *statics)
    wanted = torch.autograd.grad(
        (*new, *emits), leaves, (*g, *ge), allow_unused=True, materialize_grads=True
    )
    found = reverse_step(program, adjoint(program), inputs, statics, state, g, ge)
    torch.testing.assert_close(sum(found, ()), wanted, rtol=1e-10, atol=1e-10)


def test_an_lstm_has_one_gradient_for_each_gate_shared_by_all_that_needs_it():
    reverse = adjoint(lstm().program)
    gates = {product.d for product in reverse.products}
    assert len(gates) == 4
    assert {gate.width for gate in gates} == {4}
    assert {vector.d for vector in reverse.vectors} == gates
    assert {product.args[0] for product in terms(reverse.d_states[0])} == gates


def test_the_reverse_reads_results_and_not_what_made_them():
    # the derivative of tanh and sigmoid is written with their result, which is kept
    reverse = adjoint(lstm().program)
    nodes = list(walk_nodes(reverse.roots()))
    readers = [node for node in nodes if node.op not in ("tanh", "sigmoid", "add", "matmul")]
    forward = {n for r in lstm().program.new_states for n in walk_nodes([r]) if n.op == "matmul"}
    assert not any(arg in forward for node in readers for arg in node.args)


def test_a_product_from_the_right_changes_places():
    matrix = Matrix(0, 1, 2, 3, 4, transposed=True)
    state = make("state", (), 3, (0, 0))
    program = Program((), ((5, 6),), (3,), (make("matmul", (state,), 4, matrix),))
    (product,) = adjoint(program).products
    assert product.matrix == Matrix(0, 1, 2, 3, 4)
    assert product.d is state


def test_what_reaches_nothing_has_no_gradient():
    state = [make("state", (), 2, (k, 0)) for k in range(2)]
    program = Program((3,), (), (2, 2), (state[0], state[0]))
    reverse = adjoint(program)
    assert reverse.d_states[1] is None
    assert reverse.d_inputs == (None,)
    assert reverse.products == reverse.vectors == ()


def test_units_that_nothing_reads_get_zero():
    half = make("state", (), 2, (0, 2))
    program = Program((), (), (4, 2), (make("const", (), 4, 0.0), half))
    (d, _), _, _ = reverse_step(
        program,
        adjoint(program),
        [],
        [],
        [torch.ones(1, 4), torch.ones(1, 2)],
        [torch.ones(1, 4), torch.full((1, 2), 3.0)],
    )
    assert d.tolist() == [[0, 0, 3, 3]]
