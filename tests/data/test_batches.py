import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ostinato.data.batches import LengthBatches, pad, padding_share


def numbers(lengths, **options):
    return LengthBatches(lengths, lambda rows: rows.tolist(), **options)


@given(
    lengths=st.lists(st.integers(0, 30), min_size=1, max_size=60),
    batch_size=st.integers(1, 9),
    max_steps=st.none() | st.integers(1, 50),
    shuffle=st.booleans(),
    epoch=st.integers(0, 3),
)
def test_every_row_comes_once_an_epoch_longest_first_within_the_limits(
    lengths, batch_size, max_steps, shuffle, epoch
):
    options = {"batch_size": batch_size, "max_steps": max_steps, "shuffle": shuffle}
    batches = list(numbers(lengths, **options).epoch(epoch))
    assert sorted(n for batch in batches for n in batch) == list(range(len(lengths)))
    for batch in batches:
        steps = [lengths[n] for n in batch]
        assert steps == sorted(steps, reverse=True)
        assert len(batch) <= batch_size
        if max_steps is not None and len(batch) > 1:
            assert len(batch) * max(steps[0], 1) <= max_steps


def test_epochs_differ_and_come_again_from_the_same_seed():
    lengths = np.random.default_rng(0).integers(1, 50, 1000)
    first, second, other = (
        numbers(lengths, batch_size=8, shuffle=True, seed=seed) for seed in (1, 1, 2)
    )
    assert list(first.epoch(0)) == list(second.epoch(0))
    assert list(first.epoch(0)) != list(first.epoch(1))
    assert list(first.epoch(0)) != list(other.epoch(0))
    assert list(first.epoch(0)) == list(first.epoch(0))


def test_every_epoch_has_as_many_batches():
    lengths = np.random.default_rng(0).integers(1, 50, 20_000)
    batches = numbers(lengths, batch_size=40, max_steps=800, shuffle=True)
    assert len({len(batches._draw(number)) for number in range(6)}) > 1
    assert {len(batches.epoch(number)) for number in range(6)} == {len(batches)}


def test_little_of_a_batch_is_padding():
    # sentences: most short, a few long
    lengths = np.random.default_rng(0).geometric(0.06, 5000)
    assert padding_share(numbers(lengths, batch_size=32, shuffle=True)) < 0.1
    drawn = np.random.default_rng(1).permutation(5000).reshape(-1, 40)
    unsorted = 1 - lengths.sum() / sum(40 * lengths[rows].max() for rows in drawn)
    assert unsorted > 0.5


def test_ranks_share_the_batches_and_take_as_many_each():
    batches = numbers(range(1, 24), batch_size=2, shuffle=True)
    shares = [list(batches.shard(rank, 4).epoch(2)) for rank in range(4)]
    assert {len(share) for share in shares} == {3}
    whole = list(batches.epoch(2))
    assert all(batch in whole for share in shares for batch in share)
    assert all(any(batch in share for share in shares) for batch in whole)


@pytest.mark.parametrize(
    ("lengths", "options", "message"),
    [
        ([], {"batch_size": 1}, "no rows"),
        ([1], {"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ([1], {"batch_size": 1, "max_steps": 0}, "max_steps must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_batched_is_refused(lengths, options, message):
    with pytest.raises(ValueError, match=message):
        numbers(lengths, **options)


def test_rows_are_laid_side_by_side_with_their_lengths():
    laid, lengths = pad([np.ones((2, 3), np.float32), np.zeros((0, 3), np.float32)], value=7)
    assert laid.shape == (2, 2, 3)
    assert laid.dtype == torch.float32
    assert laid[:, 1].eq(7).all()
    assert lengths.tolist() == [2, 0]
