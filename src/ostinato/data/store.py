"""Rows of different lengths on disk, memory-mapped: for data larger than memory."""

from __future__ import annotations

import tempfile
import weakref
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = ["RowStore", "RowWriter"]

# bytes of a row that are kept in memory until they are written
_BUFFER = 1 << 22
# what an array takes besides its entries
_EACH = 128


class RowStore:
    """N rows [T_n, ...] of one kind, in a file that is mapped into memory.

    Made by `RowWriter` or `RowStore.of`. The file is temporary, and goes with `values`.

    Args:
        values: all rows, one after the other, [sum of T_n, ...].
        offsets: where each row begins, and the end of the last, int64 [N + 1].

    Example:
        >>> store = RowStore.of([[1, 2, 3], [], [4]], dtype="int64")
        >>> len(store), store[0].tolist(), store.lengths.tolist()
        (3, [1, 2, 3], [3, 0, 1])
    """

    def __init__(self, values: NDArray[Any], offsets: NDArray[np.int64]) -> None:
        self.values = values
        self.offsets = offsets

    @classmethod
    def of(
        cls, rows: Iterable[ArrayLike], *, dtype: DTypeLike, tail: tuple[int, ...] = ()
    ) -> RowStore:
        """A store of rows, which are taken as they come."""
        with RowWriter(dtype=dtype, tail=tail) as writer:
            for row in rows:
                writer.add(row)
        return writer.store

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Steps of each row, [N]."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, n: int) -> NDArray[Any]:
        if not -len(self) <= n < len(self):
            raise IndexError(f"RowStore: there are {len(self)} rows, and no row {n}.")
        n %= len(self)
        return self.values[self.offsets[n] : self.offsets[n + 1]]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[n] for n in range(len(self)))


class RowWriter:
    """Writes rows, one after the other, and ends as a `RowStore`.

    Args:
        dtype: kind of the entries.
        tail: shape of one step; () where a step is one entry.

    Attributes:
        store: the rows; there once the writer has been left.

    Raises:
        OSError: the disk is full; the message names the folder, which `TMPDIR` chooses.
    """

    store: RowStore

    def __init__(self, *, dtype: DTypeLike, tail: tuple[int, ...] = ()) -> None:
        self.dtype = np.dtype(dtype)
        self.tail = tail
        self._folder = tempfile.TemporaryDirectory(
            prefix="ostinato-rows-", ignore_cleanup_errors=True
        )
        self._path = Path(self._folder.name) / "values"
        self._file = self._path.open("wb")
        self._waiting: list[NDArray[Any]] = []
        self._bytes = 0
        self._lengths = array("q")

    def add(self, row: ArrayLike) -> None:
        """Append a row [T, *tail].

        Raises:
            ValueError: a step has another shape.
        """
        array = np.asarray(row, dtype=self.dtype)
        if array.size == 0:
            array = array.reshape(0, *self.tail)
        if array.shape[1:] != self.tail:
            raise ValueError(f"RowWriter: a step is {self.tail}, got a row {array.shape}.")
        self._lengths.append(len(array))
        self._waiting.append(array)
        self._bytes += array.nbytes + _EACH
        if self._bytes >= _BUFFER:
            self._flush()

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        done = False
        try:
            if kind is None:
                self._flush()
                done = True
        finally:
            self._file.close()
            if not done:
                self._folder.cleanup()
        if done:
            self.store = self._open()

    def _flush(self) -> None:
        try:
            for array in self._waiting:
                self._file.write(np.ascontiguousarray(array).data)
        except OSError as error:
            raise OSError(
                error.errno,
                f"The rows cannot be written to {self._folder.name}: {error.strerror}. Make room "
                "there, or name another folder in the environment variable TMPDIR",
            ) from error
        self._waiting.clear()
        self._bytes = 0

    def _open(self) -> RowStore:
        offsets = np.concatenate([[0], np.cumsum(np.frombuffer(self._lengths, np.int64))])
        shape = (int(offsets[-1]), *self.tail)
        values: NDArray[Any]
        if 0 in shape:
            values = np.empty(shape, self.dtype)
        else:
            values = np.memmap(self._path, self.dtype, mode="r", shape=shape)
        # the file goes with the array that maps it, which may outlive the store
        weakref.finalize(values, self._folder.cleanup)
        return RowStore(values, offsets)
