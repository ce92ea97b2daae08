"""Which states can be had for all steps at once, and in which order.

A state can, if each unit's new value is made of its own old value and of what is known already:
inputs, and states found before. Where it is affine in its old value, `scan` finds it; where it is
not, Newton's iterations may. A state whose units hear each other's past has to be walked.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise

from ostinato.engine.algebra import add, cat, const, div, matmul, mul, neg, pointwise, slice_, sub
from ostinato.engine.algebra import sum_ as sum_of
from ostinato.engine.expressions import LEAVES, Node, Program, make, walk_nodes
from ostinato.engine.operations import POINTWISE

__all__ = ["Block", "Plan", "plan_of"]

# a state in more pieces than this, all states together, is taken whole
_MOST = 64


@dataclass(frozen=True)
class Block:
    """How one state of a plan's program is found.

    Attributes:
        state: its number.
        value: its new value.
        slope: the derivative of `value` in its own old value; None for zero.
        offset: what is left of `value`, so that it is slope * old + offset; None where `value` is
            not affine, and the slope contains the state.
    """

    state: int
    value: Node
    slope: Node | None
    offset: Node | None

    @property
    def affine(self) -> bool:
        return self.offset is not None


@dataclass(frozen=True)
class Plan:
    """A step whose states can be found one after the other, each for all steps at once.

    Attributes:
        program: the step; its states are pieces of the states of the cell.
        pieces: (state of the cell, first unit) of each of its states.
        blocks: its states in the order in which they are found. Their nodes, and `emits`, read the
            new value of a state found before as input `len(program.inputs) + state`.
        emits: what is kept besides, likewise.
        recalled: states whose old value is read by others, or by `emits`.
    """

    program: Program
    pieces: tuple[tuple[int, int], ...]
    blocks: tuple[Block, ...]
    emits: tuple[Node, ...]
    recalled: frozenset[int]

    def states_by(self, *, affine: bool) -> tuple[int, ...]:
        """States of the cell that a scan finds, at least in part; else those left to Newton."""
        found = {self.pieces[b.state][0] for b in self.blocks if b.slope and b.affine is affine}
        return tuple(sorted(found))


@functools.lru_cache(maxsize=512)
def plan_of(program: Program, names: tuple[str, ...]) -> Plan | str:
    """How to find the states of a step for all steps at once, or why they have to be walked.

    Args:
        program: the step.
        names: of its states.
    """
    for name, limit in zip(names, program.limits, strict=False):
        if limit is not None:
            return f"the gradient of {name} is limited at every step"
    fine, pieces = _refine(program)
    called = [names[state] for state, _ in pieces]
    order = _order(fine, called)
    if isinstance(order, str):
        return order
    known: dict[Node, Node] = {}
    blocks = []
    for k in order:
        (value,) = _rewrite([fine.new_states[k]], known.get)
        block = _block(k, value)
        if block is None:
            return f"the units of {called[k]} hear each other's past"
        blocks.append(block)
        if fine.new_states[k].op not in LEAVES:
            known[fine.new_states[k]] = make("input", (), fine.states[k], (len(fine.inputs) + k, 0))
    emits = tuple(_rewrite(fine.emits, known.get))
    return Plan(fine, pieces, tuple(blocks), emits, _recalled(blocks, emits))


def _recalled(blocks: Sequence[Block], emits: Sequence[Node]) -> frozenset[int]:
    read = {node.data[0] for node in walk_nodes(emits) if node.op == "state"}
    for block in blocks:
        roots = [node for node in (block.value, block.slope, block.offset) if node is not None]
        names = {node.data[0] for node in walk_nodes(roots) if node.op == "state"}
        read |= names - {block.state}
    return frozenset(read)


# states cut into pieces


def _refine(program: Program) -> tuple[Program, tuple[tuple[int, int], ...]]:
    """The same step with each piece of a state that is read or made apart as a state of its own."""
    cuts = _cuts(program)
    spans = [(i, a, b) for i, cut in enumerate(cuts) for a, b in pairwise(cut)]
    numbers = {(i, a): k for k, (i, a, _) in enumerate(spans)}

    def read(node: Node) -> Node | None:
        if node.op != "state":
            return None
        index, start = node.data
        inside = [(a, b) for i, a, b in spans if i == index and start <= a < start + node.width]
        return cat(make("state", (), b - a, (numbers[index, a], 0)) for a, b in inside)

    made = [slice_(program.new_states[i], a, b) for i, a, b in spans]
    roots = _rewrite([*made, *program.emits], read)
    fine = replace(
        program,
        states=tuple(b - a for _, a, b in spans),
        new_states=tuple(roots[: len(spans)]),
        emits=tuple(roots[len(spans) :]),
    )
    return fine, tuple((i, a) for i, a, _ in spans)


def _cuts(program: Program) -> list[list[int]]:
    """Where each state is cut, both ends among the cuts."""
    whole = [{0, width} for width in program.states]
    cuts = [set(cut) for cut in whole]
    for new, cut in zip(program.new_states, cuts, strict=True):
        cut.update(_edges(new))
    while (count := sum(map(len, cuts))) <= _MOST + len(cuts):
        for new, cut in zip(program.new_states, cuts, strict=True):
            roots = [slice_(new, a, b) for a, b in pairwise(sorted(cut))]
            for node in walk_nodes(roots):
                if node.op == "state":
                    index, start = node.data
                    cuts[index] |= {start, start + node.width}
        if sum(map(len, cuts)) == count:
            return [sorted(cut) for cut in cuts]
    return [sorted(cut) for cut in whole]


def _edges(node: Node) -> list[int]:
    edges = [0]
    for piece in node.args if node.op == "cat" else (node,):
        edges.append(edges[-1] + piece.width)
    return edges


def _rewrite(roots: Iterable[Node], swap: Callable[[Node], Node | None]) -> list[Node]:
    """The same expressions with some nodes changed for others."""
    roots = list(roots)
    new: dict[Node, Node] = {}
    for node in walk_nodes(roots):
        swapped = swap(node)
        new[node] = _again(node, [new[a] for a in node.args]) if swapped is None else swapped
    return [new[root] for root in roots]


def _again(node: Node, args: list[Node]) -> Node:
    if list(node.args) == args:
        return node
    if node.op == "cat":
        return cat(args)
    if node.op == "sum":
        return sum_of(args[0])
    return matmul(args[0], node.data) if node.op == "matmul" else pointwise(node.op, *args)


# what depends on what


def _order(program: Program, names: Sequence[str]) -> list[int] | str:
    """States so that each reads, besides itself, only the past of those before it."""
    reads = [
        {node.data[0] for node in walk_nodes([new]) if node.op == "state"} - {k}
        for k, new in enumerate(program.new_states)
    ]
    left = list(range(len(reads)))
    order: list[int] = []
    while left:
        ready = [k for k in left if reads[k].issubset(order)]
        if not ready:
            return _circle(left, reads, names)
        order += ready
        left = [k for k in left if k not in ready]
    return order


def _circle(left: Sequence[int], reads: Sequence[set[int]], names: Sequence[str]) -> str:
    """Name the states of one circle of dependence."""
    path = [left[0]]
    while path.count(path[-1]) == 1:
        path.append(next(k for k in sorted(reads[path[-1]]) if k in left))
    told = list(dict.fromkeys(names[k] for k in path[path.index(path[-1]) :]))
    if len(told) == 1:
        return f"the units of {told[0]} hear each other's past"
    return f"{', '.join(told[:-1])} and {told[-1]} hear each other's past"


def _block(state: int, value: Node) -> Block | None:
    """The state's own part in its new value; None where its units are mixed."""
    own = make("state", (), value.width, (state, 0))
    heard: set[Node] = set()
    for node in walk_nodes([value]):
        if node is own or heard.intersection(node.args):
            if node.op in ("matmul", "sum", "cat"):
                return None
            heard.add(node)
    split = _split(value, own)
    if split is not None:
        slope, offset = split
        return Block(state, value, slope, offset or const(0.0, value.width))
    return Block(state, value, _slope(value, own), None)


# (slope, offset) of a node as slope * own + offset, None for zero
_Split = tuple[Node | None, Node | None]


def _split(value: Node, own: Node) -> _Split | None:
    """Slope and offset of an affine expression, None if it is not one."""
    parts: dict[Node, _Split] = {own: (const(1.0, own.width), None)}
    for node in walk_nodes([value]):
        if node in parts:
            continue
        given = [parts[arg] for arg in node.args]
        if all(slope is None for slope, _ in given):
            parts[node] = None, node
            continue
        found = _split_pointwise(node, given)
        if found is None:
            return None
        parts[node] = found
    return parts[value]


def _split_pointwise(node: Node, given: list[_Split]) -> _Split | None:
    slopes, offsets = [slope for slope, _ in given], [offset for _, offset in given]
    if node.op in ("add", "sub", "neg"):
        combine = {"add": _sum, "sub": _difference, "neg": _difference}[node.op]
        pairs = [(None, *pair) if node.op == "neg" else pair for pair in (slopes, offsets)]
        return combine(*pairs[0]), combine(*pairs[1])
    if node.op == "mul" and None in slopes:
        factor = node.args[slopes.index(None)]
        k = 1 - slopes.index(None)
        return _scaled(slopes[k], factor, mul), _scaled(offsets[k], factor, mul)
    if node.op == "div" and slopes[1] is None:
        return _scaled(slopes[0], node.args[1], div), _scaled(offsets[0], node.args[1], div)
    if node.op == "where" and slopes[0] is None:
        return _chosen(node.args[0], slopes[1:]), _chosen(node.args[0], offsets[1:])
    return None


def _sum(a: Node | None, b: Node | None) -> Node | None:
    return add(a, b) if a is not None and b is not None else a or b


def _difference(a: Node | None, b: Node | None) -> Node | None:
    if b is None:
        return a
    return neg(b) if a is None else sub(a, b)


def _scaled(a: Node | None, factor: Node, operation: Callable[[Node, Node], Node]) -> Node | None:
    return None if a is None else operation(a, factor)


def _chosen(condition: Node, pair: Sequence[Node | None]) -> Node | None:
    if pair[0] is None and pair[1] is None:
        return None
    return pointwise("where", condition, *(part or const(0.0) for part in pair))


def _slope(value: Node, own: Node) -> Node | None:
    """The derivative of a pointwise expression; None for zero."""
    found: dict[Node, Node | None] = {own: const(1.0, own.width)}
    for node in walk_nodes([value]):
        if node not in found:
            parts = [
                share
                for k, arg in enumerate(node.args)
                if (d := found[arg]) is not None and node.op in POINTWISE
                for share in [POINTWISE[node.op].derivative(node, node.args, d)[k]]
                if share is not None
            ]
            found[node] = reduce(add, parts) if parts else None
    return found[value]
