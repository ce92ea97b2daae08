"""Expressions in writing: `h' = (1 - g) * h + g * tanh(n)`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import count

from ostinato.engine.expressions import LEAVES, Matrix, Node, walk_nodes
from ostinato.engine.operations import POINTWISE

__all__ = ["Writer"]

_RIGHT_GROUPED = frozenset({"sub", "div", "pow"})


class Writer:
    """Writes nodes as equations.

    Args:
        states: names of the states.
        inputs: names of the input sequences.
        statics: names of the static tensors.
        widths: units of each state, input and static vector in full, as ("state", index) -> width;
            a view of all units is written without its bounds.
        names: nodes that have a name already.
    """

    def __init__(
        self,
        states: Sequence[str],
        inputs: Sequence[str],
        statics: Sequence[str],
        widths: Mapping[tuple[str, int], int],
        names: Mapping[Node, str],
    ) -> None:
        self._leaves = {"state": states, "input": inputs, "vector": statics}
        self._widths = widths
        self._names = dict(names)

    def equations(self, roots: Iterable[tuple[str, Node]], apart: Iterable[Node] = ()) -> list[str]:
        """One line for each root, and each value with a name, two uses or a place in `apart`."""
        listed = list(roots)
        nodes = list(walk_nodes(node for _, node in listed))
        uses = Counter(arg for node in nodes for arg in node.args) + Counter([*apart, *apart])
        lines, last = [], {node: name for name, node in reversed(listed)}
        for node in nodes:
            plain = node.op in LEAVES or node.op == "cat"
            if node in last and not plain:
                self._names[node] = last[node]
            elif node not in self._names and uses[node] > 1 and not plain:
                self._names[node] = self._new_name()
            if node in self._names and not plain:
                lines.append(f"{self._names[node]} = {self._right_side(node)}")
        for name, node in listed:
            if self._names.get(node) != name:
                lines.append(f"{name} = {self.write(node)}")
        return lines

    def _new_name(self) -> str:
        taken = {*self._names.values(), *self._leaves["state"]}
        return next(name for k in count(1) if (name := f"t{k}") not in taken)

    def write(self, node: Node, rank: int = 0) -> str:
        """An expression, in brackets where it binds less than `rank`."""
        if node in self._names:
            return self._names[node]
        return self._right_side(node, rank)

    def _right_side(self, node: Node, rank: int = 0) -> str:
        if node.op == "const":
            return f"{node.data:g}" if node.data >= 0 else f"({node.data:g})"
        if node.op in LEAVES:
            return self._leaf(node)
        if node.op == "matmul":
            text, own = f"{self._matrix(node.data)} @ {self.write(node.args[0], 4)}", 3
        elif node.op == "sum":
            return f"sum({self.write(node.args[0])})"
        elif node.op == "cat":
            return f"[{', '.join(self.write(arg) for arg in node.args)}]"
        else:
            operation = POINTWISE[node.op]
            text, own = operation.show.format(*self._operands(node)), operation.rank
        return f"({text})" if own < rank else text

    def _operands(self, node: Node) -> list[str]:
        rank = POINTWISE[node.op].rank
        if rank == 5:
            return [self.write(arg) for arg in node.args]
        # a - (b - c) needs its brackets, (a - b) - c does not
        bump = [0, int(node.op in _RIGHT_GROUPED)]
        return [self.write(arg, rank + b) for arg, b in zip(node.args, bump, strict=False)]

    def _leaf(self, node: Node) -> str:
        index, start = node.data
        if node.op not in self._leaves:
            return f"d_{node.op}{index}"
        name, whole = self._leaves[node.op][index], self._widths[node.op, index]
        return name if node.width == whole else f"{name}[{_span(start, node.width)}]"

    def _matrix(self, matrix: Matrix) -> str:
        name = self._leaves["vector"][matrix.static]
        rows, columns = self._widths["rows", matrix.static], self._widths["columns", matrix.static]
        if (matrix.rows, matrix.columns) != (rows, columns):
            cut = "" if matrix.rows == rows else _span(matrix.row, matrix.rows)
            side = "" if matrix.columns == columns else _span(matrix.column, matrix.columns)
            name += f"[{cut or ':'}, {side}]" if side else f"[{cut}]"
        return name + (".T" if matrix.transposed else "")


def _span(start: int, width: int) -> str:
    return str(start) if width == 1 else f"{start}:{start + width}"
