import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from ostinato.training import TimeChunks, seed_all
from ostinato.training.feed import Feed, Position, shard
from ostinato.training.seeds import random_state


class Counted:
    """Batches that can be indexed; remembers which were made."""

    def __init__(self):
        self.made = []

    def __len__(self):
        return 5

    def epoch(self, number):
        return Pass(self, number)


class Pass:
    def __init__(self, owner, number):
        self.owner, self.number = owner, number

    def __len__(self):
        return 5

    def __getitem__(self, k):
        self.owner.made.append(k)
        return (self.number, k)


def feed(loader, epoch=3, between=lambda: None):
    return Feed(loader, lambda: epoch, between)


def test_epochs_are_asked_for_by_number():
    assert list(feed(Counted()))[:2] == [(3, 0), (3, 1)]


def test_a_resumed_epoch_makes_no_batch_in_vain():
    loader = Counted()
    resumed = feed(loader)
    resumed.resume_at(Position(3, random_state(), random_state()))
    assert list(resumed) == [(3, 3), (3, 4)]
    assert loader.made == [3, 4]
    assert len(list(resumed)) == 5


def test_a_shuffled_loader_goes_on_in_its_old_order():
    loader = DataLoader(TensorDataset(torch.arange(20)), shuffle=True)
    seed_all(0)
    first = feed(loader)
    walk = iter(first)
    seen = [next(walk)[0].item() for _ in range(7)]
    position = Position(7, first.epoch_random, random_state())
    rest = [batch[0].item() for batch in walk]
    after = torch.rand(3)
    seed_all(5)
    again = feed(loader)
    again.resume_at(position)
    assert [batch[0].item() for batch in again] == rest
    assert torch.equal(torch.rand(3), after)
    assert sorted(seen + rest) == list(range(20))


def test_between_is_called_between_batches_only():
    calls = []
    walk = iter(feed(Counted(), between=lambda: calls.append("between")))
    next(walk)
    assert calls == []
    next(walk)
    assert calls == ["between"]


def test_each_rank_gets_its_share():
    loader = DataLoader(TensorDataset(torch.arange(8)), batch_size=2, shuffle=True)
    assert shard(loader, 0, 1) is loader
    shares = [torch.cat([b[0] for b in shard(loader, rank, 2)]).tolist() for rank in (0, 1)]
    assert sorted(shares[0] + shares[1]) == list(range(8))
    assert len(shares[0]) == 4
    with pytest.raises(TypeError, match=r"list: nobody knows.*shard\(rank, world_size\)"):
        shard([1, 2], 0, 2)


def test_time_chunks_cut_both_layouts_and_say_where_they_begin():
    x = torch.arange(10).view(5, 2)
    for batch_first in (False, True):
        batch = (x.T if batch_first else x,)
        chunks = list(TimeChunks([batch, batch], 2, batch_first=batch_first))
        assert [chunk.first for chunk in chunks] == [True, False, False] * 2
        joined = torch.cat([c.parts[0] for c in chunks[:3]], dim=int(batch_first))
        assert torch.equal(joined, batch[0])
    with pytest.raises(ValueError, match="steps must be at least 1"):
        TimeChunks([], 0)
