"""The tangent of a step, joint and alone, against torch's own forward mode."""

import pytest
import torch
from custom_cells import CELLS, traced_custom
from torch.func import jvp

from ostinato import cells
from ostinato.engine.expressions import Program, make, walk_nodes
from ostinato.engine.interpret import step
from ostinato.engine.operations import POINTWISE
from ostinato.engine.tangent import Direction, linearise, tangent
from ostinato.engine.trace import trace

close = torch.testing.assert_close
OWN = {
    "elman": lambda: cells.Elman(3, 4),
    "lstm": lambda: cells.LSTM(3, 4),
    "joint": lambda: cells.LSTM(3, 4, joint=True),
    "normed": lambda: cells.LSTM(3, 4, layer_norm=True),
    "gru": lambda: cells.GRU(3, 4),
    "gru before": lambda: cells.GRU(3, 4, reset="before"),
}


def draw(sizes, seed, rows=7):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(rows, n, generator=generator, dtype=torch.float64) for n in sizes]


def drawn(program, seed):
    """(inputs, statics, state) of a step, 7 rows."""
    generator = torch.Generator().manual_seed(seed)
    statics = [
        torch.rand(shape, generator=generator, dtype=torch.float64) - 0.3
        for shape in program.statics
    ]
    return draw(program.inputs, seed), statics, draw(program.states, seed + 1)


def program_of(name):
    if name in CELLS:
        return traced_custom(name)[1].program
    torch.manual_seed(0)
    cell = OWN[name]().double()
    x = torch.zeros(2, 3, dtype=torch.float64)
    state = tuple(torch.zeros(2, n, dtype=torch.float64) for n in cell.state_sizes)
    return trace(cell, x, state).program


def directions(program):
    inputs, statics = range(len(program.inputs)), range(len(program.statics))
    yield "all", Direction(tuple(inputs), tuple(statics))
    yield "states alone", Direction((), ())
    yield "weights", Direction((), tuple(statics))
    yield "some", Direction(tuple(inputs[-1:]), tuple(statics[::2]))


def by_torch(program, values, changes, direction):
    """The tangents of (new states, emits)."""
    inputs, statics, state = values
    still = [torch.zeros_like(t) for t in (*inputs, *statics)]
    moved = [*still, *changes[2]]
    for j in direction.inputs:
        moved[j] = changes[0][j]
    for s in direction.statics:
        moved[len(inputs) + s] = changes[1][s]
    a, b = len(inputs), len(inputs) + len(statics)

    def flat(*tensors):
        new, emits = step(program, tensors[:a], tensors[a:b], tensors[b:])
        return *new, *emits

    return jvp(flat, (*inputs, *statics, *state), tuple(moved))[1]


@pytest.mark.parametrize("name", [*CELLS, *OWN])
def test_the_tangent_of_each_cell_is_torchs_joint_and_alone(name):
    program = program_of(name)
    values, changes = drawn(program, 3), drawn(program, 11)
    inputs, statics, state = values
    new, emits = step(program, inputs, statics, state)
    for label, direction in directions(program):
        wanted = by_torch(program, values, changes, direction)
        d_inputs = [changes[0][j] for j in direction.inputs]
        d_statics = [changes[1][s] for s in direction.statics]
        joint = tangent(program, direction)
        both = step(joint, inputs + d_inputs, statics + d_statics, state + changes[2])
        found = (*both[0][len(new) :], *both[1][len(emits) :])
        close(found, wanted, rtol=1e-10, atol=1e-10, msg=lambda m, label=label: f"{label}: {m}")
        linear = linearise(program, direction)
        left = step(linear.primal, inputs, statics, state)
        close(left[0], new)
        sources = {
            "input": inputs,
            "d_input": changes[0],
            "emit": left[1],
            "old": state,
            "new": left[0],
        }
        alone = step(
            linear.program,
            [sources[kind][n] for kind, n in linear.inputs],
            [(statics if kind == "static" else changes[1])[n] for kind, n in linear.statics],
            changes[2],
        )
        close(sum(alone, ()), wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("op", POINTWISE)
def test_each_operation_of_the_table(op):
    # a state for each operand, of one width and broadcast; a power's exponent is a number
    arity = POINTWISE[op].arity
    for widths in {(3,) * arity, (1, 3, 3)[:arity], (3, 1, 1)[:arity]}:
        args = [make("state", (), width, (n, 0)) for n, width in enumerate(widths)]
        if op == "pow":
            args[1] = make("const", (), 1, 2.5)
        program = Program((), (), widths, (make(op, args, max(widths)),))
        # states where every operation has a derivative, and ties of the two operands
        state = [0.2 + part.abs() for part in draw(widths, 1)]
        state[-1][0] = state[0][0, :1]
        change = draw(widths, 2)
        wanted = jvp(
            lambda *state, p=program: step(p, [], [], state)[0][0], tuple(state), tuple(change)
        )[1]
        new, _ = step(tangent(program, Direction((), ())), [], [], state + change)
        close(new[1], wanted, rtol=1e-12, atol=1e-12)


def test_alone_it_is_linear_in_its_states():
    program = program_of("lstm")
    linear = linearise(program, Direction((0,), tuple(range(len(program.statics)))))
    again = linearise(linear.program, Direction((), ()))
    # the tangent of a linear step reads none of its states
    assert not any(kind in ("old", "new") for kind, _ in again.inputs)


@pytest.mark.parametrize("name", [*CELLS, *OWN])
def test_products_with_known_values_are_products_of_inputs(name):
    program = program_of(name)
    everything = Direction(tuple(range(len(program.inputs))), tuple(range(len(program.statics))))

    def in_walk(program):
        nodes = walk_nodes((*program.new_states, *program.emits))
        return sum(
            n.data.rows * n.data.columns
            for n in nodes
            if n.op == "matmul" and n.args[0].op != "input"
        )

    assert in_walk(linearise(program, everything).program) <= in_walk(program)


def test_what_changes_nothing_has_no_tangent():
    half = make("state", (), 2, (0, 2))
    mask = make("gt", (make("state", (), 2, (1, 0)), make("const", (), 1, 0.0)), 2)
    program = Program((), (), (4, 2), (make("const", (), 4, 1.0), mask), (half,))
    new, emits = step(
        tangent(program, Direction((), ())),
        [],
        [],
        [torch.ones(1, 4), torch.ones(1, 2), torch.arange(4.0)[None], torch.ones(1, 2)],
    )
    assert new[2].tolist() == [[0, 0, 0, 0]]
    assert new[3].tolist() == [[0, 0]]
    assert emits[1].tolist() == [[2, 3]]


def test_an_lstm_keeps_its_gates_and_nothing_else():
    program = program_of("lstm")
    linear = linearise(program, Direction((), tuple(range(len(program.statics)))))
    kept = [node.op for node in linear.primal.emits]
    assert sorted(kept) == ["sigmoid", "sigmoid", "sigmoid", "tanh"]
