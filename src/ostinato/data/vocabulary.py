"""Numbers for words, letters or tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["Vocabulary"]


class Vocabulary:
    """Entries with their numbers, in order.

    Args:
        entries: each once.
        unknown: number 0 stands for all that are not among the entries, which then begin at 1;
            else they begin at 0.

    Raises:
        ValueError: an entry is there twice.

    Example:
        >>> words = Vocabulary(["the", "cat"], unknown=True)
        >>> words.size, words.numbers(["cat", "dog"]).tolist()
        (3, [2, 0])
    """

    def __init__(self, entries: Iterable[str], *, unknown: bool) -> None:
        self.entries = list(entries)
        self.unknown = unknown
        self._numbers = {entry: k for k, entry in enumerate(self.entries, start=int(unknown))}
        if len(self._numbers) != len(self.entries):
            raise ValueError("Vocabulary: an entry is there twice. Give each once.")

    @classmethod
    def fit(
        cls,
        counts: Mapping[str, int],
        *,
        unknown: bool,
        size: int | None = None,
        min_count: int = 1,
    ) -> Vocabulary:
        """Take what was counted, most frequent first, then in the order of the alphabet.

        Args:
            counts: how often each entry occurs.
            unknown: as above.
            size: numbers at most, 0 for the unknown among them.
            min_count: what is rarer is left out.
        """
        kept = sorted(
            (e for e, n in counts.items() if n >= min_count), key=lambda e: (-counts[e], e)
        )
        return cls(kept if size is None else kept[: size - int(unknown)], unknown=unknown)

    @property
    def size(self) -> int:
        """V, how many numbers there are."""
        return len(self.entries) + int(self.unknown)

    def __contains__(self, entry: str) -> bool:
        return entry in self._numbers

    def number(self, entry: str) -> int:
        """The number of an entry; 0 of an unknown one, or -1 where there is no such number."""
        return self._numbers.get(entry, 0 if self.unknown else -1)

    def numbers(self, entries: Sequence[str]) -> NDArray[np.int64]:
        """The numbers of entries, int64 [N]."""
        return np.fromiter((self.number(entry) for entry in entries), np.int64, len(entries))

    def entry(self, number: int) -> str:
        """What a number stands for."""
        return self.entries[number - int(self.unknown)]
