"""Forward-mode derivative of one step, as programs of the same algebra.

`tangent` gives the step of values and tangents side by side: each state, input and static tensor is
followed, after all values, by its tangent. `linearise` leaves the values out: they are known once
the step has been walked, so what remains is a recurrence of its own, linear in its states, which
every backend runs like any other. Products with known values are products of inputs there, which
are made for all steps at once, so that each step has the same products as the step itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce

from ostinato.engine.algebra import add, cat, const, matmul, sum_, widen
from ostinato.engine.expressions import LEAVES, Node, Program, make, walk_nodes
from ostinato.engine.operations import CHEAP, POINTWISE

__all__ = ["Direction", "Linear", "linearise", "tangent"]


@dataclass(frozen=True)
class Direction:
    """What changes besides the states: numbers of inputs and of static tensors, in order."""

    inputs: tuple[int, ...]
    statics: tuple[int, ...]


@dataclass(frozen=True)
class Linear:
    """The tangent of a step, given its values.

    Attributes:
        program: its states are the tangents of the states, its emits those of the emits.
        primal: the step, which also emits what `program` reads.
        inputs: what each input of `program` is: ("input", j), ("d_input", j), ("emit", k) of
            `primal`, or the state i before ("old", i) or after the step ("new", i).
        statics: what each static tensor is: ("static", s) or ("d_static", s).
    """

    program: Program
    primal: Program
    inputs: tuple[tuple[str, int], ...]
    statics: tuple[tuple[str, int], ...]


def tangent(program: Program, direction: Direction) -> Program:
    """The step of values and tangents: (values..., tangents...) of all that it takes and gives.

    Only the inputs and static tensors of the direction have a tangent; every state has one.
    """
    places = {
        "state": {i: len(program.states) + i for i in range(len(program.states))},
        "input": {j: len(program.inputs) + n for n, j in enumerate(direction.inputs)},
        "vector": {s: len(program.statics) + n for n, s in enumerate(direction.statics)},
    }
    roots = (*program.new_states, *program.emits)
    found: dict[Node, Node | None] = {}
    for node in walk_nodes(roots):
        changes = [found[arg] for arg in node.args]
        d = _change(node, changes, places)
        found[node] = None if d is None else widen(d, node.width)

    def both(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
        return (*nodes, *(found[node] or const(0.0, node.width) for node in nodes))

    return Program(
        (*program.inputs, *(program.inputs[j] for j in direction.inputs)),
        (*program.statics, *(program.statics[s] for s in direction.statics)),
        program.states * 2,
        both(program.new_states),
        both(program.emits),
    )


def _change(
    node: Node, changes: list[Node | None], places: dict[str, dict[int, int]]
) -> Node | None:
    """The tangent of a node from those of its operands; None for zero."""
    if node.op in places:
        index, start = node.data
        place = places[node.op].get(index)
        return None if place is None else make(node.op, (), node.width, (place, start))
    if node.op == "matmul":
        operand, matrix = node.args[0], node.data
        parts = [] if changes[0] is None else [matmul(changes[0], matrix)]
        place = places["vector"].get(matrix.static)
        if place is not None:
            parts.append(matmul(operand, replace(matrix, static=place)))
        return reduce(add, parts) if parts else None
    if all(change is None for change in changes):
        return None
    if node.op == "cat":
        pairs = zip(node.args, changes, strict=True)
        return cat(change or const(0.0, arg.width) for arg, change in pairs)
    if node.op == "sum":
        return sum_(changes[0]) if changes[0] is not None else None
    return _pointwise(node, changes)


def _pointwise(node: Node, changes: list[Node | None]) -> Node | None:
    """A gradient's rule, fed with an operand's tangent, gives its share of the result's tangent."""
    rule, parts = POINTWISE[node.op].derivative, []
    for index, change in enumerate(changes):
        share = None if change is None else rule(node, node.args, change)[index]
        parts += [] if share is None else [share]
    return reduce(add, parts) if parts else None


def linearise(program: Program, direction: Direction) -> Linear:
    """The tangent of a step alone, and the step that leaves what it reads."""
    both = tangent(program, direction)
    states, emits = len(program.states), len(program.emits)
    roots = (*both.new_states[states:], *both.emits[emits:])
    sources = _sources(program)
    kept = _choose_kept(program, roots, sources)
    sources |= {node: ("emit", emits + k, 0) for k, node in enumerate(kept)}
    split = _Split(program, direction, sources)
    made = tuple(split.move(root) for root in roots)
    primal = replace(program, emits=(*program.emits, *kept))
    linear = Program(
        tuple(_width(primal, *source) for source in split.inputs),
        tuple(program.statics[s] for _, s in split.statics),
        program.states,
        made[:states],
        made[states:],
    )
    return Linear(linear, primal, tuple(split.inputs), tuple(split.statics))


def _width(program: Program, kind: str, index: int) -> int:
    if kind == "emit":
        return program.emits[index].width
    return (program.states if kind in ("old", "new") else program.inputs)[index]


def _sources(program: Program) -> dict[Node, tuple[str, int, int]]:
    """Where the values stand that the step leaves anyway: (kind, index, first unit)."""
    found: dict[Node, tuple[str, int, int]] = {}
    for kind, roots in (("new", program.new_states), ("emit", program.emits)):
        for index, root in enumerate(roots):
            start = 0
            for piece in root.args if root.op == "cat" else (root,):
                found.setdefault(piece, (kind, index, start))
                start += piece.width
    return found


def _choose_kept(
    program: Program, roots: Iterable[Node], known: Iterable[Node]
) -> tuple[Node, ...]:
    """The values to emit: as few as the tangent needs; the rest is made again from them."""
    order = list(walk_nodes((*program.new_states, *program.emits)))
    forward = set(order)
    at_hand = set(known)
    nodes = [node for node in walk_nodes(roots) if node not in forward]
    # what multiplies a matrix is to be an input, for the product to leave the walk
    kept = dict.fromkeys(
        arg
        for node in nodes
        if node.op == "matmul"
        for arg in node.args
        if arg in forward and arg.op not in LEAVES and arg not in at_hand
    )
    needed = {arg for node in nodes for arg in node.args if arg in forward}
    needed |= forward.intersection(roots)
    for cheap in (False, True):
        for node in order:
            if node in needed and (node.op in CHEAP) is cheap:
                known_now = at_hand | kept.keys()
                kept |= {} if _again(node, known_now) else {node: None}
    return tuple(kept)


def _again(node: Node, known: set[Node]) -> bool:
    """Whether a value is known or quickly made of what is known."""
    if node.op in LEAVES or node in known:
        return True
    if node.op in ("matmul", "sum"):
        return False
    if node.op in CHEAP or node.width == 1:
        return all(_again(arg, known) for arg in node.args)
    return all(arg.op in LEAVES or arg in known for arg in node.args)


class _Split:
    """Rewrites the joint step: values become inputs, and the tangents of states the states."""

    def __init__(
        self,
        program: Program,
        direction: Direction,
        sources: dict[Node, tuple[str, int, int]],
    ) -> None:
        self.program, self.direction, self.sources = program, direction, sources
        self.inputs: dict[tuple[str, int], int] = {}
        self.statics: dict[tuple[str, int], int] = {}
        self.moved: dict[Node, Node] = {}

    def move(self, node: Node) -> Node:
        if node not in self.moved:
            self.moved[node] = self._move(node)
        return self.moved[node]

    def _move(self, node: Node) -> Node:
        if node in self.sources and node.op not in LEAVES:
            return self._input(node, *self.sources[node])
        if node.op == "state":
            index, start = node.data
            other = index - len(self.program.states)
            if other >= 0:
                return make("state", (), node.width, (other, start))
            return self._input(node, "old", index, start)
        if node.op == "input":
            index, start = node.data
            return self._input(node, *self._told("input", index), start)
        if node.op == "vector":
            index, start = node.data
            return make("vector", (), node.width, (self._static(index), start))
        data = node.data
        if node.op == "matmul":
            data = replace(data, static=self._static(data.static))
        return make(node.op, map(self.move, node.args), node.width, data)

    def _input(self, node: Node, kind: str, index: int, start: int) -> Node:
        number = self.inputs.setdefault((kind, index), len(self.inputs))
        return make("input", (), node.width, (number, start))

    def _static(self, index: int) -> int:
        return self.statics.setdefault(self._told("static", index), len(self.statics))

    def _told(self, kind: str, index: int) -> tuple[str, int]:
        """Which input or static tensor of the joint step that is, and whether its tangent."""
        inputs = kind == "input"
        count = len(self.program.inputs if inputs else self.program.statics)
        chosen = self.direction.inputs if inputs else self.direction.statics
        return (kind, index) if index < count else (f"d_{kind}", chosen[index - count])
