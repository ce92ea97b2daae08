import pytest
import torch
from custom_cells import CELLS as STRANGERS

from ostinato import cells
from ostinato.engine import Call, eager, fused
from ostinato.engine.llvm.batch import dense, ragged
from ostinato.engine.llvm.lengths import unpack
from ostinato.engine.recurrence import NotFusable
from ostinato.engine.second import replay

close = torch.testing.assert_close
T, B, I, H = 4, 3, 2, 3  # noqa: E741
OWN = {
    "elman": lambda: cells.Elman(I, H, bias="both"),
    "lstm": lambda: cells.LSTM(I, H),
    "projected": lambda: cells.LSTM(I, H, proj_size=2),
    "normed": lambda: cells.LSTM(I, H, layer_norm=True),
    "gru": lambda: cells.GRU(I, H),
    "gru before": lambda: cells.GRU(I, H, reset="before"),
    "jordan": lambda: cells.Jordan(I, H),
    "joint": lambda: cells.LSTM(I, H, joint=True),
}


def make(name, **changes):
    torch.manual_seed(1)
    cell = OWN[name]().double()
    for parameter in cell.parameters():
        torch.nn.init.normal_(parameter, std=0.6)
    sizes = cell.state_sizes
    return call(cell, I, sizes, **changes)


def call(cell, width, sizes, **changes):
    def drawn(*shape):
        return torch.randn(*shape, dtype=torch.float64, requires_grad=True)

    x, state = drawn(T, B, width), tuple(drawn(B, size) for size in sizes)
    if "reset" in changes:
        changes["reset_state"] = tuple(drawn(B, size) for size in sizes)
    return Call(cell, x, state, **changes)


RAGGED = {
    "dense": {},
    "reverse": {"reverse": True},
    "lengths": {"lengths": torch.tensor([2, 0, 4])},
    "resets": {
        "lengths": torch.tensor([4, 3, 4]),
        "reset": torch.tensor([[0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 0, 0]]).bool(),
    },
    "all states": {"all_states": True},
}


def leaves(one):
    return [one.x, *one.state, *(one.reset_state or ()), *one.cell.parameters()]


def loss_of(walk):
    tensors = [walk.output, *walk.state, *(walk.states or ())]
    return sum((t.pow(2) * torch.linspace(-1, 2, t.numel()).view(t.shape)).sum() for t in tensors)


def two_derivatives(walk, one):
    tensors = leaves(one)
    first = torch.autograd.grad(loss_of(walk(one)), tensors, create_graph=True)
    second = torch.autograd.grad(sum(g.pow(2).sum() for g in first), tensors)
    return [g.detach() for g in first], second


def fused_walk(one):
    found = fused.walk(one)
    assert found is not None
    return found


@pytest.mark.parametrize("form", RAGGED)
@pytest.mark.parametrize("name", OWN)
def test_two_derivatives_equal_the_references(name, form):
    one = make(name, **RAGGED[form])
    ours, theirs = two_derivatives(fused_walk, one), two_derivatives(eager.walk, one)
    close(ours, theirs, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", ["lstm", "gru before"])
def test_gradgradcheck(name):
    one = make(name, lengths=torch.tensor([2, 4, 3]))
    names = [n for n, _ in one.cell.named_parameters()]
    count = 1 + len(one.state)

    def function(*tensors):
        parameters = dict(zip(names, tensors[count:], strict=True))
        walk = fused_walk(
            Call(one.cell, tensors[0], tensors[1:count], one.lengths, parameters=parameters)
        )
        return walk.output, *walk.state

    assert torch.autograd.gradgradcheck(function, leaves(one), fast_mode=True)


@pytest.mark.parametrize("name", STRANGERS)
def test_strangers_gradients_can_be_penalised(name):
    build, width, sizes = STRANGERS[name]
    torch.manual_seed(2)
    cell = build().double()
    one = call(cell, width, sizes)
    if isinstance(fused.recurrence_of(cell, one.x, one.state), NotFusable):
        pytest.skip("it runs on the reference")

    def penalty(walk):
        (d,) = torch.autograd.grad(loss_of(walk(one)), one.x, create_graph=True)
        return torch.autograd.grad(d.pow(2).sum(), leaves(one), allow_unused=True)

    close(penalty(fused_walk), penalty(eager.walk), rtol=1e-8, atol=1e-9)


def test_third_derivative_equals_the_reference():
    one = make("gru")

    def third(walk):
        d = loss_of(walk(one))
        for _ in range(3):
            (d,) = torch.autograd.grad(d.pow(2).sum(), one.x, create_graph=True)
        return d.detach()

    close(third(fused_walk), third(eager.walk), rtol=1e-8, atol=1e-9)


def test_only_what_is_asked_for_gets_a_gradient():
    one = make("lstm")
    one.cell.requires_grad_(False)
    (d,) = torch.autograd.grad(loss_of(fused_walk(one)), one.x, create_graph=True)
    (dd,) = torch.autograd.grad(d.sum(), one.x)
    assert dd.shape == one.x.shape
    assert dd.abs().sum() > 0


def test_plain_gradients_are_those_with_a_graph():
    one = make("lstm", lengths=torch.tensor([4, 1, 3]))
    plain = torch.autograd.grad(loss_of(fused_walk(one)), leaves(one))
    graph = torch.autograd.grad(loss_of(fused_walk(one)), leaves(one), create_graph=True)
    assert all(g.grad_fn is not None for g in graph)
    close(plain, tuple(g.detach() for g in graph), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("lengths", [None, torch.tensor([2, 4, 0])])
def test_replay_of_a_packed_batch_equals_the_loop(lengths):
    one = make("lstm", lengths=lengths, all_states=True)
    found = fused.recurrence_of(one.cell, one.x, one.state)
    rows, state, last, packed = one.x.flatten(0, 1), one.state, None, None
    layout = dense(T, B)
    if lengths is not None:
        packed = ragged(T, B, lengths, None, False)
        rows, state = rows[packed.source], tuple(s[packed.starts] for s in state)
        layout, last = packed.layout, packed.last
    tensors = found.tensors(one.cell)
    inputs = [rows] if found.before is None else found.before([rows], tensors)
    sequences, _, _ = replay(found.program, layout, last, inputs, found.statics(one.cell), state)
    for ours, theirs in zip(sequences, eager.walk(one).states, strict=True):
        if packed is not None:
            ours = unpack(ours, packed)
        close(ours, theirs.flatten(0, 1))
