"""Building nodes: what keeps expressions small and in one form.

The form: slices are pushed to the leaves (a slice of a product is a product with fewer rows of the
matrix), products of a `cat` are sums of products, and pointwise operations on a `cat` are a `cat`
of pointwise operations. So `cat` stays at the top, and nothing is ever copied to be cut or joined.
Simplifications are those that hold for NaN and infinities, too (x * 1, x + 0, never x * 0).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import reduce
from itertools import pairwise

from ostinato.engine.expressions import LEAVES, Matrix, Node, make

__all__ = [
    "add",
    "cat",
    "const",
    "div",
    "matmul",
    "mul",
    "neg",
    "overlay",
    "pointwise",
    "slice_",
    "sub",
    "sum_",
    "widen",
]


def const(value: float, width: int = 1) -> Node:
    """The same number for every unit."""
    return make("const", (), width, float(value))


def is_const(node: Node, value: float | None = None) -> bool:
    return node.op == "const" and (value is None or node.data == value)


def widen(node: Node, width: int) -> Node:
    """A node of width 1, repeated over `width` units; others are left as they are."""
    if node.width == width:
        return node
    if node.width != 1:
        raise ValueError(f"A value of {node.width} units cannot be widened to {width}.")
    if node.op == "const":
        return const(node.data, width)
    return make("mul", (node, const(1.0, width)), width)


def pointwise(op: str, *args: Node) -> Node:
    """An operation of `operations.POINTWISE` on nodes of one width, or of width 1."""
    width = max(arg.width for arg in args)
    if any(arg.width not in (1, width) for arg in args):
        raise ValueError(f"{op} of widths {', '.join(str(arg.width) for arg in args)}.")
    bounds = sorted({bound for arg in args if arg.op == "cat" for bound in _bounds(arg)})
    if not bounds:
        return make(op, args, width)
    return cat(
        pointwise(op, *(arg if arg.width == 1 else slice_(arg, a, b) for arg in args))
        for a, b in pairwise(bounds)
    )


def _bounds(node: Node) -> list[int]:
    bounds = [0]
    for piece in node.args:
        bounds.append(bounds[-1] + piece.width)
    return bounds


def add(a: Node, b: Node) -> Node:
    """The sum a + b."""
    if is_const(a) and is_const(b):
        return const(a.data + b.data, max(a.width, b.width))
    if is_const(a, 0) and a.width <= b.width:
        return b
    if is_const(b, 0) and b.width <= a.width:
        return a
    if b.op == "neg":
        return sub(a, b.args[0])
    return pointwise("add", a, b)


def sub(a: Node, b: Node) -> Node:
    """The difference a - b."""
    if is_const(a) and is_const(b):
        return const(a.data - b.data, max(a.width, b.width))
    if is_const(b, 0) and b.width <= a.width:
        return a
    if is_const(a, 0) and a.width <= b.width:
        return neg(b)
    if b.op == "neg":
        return add(a, b.args[0])
    return pointwise("sub", a, b)


def mul(a: Node, b: Node) -> Node:
    """The product a * b, unit by unit."""
    if is_const(a) and is_const(b):
        return const(a.data * b.data, max(a.width, b.width))
    for one, other in ((a, b), (b, a)):
        if is_const(one, 1) and one.width <= other.width:
            return other
        if is_const(one, -1) and one.width <= other.width:
            return neg(other)
    return pointwise("mul", a, b)


def div(a: Node, b: Node) -> Node:
    """The quotient a / b."""
    if is_const(a) and is_const(b) and b.data != 0:
        return const(a.data / b.data, max(a.width, b.width))
    if is_const(b, 1) and b.width <= a.width:
        return a
    return pointwise("div", a, b)


def neg(a: Node) -> Node:
    """The negative of a."""
    if is_const(a):
        return const(-a.data, a.width)
    if a.op == "neg":
        return a.args[0]
    if a.op == "sub":
        return sub(a.args[1], a.args[0])
    return pointwise("neg", a)


def slice_(node: Node, start: int, stop: int) -> Node:
    """Units start..stop of a node."""
    if not 0 <= start < stop <= node.width:
        raise ValueError(f"Units {start}:{stop} of a value of {node.width} units.")
    if (start, stop) == (0, node.width):
        return node
    if node.op == "const":
        return const(node.data, stop - start)
    if node.op in LEAVES:
        index, first = node.data
        return make(node.op, (), stop - start, (index, first + start))
    if node.op == "matmul":
        return matmul(node.args[0], narrow_outer(node.data, start, stop))
    if node.op == "cat":
        return cat(_slice_pieces(node, start, stop))
    args = [arg if arg.width == 1 else slice_(arg, start, stop) for arg in node.args]
    return make(node.op, args, stop - start, node.data)


def _slice_pieces(node: Node, start: int, stop: int) -> Iterable[Node]:
    for piece, first in zip(node.args, _bounds(node), strict=False):
        low, high = max(start - first, 0), min(stop - first, piece.width)
        if low < high:
            yield slice_(piece, low, high)


def cat(pieces: Iterable[Node]) -> Node:
    """Nodes side by side; neighbouring views of one tensor become one view."""
    flat: list[Node] = []
    for piece in pieces:
        for part in piece.args if piece.op == "cat" else (piece,):
            joined = _join(flat[-1], part) if flat else None
            if joined is None:
                flat.append(part)
            else:
                flat[-1] = joined
    if len(flat) == 1:
        return flat[0]
    return make("cat", flat, sum(piece.width for piece in flat))


def _join(a: Node, b: Node) -> Node | None:
    if a.op != b.op or a.op not in LEAVES:
        return None
    width = a.width + b.width
    if a.op == "const":
        return const(a.data, width) if a.data == b.data else None
    follows = b.data == (a.data[0], a.data[1] + a.width)
    return make(a.op, (), width, a.data) if follows else None


def matmul(a: Node, matrix: Matrix) -> Node:
    """The product of every row with a matrix; a `cat` takes the columns of its pieces."""
    a = widen(a, matrix.inner)
    if a.op != "cat":
        return make("matmul", (a,), matrix.outer, matrix)
    return reduce(
        add,
        (
            matmul(piece, narrow_inner(matrix, first, first + piece.width))
            for piece, first in zip(a.args, _bounds(a), strict=False)
        ),
    )


def narrow_outer(matrix: Matrix, start: int, stop: int) -> Matrix:
    """The matrix that gives units start..stop of the product."""
    if matrix.transposed:
        return replace(matrix, column=matrix.column + start, columns=stop - start)
    return replace(matrix, row=matrix.row + start, rows=stop - start)


def narrow_inner(matrix: Matrix, start: int, stop: int) -> Matrix:
    """The matrix that takes units start..stop of the operand."""
    return narrow_outer(matrix.transpose(), start, stop).transpose()


def sum_(a: Node) -> Node:
    """The sum over the units, of width 1."""
    if a.width == 1:
        return a
    if a.op == "cat":
        # pieces of one width are added up before they are summed
        widths = dict.fromkeys(piece.width for piece in a.args)
        alike = ([piece for piece in a.args if piece.width == width] for width in widths)
        return reduce(add, (sum_(reduce(add, pieces)) for pieces in alike))
    if a.op == "const":
        return const(a.data * a.width)
    return make("sum", (a,), 1)


def overlay(views: Sequence[tuple[int, Node]], width: int) -> Node | None:
    """The sum of nodes that each cover the units from a start on, of `width` units in all.

    None stands for zero; units that no node covers are zero.
    """
    if not views:
        return None
    edges = {0, width}.union(*({start, start + node.width} for start, node in views))
    bounds = sorted(edges)
    return cat(_cover(views, a, b) for a, b in pairwise(bounds))


def _cover(views: Sequence[tuple[int, Node]], a: int, b: int) -> Node:
    covering = [
        slice_(node, a - start, b - start)
        for start, node in views
        if start <= a and b <= start + node.width
    ]
    return reduce(add, covering) if covering else const(0.0, b - a)
