import pytest
import torch
from custom_cells import CELLS, traced_custom
from torch import nn

import ostinato
from ostinato import cells
from ostinato.engine.adjoint import adjoint
from ostinato.engine.explain import explain, read_back
from ostinato.engine.expressions import walk_nodes


def custom(name):
    make_cell, input_size, widths = CELLS[name]
    return explain(
        make_cell(), torch.zeros(2, input_size), tuple(torch.zeros(2, width) for width in widths)
    )


def test_a_gated_cell_reads_as_its_docstring():
    assert custom("coupled LSTM").through[-3:] == (
        "c' = f * c + (1 - f) * t2",
        "t3 = tanh(c')",
        "h' = t1 * t3",
    )


def test_variables_keep_the_names_of_the_source():
    lines = custom("RHN").through
    assert lines[-1].startswith("s' = ")
    assert any(line.startswith("h = recurrent.1.weight[0:6] @ ") for line in lines)


def test_brackets_stand_where_they_are_needed_and_only_there():
    class Mixed(nn.Module):
        def forward(self, x, h):
            return h - (x - h * (x + 1)) / (2 * h) - -x

    assert explain(Mixed(), torch.zeros(2, 4), torch.zeros(2, 4)).through == (
        "t1 = (x - h * (x + 1)) / (h * 2)",
        "h' = h - t1 + x",
    )


def test_the_three_parts_are_told_apart():
    found = custom("encoder")
    assert any("softmax(x" in line for line in found.before)
    assert found.after == ()
    found = custom("readout")
    assert found.before == ()
    assert "log_softmax" in found.after[-1]
    assert "log_softmax" in str(found)


def test_the_tangent_has_as_many_products_in_its_walk_as_the_step():
    H, I = 4, 3  # noqa: E741
    found = explain(cells.LSTM(I, H))
    # of x and of h, each changing beside its matrix; of h alone the walk has to wait for
    assert found.tangent[:2] == (2 * 4 * H * (I + H), 4 * H * H)
    assert f"{found.tangent[0]} multiply-adds, {found.tangent[1]} step by step" in str(found)


def test_the_cost_counts_each_product_once():
    H, I = 4, 3  # noqa: E741
    found = explain(cells.GRU(I, H))
    assert found.multiply_adds == 3 * H * (I + H)
    assert found.weight_bytes == 4 * found.multiply_adds
    assert found.row_bytes == 4 * (I + 2 * H)
    assert custom("layer norm LSTM").multiply_adds == 24 * (5 + 6)


def test_what_is_kept_for_the_reverse_is_what_it_cannot_make_again():
    assert {name for name, _ in explain(cells.GRU(3, 4, reset="before")).saved} == {"r", "z", "n"}
    assert explain(cells.Elman(3, 4)).saved == ()


@pytest.mark.parametrize("name", CELLS)
def test_every_value_that_the_reverse_reads_can_be_had(name):
    program = traced_custom(name)[1].program
    reverse = adjoint(program)
    forward = set(walk_nodes((*program.new_states, *program.emits)))
    kept = {*read_back(program, reverse), *program.new_states, *program.emits}
    costly = ("matmul", "sum", "tanh", "sigmoid", "exp", "log", "sqrt", "div", "erf")

    def available(node):
        return node in kept or (node.op not in costly and all(map(available, node.args)))

    read = {arg for n in walk_nodes(reverse.roots()) if n not in forward for arg in n.args}
    assert all(available(node) for node in read & forward)


def test_what_stops_fusion_is_told_with_its_line():
    class Softmax(nn.Module):
        def forward(self, x, h):
            return torch.softmax(h + x, dim=-1)

    found = explain(Softmax(), torch.zeros(2, 4), torch.zeros(2, 4))
    assert not found.fused
    assert "Softmax is not fused" in str(found)
    assert "softmax: it is not in the algebra" in str(found)
    assert "return torch.softmax(h + x, dim=-1)" in str(found)


def test_a_strangers_cell_needs_examples():
    with pytest.raises(TypeError, match="initial_state"):
        explain(nn.Linear(3, 3))
    with pytest.raises(TypeError, match="input_size"):
        explain(nn.Linear(3, 3), state=torch.zeros(2, 3))


def test_it_is_a_public_name():
    assert ostinato.explain is explain
