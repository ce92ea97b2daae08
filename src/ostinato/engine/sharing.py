"""Computing nothing twice: products that overlap are split where they do.

A layer norm over all gates reads the whole product W h, a gate only its own rows of it. Slices
having been pushed to the leaves, these are different products. Split at the gates' bounds, the
whole is the gates' products side by side, and each is computed once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from ostinato.engine.algebra import cat, matmul, pointwise, slice_, sum_
from ostinato.engine.expressions import LEAVES, Matrix, Node, walk_nodes

__all__ = ["share_products"]

# smaller pieces than this share of the whole cost more than they spare
SMALLEST = 8


def share_products(roots: Sequence[Node], besides: Sequence[Node] = ()) -> dict[Node, Node]:
    """For each node below the roots, the node that stands for it.

    Those below `besides` are split as the roots need it, and split nothing themselves.
    """
    bounds = _bounds(roots)
    new: dict[Node, Node] = {}
    for node in walk_nodes([*roots, *besides]):
        new[node] = _rebuilt(node, [new[arg] for arg in node.args], bounds)
    return new


def _group(node: Node) -> tuple[Any, ...]:
    """What products of one operand with rows of one matrix have in common."""
    m: Matrix = node.data
    inner = (m.row, m.rows) if m.transposed else (m.column, m.columns)
    return (node.args[0], m.static, m.transposed, inner)


def _outer(matrix: Matrix) -> tuple[int, int]:
    start = matrix.column if matrix.transposed else matrix.row
    return start, start + matrix.outer


def _bounds(roots: Sequence[Node]) -> dict[tuple[Any, ...], list[int]]:
    """Where the products of each group begin and end."""
    ends: defaultdict[tuple[Any, ...], set[int]] = defaultdict(set)
    for node in walk_nodes(roots):
        if node.op == "matmul":
            ends[_group(node)].update(_outer(node.data))
    return {group: sorted(found) for group, found in ends.items()}


def _rebuilt(node: Node, args: list[Node], bounds: dict[tuple[Any, ...], list[int]]) -> Node:
    if node.op in LEAVES:
        return node
    if node.op == "cat":
        return cat(args)
    if node.op == "sum":
        return sum_(args[0])
    if node.op != "matmul":
        return pointwise(node.op, *args)
    product = matmul(args[0], node.data)
    start, stop = _outer(node.data)
    inner = [edge - start for edge in bounds.get(_group(node), ()) if start < edge < stop]
    edges = [0, *inner, node.width]
    widths = [b - a for a, b in pairwise(edges)]
    if len(widths) == 1 or min(widths) * SMALLEST < node.width:
        return product
    return cat(slice_(product, a, b) for a, b in pairwise(edges))
