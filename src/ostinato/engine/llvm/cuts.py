"""Forward values of which the reverse step reads a part.

Slices are pushed to the leaves, so that a part of a value is another expression. Where it cannot be
made again, as a part of a product cannot, it is found in the whole that the forward walk has kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from ostinato.engine.algebra import slice_
from ostinato.engine.expressions import LEAVES, Matrix, Node

__all__ = ["Cuts"]


class Cuts:
    """Finds the whole that a value is cut from.

    Args:
        wholes: the values that it may be a part of.
    """

    def __init__(self, wholes: Iterable[Node]) -> None:
        self._by_op: defaultdict[str, list[Node]] = defaultdict(list)
        for node in wholes:
            if node.op not in LEAVES and node.width > 1:
                self._by_op[node.op].append(node)
        self._found: dict[Node, tuple[Node, int] | None] = {}

    def find(self, part: Node) -> tuple[Node, int] | None:
        """(the whole, its first unit that is taken), or None."""
        if part not in self._found:
            self._found[part] = self._find(part)
        return self._found[part]

    def _find(self, part: Node) -> tuple[Node, int] | None:
        for whole in self._by_op[part.op]:
            if whole.width > part.width:
                start = _start(part, whole)
                if start is not None and slice_(whole, start, start + part.width) is part:
                    return whole, start
        return None


def _start(part: Node, whole: Node) -> int | None:
    """The only place at which one expression can be a part of another of the same form."""
    if part.op != whole.op or len(part.args) != len(whole.args):
        return None
    if part.op == "const":
        return None
    if part.op in LEAVES:
        start = part.data[1] - whole.data[1] if part.data[0] == whole.data[0] else -1
    elif part.op == "matmul":
        start = _outer(part.data) - _outer(whole.data)
    else:
        pairs = [(a, b) for a, b in zip(part.args, whole.args, strict=True) if b.width > 1]
        starts = [_start(a, b) for a, b in pairs]
        start = next((found for found in starts if found is not None), -1)
    return start if 0 <= start <= whole.width - part.width else None


def _outer(matrix: Matrix) -> int:
    return matrix.column if matrix.transposed else matrix.row
