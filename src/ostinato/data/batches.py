"""Batches of rows of different lengths: rows of like length together, so that little is padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

__all__ = ["LengthBatches", "pad", "padding_share"]

Batch = TypeVar("Batch")
Indices = NDArray[np.int64]

# rows that are sorted among themselves, in batches: enough that they are of like length, few
# enough that an epoch meets them in another company than the one before
_POOL = 64


class LengthBatches(Generic[Batch]):
    """Walk over rows in batches of like length; lengths are passed on, nothing is packed.

    Shuffled, each epoch draws an order of all rows, sorts pools of some batches by length, cuts
    them, and draws an order of the batches. An epoch's batches depend on seed and number alone, and
    each epoch has as many.

    Args:
        lengths: steps of each row, [N]; an array or memory map.
        make_batch: from the numbers of rows, int64 [B], longest first, to a batch.
        batch_size: B, rows at most.
        max_steps: rows times the longest of them, at most (a longer row stands alone); None: only
            `batch_size` counts.
        shuffle: else in the order of lengths, the same in every epoch.
        seed: of the orders.

    Raises:
        ValueError: there are no rows, or a size is less than 1.

    Example:
        >>> batches = LengthBatches([3, 1, 2, 9], lambda rows: rows.tolist(), batch_size=2)
        >>> list(batches)
        [[3, 0], [2, 1]]
    """

    def __init__(
        self,
        lengths: ArrayLike,
        make_batch: Callable[[Indices], Batch],
        *,
        batch_size: int,
        max_steps: int | None = None,
        shuffle: bool = False,
        seed: int = 0,
    ) -> None:
        self.lengths = np.asarray(lengths)
        if self.lengths.ndim != 1 or not len(self.lengths):
            raise ValueError("LengthBatches: there are no rows. Give at least one length.")
        for name, size in (("batch_size", batch_size), ("max_steps", max_steps)):
            if size is not None and size < 1:
                raise ValueError(f"LengthBatches: {name} must be at least 1, got {size}.")
        self.make_batch = make_batch
        self.batch_size = batch_size
        self.max_steps = max_steps
        self.shuffle = shuffle
        self.seed = seed
        self._rank, self._world = 0, 1
        self._last: tuple[int, list[Indices]] | None = None
        self._batches: int | None = None

    def epoch(self, number: int) -> Sequence[Batch]:
        """The batches of one epoch, each made when it is asked for."""
        return _Epoch(self._rows(number), self.make_batch)

    def shard(self, rank: int, world_size: int) -> LengthBatches[Batch]:
        """One rank's share: every `world_size`-th batch, as many for each rank."""
        share = LengthBatches(
            self.lengths,
            self.make_batch,
            batch_size=self.batch_size,
            max_steps=self.max_steps,
            shuffle=self.shuffle,
            seed=self.seed,
        )
        share._rank, share._world = rank, world_size
        return share

    def __len__(self) -> int:
        return len(self._rows(0))

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.epoch(0))

    def _rows(self, number: int) -> list[Indices]:
        number = number if self.shuffle else 0
        if self._last is None or self._last[0] != number:
            batches = self._draw(number)
            if self.shuffle and self.max_steps is not None:
                batches = _split_up(batches, self._count())
            self._last = number, self._share(batches)
        return self._last[1]

    def _count(self) -> int:
        # draws that are cut by steps differ a little in number, and whoever counts the batches of
        # an epoch (to validate at its end) counts those of the first
        if self._batches is None:
            drawn = len(self._draw(0))
            self._batches = drawn if drawn < _POOL else drawn + 1 + drawn // 50
        return self._batches

    def _draw(self, number: int) -> list[Indices]:
        if not self.shuffle:
            return self._cut(_longest_first(self.lengths, np.arange(len(self.lengths))))
        # number and seed together, so that neighbouring seeds share no epoch
        draws = np.random.default_rng((self.seed, number))
        order = draws.permutation(len(self.lengths))
        size = _POOL * self.batch_size
        pools = [order[k : k + size] for k in range(0, len(order), size)]
        batches = [part for pool in pools for part in self._cut(_longest_first(self.lengths, pool))]
        return [batches[k] for k in draws.permutation(len(batches))]

    def _cut(self, rows: Indices) -> list[Indices]:
        if self.max_steps is None:
            return [rows[k : k + self.batch_size] for k in range(0, len(rows), self.batch_size)]
        batches, start = [], 0
        while start < len(rows):
            # the first of a batch is its longest
            longest = max(int(self.lengths[rows[start]]), 1)
            size = min(self.batch_size, max(self.max_steps // longest, 1))
            batches.append(rows[start : start + size])
            start += size
        return batches

    def _share(self, batches: list[Indices]) -> list[Indices]:
        if self._world == 1:
            return batches
        # ranks wait for each other at every step, so each must take as many
        whole = -(-len(batches) // self._world) * self._world
        filled = batches + batches[: whole - len(batches)]
        return filled[self._rank :: self._world]


def _split_up(batches: list[Indices], count: int) -> list[Indices]:
    """The same rows in so many batches, if there are fewer: the fullest are halved."""
    batches = list(batches)
    while len(batches) < count:
        fullest = max(range(len(batches)), key=lambda k: len(batches[k]))
        rows = batches[fullest]
        if len(rows) < 2:
            break
        half = (len(rows) + 1) // 2
        batches[fullest : fullest + 1] = [rows[:half], rows[half:]]
    return batches


class _Epoch(Sequence[Batch]):
    def __init__(self, rows: list[Indices], make_batch: Callable[[Indices], Batch]) -> None:
        self._rows = rows
        self._make = make_batch

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, k: int) -> Batch:  # type: ignore[override]
        return self._make(self._rows[k])


def pad(rows: Sequence[ArrayLike], value: float = 0) -> tuple[Tensor, Tensor]:
    """Lay rows of different lengths side by side, time first.

    Args:
        rows: B arrays [T_b, ...] of one kind.
        value: what stands behind the end of a row.

    Returns:
        [T, B, ...], and the lengths, int64 [B].

    Example:
        >>> pad([[1, 2, 3], [4]])[0].tolist()
        [[1, 4], [2, 0], [3, 0]]
    """
    arrays = [np.asarray(row) for row in rows]
    lengths = torch.tensor([len(array) for array in arrays], dtype=torch.int64)
    longest = max((len(array) for array in arrays), default=0)
    kind = np.result_type(*arrays) if arrays else np.dtype(np.int64)
    tail = arrays[0].shape[1:] if arrays else ()
    laid = np.full((longest, len(arrays), *tail), value, dtype=kind)
    for b, array in enumerate(arrays):
        laid[: len(array), b] = array
    return torch.from_numpy(laid), lengths


def padding_share(batches: LengthBatches[Batch]) -> float:
    """The share of an epoch's steps that are padding."""
    cells = steps = 0
    for rows in batches._rows(0):
        lengths = batches.lengths[rows]
        cells += len(rows) * int(lengths.max())
        steps += int(lengths.sum())
    return 1 - steps / max(cells, 1)


def _longest_first(lengths: Indices, rows: Indices) -> Indices:
    return rows[np.argsort(-lengths[rows], kind="stable")]
