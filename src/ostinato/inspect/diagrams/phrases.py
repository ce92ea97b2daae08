"""What is written in a box: an expression with short names, or with the parameters' own."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ostinato.engine.expressions import Matrix, Node
from ostinato.engine.operations import POINTWISE
from ostinato.engine.recurrence import Recurrence
from ostinato.inspect.diagrams.norms import NORMS

__all__ = ["Phrases", "prime"]

_SIGNS = {"mul": "{0} × {1}", "sub": "{0} − {1}", "div": "{0} / {1}", "neg": "−{0}"}
_SIGNS |= {"ge": "{0} ≥ {1}", "le": "{0} ≤ {1}", "eq": "{0} = {1}", "ne": "{0} ≠ {1}"}
_RIGHT_GROUPED = frozenset({"sub", "div", "pow"})
# a name of a parameter in an expression such as mul(gates.weight_hh, gates.mask)
_NAME = re.compile(r"[A-Za-z_][\w.]*(?!\()\b")


def prime(name: str) -> str:
    """The name of a new state."""
    return f"{name}′"


@dataclass
class Phrases:
    """Writes the nodes of one recurrence.

    Attributes:
        recurrence: whose names are used.
        short: matrices are W where they take the input, U where they take a state, V elsewhere, and
            biases are b; else parameters have their own names, with the rows that are used.
        shown: nodes that are written by a name.
    """

    recurrence: Recurrence
    short: bool = True
    shown: dict[Node, str] = field(default_factory=dict)

    def write(self, node: Node, rank: int = 0) -> str:
        """An expression, in brackets where it binds less than `rank`."""
        return self.shown[node] if node in self.shown else self.expand(node, rank)

    def expand(self, node: Node, rank: int = 0) -> str:
        """Likewise, also where the node has a name."""
        text, own = self._text(node)
        return f"({text})" if own < rank else text

    def _text(self, node: Node) -> tuple[str, int]:
        if node.op == "const":
            return (f"{node.data:g}", 5 if node.data >= 0 else 2)
        if node.op in ("state", "input"):
            return self.leaf(node), 5
        if node.op == "vector":
            return self._vector(node), 5
        if node.op == "matmul":
            return f"{self._matrix(node)} {self.write(node.args[0], 4)}", 3
        if node.op == "cat":
            return f"[{', '.join(map(self.write, node.args))}]", 5
        if node.op in NORMS or node.op == "sum":
            return f"{NORMS.get(node.op, 'sum')}({self.write(node.args[0])})", 5
        if node.op == "add":
            return self._sum(node), 2
        if self.short and node.op == "mul" and _is_gained(node):
            return self._text(node.args[0] if node.args[0].op in NORMS else node.args[1])
        return self._pointwise(node)

    def _pointwise(self, node: Node) -> tuple[str, int]:
        operation = POINTWISE[node.op]
        rank, template = operation.rank, _SIGNS.get(node.op, operation.show)
        if rank == 5:
            return template.format(*map(self.write, node.args)), 5
        # a - (b - c) needs its brackets, (a - b) - c does not
        bumps = (0, int(node.op in _RIGHT_GROUPED))
        operands = [self.write(a, rank + b) for a, b in zip(node.args, bumps, strict=False)]
        return template.format(*operands), rank

    def _sum(self, node: Node) -> str:
        """Products of the input first, biases last, and each short word once."""
        terms = sorted(self._terms(node), key=_order)
        words = [self.write(term, 2) for term in terms]
        return " + ".join(dict.fromkeys(words) if self.short else words)

    def _terms(self, node: Node) -> list[Node]:
        terms = []
        for arg in node.args:
            flat = arg.op == "add" and arg not in self.shown
            terms += self._terms(arg) if flat else [arg]
        return terms

    def leaf(self, node: Node) -> str:
        """A state or input, with the units that are taken."""
        index, _ = node.data
        names = self.recurrence.state_names if node.op == "state" else self.recurrence.input_names
        return f"{names[index]}{self.units(node)}"

    def units(self, node: Node) -> str:
        """Which units of a leaf are taken; empty for all of them."""
        index, start = node.data
        widths = self.recurrence.program.states
        if node.op == "input":
            widths = self.recurrence.program.inputs
        return "" if node.width == widths[index] else f"[{_span(start, node.width)}]"

    def _vector(self, node: Node) -> str:
        index, start = node.data
        name, shape = self.recurrence.static_names[index], self.recurrence.program.statics[index]
        if self.short:
            word = _last_part(name)
            return "b" if word.startswith("bias") else word
        whole = not shape or node.width == shape[0]
        return name if whole else f"{name}[{_span(start, node.width)}]"

    def _matrix(self, node: Node) -> str:
        matrix: Matrix = node.data
        name = self.recurrence.static_names[matrix.static]
        if self.short:
            return _letter(name, node.args[0])
        rows, columns = self.recurrence.program.statics[matrix.static]
        cut = ":" if matrix.rows == rows else _span(matrix.row, matrix.rows)
        side = ":" if matrix.columns == columns else _span(matrix.column, matrix.columns)
        return name if (cut, side) == (":", ":") else f"{name}[{cut}, {side}]"


def _letter(name: str, operand: Node) -> str:
    word = _last_part(name)
    if word.startswith(("weight_ih", "weight_hh")):
        return "W" if word.startswith("weight_ih") else "U"
    return {"input": "W", "state": "U"}.get(operand.op, "V")


def _last_part(name: str) -> str:
    found = _NAME.findall(name)
    return str(found[0] if found else name).rpartition(".")[2]


def _is_gained(node: Node) -> bool:
    """A normalised value times its gain."""
    return sorted(arg.op in NORMS for arg in node.args) == [False, True] and any(
        arg.op == "vector" for arg in node.args
    )


def _order(term: Node) -> int:
    leaf = term
    while leaf.args and leaf.op in ("matmul", "mul", *NORMS):
        leaf = leaf.args[0]
    if term.op in ("vector", "const"):
        return 4
    if term.op in ("matmul", "mul", *NORMS) and leaf.op in ("input", "state"):
        return 0 if leaf.op == "input" else 1
    return 2


def _span(start: int, width: int) -> str:
    return str(start) if width == 1 else f"{start}:{start + width}"
