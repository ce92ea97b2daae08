"""Whether to divide a little work among threads: learned, and never at the price of other bits."""

import dataclasses

import pytest
import torch
from against_eager import make_call, walk_fused

import ostinato
from ostinato import cells
from ostinato.engine.llvm import launch
from ostinato.engine.llvm.sharing import Known, Sharing, Ways


def walk(ways, seconds, times):
    """Shares of the walks that were divided, if these take so long: {divided: seconds}."""
    chosen = []
    for _ in range(times):
        chosen.append(ways.choose())
        ways.report(chosen[-1], seconds[chosen[-1]])
    return sum(chosen) / times


@pytest.mark.parametrize("better", [True, False])
def test_both_ways_are_tried_and_the_quicker_one_is_kept(better):
    ways = Ways()
    assert walk(ways, {better: 1.0, not better: 1.5}, 8) == 0.5
    share = walk(ways, {better: 1.0, not better: 1.5}, 1000)
    assert (share if better else 1 - share) > 0.98


def test_another_machine_or_another_load_is_noticed():
    ways = Ways()
    walk(ways, {True: 1.0, False: 2.0}, 200)
    walk(ways, {True: 4.0, False: 2.0}, 200)
    assert walk(ways, {True: 4.0, False: 2.0}, 300) < 0.02


def test_one_slow_walk_changes_nothing():
    ways = Ways()
    walk(ways, {True: 1.0, False: 1.2}, 100)
    ways.report(True, 1000.0)
    assert walk(ways, {True: 1.0, False: 1.2}, 25) == 1


def test_where_nothing_is_ever_reported_the_work_is_divided():
    ways = Ways()
    assert sum(ways.choose() for _ in range(300)) > 290


def test_each_kind_of_walk_learns_for_itself():
    known = Known()
    walk(known["a"], {True: 2.0, False: 1.0}, 20)
    assert known["a"] is known["a"]
    assert not known["a"].choose()
    assert known["b"].choose()


def test_a_walk_that_waited_has_one_thread_work_alone_for_a_while(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    sharing = Sharing(first=2.0)
    sharing.report(1e-4, steps=10, work=50_000)
    assert sharing.allowed()
    sharing.report(0.1, steps=10, work=50_000)
    assert not sharing.allowed()
    now[0] += 2.1
    assert sharing.allowed()
    # the second time four times as long
    sharing.report(0.1, steps=10, work=50_000)
    now[0] += 7.9
    assert not sharing.allowed()
    now[0] += 0.2
    assert sharing.allowed()


@pytest.fixture
def _two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_two_threads")
@pytest.mark.parametrize("T", [100, 300])
@pytest.mark.parametrize("train", [True, False])
def test_a_single_row_is_walked_by_one_thread_and_by_two_with_the_same_bits(T, train, monkeypatch):
    torch.manual_seed(0)
    layer, x = ostinato.GRU(128, 128), torch.randn(T, 1, 128)
    reported = []
    report = Ways.report
    monkeypatch.setattr(Ways, "report", lambda ways, *a: reported.append(a[0]) or report(ways, *a))
    found = []
    for _ in range(8):
        with ostinato.engine("llvm"), torch.set_grad_enabled(train):
            y, _ = layer(x)
        if train:
            layer.zero_grad()
            y.sum().backward()
        found.append([y.detach(), *(p.grad.clone() for p in layer.parameters() if train)])
    assert set(reported) == {True, False}
    for parts in found[1:]:
        assert all(map(torch.equal, parts, found[0]))


@pytest.mark.usefixtures("_two_threads")
def test_rows_that_are_many_enough_are_always_divided():
    cell = cells.LSTM(64, 64)
    call = make_call(cell, cell.state_sizes, I=64, T=20, B=32)
    walk_fused(dataclasses.replace(call, lengths=torch.arange(32) % 21))
    threads = []
    kernels = []
    plan_of = launch.plan_of

    def seen(kernel, layout, wanted, many):
        kernels.append(kernel)
        threads.append(many)
        return plan_of(kernel, layout, wanted, many)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "plan_of", seen)
        for _ in range(10):
            walk_fused(call)
    assert set(threads) == {2}
    assert not any(key[0] == "whole" for key in kernels[0].ways)
