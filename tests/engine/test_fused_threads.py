"""The same bits: run after run, for any number of threads, in any buffers, step by step."""

import dataclasses

import pytest
import torch
from against_eager import make_call, only_fused, results, walk_fused

import ostinato
from ostinato import cells
from ostinato.engine.llvm import pool as pools

I, H = 6, 40  # noqa: E741
CELLS = {
    "lstm": lambda: cells.LSTM(I, H),
    "gru": lambda: cells.GRU(I, H),
    "mgu": lambda: cells.MGU(I, H),
    "norm": lambda: cells.Elman(I, H, layer_norm=True),
    "mlstm": lambda: cells.MultiplicativeLSTM(I, H),
}


@pytest.fixture
def _threads_again():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def call_of(name, B=33, T=9, **options):
    torch.manual_seed(7)
    cell = CELLS[name]()
    return make_call(cell, cell.state_sizes, I=I, T=T, B=B, **options)


def bits(call):
    return {name: value.detach().clone() for name, value in results(call, walk_fused(call)).items()}


def assert_same(found, wanted):
    differing = [name for name in wanted if not torch.equal(found[name], wanted[name])]
    assert not differing


def some_lengths(B, T):
    return torch.randint(T + 1, (B,), generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("name", CELLS)
def test_run_after_run(name):
    call = call_of(name)
    wanted = bits(call)
    for _ in range(3):
        assert_same(bits(call), wanted)


@pytest.mark.usefixtures("_threads_again")
@pytest.mark.parametrize("form", ["dense", "lengths", "reset"])
@pytest.mark.parametrize("name", CELLS)
def test_whatever_the_number_of_threads(name, form):
    for B, T in ((33, 9), (7, 40), (4, 60), (1, 80)):
        options = {"lengths": some_lengths(B, T)} if form == "lengths" else {}
        if form == "reset":
            options["reset"] = torch.rand(T, B, generator=torch.Generator().manual_seed(1)) < 0.1
        call = call_of(name, B, T, **options)
        found = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(bits(call))
        assert_same(found[1], found[0])
        assert_same(found[2], found[0])


class PoisonedPool(pools.Pool):
    """Lends NaN wherever nothing is promised."""

    lent = 0

    def take(self, size, dtype, key=""):
        buffer = super().take(size, dtype, key)
        if not key:
            buffer.fill_(float("nan"))
            PoisonedPool.lent += 1
        return buffer


@pytest.mark.parametrize("form", ["dense", "lengths", "hidden", "inference", "unlike"])
@pytest.mark.parametrize("name", CELLS)
def test_nothing_is_read_that_was_not_written(name, form, monkeypatch):
    options = {"lengths": some_lengths(7, 9)} if form in ("lengths", "unlike") else {}
    call = call_of(name, B=7, **options)
    if form == "hidden":
        call = dataclasses.replace(call, all_states=False)
    if form in ("inference", "unlike"):
        call.x.requires_grad_(False)
        call.cell.requires_grad_(False)
        call = dataclasses.replace(call, state=tuple(part.detach() for part in call.state))
    wanted = bits(call)
    monkeypatch.setattr(pools, "pool", PoisonedPool())
    before = PoisonedPool.lent
    for _ in range(2):
        assert_same(bits(call), wanted)
    assert PoisonedPool.lent > before


def test_the_pool_gives_back_what_it_was_given_and_lets_go_beyond_its_limit():
    pool = pools.Pool(limit=100)
    first = pool.take(10, torch.float32)
    address = first.data_ptr()
    pool.give(first)
    assert pool.take(10, torch.float32, key="zeros").data_ptr() != address
    assert pool.take(10, torch.float64).data_ptr() != address
    assert pool.take(10, torch.float32).data_ptr() == address
    for _ in range(3):
        pool.give(torch.ones(20))
    assert pool._idle <= pool.limit
    pool.give(torch.ones(1000))
    assert all(len(buffer) < 1000 for free in pool._free.values() for buffer in free)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ostinato.LSTM(I, H),
        lambda: ostinato.GRU(I, H, num_layers=2),
        lambda: ostinato.RNN(I, 8),
        lambda: ostinato.Recurrent(cells.MGU(I, H)),
        lambda: ostinato.Recurrent(cells.Elman(I, 12, layer_norm=True)),
        lambda: ostinato.Recurrent(cells.LSTM(I, 17, proj_size=5)),
    ],
    ids=["LSTM", "GRU", "RNN", "MGU", "layer norm", "projection"],
)
@torch.no_grad()
def test_a_stream_gives_the_bits_of_the_whole_sequence(make):
    torch.manual_seed(2)
    layer = make().eval()
    x = torch.randn(12, 1, I)
    with only_fused():
        whole, last = layer(x)
        step = layer.stream()
        found = torch.stack([step(row) for row in x])
    assert torch.equal(found, whole)
    last, held = (s if isinstance(s, tuple) else (s,) for s in (last, step.state))
    assert all(map(torch.equal, held, last))


def test_passing_rows_give_their_memory_back_with_the_last_tensor_on_it(monkeypatch):
    own = pools.Pool()
    monkeypatch.setattr(pools, "pool", own)
    rows = pools.passing(3, 5, torch.float64)
    view, address = rows[1:], rows.data_ptr()
    del rows
    assert own._idle == 0
    view += 1
    del view
    assert own._idle > 0
    assert pools.passing(3, 5, torch.float64).data_ptr() == address
