import copy
import gc
import shutil

import pytest
import torch
from torch import nn
from torch.export import Dim
from torch.utils._pytree import tree_leaves

import ostinato as ost
from ostinato import cells
from ostinato.engine import Call, operator, run
from ostinato.layers.clamp import Clamp

close = torch.testing.assert_close
T, B, I, H = 5, 2, 3, 4  # noqa: E741
LENGTHS = torch.tensor([3, 5])
RESET = torch.tensor([[0, 1], [0, 0], [1, 0], [0, 0], [0, 1]]).bool()


@pytest.fixture(autouse=True)
def _afresh():
    torch.manual_seed(0)
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def compiled(layer, backend="aot_eager", **options):
    return torch.compile(layer, backend=backend, fullgraph=True, **options)


def outcome(forward, layer, x, **given):
    """Everything that comes out, and every gradient."""
    torch.manual_seed(7)
    out = tree_leaves(forward(x, **given))
    loss = sum((part.sin() * torch.arange(part.numel()).view(part.shape)).sum() for part in out)
    wanted = [t for t in (x, *layer.parameters()) if t.requires_grad]
    return out, torch.autograd.grad(loss, wanted)


def assert_same(layer, x=None, backend="aot_eager", **given):
    x = torch.randn(T, B, I, requires_grad=True) if x is None else x
    forward = compiled(layer, backend)
    close(outcome(forward, layer, x, **given), outcome(layer, layer, x, **given))


def gru(**options):
    return ost.Recurrent(cells.GRU(I, H), **options)


FORMS = {
    "plain": (gru, {}),
    "stack": (lambda: gru(num_layers=2, bidirectional=True), {}),
    "lengths": (lambda: gru(bidirectional=True), {"lengths": LENGTHS}),
    "listed lengths": (gru, {"lengths": [5, 2]}),
    "resets": (lambda: gru(bidirectional=True, initial_state="learned"), {"reset": RESET}),
    "both": (gru, {"lengths": LENGTHS, "reset": RESET}),
    "segments": (lambda: gru(checkpoint_every=2), {"lengths": LENGTHS}),
    "all states": (lambda: ost.Recurrent(cells.LSTM(I, H)), {"all_states": True}),
    "projected": (lambda: ost.Recurrent(cells.LSTM(I, H, proj_size=2)), {}),
    "state": (gru, {"state": torch.ones(B, H)}),
    "dropout": (lambda: gru(num_layers=2, dropout=0.5), {}),
    "zoneout": (lambda: gru(zoneout=0.5), {}),
    "recurrent dropout": (lambda: gru(recurrent_dropout=0.5), {}),
    "weight drop": (lambda: gru(weight_drop=0.5), {}),
    "clamp": (lambda: gru(clamp=Clamp([1])), {"clamp": torch.ones(T, B, 1)}),
}


@pytest.mark.parametrize("form", FORMS)
def test_compiles_whole_and_computes_the_same(form):
    make, given = FORMS[form]
    assert_same(make(), **given)


def test_whole_numbers_compile():
    x = torch.tensor([[0, 2], [1, 1], [2, 0]])
    assert_same(gru(), x)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
@pytest.mark.parametrize("backend", ["eager", "inductor"])
def test_other_compilers(backend):
    if backend == "inductor" and shutil.which("g++") is None:
        pytest.skip("inductor needs a C++ compiler")
    assert_same(ost.Recurrent(cells.LSTM(I, H), num_layers=2), backend=backend)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_torchs_layers_compile_where_its_switch_is_on(kind):
    layer = getattr(ost, kind)(I, H, 2, bidirectional=True, batch_first=True)
    with torch._dynamo.config.patch(allow_rnn=True):
        assert_same(layer, torch.randn(B, T, I), lengths=LENGTHS)


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")
def test_torchs_layers_break_the_graph_otherwise_and_still_run():
    model = nn.Sequential(nn.Linear(I, I), ost.GRU(I, H))
    x = torch.randn(T, B, I)
    close(torch.compile(model, backend="eager")(x), model(x))


def test_one_compilation_serves_every_batch_and_length():
    layer, graphs = gru(), []

    def backend(graph, _):
        graphs.append(graph)
        return graph

    forward = compiled(layer, backend, dynamic=True)
    for shape in ((4, 8), (7, 2), (5, 6)):
        x = torch.randn(*shape, I)
        close(forward(x), layer(x))
    assert len(graphs) == 1
    assert any("ostinato.walk" in str(node.target) for node in graphs[0].graph.nodes)


def test_a_compiled_layer_follows_its_cell():
    layer = ost.Recurrent(cells.LeakyRNN(I, H, leak=0.5))
    forward, x = compiled(layer), torch.randn(T, B, I)
    before = forward(x)[0]
    layer.cell.leak = 0.25
    with torch.no_grad():
        layer.cell.gates.weight_hh.mul_(2)
    after = forward(x)[0]
    assert not torch.allclose(before, after)
    close(after, layer(x)[0])


def test_a_copy_compiles_with_weights_of_its_own():
    layer = gru()
    x = torch.randn(T, B, I)
    compiled(layer)(x)
    other = copy.deepcopy(layer)
    with torch.no_grad():
        other.cell.gates.weight_ih.add_(1)
    close(compiled(other)(x), other(x))


def test_the_cell_of_a_compiled_layer_is_let_go():
    layer = gru()
    compiled(layer)(torch.randn(T, B, I))
    known = len(operator._entries)
    torch._dynamo.reset()
    del layer
    gc.collect()
    assert len(operator._entries) < known


def test_autocast_gives_float32():
    layer, x = gru(), torch.randn(T, B, I)
    forward = compiled(layer)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = forward(x)[0]
    assert found.dtype == torch.float32
    close(found, layer(x)[0])


def test_lengths_out_of_range_are_told_when_it_runs():
    forward = compiled(gru())
    with pytest.raises(ValueError, match=r"lengths must be in 0\.\.5.*got 3\.\.9"):
        forward(torch.randn(T, B, I), lengths=torch.tensor([3, 9]))


class Noisy(cells.Cell):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.gates = cells.Gates("h", input_size, hidden_size)

    def forward(self, x, h):
        (drive,) = self.gates(x, h)
        return nn.functional.dropout(drive.tanh(), 0.5, self.training)


def test_a_cell_that_draws_random_numbers_is_refused():
    forward = compiled(ost.Recurrent(Noisy(I, H)))
    with ost.engine("eager"), pytest.raises(RuntimeError, match="Noisy draws random numbers"):
        forward(torch.randn(T, B, I))


# the operator by itself


def arguments(cell, **changes):
    def drawn(*shape):
        return torch.randn(*shape, requires_grad=True)

    names = [*dict(cell.named_parameters()), *dict(cell.named_buffers())]
    tensors = [*cell.parameters(), *cell.buffers()]
    given = {
        "key": operator._key_of(cell, tuple(names), True),
        "x": drawn(T, B, I),
        "state": [drawn(B, size) for size in cell.state_sizes],
        "tensors": tensors,
        "lengths": None,
        "reset": None,
        "reset_state": [],
        "reverse": False,
        "all_states": False,
        "every": 0,
    }
    given.update(changes)
    if given["reset"] is not None:
        given["reset_state"] = [drawn(B, size) for size in cell.state_sizes]
    return tuple(given.values())


CASES = {
    "plain": (cells.GRU, {}),
    "emits": (cells.MinLSTM, {"reverse": True}),
    "all": (cells.LSTM, {"lengths": LENGTHS, "reset": RESET, "all_states": True}),
    "buffers": (lambda i, h: cells.ClockworkRNN(i, h, periods=[1, 2]), {}),
    "segments": (cells.GRU, {"every": 2, "reverse": True}),
    "no step": (cells.GRU, {"x": torch.zeros(0, B, I)}),
}


@pytest.mark.parametrize("case", CASES)
def test_the_operator_passes_torchs_own_check(case):
    kind, changes = CASES[case]
    torch.library.opcheck(torch.ops.ostinato.walk, arguments(kind(I, H), **changes))


def test_its_reverse_passes_too():
    given = arguments(cells.LSTM(I, H), lengths=LENGTHS, reset=RESET, all_states=True)
    plain = [
        [t.detach() for t in part]
        if isinstance(part, list)
        else (part.detach() if isinstance(part, torch.Tensor) else part)
        for part in given
    ]
    grads = [torch.randn_like(t) for t in torch.ops.ostinato.walk(*plain)]
    grads[1] = None
    count = 1 + len(given[2]) + len(given[3]) + len(given[6])
    needed = [n % 3 != 1 for n in range(count)]
    torch.library.opcheck(torch.ops.ostinato.walk_backward, (*plain, grads, needed))


def test_gradcheck_of_the_operator():
    cell = cells.GRU(I, H).double()
    key, x, state, tensors, *_ = arguments(cell)
    leaves = [t.detach().double().requires_grad_() for t in (x, *state, *tensors)]

    def walk(x, h, *tensors):
        given = (key, x, [h], list(tensors), LENGTHS, None, [], True, False, 0)
        return tuple(torch.ops.ostinato.walk(*given))

    assert torch.autograd.gradcheck(walk, leaves, fast_mode=True)


def test_fake_tensors_go_through():
    with torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True) as mode:
        y, h = gru()(mode.from_tensor(torch.zeros(T, B, I)))
    assert (y.shape, h.shape) == ((T, B, H), (B, H))


def test_an_unknown_key_tells_what_to_do():
    with pytest.raises(RuntimeError, match="export it again"):
        operator.cell_of("GRU#none")


# export


def exported(layer, x, **given):
    steps, batch = Dim("steps"), Dim("batch")
    shapes = {"x": {0: steps, 1: batch}, **{name: {0: batch} for name in given}}
    return torch.export.export(layer, (x,), given, dynamic_shapes=shapes).module()


@pytest.mark.parametrize("cell", [cells.LSTM, cells.GRU, cells.Elman])
def test_exports_with_any_batch_and_length(cell):
    layer = ost.Recurrent(cell(I, H), num_layers=2, bidirectional=True).eval()
    forward = exported(layer, torch.randn(T, B, I), lengths=LENGTHS)
    for steps, batch in ((7, 3), (2, 5)):
        x, lengths = torch.randn(steps, batch, I), torch.arange(batch) % (steps + 1)
        close(forward(x, lengths=lengths), layer(x, lengths=lengths))


def test_an_exported_program_outlives_its_model():
    layer = ost.Recurrent(cells.ClockworkRNN(I, H, periods=[1, 2]))
    x = torch.randn(T, B, I)
    expected = layer(x)
    forward = exported(layer, x)
    del layer
    gc.collect()
    close(forward(x), expected)


def test_torchs_layers_export():
    layer = ost.LSTM(I, H, 2, proj_size=2, batch_first=True)
    rows, steps = Dim("rows"), Dim("steps")
    shapes = ({0: rows, 1: steps},)
    program = torch.export.export(layer, (torch.randn(B, T, I),), dynamic_shapes=shapes)
    x = torch.randn(3, 9, I)
    close(program.module()(x), layer(x))


def test_an_export_trains():
    layer = gru()
    forward = exported(layer, torch.randn(T, B, I))
    x = torch.randn(6, 3, I)
    ours = torch.autograd.grad(forward(x)[0].sum(), list(forward.parameters()))
    theirs = torch.autograd.grad(layer(x)[0].sum(), list(layer.parameters()))
    close(ours, theirs)


def test_outside_of_tracing_nobody_comes_here(monkeypatch):
    monkeypatch.setattr(operator, "walk", None)
    cell = cells.GRU(I, H)
    call = Call(cell, torch.randn(T, B, I), cell.initial_state(B))
    assert run(call).output.shape == (T, B, H)
