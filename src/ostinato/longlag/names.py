"""What is asked for by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TypeVar

__all__ = ["chosen"]

T = TypeVar("T")


def chosen(kind: str, names: Sequence[str], table: Mapping[str, T]) -> list[T]:
    """The entries of a table by their names, each once; all of them for no name.

    Args:
        kind: what they are, for errors.
        names: as they were given.
        table: all there are.

    Raises:
        ValueError: a name is unknown; the message has the nearest one that is known.

    Example:
        >>> chosen("problem", ["copi"], {"copy": 1, "adding": 2})
        Traceback (most recent call last):
        ValueError: problem: 'copi' is none of copy, adding. Did you mean 'copy'?
    """
    for name in names:
        if name not in table:
            near = get_close_matches(name.lower(), table, n=1, cutoff=0.4)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{kind}: {name!r} is none of {', '.join(table)}.{hint}")
    return [table[name] for name in dict.fromkeys(names or table)]
