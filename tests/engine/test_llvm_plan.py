"""Long walks in chunks: the same bits, and memory that does not grow with the length."""

import pytest
import torch

from ostinato import cells
from ostinato.engine import Call, fused
from ostinato.engine.forms import form_of
from ostinato.engine.llvm import batch
from ostinato.engine.llvm.batch import dense
from ostinato.engine.llvm.compile import host_target
from ostinato.engine.llvm.plan import Plan

I, H = 3, 6  # noqa: E741


def kernel_of(cell, train):
    state = tuple(torch.zeros(1, size) for size in cell.state_sizes)
    return form_of(cell, torch.zeros(1, 1, I), state).kernel(
        cell, train, torch.float32, host_target()
    )


@pytest.mark.parametrize("name", ["lstm", "gru", "jordan", "narx"])
@pytest.mark.parametrize("B", [1, 3])
@pytest.mark.parametrize("reverse", [True, False])
def test_chunks_give_the_bits_of_one_go(name, B, reverse, monkeypatch):
    torch.manual_seed(0)
    cell = cells.by_name(name)(I, H)
    state = tuple(torch.randn(B, size) for size in cell.state_sizes)
    call = Call(cell, torch.randn(501, B, I), state, reverse=reverse)
    with torch.no_grad():
        wanted = fused.walk(call)
        # a few steps at a time, which 501 is no multiple of
        monkeypatch.setattr("ostinato.engine.llvm.plan._NEAR", 1 << 12)
        dense.cache_clear()
        found = fused.walk(call)
    plans = list(dense(501, B).plans.values())
    assert all(
        len(plan.chunks) > 3 and plan.chunks[-1].numbers < plan.chunks[0].numbers for plan in plans
    )
    assert plans
    dense.cache_clear()
    assert torch.equal(found.output, wanted.output)
    assert all(map(torch.equal, found.state, wanted.state))


@pytest.mark.parametrize("name", ["lstm", "gru", "jordan", "narx"])
@pytest.mark.parametrize("form", ["lengths", "resets"])
@pytest.mark.parametrize("reverse", [True, False])
def test_so_they_do_where_lengths_differ(name, form, reverse, monkeypatch):
    torch.manual_seed(0)
    T, B = 301, 7
    cell = cells.by_name(name)(I, H)
    state = tuple(torch.randn(B, size) for size in cell.state_sizes)
    lengths = torch.tensor([301, 0, 17, 300, 150, 1, 150])
    marks = torch.rand(T, B) < 0.02 if form == "resets" else None
    options = (
        {"reset": marks, "reset_state": tuple(s + 1 for s in state)} if form == "resets" else {}
    )
    call = Call(cell, torch.randn(T, B, I), state, lengths=lengths, reverse=reverse, **options)
    with torch.no_grad():
        wanted = fused.walk(call)
        # chunks of a few rows, in which some sequences end
        monkeypatch.setattr("ostinato.engine.llvm.plan._NEAR", 1 << 13)
        batch._ragged.cache_clear()
        found = fused.walk(call)
    layout = batch.ragged(T, B, lengths, marks, reverse).layout
    batch._ragged.cache_clear()
    (plan,) = layout.plans.values()
    assert plan.reuse
    assert len(plan.chunks) > 3
    assert plan.rows < layout.rows / 3
    assert torch.equal(found.output, wanted.output)
    assert all(map(torch.equal, found.state, wanted.state))


def test_what_a_plan_holds_does_not_grow_with_the_length():
    kernel = kernel_of(cells.by_name("lstm")(I, H), False)
    sizes = []
    for T in (100_000, 1_000_000):
        plan = Plan(kernel, dense(T, 1), (0,), 1)
        held = sum(table.nbytes for table in plan.kept) + plan.bytes
        sizes.append(held)
        assert not {"steps", "lines", "_runs"} & set(dense(T, 1).__dict__)
        assert len(plan.chunks) <= 4096
    assert sizes[1] < 1.5 * sizes[0] < 1 << 24
