"""When a gradient of an old state may be written over that of the new one, walking back."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

from ostinato.engine.expressions import make
from ostinato.engine.llvm.spec import Block, Place

__all__ = ["write_late"]

# level and width of a block
_Key: TypeAlias = tuple[int, int]
# a block, and the first unit that it reads or writes
_Use: TypeAlias = tuple[_Key, int]


def write_late(walk: dict[_Key, Block], index: int, width: int) -> dict[str, tuple[str, int]]:
    """Where a block would write too early, put the direct part aside, and copy it at the end.

    Args:
        walk: the blocks of a step, by level and width; one for the copy may be added.
        index: of the state.
        width: of the state.

    Returns:
        The buffer that this takes: its rows and width by its name.
    """
    if not _overwrites(walk, f"C{index}"):
        return {}
    aside = f"N{index}"
    level = max(key[0] for key in walk) + 1
    for block in list(walk.values()):
        for n, (node, place) in enumerate(block.stores):
            if isinstance(place, Place) and place.pointer == f"C{index}":
                waiting = replace(place, pointer=aside)
                block.stores[n] = (node, waiting)
                copy = make("aside", (), node.width, (index, place.column))
                key = (level, node.width)
                last = walk.setdefault(key, Block(f"b{level}_{node.width}", node.width))
                last.fetch[copy] = waiting
                last.stores.append((copy, place))
    return {aside: ("local", width)}


def _overwrites(walk: dict[_Key, Block], name: str) -> bool:
    """Whether a block would write units that another has still to read in the same step."""
    reads, writes = _uses(walk, name)
    return any(not (r[0] < w[0] or r == w) for r in reads for w in writes)


def _uses(walk: dict[_Key, Block], name: str) -> tuple[list[_Use], list[_Use]]:
    """Which blocks read and write a buffer, and which units of it."""
    reads, writes = [], []
    for key, block in walk.items():
        for acc in block.accs:
            places = [p for p in acc.start if isinstance(p, Place) and p.pointer == name]
            reads += [(key, place.column) for place in places]
        for _, place in block.stores:
            if isinstance(place, Place) and place.pointer == name:
                writes.append((key, place.column))
    return reads, writes
