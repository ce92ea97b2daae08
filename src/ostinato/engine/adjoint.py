"""Backpropagation through one step, as a program of the same algebra.

The cotangents of a node are added up before they are passed on, so that each gate has one gradient
node, which the gradients of states, inputs, biases and weights share.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from ostinato.engine.algebra import add, const, matmul, mul, overlay, slice_, widen
from ostinato.engine.expressions import Matrix, Node, Program, make, walk_nodes
from ostinato.engine.limits import limited
from ostinato.engine.operations import POINTWISE
from ostinato.engine.sums import Sums

__all__ = ["Adjoint", "Product", "Vector", "adjoint"]


@dataclass(frozen=True)
class Product:
    """A share of a matrix's gradient: dM[row + n, column + k] += d[n] operand[k].

    To be summed over rows of the batch and steps. `matrix` is never transposed: where the step
    multiplies by the transpose, the two nodes have changed places.
    """

    matrix: Matrix
    operand: Node
    d: Node


@dataclass(frozen=True)
class Vector:
    """A share of a static vector's gradient, likewise: d static[start:start + width] += d."""

    static: int
    start: int
    width: int
    d: Node


@dataclass(frozen=True)
class Adjoint:
    """The reverse of a step. Its nodes read forward nodes of the step and two more kinds of leaf.

    `gradient` (i, start) is all the gradient that reaches new state i (from later steps, and from
    the loss at this step), `emit_gradient` (i, start) that of emitted value i.

    Attributes:
        d_states: gradient of each old state; None for zero.
        d_inputs: gradient of each input; None for zero.
        products: what the gradients of the matrices are made of.
        vectors: what the gradients of the static vectors are made of.
    """

    d_states: tuple[Node | None, ...]
    d_inputs: tuple[Node | None, ...]
    products: tuple[Product, ...]
    vectors: tuple[Vector, ...]

    def roots(self) -> tuple[Node, ...]:
        """Every node that the reverse step must compute or have kept."""
        pairs = [node for product in self.products for node in (product.operand, product.d)]
        found = [*self.d_states, *self.d_inputs, *pairs, *(vector.d for vector in self.vectors)]
        return tuple(dict.fromkeys(node for node in found if node is not None))


def adjoint(program: Program) -> Adjoint:
    """Derive the reverse of a step."""
    cotangents: defaultdict[Node, list[Node]] = defaultdict(list)
    tallies: list[Vector] = []
    for index, root in enumerate(program.new_states):
        cotangents[root].append(_arriving(program, index, root, tallies))
    for index, root in enumerate(program.emits):
        cotangents[root].append(make("emit_gradient", (), root.width, (index, 0)))
    products: list[Product] = []
    leaves: dict[Node, Node] = {}
    nodes = list(walk_nodes((*program.new_states, *program.emits)))
    sums = Sums(nodes)
    for node in reversed(nodes):
        if not cotangents[node]:
            continue
        g = _gathered(cotangents[node], node.width, sums)
        if node.op in ("state", "input", "vector"):
            leaves[node] = widen(g, node.width)
        elif node.op == "matmul":
            g = widen(g, node.width)
            products.append(_product(node, g))
            cotangents[node.args[0]].append(matmul(g, node.data.transpose()))
        elif node.op != "const":
            for arg, share in _shares(node, g):
                cotangents[arg].append(share)
    return Adjoint(
        _gather(leaves, "state", program.states),
        _gather(leaves, "input", program.inputs),
        tuple(products),
        (
            *(
                Vector(leaf.data[0], leaf.data[1], leaf.width, d)
                for leaf, d in leaves.items()
                if leaf.op == "vector"
            ),
            *tallies,
        ),
    )


def _arriving(program: Program, index: int, root: Node, tallies: list[Vector]) -> Node:
    """What flows back into a new state, limited where it has a limit."""
    limit = program.limits[index] if program.limits else None
    if limit is None:
        return make("gradient", (), root.width, (index, 0))
    widths = [piece.width for piece in (root.args if root.op == "cat" else (root,))]
    g, counts = limited(limit, index, widths)
    tallies += [Vector(limit.static, start, d.width, d) for start, d in counts]
    return g


def _product(node: Node, g: Node) -> Product:
    matrix: Matrix = node.data
    if matrix.transposed:
        return Product(matrix.transpose(), g, node.args[0])
    return Product(matrix, node.args[0], g)


def _gathered(shares: Sequence[Node], width: int, sums: Sums) -> Node:
    """All that has come to a node; of one that stands for equal units, summed over these."""
    if width > 1:
        return reduce(add, shares)
    by_width: defaultdict[int, list[Node]] = defaultdict(list)
    for share in shares:
        by_width[share.width].append(share)
    return reduce(add, map(sums.total, by_width.values()))


def _shares(node: Node, g: Node) -> list[tuple[Node, Node]]:
    """What each operand gets of a node's gradient; one of width 1 stands for equal units."""
    if node.op == "sum":
        return [(node.args[0], g)]
    if node.op == "cat":
        g, start, shares = widen(g, node.width), 0, []
        for piece in node.args:
            shares.append((piece, slice_(g, start, start + piece.width)))
            start += piece.width
        return shares
    given = POINTWISE[node.op].derivative(node, node.args, g)
    pairs = zip(node.args, given, strict=True)
    return [(arg, _spread(d, arg, node)) for arg, d in pairs if d is not None]


def _spread(d: Node, arg: Node, node: Node) -> Node:
    """What comes to an operand of width 1 comes from every unit."""
    return mul(d, const(node.width)) if d.width == 1 and arg.width < node.width else d


def _gather(leaves: dict[Node, Node], op: str, widths: tuple[int, ...]) -> tuple[Node | None, ...]:
    views: list[list[tuple[int, Node]]] = [[] for _ in widths]
    for leaf, d in leaves.items():
        if leaf.op == op:
            views[leaf.data[0]].append((leaf.data[1], d))
    return tuple(overlay(view, width) for view, width in zip(views, widths, strict=True))
