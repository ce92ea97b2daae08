"""Inference mode, autocast, and other processes."""

import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from against_eager import TOLERANCE, compare, error, make_call, only_fused, walk_fused

import ostinato
from ostinato import cells
from ostinato.engine import Call

I, H = 3, 9  # noqa: E741


def call_of(make=cells.LSTM, **options):
    torch.manual_seed(1)
    cell = make(I, H)
    return make_call(cell, cell.state_sizes, I=I, **options)


@pytest.mark.parametrize("make", [cells.LSTM, cells.MGU])
def test_inference_mode_gives_the_same_and_spoils_nothing_for_training(make):
    call = call_of(make)
    wanted = walk_fused(call)
    # a cell that inference mode has seen first, and its buffers, must do for training afterwards
    fresh = call_of(make)
    with torch.inference_mode():
        x = fresh.x * 1
        found = walk_fused(Call(fresh.cell, x, tuple(part * 1 for part in fresh.state)))
        assert found.output.is_inference()
    assert error(found.output, wanted.output) <= TOLERANCE[torch.float32]
    for _ in range(2):
        compare(fresh)
    with torch.inference_mode():
        walk_fused(Call(fresh.cell, x, tuple(part * 1 for part in fresh.state)))
    compare(fresh)


def test_tensors_of_inference_mode_may_be_walked_without_a_graph():
    call = call_of()
    with torch.inference_mode():
        x, state = call.x * 1, tuple(part * 1 for part in call.state)
    with torch.no_grad():
        found = walk_fused(Call(call.cell, x, state)).output
    assert error(found, walk_fused(call).output) <= TOLERANCE[torch.float32]


def test_autocast_works_in_float32_inside():
    layer = ostinato.Recurrent(cells.LSTM(I, H))
    x = torch.randn(5, 2, I, requires_grad=True)
    with only_fused():
        wanted = layer(x)[0]
        with torch.autocast("cpu", torch.bfloat16):
            found = layer(x)[0]
            halved = layer(x.bfloat16())[0]
        assert found.dtype == torch.float32
        assert torch.equal(found, wanted)
        # only the input was rounded
        assert error(halved, wanted) < 1e-2
        found.sum().backward()
    assert torch.equal(x.grad, torch.autograd.grad(layer(x)[0].sum(), x)[0])


def test_a_model_under_autocast_passes_gradients_through_the_walk():
    torch.manual_seed(1)
    model = torch.nn.ModuleList([torch.nn.Linear(I, I), ostinato.GRU(I, H), torch.nn.Linear(H, 2)])
    x = torch.randn(4, 2, I)
    with only_fused(), torch.autocast("cpu", torch.bfloat16):
        first = model[0](x)
        assert first.dtype == torch.bfloat16
        y = model[2](model[1](first)[0])
    y.float().square().sum().backward()
    assert all(
        p.grad.isfinite().all() and p.grad.dtype == torch.float32 for p in model.parameters()
    )
    assert model[0].weight.grad.any()


def work(layer, x):
    """Outputs and a gradient, as bytes: a child has no shared memory to send tensors by."""
    leaf = x.clone().requires_grad_()
    with only_fused():
        y, _ = layer(leaf)
    (grad,) = torch.autograd.grad(y.square().sum(), leaf)
    return y.detach().numpy().tobytes(), grad.numpy().tobytes()


def layer_and_input():
    torch.manual_seed(1)
    # work for several threads of ours, and too little for those of torch, which a fork would stop
    return ostinato.LSTM(I, 64), torch.randn(4, 33, I)


def test_an_interpreter_of_its_own_computes_the_same_from_a_pickle():
    layer, x = layer_and_input()
    assert spawned(layer, x) == work(layer, x)


def spawned(layer, x):
    code = """
        import pickle, sys, torch
        torch.set_num_threads(1)
        sys.path.insert(0, sys.argv[1])
        from test_fused_modes import work
        layer, x = pickle.load(sys.stdin.buffer)
        sys.stdout.buffer.write(pickle.dumps(work(layer, x)))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(Path(__file__).parent)],
        input=pickle.dumps((layer, x)),
        stdout=subprocess.PIPE,
        check=True,
        timeout=120,
    )
    return pickle.loads(done.stdout)
