"""Sums over units, with what is equal for all units taken out of them.

The gradient of a norm is a sum of s * w for values s of width 1: as s * (the sum of w) it needs one
pass over the units less, since w is known before s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import reduce

from ostinato.engine.algebra import add, const, div, mul, neg, sum_
from ostinato.engine.expressions import LEAVES, Node

__all__ = ["Sums"]

# (what is equal for all units, what is not); None for 1
_Term = tuple[Node | None, Node | None]
_GRADIENTS = frozenset({"gradient", "emit_gradient"})


class Sums:
    """Sums of values of the reverse step.

    Args:
        nodes: of the step, whose own sums are at hand. Other values of the step are not summed
            alone, since nobody has kept their sum.
    """

    def __init__(self, nodes: Iterable[Node]) -> None:
        self.known = {node: Counter(_added(node.args[0])) for node in nodes if node.op == "sum"}
        self.summed = {term for terms in self.known.values() for term in terms}

    def total(self, values: Sequence[Node]) -> Node:
        """The sum over the units of several values of one width."""
        whole = reduce(add, values)
        if whole.width == 1:
            return whole
        terms = self._split(whole, None)
        if terms is None or all(factor is None for factor, _ in terms):
            return sum_(whole)
        groups: dict[Node | None, list[Node | None]] = {}
        for factor, wide in terms:
            groups.setdefault(factor, []).append(wide)
        shares = []
        for factor, wides in groups.items():
            share = self._group(wides, whole.width)
            if share is None:
                return sum_(whole)
            shares.append(share if factor is None else mul(factor, share))
        return reduce(add, shares)

    def _group(self, wides: Sequence[Node | None], width: int) -> Node | None:
        """The sum of terms of one factor; None where a part of it is not at hand."""
        fresh = [wide for wide in wides if wide is not None and wide not in self.summed]
        left = Counter(wide for wide in wides if wide is not None and wide in self.summed)
        sums = [sum_(reduce(add, fresh))] if fresh else []
        for node, terms in self.known.items():
            while left and terms <= left:
                sums.append(node)
                left -= terms
        ones = wides.count(None) * width
        sums += [const(ones)] if ones else []
        return None if left else reduce(add, sums)

    def _split(self, node: Node, factor: Node | None) -> list[_Term] | None:
        """A value times a factor as a sum of terms; None where a term is not to be summed alone."""
        if node.width == 1:
            return [(_times(factor, node), None)]
        if node in self.summed:
            return [(factor, node)]
        if node.op in ("add", "sub"):
            a, b = node.args
            left = self._split(a, factor)
            right = self._split(b, _negative(factor) if node.op == "sub" else factor)
            return None if left is None or right is None else left + right
        if node.op == "neg":
            return self._split(node.args[0], _negative(factor))
        if node.op == "mul":
            for one, other in (node.args, node.args[::-1]):
                if one.width == 1:
                    return self._split(other, _times(factor, one))
        if node.op == "div" and node.args[1].width == 1:
            return self._split(node.args[0], div(factor or const(1), node.args[1]))
        return [(factor, node)] if _is_fresh(node) else None


def _added(node: Node) -> list[Node]:
    """The terms of a sum of two, or of more."""
    return [t for arg in node.args for t in _added(arg)] if node.op == "add" else [node]


def _negative(factor: Node | None) -> Node:
    return const(-1) if factor is None else neg(factor)


def _times(factor: Node | None, value: Node) -> Node:
    return value if factor is None else mul(factor, value)


def _is_fresh(node: Node) -> bool:
    """Made of a gradient, so that the reverse step computes it."""
    if node.op in LEAVES:
        return node.op in _GRADIENTS
    return any(map(_is_fresh, node.args))
