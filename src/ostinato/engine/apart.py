"""Values of a step told apart, so that they can be written down and nothing else changes.

A kernel adds products into a running sum, and fuses a product unit by unit with the sum that it is
a term of: a value inside such a sum exists nowhere. To ask for it as it stands would cut the sum in
two, and round the states in another way. So what is inside is told from what exists: from the whole
sum, and from what it starts from before the step multiplies anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeAlias

from ostinato.engine.algebra import add, cat, sub
from ostinato.engine.expressions import LEAVES, Node, Program, make
from ostinato.engine.llvm.forward import Forward

__all__ = ["Found", "apart"]

# ("state", i) or ("emit", i)
Found: TypeAlias = tuple[str, int]


def apart(program: Program, asked: Sequence[Node | None]) -> tuple[list[Found | None], Program]:
    """Have a program emit values besides, and compute all else bit by bit as it does.

    Args:
        program: the step.
        asked: values that are made of what the step has; None for none.

    Returns:
        Where each is found after the walk, None where it cannot be told; and the program that emits
        them, which is to be walked and never differentiated.
    """
    teller = _Teller(program)
    emits = list(program.emits)
    places: list[Found | None] = []
    for node in asked:
        found = None if node is None else teller.find(node)
        if found is None:
            places.append(None)
        elif found in program.new_states:
            places.append(("state", program.new_states.index(found)))
        else:
            emits += [] if found in emits else [found]
            places.append(("emit", emits.index(found)))
    return places, replace(program, emits=tuple(emits))


class _Teller:
    """Finds for a value a node that stands outside of every sum of a program."""

    def __init__(self, program: Program) -> None:
        self.forward = Forward(program)
        self.known = frozenset(self.forward.nodes)
        # right for what is used once
        self.user = {arg: node for node in self.forward.nodes for arg in node.args}
        sums = [node for node in self.forward.nodes if node.op in ("add", "sub")]
        self.fused = {arg for node in sums for arg in node.args if arg.op == "mul"}
        self.states = frozenset(program.new_states)
        self.found: dict[Node, Node | None] = {}

    def find(self, node: Node) -> Node | None:
        """The value as a node that may be emitted; None where there is none."""
        if node not in self.found:
            self.found[node] = self._find(node)
        return self.found[node]

    def _find(self, node: Node) -> Node | None:
        if node in self.states:
            return node
        if node in self.fused:
            # made once more, so that it stays inside the sum
            args = self._all(node.args)
            return None if args is None else make("product", args, node.width)
        whole = self._whole(node)
        if whole is not node:
            return self._share(node, whole)
        if node in self.known or node.op in LEAVES:
            return node
        args = self._all(node.args)
        if args is None:
            return None
        return cat(args) if node.op == "cat" else make(node.op, args, node.width, node.data)

    def _all(self, nodes: Iterable[Node]) -> list[Node] | None:
        found = [self.find(node) for node in nodes]
        return None if None in found else [node for node in found if node is not None]

    # what exists nowhere

    def _alone(self, node: Node) -> bool:
        """Whether one value needs it, and nobody else."""
        forward = self.forward
        return forward.uses.get(node, 0) == 1 and node in self.known and node not in forward.named

    def _is_term(self, node: Node) -> bool:
        """A sum, or a product with a matrix, that is a term of a sum alone."""
        if not self._alone(node) or self.user[node].op != "add":
            return False
        return node.op == "matmul" or (node.op == "add" and node.width == self.user[node].width)

    def _whole(self, node: Node) -> Node:
        """The sum with products that a value is inside of; the value itself where it is in none."""
        whole = node
        while self._is_term(whole):
            whole = self.user[whole]
        return whole if self.forward.is_affine(whole) else node

    def _terms(self, node: Node) -> list[Node]:
        """The terms of a sum, down to what stands and what is multiplied."""
        found = []
        for arg in node.args if node.op == "add" else ():
            inner = arg.op == "add" and self._is_term(arg)
            found += self._terms(arg) if inner else [arg]
        return found or [node]

    # told from what exists

    def _share(self, node: Node, whole: Node) -> Node | None:
        """Some terms of a sum with products; None for some of the products alone."""
        terms, mine = self._terms(whole), self._terms(node)
        if len(set(terms)) < len(terms) or node.width != whole.width:
            return None
        products = [term for term in terms if term.op == "matmul" and self._is_term(term)]
        before = [term for term in products if term.args[0].op in ("input", "vector")]
        within = [term for term in products if term not in before]
        first = _share_of(before or within, mine)
        second = _share_of(within or before, mine)
        if first is None or second is None:
            return None
        loose = [term for term in terms if term not in products]
        biases = [term for term in loose if term.op == "vector" and term.width == whole.width]
        start = make("start", (whole,), whole.width)
        held: Sequence[Node] = []
        base = None
        if first and second:
            base, held = whole, loose
        elif first:
            base, held = start, biases
        elif second:
            base, held = sub(whole, start), [term for term in loose if term not in biases]
        told = self._corrected(base, held, [term for term in loose if term in mine])
        # vectors alone are what they are inside of the sum
        return None if told is None or self._whole(told) is not told else told

    def _corrected(
        self, base: Node | None, held: Sequence[Node], mine: Sequence[Node]
    ) -> Node | None:
        """A sum with some terms, in place of those that it holds."""
        for term in [*(t for t in held if t not in mine), *(t for t in mine if t not in held)]:
            found = self.find(term)
            if found is None:
                return None
            signed = sub if term in held else add
            base = found if base is None else signed(base, found)
        return base


def _share_of(terms: Sequence[Node], mine: Sequence[Node]) -> bool | None:
    """True if all of them are mine, False if none is, None for some."""
    own = {term in mine for term in terms}
    return None if len(own) > 1 else True in own
