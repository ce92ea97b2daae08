"""Several Python threads at once, over cells that are known and cells that are new."""

import concurrent.futures

import pytest
import torch
from against_eager import make_call, results, walk_fused

from ostinato import cells

I, H = 6, 40  # noqa: E741
CELLS = {
    "lstm": lambda: cells.LSTM(I, H),
    "gru": lambda: cells.GRU(I, H),
    "mgu": lambda: cells.MGU(I, H),
    "norm": lambda: cells.Elman(I, H, layer_norm=True),
}


def call_of(name, B, seed):
    torch.manual_seed(7)
    cell = CELLS[name]()
    return make_call(cell, cell.state_sizes, I=I, T=9, B=B, seed=seed)


def bits(call):
    return {name: value.detach().clone() for name, value in results(call, walk_fused(call)).items()}


def assert_same(found, wanted):
    assert not [name for name in wanted if not torch.equal(found[name], wanted[name])]


@pytest.mark.parametrize("name", CELLS)
def test_several_python_threads_at_once(name):
    calls = [call_of(name, B=n + 1, seed=n) for n in range(6)]
    wanted = [bits(call) for call in calls]
    calls = [call_of(name, B=n % 6 + 1, seed=n % 6) for n in range(24)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(bits, calls))
    for n, one in enumerate(found):
        assert_same(one, wanted[n % 6])


def test_several_python_threads_may_ask_for_the_same_new_kernel():
    torch.manual_seed(1)
    made = [cells.GRU(3, 13) for _ in range(4)]
    calls = [make_call(cell, (13,), I=3) for cell in made]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(bits, calls))
    for call, one in zip(calls, found, strict=True):
        assert_same(bits(call), one)
