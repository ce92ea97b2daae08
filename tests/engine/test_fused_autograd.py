"""Kernels inside autograd: finite differences, graphs used twice, hooks, and clear refusals."""

import dataclasses

import pytest
import torch
from against_eager import gradients, make_call, walk_fused

from ostinato import cells
from ostinato.engine import Call
from ostinato.engine.llvm import launch

I, H = 3, 4  # noqa: E741
# cells with and without a buffer that values and gradients share
CELLS = {
    "lstm": lambda: cells.LSTM(I, H),
    "elman": lambda: cells.Elman(I, H),
    "mgu": lambda: cells.MGU(I, H),
    "norm": lambda: cells.LSTM(I, H, layer_norm=True),
    "mlstm": lambda: cells.MultiplicativeLSTM(I, H),
}
LENGTHS = torch.tensor([3, 0, 2])


def call_of(name, **options):
    torch.manual_seed(4)
    cell = CELLS[name]()
    options = {"I": I, "T": 3, "B": 3, "dtype": torch.float64, **options}
    return make_call(cell, cell.state_sizes, **options)


def leaves(call):
    reset = call.reset_state or ()
    return {"x": call.x} | {
        f"leaf {n}": leaf for n, leaf in enumerate((*call.state, *reset, *call.cell.parameters()))
    }


def outputs(walk):
    return dict(enumerate((walk.output, *walk.state, *(walk.states or ()))))


@pytest.mark.parametrize("form", ["", "lengths and resets", "reverse"])
@pytest.mark.parametrize("name", CELLS)
def test_gradients_are_those_of_finite_differences(name, form):
    options = {"reverse": form == "reverse"}
    if form == "lengths and resets":
        marks = torch.tensor([[0, 1, 1], [0, 0, 1], [1, 0, 0]], dtype=torch.bool)
        options = {"lengths": LENGTHS, "reset": marks}
    call = call_of(name, **options)
    count = len(call.state)
    names = [n for n, _ in call.cell.named_parameters()]

    def walk(x, *rest):
        state, rest = rest[:count], rest[count:]
        reset = None
        if call.reset_state is not None:
            reset, rest = rest[:count], rest[count:]
        parameters = dict(zip(names, rest, strict=True))
        given = dataclasses.replace(
            call, x=x, state=state, reset_state=reset, parameters=parameters
        )
        found = walk_fused(given)
        return (found.output, *found.state, *found.states)

    assert torch.autograd.gradcheck(walk, tuple(leaves(call).values()), fast_mode=True)


@pytest.mark.parametrize("options", [{}, {"lengths": LENGTHS}], ids=["dense", "lengths"])
@pytest.mark.parametrize("name", CELLS)
def test_a_graph_that_is_kept_gives_its_gradients_again(name, options):
    call = call_of(name, **options)
    walk = walk_fused(call)
    given = leaves(call)
    first = gradients(outputs(walk), given, retain_graph=True)
    other = gradients(outputs(walk), given, seed=6, retain_graph=True)
    again = gradients(outputs(walk), given)
    assert all(torch.equal(first[n], again[n]) for n in given)
    fresh = gradients(outputs(walk_fused(call)), given, seed=6)
    assert all(torch.equal(other[n], fresh[n]) for n in given)


@pytest.mark.parametrize("name", CELLS)
def test_a_graph_that_is_spent_says_so(name):
    call = call_of(name)
    walk = walk_fused(call)
    gradients(outputs(walk), leaves(call))
    with pytest.raises(RuntimeError, match=r"retain_graph=True|Trying to backward.*second time"):
        gradients(outputs(walk), leaves(call))


def test_gradients_add_up_in_the_leaves_over_several_walks():
    call = call_of("lstm")
    walks = [walk_fused(call) for _ in range(2)]
    # the second walk's buffers must not be those that the first one still needs
    sum(walk.output.sum() for walk in walks).backward()
    once = call_of("lstm")
    walk_fused(once).output.sum().backward()
    for leaf, single in zip(leaves(call).values(), leaves(once).values(), strict=True):
        torch.testing.assert_close(leaf.grad, 2 * single.grad)


def test_graphs_may_be_walked_back_in_any_order():
    calls = [call_of("mgu", seed=n) for n in range(3)]
    walks = [walk_fused(call) for call in calls]
    found = [gradients(outputs(walks[n]), leaves(calls[n]))["x"] for n in (1, 0, 2)]
    for n, grad in zip((1, 0, 2), found, strict=True):
        wanted = gradients(outputs(walk_fused(calls[n])), leaves(calls[n]))["x"]
        assert torch.equal(grad, wanted)


def test_a_walk_carries_on_from_another_with_its_gradients():
    call = call_of("lstm", T=6)
    whole = walk_fused(call)
    head = walk_fused(dataclasses.replace(call, x=call.x[:2]))
    tail = walk_fused(dataclasses.replace(call, x=call.x[2:], state=head.state))
    pieces = torch.cat([head.output, tail.output])
    torch.testing.assert_close(pieces, whole.output)
    given = leaves(call)
    found = gradients({"y": pieces}, given)
    wanted = gradients({"y": whole.output}, given)
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("changed", ["x", "state", "parameter", "output"])
def test_what_is_changed_in_place_before_the_gradient_is_refused(changed):
    call = call_of("lstm")
    x, parameter = call.x * 1, call.cell.gates.weight_hh
    state = tuple(part * 1 for part in call.state)
    walk = walk_fused(dataclasses.replace(call, x=x, state=state))
    with torch.no_grad():
        {"x": x, "state": state[0], "parameter": parameter, "output": walk.output}[changed].mul_(2)
    with pytest.raises(RuntimeError, match=r"in.?place"):
        walk.output.sum().backward()


def test_hooks_on_tensors_see_the_gradients():
    call, seen = call_of("elman"), []
    x = call.x * 1
    x.register_hook(lambda grad: seen.append(grad) or 2 * grad)
    walk_fused(dataclasses.replace(call, x=x)).output.sum().backward()
    assert torch.equal(call.x.grad, 2 * seen[0])


def test_a_walk_without_a_graph_keeps_none():
    call = call_of("elman")
    with torch.no_grad():
        assert not walk_fused(call).output.requires_grad
    frozen = Call(call.cell.requires_grad_(False), call.x.detach(), (call.state[0].detach(),))
    assert walk_fused(frozen).output.grad_fn is None


@pytest.mark.parametrize("name", ["lstm", "mgu"])
def test_outputs_do_not_change_when_the_next_walk_runs(name):
    call = call_of(name)
    walk = walk_fused(call)
    kept = [part.clone() for part in outputs(walk).values()]
    gradients(outputs(walk), leaves(call))
    for seed in range(3):
        other = call_of(name, seed=seed + 1)
        gradients(outputs(walk_fused(other)), leaves(other))
    assert all(map(torch.equal, outputs(walk).values(), kept))


@pytest.mark.parametrize("name", CELLS)
def test_weights_that_are_fixed_take_no_work_and_change_no_gradient(name, monkeypatch):
    call, entries = call_of(name, lengths=LENGTHS), []
    one = {"x": call.x, "state": call.state[0]}
    wanted = gradients(outputs(walk_fused(call)), one)
    called = launch._Forward.call
    monkeypatch.setattr(
        launch._Forward, "call", lambda run, entry: (entries.append(entry), called(run, entry))[1]
    )
    call.cell.requires_grad_(False)
    found = gradients(outputs(walk_fused(call)), one)
    assert all(torch.equal(found[name], wanted[name]) for name in one)
    assert "backward" in entries
    assert "weights" not in entries
