"""Batches in an order that can be taken up again in the middle of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler, IterableDataset, RandomSampler

from ostinato.training.seeds import random_state, restore_random_state

__all__ = ["Feed", "Position", "TimeChunk", "TimeChunks", "shard"]


@dataclass(frozen=True)
class Position:
    """A place in an epoch.

    Attributes:
        done: batches of the epoch that have been trained on.
        epoch_random: state of the random generators when the epoch began.
        random: their state now.
    """

    done: int
    epoch_random: dict[str, Any]
    random: dict[str, Any]


class Feed:
    """The training data as Lightning sees it.

    What it walks is any iterable of batches that gives the same ones again from the same random
    state; or an object with `epoch(number)`, which returns that epoch's batches (if they can be
    indexed, none is made in vain when a run is taken up again). `set_epoch(number)` is called where
    there is one.

    Args:
        loader: the batches.
        epoch: tells which epoch is about to begin.
        between: called between two batches, when everything about the earlier one is done.
    """

    def __init__(
        self, loader: Iterable[Any], epoch: Callable[[], int], between: Callable[[], None]
    ) -> None:
        self.loader = loader
        self.epoch_random = random_state()
        self._epoch = epoch
        self._between = between
        self._resume: Position | None = None

    def resume_at(self, position: Position) -> None:
        """Begin the next epoch at `position`."""
        self._resume = position

    def __len__(self) -> int:
        return len(cast("Sized", self.loader))

    def __iter__(self) -> Iterator[Any]:
        at, self._resume = self._resume, None
        if at is not None:
            restore_random_state(at.epoch_random)
        self.epoch_random = random_state()
        batches = self._open(0 if at is None else at.done)
        if at is not None:
            restore_random_state(at.random)
        for batch in batches:
            yield batch
            del batch
            # reached when the next batch is asked for
            self._between()

    def _open(self, skip: int) -> Iterator[Any]:
        number = self._epoch()
        if hasattr(self.loader, "set_epoch"):
            self.loader.set_epoch(number)
        sampler: Any = getattr(self.loader, "sampler", None)
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(number)
        batches: Any = self.loader.epoch(number) if hasattr(self.loader, "epoch") else self.loader
        if hasattr(batches, "__getitem__") and hasattr(batches, "__len__"):
            return (batches[k] for k in range(skip, len(batches)))
        walk: Iterator[Any] = iter(batches)
        next(islice(walk, skip, skip), None)
        return walk


def shard(loader: Any, rank: int, world_size: int) -> Any:
    """What of `loader` belongs to one rank of several.

    A loader's own method `shard(rank, world_size)` decides; a DataLoader over a data set of known
    length gets a distributed sampler.

    Raises:
        TypeError: neither holds.
    """
    if world_size == 1:
        return loader
    if hasattr(loader, "shard"):
        return loader.shard(rank, world_size)
    if isinstance(loader, DataLoader) and not isinstance(loader.dataset, IterableDataset):
        shuffle = isinstance(loader.sampler, RandomSampler)
        return DataLoader(
            loader.dataset,
            batch_size=loader.batch_size,
            sampler=DistributedSampler(loader.dataset, world_size, rank, shuffle=shuffle),
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
            pin_memory=loader.pin_memory,
            drop_last=loader.drop_last,
            worker_init_fn=loader.worker_init_fn,
        )
    raise TypeError(
        f"{type(loader).__name__}: nobody knows how to share its batches among {world_size} "
        "devices. Give it a method shard(rank, world_size) that returns one rank's batches."
    )


@dataclass(frozen=True)
class TimeChunk:
    """A few steps of a batch of long sequences.

    Attributes:
        parts: the batch's tensors, these steps of each.
        first: the sequences begin here; a state carried from before does not belong to them.
    """

    parts: tuple[Tensor, ...]
    first: bool

    def to(self, device: torch.device | str, **options: Any) -> TimeChunk:
        """The same chunk on another device."""
        return TimeChunk(tuple(part.to(device, **options) for part in self.parts), self.first)


class TimeChunks:
    """Cut batches of long sequences into chunks for truncated backpropagation through time.

    Args:
        loader: gives tuples of tensors, each [T, B, ...] (or [B, T, ...]).
        steps: longest chunk.
        batch_first: the second axis is time.

    Raises:
        ValueError: `steps` is less than 1.

    Example:
        >>> chunks = list(TimeChunks([(torch.zeros(5, 2, 3), torch.zeros(5, 2))], steps=2))
        >>> [(chunk.parts[0].shape[0], chunk.first) for chunk in chunks]
        [(2, True), (2, False), (1, False)]
    """

    def __init__(
        self, loader: Iterable[tuple[Tensor, ...]], steps: int, *, batch_first: bool = False
    ) -> None:
        if steps < 1:
            raise ValueError(f"TimeChunks: steps must be at least 1, got {steps}.")
        self.loader = loader
        self.steps = steps
        self.axis = 1 if batch_first else 0

    def set_epoch(self, number: int) -> None:
        """Hand the number of the epoch on."""
        if hasattr(self.loader, "set_epoch"):
            self.loader.set_epoch(number)

    def shard(self, rank: int, world_size: int) -> TimeChunks:
        """One rank's share of the batches, cut likewise."""
        return TimeChunks(
            shard(self.loader, rank, world_size), self.steps, batch_first=self.axis == 1
        )

    def __iter__(self) -> Iterator[TimeChunk]:
        for batch in self.loader:
            cut = [torch.split(part, self.steps, self.axis) for part in batch]
            pieces = zip(*cut, strict=True)
            for number, parts in enumerate(pieces):
                yield TimeChunk(parts, first=number == 0)
