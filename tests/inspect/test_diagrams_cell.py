"""A cell's diagram says what its equations say."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import ostinato as ost
from ostinato import cells
from ostinato.engine.explain import explain
from ostinato.engine.expressions import walk_nodes
from ostinato.inspect.diagrams import DiagramError, diagram

VARIANTS = {
    **{name: cells.by_name(name)(3, 4) for name in cells.NAMES},
    "gru before": cells.GRU(3, 4, reset="before"),
    "lstm peephole": cells.LSTM(3, 4, peephole=True),
    "lstm coupled": cells.LSTM(3, 4, coupled=True),
    "lstm projected": cells.LSTM(3, 4, proj_size=2),
    "lstm norm": cells.LSTM(3, 4, layer_norm=True, peephole=True, joint=True),
    "gru norm": cells.GRU(3, 4, layer_norm=True),
}


def boxes(drawn, kind):
    return {box.title: box for box in drawn.graph.boxes.values() if box.kind == kind}


def sources(graph, key):
    """Every input and old state that a box hears of."""
    found, waiting = set(), [key]
    while waiting:
        coming = [arrow.source for arrow in graph.into(waiting.pop())]
        found |= {k for k in coming if k == "x" or k.startswith("state_")}
        waiting += coming
    return found


@pytest.mark.parametrize("name", VARIANTS)
def test_each_new_state_hears_what_its_equation_reads(name):
    cell = VARIANTS[name]
    graph = diagram(cell).graph
    program = explain(cell).recurrence.program
    for k, root in enumerate(program.new_states):
        leaves = {n for n in walk_nodes([root]) if n.op in ("state", "input")}
        wanted = {"x" if n.op == "input" else f"state_{n.data[0]}" for n in leaves}
        assert sources(graph, f"new_{k}") == wanted


@pytest.mark.parametrize("name", VARIANTS)
def test_no_box_stands_for_nothing(name):
    graph = diagram(VARIANTS[name]).graph
    ends = {arrow.source for arrow in graph.arrows}
    assert all(key in ends or box.kind in ("state", "output") for key, box in graph.boxes.items())


def test_lstm_shows_its_gates_by_name():
    gates = boxes(diagram(cells.LSTM(3, 4)), "gate")
    assert {name: box.detail for name, box in gates.items()} == {
        "i": "sigmoid(W x + U h + b)",
        "f": "sigmoid(W x + U h + b)",
        "g": "tanh(W x + U h + b)",
        "o": "sigmoid(W x + U h + b)",
    }
    assert gates["f"].told == (
        "f = sigmoid(gates.weight_ih[4:8, :] x + gates.weight_hh[4:8, :] h + gates.bias[4:8])"
    )


def test_starred_names_take_what_the_others_leave():
    gates = boxes(diagram(cells.LSTM(3, 4, coupled=True)), "gate")
    assert set(gates) == {"f", "g", "o"}
    lines = explain(cells.LSTM(3, 4, coupled=True)).through
    assert "f = sigmoid(f1)" in lines
    assert "g = tanh(g1)" in lines
    lines = explain(cells.LSTM(3, 4)).through
    assert "i = sigmoid(i1)" in lines


def test_second_stage_is_its_own_product():
    graph = diagram(cells.GRU(3, 4, reset="before")).graph
    (gate,) = [box for box in graph.boxes.values() if box.title == "n"]
    assert gate.detail == "tanh(W x + U · + b)"
    before = {graph.boxes[arrow.source].detail for arrow in graph.into(gate.key)}
    assert before == {"input", "×"}


def test_layer_norm_is_one_word():
    gates = boxes(diagram(VARIANTS["lstm norm"]), "gate")
    assert gates["g"].detail == "tanh(LN(W x) + LN(U h) + b)"
    assert "norm_ih.weight[8:12]" in gates["g"].told


def test_operands_that_are_not_alike_have_roles():
    graph = diagram(cells.ClockworkRNN(3, 4)).graph
    (choice,) = [box for box in graph.boxes.values() if box.detail == "choose"]
    assert sorted(arrow.label for arrow in graph.into(choice.key)) == ["else", "if", "then"]


def test_units_of_a_state_stand_at_the_arrow():
    class Halves(ost.Cell):
        def __init__(self):
            super().__init__(2, 4)

        def forward(self, x, h):
            return torch.cat([h[:, 2:], torch.tanh(h[:, :2] + x)], dim=-1)

    graph = diagram(Halves()).graph
    assert {arrow.label for arrow in graph.arrows if arrow.source == "state_0"} == {
        "[0:2]",
        "[2:4]",
    }


def test_work_before_and_after_time_has_its_boxes():
    class Deep(ost.Cell):
        def __init__(self):
            super().__init__(3, 4)
            self.gates = cells.Gates("n", 3, 4)
            self.first, self.last = nn.Linear(3, 3), nn.Linear(4, 2)
            self.top = nn.Linear(2, 2)

        def forward(self, x, h):
            (n,) = self.gates(F.silu(self.first(x)), h)
            h = torch.tanh(n)
            return self.top(F.silu(self.last(h))), (h,)

    graph = diagram(Deep()).graph
    assert "silu" in graph.boxes["before"].detail
    assert "linear" in graph.boxes["after"].detail
    assert [arrow.source for arrow in graph.into("y")] == ["after"]


def test_cell_of_a_stranger_needs_examples():
    cell = nn.GRUCell(3, 4)
    with pytest.raises(TypeError, match="initial_state"):
        diagram(cell)
    drawn = diagram(cell, x=torch.zeros(2, 3), state=torch.zeros(2, 4))
    assert len([b for b in drawn.graph.boxes.values() if b.kind == "gate"]) == 3


def test_cell_that_cannot_be_read_is_told_by_its_operation():
    class Sorted(ost.Cell):
        def forward(self, x, h):
            return torch.sort(h).values

    with pytest.raises(DiagramError, match=r"Sorted cannot be read: sort.*test_diagrams_cell\.py"):
        diagram(Sorted(3, 4))
    assert diagram(Sorted(3, 4), "unrolled").graph.boxes


def test_words_hold_the_equations():
    assert "h' = tanh(drive)" in diagram(cells.Elman(3, 4)).words


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(["tanh", "mul", "add", "linear", "sub"]), max_size=8))
def test_any_chain_of_operations_ends_in_the_new_state(steps):
    class Chain(ost.Cell):
        def __init__(self):
            super().__init__(2, 2)
            self.layer = nn.Linear(2, 2)

        def forward(self, x, h):
            value = x
            for step in steps:
                if step == "tanh":
                    value = torch.tanh(value)
                elif step == "linear":
                    value = self.layer(value)
                else:
                    value = getattr(torch, step)(value, h)
            return value

    graph = diagram(Chain()).graph
    reads_h = {"mul", "add", "sub"} & set(steps)
    assert sources(graph, "new_0") == ({"x", "state_0"} if reads_h else {"x"})
