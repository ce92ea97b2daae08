"""Buffers used again: fresh pages from the system cost as much as the arithmetic on them."""

from __future__ import annotations

import threading
import weakref
from collections import defaultdict

import torch
from torch import Tensor

__all__ = ["Lease", "Pool", "passing", "pool"]


class Pool:
    """Free buffers by size, type and key.

    Args:
        limit: bytes that may lie idle; beyond that, all that is idle is let go.
    """

    def __init__(self, limit: int = 1 << 29) -> None:
        self.limit = limit
        self._free: defaultdict[tuple[int, torch.dtype, str], list[Tensor]] = defaultdict(list)
        self._idle = 0
        # a buffer may come back while one is taken, in the midst of it: where garbage is collected
        self._lock = threading.RLock()

    def take(self, size: int, dtype: torch.dtype, key: str = "") -> Tensor:
        """A buffer of at least that size and of any content.

        With a key it is of just that size, and zero wherever takers of that key never write.
        """
        size = size if key else _rounded(size)
        with self._lock:
            free = self._free.get((size, dtype, key))
            if free:
                buffer = free.pop()
                self._idle -= buffer.nbytes
                return buffer
        with torch.inference_mode(False):
            return (torch.zeros if key else torch.empty)(size, dtype=dtype)

    def give(self, buffer: Tensor, key: str = "") -> None:
        """Take a buffer back."""
        with self._lock:
            if self._idle + buffer.nbytes > self.limit:
                self._free.clear()
                self._idle = 0
            if buffer.nbytes <= self.limit:
                self._idle += buffer.nbytes
                self._free[(buffer.numel(), buffer.dtype, key)].append(buffer)


def passing(count: int, width: int, dtype: torch.dtype) -> Tensor:
    """Rows [count, width] of any content, whose memory goes back to the pool with the last tensor
    on it.
    """
    with torch.inference_mode(False):
        buffer = pool.take(count * width, dtype)
        # a tensor made from an array keeps that alive, and nothing else does
        array = buffer.numpy()[: count * width]
        weakref.finalize(array, pool.give, buffer).atexit = False
        return torch.from_numpy(array).view(count, width)


def _rounded(size: int) -> int:
    """A little more, so that batches of about one size find each other's buffers."""
    step = 1 << max(0, size.bit_length() - 4)
    return -(-size // step) * step


pool = Pool()


class Lease:
    """Buffers of the pool that one call has, given back together."""

    def __init__(self) -> None:
        self._taken: list[tuple[Tensor, str]] = []

    def take(self, size: int, dtype: torch.dtype, key: str = "") -> Tensor:
        """A buffer; see `Pool.take`."""
        buffer = pool.take(size, dtype, key)
        self._taken.append((buffer, key))
        return buffer

    def end(self) -> None:
        """Give all back."""
        for buffer, key in self._taken:
            pool.give(buffer, key)
        self._taken.clear()
