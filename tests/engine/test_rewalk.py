"""Training in segments: the same numbers as the whole walk, from less memory."""

import dataclasses

import pytest
import torch
from against_eager import compare, error, gradients, make_call, padded, results, walk_fused
from custom_cells import CELLS
from random_cells import RandomCell

from ostinato import cells
from ostinato.engine.llvm.batch import dense, ragged, runs_of
from ostinato.engine.llvm.pool import Pool

I, H, T, B = 3, 9, 11, 5  # noqa: E741
LENGTHS = torch.tensor([7, 0, 3, 11, 1])
RESET = torch.rand(T, B, generator=torch.Generator().manual_seed(0)) < 0.3
FORMS = {
    "plain": {},
    "no states": {"all_states": False},
    "lengths": {"lengths": LENGTHS},
    "lengths, no states": {"lengths": LENGTHS, "all_states": False},
    "resets backward": {"reset": RESET, "reverse": True},
    "all": {"lengths": LENGTHS, "reset": RESET, "reverse": True},
}
SUMS = ("p", "w", "b", "g", "n")


def call_of(cell, widths, input_size=I, **form):
    call = make_call(cell, widths, I=input_size, T=T, B=B, dtype=torch.float64, **form)
    if call.lengths is not None:
        call = dataclasses.replace(call, x=padded(call.x, call.lengths))
    return call


def hold(call, every):
    """All as the whole walk gives it: bit for bit, but sums over all steps."""
    wanted = results(call, walk_fused(call))
    parts = dataclasses.replace(call, checkpoint_every=every)
    found = results(parts, walk_fused(parts))
    weights = {f"d {name}" for name, _ in call.cell.named_parameters()}
    for name, want in wanted.items():
        if name in weights:
            assert error(found[name], want) < 1e-13, name
        else:
            assert torch.equal(found[name], want), name


@pytest.mark.parametrize("every", [1, 3, "sqrt", 10])
@pytest.mark.parametrize("form", FORMS)
def test_segments_give_the_bits_of_the_whole_walk(form, every):
    torch.manual_seed(1)
    cell = cells.LSTM(I, H, peephole=True)
    hold(call_of(cell, cell.state_sizes, **FORMS[form]), every)


@pytest.mark.parametrize("name", CELLS)
def test_a_strangers_cell_in_segments(name):
    torch.manual_seed(1)
    make_cell, input_size, widths = CELLS[name]
    form = FORMS["all"] if list(CELLS).index(name) % 2 else FORMS["no states"]
    hold(call_of(make_cell(), widths, input_size, **form), 4)


@pytest.mark.parametrize("seed", [1, 2, 3, 39])
def test_a_random_cell_in_segments_equals_the_reference(seed):
    cell = RandomCell(seed)
    call = call_of(cell, cell.state_sizes, cell.input_size, **FORMS["lengths, no states"])
    compare(dataclasses.replace(call, checkpoint_every=2))


def test_several_threads_give_the_same_bits():
    before = torch.get_num_threads()
    torch.manual_seed(1)
    cell = cells.GRU(64, 128)
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            call = make_call(cell, cell.state_sizes, I=64, T=70, B=2, checkpoint_every=8)
            found.append(results(call, walk_fused(call)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def sequence(every):
    torch.manual_seed(1)
    cell = cells.MGU(I, H).double()
    call = make_call(cell, cell.state_sizes, I=I, T=T, B=B, dtype=torch.float64)
    return dataclasses.replace(call, checkpoint_every=every)


def test_a_graph_that_is_retained_is_walked_back_again():
    call = sequence(4)
    y = walk_fused(call).output
    first, second = (torch.autograd.grad(y.sum(), call.x, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_a_graph_of_the_gradient_is_that_of_the_whole_walk():
    found = []
    for every in (None, 4):
        call = sequence(every)
        walk = walk_fused(call)
        dx = gradients({"y": walk.output}, {"x": call.x}, create_graph=True)["x"]
        found.append(torch.autograd.grad(dx.square().sum(), call.x)[0])
    assert error(found[1], found[0]) < 1e-13


def test_an_output_changed_in_place_is_refused():
    call = sequence(4)
    walk = walk_fused(call)
    loss = walk.output.sum()
    with torch.no_grad():
        walk.output.mul_(2)
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


def borrowed(monkeypatch, steps, every):
    """Bytes of all buffers that a training step takes at once."""
    taken, own = [], Pool()
    monkeypatch.setattr(own, "take", lambda *a: taken.append(Pool.take(own, *a)) or taken[-1])
    monkeypatch.setattr("ostinato.engine.llvm.pool.pool", own)
    cell = cells.LSTM(H, H)
    call = make_call(cell, cell.state_sizes, I=H, T=steps, B=8, all_states=False)
    results(call, walk_fused(dataclasses.replace(call, checkpoint_every=every)))
    return sum({part.data_ptr(): part.nbytes for part in taken}.values())


def test_buffers_grow_with_the_root_of_the_length(monkeypatch):
    weights = borrowed(monkeypatch, 2, None)
    plain, root = (
        [borrowed(monkeypatch, steps, every) - weights for steps in (400, 6400)]
        for every in (None, "sqrt")
    )
    assert plain[1] > 14 * plain[0]
    assert root[1] < 5 * root[0]
    assert root[1] < plain[1] / 10


@pytest.mark.parametrize("every", [1, 4, 40, 100])
def test_the_runs_of_the_segments_are_all_rows_once(every):
    lengths = torch.tensor([90, 100, 3, 0, 55] * 4)
    for layout in (dense(100, 20), ragged(100, 20, lengths, None, False).layout):
        rows = []
        for start in range(0, layout.length, every):
            runs, bounds = runs_of(layout, start, min(start + every, layout.length))
            assert bounds[-1] == len(runs)
            rows += [row for first, _, n in runs.tolist() for row in range(first, first + n)]
        assert rows == list(range(layout.rows))
