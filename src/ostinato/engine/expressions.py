"""The algebra of what happens within one time step: a small graph of immutable, shared nodes.

A node stands for one vector a row, [B, width]; a node of width 1 is broadcast over any other width.
Equal nodes are the same object, so that a common subexpression is shared without a search, and a
node is a cheap dictionary key.

Leaves: `state`, `input` (both views of columns start..start+width), `vector` (a view of a tensor
that is the same for every row and step: a bias, a peephole weight), `const`; in derivatives also
`gradient` (what flows back into a new state) and `emit_gradient` (into an emitted value). Inner
nodes: `matmul` with a `Matrix`, the pointwise operations of `operations.POINTWISE`, `sum` over the
units, and `cat`, which only ever is the top of a new state or of an emitted value. In programs that
are walked and never differentiated there are two more (see `apart`): `start` of a sum that has
products, what it starts from before the step multiplies anything (its vectors, and its products of
inputs); and `product`, a product unit by unit that is fused with no sum.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

__all__ = ["LEAVES", "Matrix", "Node", "Program", "make", "walk_nodes"]

LEAVES = frozenset({"state", "input", "vector", "const", "gradient", "emit_gradient"})


@dataclass(frozen=True)
class Matrix:
    """A view of a static tensor M [rows, columns], as `torch.nn.functional.linear` takes it.

    `matmul(a, m)` is out[n] = sum_k a[k] M[row + n, column + k]; with `transposed` it is
    out[k] = sum_n a[n] M[row + n, column + k].
    """

    static: int
    row: int
    column: int
    rows: int
    columns: int
    transposed: bool = False

    @property
    def inner(self) -> int:
        """Width of what is multiplied."""
        return self.rows if self.transposed else self.columns

    @property
    def outer(self) -> int:
        """Width of the product."""
        return self.columns if self.transposed else self.rows

    def transpose(self) -> Matrix:
        return Matrix(
            self.static, self.row, self.column, self.rows, self.columns, not self.transposed
        )


class Node:
    """One value of a step. Made by `make` alone; compared and hashed by identity.

    Attributes:
        op: name of the leaf or operation.
        args: operands.
        width: number of units.
        data: what the operation needs besides: (index, start) of a leaf, the value of a constant,
            the `Matrix` of a product; else None.
    """

    __slots__ = ("__weakref__", "args", "data", "op", "width")

    op: str
    args: tuple[Node, ...]
    width: int
    data: Any

    def __init__(self, op: str, args: tuple[Node, ...], width: int, data: Any) -> None:
        self.op, self.args, self.width, self.data = op, args, width, data

    def __repr__(self) -> str:
        return f"<{self.op} {self.data if self.data is not None else ''} width={self.width}>"


_nodes: WeakValueDictionary[tuple[Any, ...], Node] = WeakValueDictionary()


def make(op: str, args: Iterable[Node] = (), width: int = 1, data: Any = None) -> Node:
    """The node of this form: the one that exists, or a new one."""
    args = tuple(args)
    # the type of the data tells 1 from 1.0 and True
    key = (op, tuple(map(id, args)), width, type(data), data)
    found = _nodes.get(key)
    if found is None:
        found = Node(op, args, width, data)
        _nodes[key] = found
    return found


def walk_nodes(roots: Iterable[Node]) -> Iterator[Node]:
    """Every node below the roots, once each, operands before what uses them."""
    seen: set[Node] = set()
    stack = [(root, False) for root in reversed(list(roots))]
    while stack:
        node, ready = stack.pop()
        if node in seen:
            continue
        if ready:
            seen.add(node)
            yield node
        else:
            stack.append((node, True))
            stack.extend((arg, False) for arg in reversed(node.args) if arg not in seen)


@dataclass(frozen=True)
class Program:
    """The *through* part of a recurrence: one step, from old states and inputs to new states.

    Attributes:
        inputs: width of each input sequence (what the *before* part makes of x), [T, B, width].
        statics: shape of each tensor that no step changes (parameters, buffers, and what is made of
            them alone).
        states: width of each state.
        new_states: a node for each state.
        emits: nodes kept for every step besides the states, for the *after* part or the output.
        limits: for each state the `limits.Limit` of its gradient, or None; empty for none at all.
    """

    inputs: tuple[int, ...]
    statics: tuple[tuple[int, ...], ...]
    states: tuple[int, ...]
    new_states: tuple[Node, ...]
    emits: tuple[Node, ...] = ()
    limits: tuple[Any, ...] = ()

    @functools.cached_property
    def weights(self) -> int:
        """Numbers in all matrices."""
        return sum(shape[0] * shape[1] for shape in self.statics if len(shape) == 2)
