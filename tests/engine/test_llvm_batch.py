"""Packing: every valid step stands in one row, beside those of its step, behind its predecessor."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ostinato.engine.llvm.batch import dense, ragged


@st.composite
def batches(draw):
    T, B = draw(st.integers(1, 9)), draw(st.integers(1, 7))
    lengths = draw(st.none() | st.lists(st.integers(0, T), min_size=B, max_size=B))
    marks = draw(st.none() | st.lists(st.booleans(), min_size=T * B, max_size=T * B))
    lengths = None if lengths is None else torch.tensor(lengths)
    marks = None if marks is None else torch.tensor(marks).view(T, B)
    return T, B, lengths, marks, draw(st.booleans())


def sequences(T, B, lengths, reset, reverse):
    """{(row, number in the row): its steps in the order of the walk}, and which begin at a mark."""
    found, fresh = {}, set()
    for b in range(B):
        n = T if lengths is None else int(lengths[b])
        number = -1
        for t in range(n)[::-1] if reverse else range(n):
            marked = reset is not None and bool(reset[t, b])
            if number < 0 or marked:
                number += 1
                if marked:
                    fresh.add((b, number))
            found.setdefault((b, number), []).append(t)
    return found, fresh


@given(batches())
def test_the_packed_rows_are_the_sequences_step_by_step(batch):
    B = batch[1]
    wanted, fresh = sequences(*batch)
    packed = ragged(*batch)
    layout = packed.layout
    assert layout.batch == len(wanted)
    assert layout.rows == sum(map(len, wanted.values()))
    walked = [[] for _ in range(layout.batch)]
    for step in range(layout.length):
        first, old, live = layout.steps[step].tolist()
        for n in range(live):
            # the old states' buffer begins with the first states
            before = n if step == 0 else layout.batch + int(layout.steps[step - 1, 0]) + n
            assert old + n == before
            walked[n].append(int(packed.source[first + n]))
    assert layout.steps[-1, 2] == 0 if layout.batch else True
    sizes = [len(steps) for steps in walked]
    assert sizes == sorted(sizes, reverse=True)
    named = {}
    for n, steps in enumerate(walked):
        (b,) = {place % B for place in steps}
        times = [place // B for place in steps]
        (name,) = [key for key, want in wanted.items() if key[0] == b and want == times]
        named[name] = n
        assert packed.starts[n] == b + B * (name in fresh)
        assert packed.source[packed.last[n]] == steps[-1]
    assert len(named) == len(wanted)
    for b in range(B):
        own = [name for name in wanted if name[0] == b]
        assert packed.final[b] == (named[max(own)] if own else layout.batch + b)


@given(batches())
def test_places_lead_back_to_where_rows_came_from(batch):
    T, B, lengths, *_ = batch
    packed = ragged(*batch)
    N = packed.layout.rows
    valid = torch.ones(T * B, dtype=torch.bool)
    valid[packed.padding] = False
    assert (packed.place < max(N, 1)).all()
    assert torch.equal(packed.source[packed.place[valid]], valid.nonzero()[:, 0])
    whole = torch.full((B,), T) if lengths is None else lengths
    assert torch.equal(valid.view(T, B), torch.arange(T)[:, None] < whole)


@given(batches(), st.integers(1, 3), st.integers(1, 6), st.data())
def test_in_any_stretch_each_live_sequence_is_one_threads(batch, threads, most, data):
    layout = ragged(*batch).layout
    if not layout.batch:
        return
    start = data.draw(st.integers(0, layout.length - 1))
    stop = data.draw(st.integers(start + 1, layout.length))
    blocks, shares = layout.work(start, stop, threads, most)
    assert len(shares) == threads + 1
    assert shares[0] == 0
    assert shares[-1] == len(blocks)
    assert (shares.diff() >= 0).all()
    rows = [first + n for first, count in blocks.tolist() for n in range(count)]
    assert rows == list(range(int(layout.steps[start, 2])))
    assert all(0 < count <= most for count in blocks[:, 1].tolist())


def test_a_batch_is_packed_once_for_all_layers_and_directions_that_ask():
    lengths = torch.tensor([3, 1, 2])
    assert ragged(4, 3, lengths, None, False) is ragged(4, 3, lengths.clone(), None, False)
    assert ragged(4, 3, lengths, None, False) is not ragged(4, 3, lengths, None, True)
    assert ragged(4, 3, torch.tensor([2, 2, 2]), None, False).layout is dense(2, 3)


def runs_cover(layout):
    """Rows and old rows that the runs name, in order."""
    cur, old = [], []
    for first, before, count in layout.runs.tolist():
        cur += range(first, first + count)
        old += range(before, before + count)
    return cur, old


@given(batches())
def test_the_runs_of_the_weight_gradients_name_every_row_once_with_its_old_state(batch):
    layout = ragged(*batch).layout
    old_of = {}
    for first, old, live in layout.steps[:-1].tolist():
        old_of |= {first + n: old + n for n in range(live)}
    cur, old = runs_cover(layout)
    assert cur == list(range(layout.rows))
    assert old == [old_of[row] for row in cur]
    assert layout.chunks[0] == 0
    assert layout.chunks[-1] == len(layout.runs)
    assert (layout.chunks.diff() > 0).all() or not layout.rows


@pytest.mark.parametrize(("T", "B"), [(1, 1), (5, 3), (129, 2), (3, 500)])
def test_a_dense_batch_is_rows_as_they_are(T, B):
    layout = dense(T, B)
    assert (layout.batch, layout.rows, layout.length, layout.even) == (B, T * B, T, True)
    cur, old = runs_cover(layout)
    assert cur == list(range(T * B))
    # behind the B first states, row r of the states is row r - B of the new ones
    assert old == cur
    ends = layout.runs[layout.chunks[1:] - 1]
    assert (ends[:, 0] + ends[:, 2])[-1] == T * B


@pytest.mark.parametrize("most", [1, 3, 6])
@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("B", [1, 2, 3, 5, 7, 16, 33])
@pytest.mark.parametrize("even", [True, False])
def test_every_sequence_is_one_threads(even, B, threads, most):
    lengths = torch.arange(B) % 4 + 1
    layout = dense(4, B) if even else ragged(4, B, lengths, None, False).layout
    assert layout.even == (even or B == 1)
    blocks, shares = layout.work(0, layout.length, threads, most)
    covered = [row for first, size in blocks.tolist() for row in range(first, first + size)]
    assert sorted(covered) == list(range(B))
    assert all(1 <= size <= most for _, size in blocks.tolist())
    assert shares[0] == 0
    assert shares[-1] == len(blocks)
    assert (shares.diff() >= 0).all()
    assert len(shares) - 1 <= max(threads, 1)
    again = layout.work(0, layout.length, threads, most)
    assert all(map(torch.equal, again, (blocks, shares)))


@pytest.mark.parametrize("B", [2, 5, 16, 40, 100, 300])
@pytest.mark.parametrize("threads", [2, 3])
def test_threads_get_like_loads_of_unlike_sequences(threads, B):
    sizes = torch.randint(250, 1001, (B,), generator=torch.Generator().manual_seed(B))
    layout = ragged(1000, B, sizes, None, False).layout
    blocks, shares = layout.work(0, layout.length, threads, 6)
    steps = sizes.sort(descending=True).values
    load = [
        sum(int(steps[first : first + size].sum()) for first, size in blocks[a:b].tolist())
        for a, b in pairwise(shares.tolist())
    ]
    # a whole row block more than its part is the most that a thread can be burdened with
    block = min(6, B) if 32 * threads < B else 1
    assert max(load) <= int(sizes.sum()) / threads + (block + 0.5) * 1000 + 0.05 * max(load)
