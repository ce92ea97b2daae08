import copy
import pickle
import runpy
import subprocess
import sys

import pytest
import torch
from custom_cells import CELLS, Encoder, FoPooling, Readout, traced_custom
from torch import nn

from ostinato import cells
from ostinato.engine.expressions import Matrix, walk_nodes
from ostinato.engine.recurrence import NotFusable
from ostinato.engine.trace import trace

I, H = 3, 4  # noqa: E741


def traced(cell, widths=(H,), x=None, dtype=torch.float32):
    x = torch.zeros(2, I, dtype=dtype) if x is None else x
    return trace(cell, x, tuple(torch.zeros(2, width, dtype=dtype) for width in widths))


def operations(recurrence):
    program = recurrence.program
    return [node.op for node in walk_nodes((*program.new_states, *program.emits))]


def cell_of(function, **tensors):
    """A cell with a forward and some parameters."""

    class Custom(nn.Module):
        def __init__(self):
            super().__init__()
            for name, tensor in tensors.items():
                setattr(self, name, tensor)

        def forward(self, x, *state):
            return function(self, x, *state)

    return Custom()


@pytest.mark.parametrize("family", ["LSTM", "GRU"])
def test_torchs_own_layouts_pass_their_parameters_as_they_are(family):
    cell = getattr(cells, family)(I, H, bias="both")
    recurrence = traced(cell, cell.state_sizes)
    assert recurrence.program.inputs == (I,)
    assert recurrence.before is None
    assert recurrence.after is None
    assert recurrence.output == ("state", 0)
    assert recurrence.program.emits == ()
    assert recurrence.static.identity
    statics = recurrence.statics(cell)
    assert {id(static) for static in statics} == {id(p) for p in cell.parameters()}
    assert "cat" not in operations(recurrence)


def test_one_matrix_on_joined_values_is_split_by_columns():
    cell = cells.Elman(I, H, joint=True)
    program = traced(cell).program
    matrices = {n.data for n in walk_nodes(program.new_states) if n.op == "matmul"}
    assert matrices == {Matrix(0, 0, 0, H, H), Matrix(0, 0, H, H, I)}


def test_work_on_x_that_cannot_stay_in_the_step_is_done_before():
    cell = Encoder(I, H)
    recurrence = traced(cell)
    # softmax(x), relu(net(x)) and atan(net(x))
    assert sorted(recurrence.program.inputs) == [I, H, 7]
    x = torch.randn(10, I)
    parts = recurrence.before([x], recurrence.tensors(cell))
    assert [part.shape[1] for part in parts] == list(recurrence.program.inputs)


def test_products_of_x_stay_in_the_step_with_what_is_pointwise_on_them():
    recurrence = traced(FoPooling(I, H))
    assert recurrence.before is None
    assert recurrence.after is None
    assert recurrence.output == ("emit", 0)


def test_a_readout_is_done_after():
    cell = Readout(I, H)
    recurrence = traced(cell)
    assert recurrence.output == ("after", 0)
    assert recurrence.output_shape == (4,)
    assert "head.0.weight" in recurrence.after.names
    assert "head.0.weight" not in recurrence.static_names


def test_x_that_is_not_used_is_still_the_input():
    recurrence = traced(cell_of(lambda self, x, h: torch.tanh(h)))
    assert recurrence.program.inputs == (I,)
    assert recurrence.before is None


def test_stand_ins_for_parameters_reach_the_parts_also_under_another_name():
    cell = cell_of(lambda self, x, h: torch.tanh(self.a(x) + h), a=nn.Linear(I, H))
    cell.tied = cell.a
    recurrence = traced(cell)
    other = torch.zeros(H, I)
    tensors = recurrence.tensors(cell, {"tied.weight": other})
    assert tensors["a.weight"] is other
    assert any(static is other for static in recurrence.static((), tensors))
    with pytest.raises(KeyError):
        recurrence.tensors(cell, {"nothing": other})


def test_states_are_named_as_the_cell_or_its_forward_names_them():
    assert traced(cells.LSTM(I, H), (H, H)).state_names == ("h", "c")

    class Named(nn.Module):
        def forward(self, inputs, memory, trace):
            return memory + trace, trace

    assert traced(Named(), (H, H)).state_names == ("memory", "trace")


def test_the_key_tells_structure_and_widths_and_nothing_else():
    key = traced(cells.LSTM(I, H), (H, H)).key()
    assert key == traced(cells.LSTM(I, H), (H, H), dtype=torch.float32).key()
    assert key != traced(cells.LSTM(I, H + 1), (H + 1, H + 1)).key()
    assert key != traced(cells.LSTM(I, H, coupled=True), (H, H)).key()
    code = (
        "import torch; from ostinato import cells; from ostinato.engine.trace import trace;"
        "s = torch.zeros(2, 4);"
        "print(trace(cells.LSTM(3, 4), torch.zeros(2, 3), (s, s)).key())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == key


def test_every_custom_cell_has_a_key_of_its_own():
    keys = {traced_custom(name)[1].key() for name in CELLS}
    assert len(keys) == len(CELLS)


def test_tracing_leaves_the_cell_as_it_was():
    cell = cells.LSTM(I, H).eval()
    before = copy.deepcopy(cell.state_dict())
    traced(cell, (H, H))
    assert not cell.training
    assert all(torch.equal(before[name], value) for name, value in cell.state_dict().items())
    assert all(parameter.grad is None for parameter in cell.parameters())


def test_the_parts_can_be_copied_and_pickled():
    cell = Readout(I, H)
    recurrence = traced(cell)
    for other in (copy.deepcopy(recurrence.after), pickle.loads(pickle.dumps(recurrence.after))):
        rows = [torch.randn(5, width) for width in (I, H)]
        found, wanted = (part(rows, recurrence.tensors(cell)) for part in (other, recurrence.after))
        torch.testing.assert_close(found, wanted)


# what stops fusion: (what forward returns, the operation that is named, part of the reason)
STOPPED = {
    "control flow": ("h if h.sum() > 0 else -h", "torch.export", "data-dependent"),
    "unknown operation": ("torch.softmax(h, -1)", "softmax", "not in the algebra"),
    "dropout": ("F.dropout(h, 0.5, training=True)", "dropout", "random"),
    "noise": ("h + torch.randn_like(x[:, :1])", "randn_like", "random"),
    "mean of the batch": ("h - h.mean(0)", "mean", "batch"),
    "mean of everything": ("h - h.mean()", "mean", "dim=-1"),
    "rows moved": ("h.flip(0)", "flip", "rows of the batch"),
    "mean of x over the batch": ("h + torch.softmax(x, 0)[:, :1]", "softmax", "rows of the batch"),
    "size of the batch": ("h / h.shape[0]", "div", "batch"),
    "product of two states": (
        "(h[:, None] @ h[:, :, None])[:, 0] + h",
        "matmul",
        "(a * b).sum(-1)",
    ),
    "detached": ("h.detach() * 0.5", "detach", "not in the algebra"),
    "another width": ("h[:, :2]", "slice", "[B, 4]"),
    "another type": ("h.double()", "to", "float64"),
    "counted units": ("h * (h > 0).sum(-1, keepdim=True)", "sum", "int64"),
    "many pieces": (
        "(h[:, :, None] * torch.ones_like(h)[:, None]).mT.sum(1).cumsum(1)",
        "cumsum",
        "",
    ),
}


@pytest.mark.parametrize("name", STOPPED)
def test_what_stops_fusion_is_named_with_its_line(name, tmp_path):
    expression, operation, reason = STOPPED[name]
    file = tmp_path / "my_cell.py"
    file.write_text(
        "import torch\nfrom torch import nn\nfrom torch.nn import functional as F\n\n\n"
        f"class MyCell(nn.Module):\n    def forward(self, x, h):\n        return {expression}\n"
    )
    with pytest.raises(NotFusable) as caught:
        traced(runpy.run_path(str(file))["MyCell"]())
    assert caught.value.operation == operation
    assert caught.value.line == f"my_cell.py:8: return {expression}"
    assert reason in caught.value.reason


@pytest.mark.parametrize("mix", [lambda h: h + h[:, 0], lambda h: h.t().reshape(-1, H)])
def test_a_cell_for_one_size_of_batch_alone_is_refused(mix):
    with pytest.raises(NotFusable, match=r"torch\.export"):
        traced(cell_of(lambda self, x, h: mix(h)))


def test_a_cell_of_the_wrong_form_is_told_apart():
    with pytest.raises(NotFusable, match="must return the new state"):
        traced(cell_of(lambda self, x, h: (h, h, h)))


def test_a_buffer_that_each_step_changes_stops_fusion():
    def forward(self, x, h):
        self.count.add_(1)
        return h * self.count

    with pytest.raises(NotFusable, match="count"):
        traced(cell_of(forward, count=nn.Buffer(torch.zeros(1))))


def test_a_tensor_that_needs_a_gradient_must_be_a_parameter():
    plain = torch.ones(H, requires_grad=True)
    with pytest.raises(NotFusable, match=r"nn\.Parameter"):
        traced(cell_of(lambda self, x, h: h * self.scale, scale=plain))


def test_dropout_that_is_off_is_no_hindrance():
    cell = cell_of(lambda self, x, h: torch.tanh(self.drop(h)), drop=nn.Dropout(0.5)).eval()
    assert operations(traced(cell)) == ["state", "tanh"]


def test_results_that_nothing_uses_are_no_hindrance():
    def forward(self, x, h):
        a, _ = (self.lin(x) + torch.cat([h, h], -1)).chunk(2, -1)
        torch.softmax(h, -1)
        return a

    assert "matmul" in operations(traced(cell_of(forward, lin=nn.Linear(I, 2 * H))))


def test_states_of_two_types_are_refused():
    with pytest.raises(NotFusable, match="one floating type"):
        trace(nn.Identity(), torch.zeros(2, I), (torch.zeros(2, H), torch.zeros(2, H).double()))
