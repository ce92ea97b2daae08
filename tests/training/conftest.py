"""A model so small that a whole training takes a moment, with everything a checkpoint must keep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ostinato.training import SequenceModule, TrainingConfig, fit, seed_all, sequence_loss

STEPS, ROWS, WIDTH = 4, 3, 2


@dataclass(frozen=True)
class Piece:
    inputs: Tensor
    targets: Tensor

    def to(self, device, **_):
        return Piece(self.inputs.to(device), self.targets.to(device))


class Streams:
    """Six chunks of three streams; another stretch in each epoch."""

    chunks = 6

    def __init__(self, rows=ROWS, rank=0, world_size=1):
        self.rows, self.rank, self.world_size = rows, rank, world_size

    def shard(self, rank, world_size):
        return Streams(self.rows, rank, world_size)

    def __len__(self):
        return self.chunks

    def epoch(self, number):
        generator = torch.Generator().manual_seed(100 + number)
        x = torch.randn(self.chunks, STEPS, self.rows, WIDTH, generator=generator)
        x = x[:, :, self.rank :: self.world_size]
        return [Piece(piece, piece.cumsum(0).tanh()) for piece in x]


class Listing:
    """The same chunks as a plain iterable without a length, which cannot be indexed."""

    def __iter__(self):
        return iter(Streams().epoch(0))


class TinyModel(SequenceModule):
    """A GRU with dropout (which draws random numbers) that carries its state."""

    def __init__(self, config=None, dropout=0.3):
        super().__init__(config)
        self.net = nn.GRU(WIDTH, 5)
        self.drop = nn.Dropout(dropout)
        self.out = nn.Linear(5, WIDTH)

    def _loss(self, batch):
        y, state = self.net(batch.inputs, self.carried)
        self.carry(state)
        return sequence_loss(self.out(self.drop(y)), batch.targets, loss="mse")

    def training_step(self, batch, batch_idx):
        return {"loss": self._loss(batch), "tokens": batch.targets[..., 0].numel()}

    def validation_step(self, batch, batch_idx):
        self.record("val_loss", self._loss(batch), weight=batch.targets[..., 0].numel())


def settings(**changes):
    base = {"epochs": 2, "lr": 0.05, "device": "cpu", "log_every": 2, "save_seconds": 1e9}
    return TrainingConfig(**{**base, **changes})


def train(
    run_dir=None, *, loader=None, resume=False, val=True, callbacks=(), model=None, **changes
):
    """Train a fresh tiny model; give (model, result)."""
    config = settings(**changes)
    seed_all(1)
    model = model or TinyModel(config)
    result = fit(
        model,
        Streams() if loader is None else loader,
        Streams().epoch(99)[:2] if val else None,
        config=config,
        run_dir=run_dir,
        resume=resume,
        progress=False,
        callbacks=callbacks,
    )
    return model, result


def weights(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


class Tiny:
    Model, Streams, Listing = TinyModel, Streams, Listing
    train, weights, same, settings = map(staticmethod, (train, weights, same, settings))
    source = Path(__file__)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny():
    return Tiny
