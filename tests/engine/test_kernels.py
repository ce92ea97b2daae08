import pytest
import torch

from ostinato import cells
from ostinato.engine import Call, eager, engine, kernels, run

close = torch.testing.assert_close
T, B, I, H = 4, 3, 2, 5  # noqa: E741
CELLS = {
    "lstm": lambda **k: cells.LSTM(I, H, **k),
    "projected": lambda **k: cells.LSTM(I, H, proj_size=2, **k),
    "gru": lambda **k: cells.GRU(I, H, **k),
    "tanh": lambda **k: cells.Elman(I, H, **k),
    "relu": lambda **k: cells.Elman(I, H, activation="relu", **k),
}


def call(cell, **changes):
    torch.manual_seed(3)
    cell.double()
    for parameter in cell.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    state = tuple(
        torch.randn(B, size, dtype=torch.float64, requires_grad=True) for size in cell.state_sizes
    )
    x = torch.randn(T, B, I, dtype=torch.float64, requires_grad=True)
    return Call(**{"cell": cell, "x": x, "state": state, **changes})


def assert_same(one, parameters):
    results = []
    for walk in (kernels.walk, eager.walk):
        result = walk(one)
        tensors = [result.output, *result.state]
        loss = sum((t * torch.linspace(-1, 2, t.numel()).view(t.shape)).sum() for t in tensors)
        grads = torch.autograd.grad(loss, [one.x, *one.state, *parameters])
        results.append((tensors, grads))
    close(results[0], results[1])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("bias", [True, False, "both"])
@pytest.mark.parametrize("name", CELLS)
def test_equals_the_reference_with_every_gradient(name, bias, reverse):
    cell = CELLS[name](bias=bias)
    assert_same(call(cell, reverse=reverse), list(cell.parameters()))


@pytest.mark.parametrize("name", CELLS)
def test_one_matrix_is_taken_apart(name):
    cell = CELLS[name](joint=True)
    assert_same(call(cell), list(cell.parameters()))
    given = {"gates.weight": torch.zeros_like(cell.gates.weight)}
    assert kernels.walk(call(cell, parameters=given)) is None
    close(run(call(cell, parameters=given)).output, eager.walk(call(cell, parameters=given)).output)


@pytest.mark.parametrize("name", CELLS)
def test_the_calls_parameters_stand_in(name):
    cell = CELLS[name](bias="both")
    one = call(cell)
    given = {
        name: (2 * parameter).detach().requires_grad_()
        for name, parameter in cell.named_parameters()
    }
    given.pop("gates.bias_hh")
    changed = call(cell, parameters=given)
    assert_same(changed, [*given.values(), cell.gates.bias_hh])
    assert not torch.allclose(kernels.walk(one).output, kernels.walk(changed).output)


def test_all_states_where_the_output_is_the_state():
    one = call(cells.GRU(I, H), all_states=True)
    close(kernels.walk(one).states, eager.walk(one).states)
    assert kernels.walk(call(cells.LSTM(I, H), all_states=True)) is None


def test_what_the_kernels_do_not_know_is_left_to_others():
    cell = cells.LSTM(I, H)
    one = call(cell)
    mask = torch.zeros(T, B, dtype=torch.bool)
    assert kernels.walk(one) is not None
    assert kernels.walk(call(cell, lengths=torch.tensor([1, 2, 3]))) is None
    assert kernels.walk(call(cell, reset=mask, reset_state=one.state)) is None
    assert kernels.walk(call(cell, x=one.x[:0])) is None
    assert kernels.walk(call(cell, x=one.x.float())) is None
    assert kernels.walk(call(cells.LSTM(I, H, peephole=True))) is None
    assert kernels.walk(call(cells.IndRNN(I, H))) is None
    assert kernels.walk(Call(torch.nn.GRUCell(I, H).double(), one.x, one.state[:1])) is None


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
def test_a_transformed_call_is_left_to_the_reference():
    cell = cells.GRU(I, H)
    one = call(cell)

    def last(x):
        return run(Call(cell, x, one.state)).output.sum()

    batch = torch.stack([one.x, 2 * one.x]).detach()
    close(torch.func.vmap(last)(batch), torch.stack([last(x) for x in batch]))
    _, tangent = torch.func.jvp(last, (batch[0],), (torch.ones_like(batch[0]),))
    close(tangent, torch.func.grad(last)(batch[0]).sum())


def test_the_reference_walks_only_where_it_must(monkeypatch):
    walks = []
    walk = eager.walk
    monkeypatch.setattr(eager, "walk", lambda one: walks.append(one.cell) or walk(one))
    one = call(cells.GRU(I, H))
    for name in ("auto", "torch"):
        with engine(name):
            run(one)
    assert walks == []
    with engine("eager"):
        run(one)
    assert len(walks) == 1
    # a hook wants to see every step
    one.cell.register_forward_hook(lambda *_: None)
    with engine("torch"):
        run(one)
    assert len(walks) == 2
