"""Truncated backpropagation: the state goes on from chunk to chunk, its gradient does not."""

import torch
from torch import nn

from ostinato.training import SequenceModule, TimeChunks, TrainingConfig, fit


class Counter(SequenceModule):
    """Adds up its input over all time."""

    def __init__(self):
        super().__init__(TrainingConfig(epochs=2, lr=0.0, device="cpu"))
        self.weight = nn.Parameter(torch.ones(()))
        self.seen = {"train": [], "validate": []}

    def walk(self, batch):
        before = self.carried
        assert before is None or not before[0].requires_grad
        start = torch.zeros(2) if before is None else before[0]
        total = start + self.weight * batch.parts[0].sum(0)
        self.carry((total, (total * 2,)))
        self.seen["train" if self.training else "validate"].append(total[0].item())
        return total.sum()

    def training_step(self, batch, batch_idx):
        return self.walk(batch)

    def validation_step(self, batch, batch_idx):
        self.record("val_loss", self.walk(batch))


def chunks(sequences=1):
    return TimeChunks([(torch.ones(6, 2),)] * sequences, steps=2)


def test_the_state_is_carried_within_an_epoch_and_dropped_between():
    model = Counter()
    fit(model, chunks(), progress=False)
    assert model.seen["train"] == [2.0, 4.0, 6.0] * 2


def test_validation_has_a_state_of_its_own():
    model = Counter()
    config = TrainingConfig(epochs=1, lr=0.0, device="cpu", val_every=1)
    fit(model, chunks(), chunks(), config=config, progress=False)
    assert model.seen["train"] == [2.0, 4.0, 6.0]
    assert model.seen["validate"] == [2.0, 4.0, 6.0] * 3


def test_a_new_sequence_starts_afresh():
    model = Counter()
    config = TrainingConfig(epochs=1, lr=0.0, device="cpu")
    fit(model, chunks(2), chunks(2), config=config, progress=False)
    assert model.seen["train"] == [2.0, 4.0, 6.0] * 2
    assert model.seen["validate"] == [2.0, 4.0, 6.0] * 2


def test_forget_drops_the_state():
    model = Counter()
    model.carry(torch.ones(2, requires_grad=True))
    assert not model.carried.requires_grad
    model.eval()
    assert model.carried is None
    model.train()
    model.forget()
    assert model.carried is None
