"""A cell's data flow, read off the equations that the engine traces."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from ostinato.engine.calls import State
from ostinato.engine.explain import Explanation, explain
from ostinato.engine.expressions import Node, walk_nodes
from ostinato.engine.recurrence import Recurrence
from ostinato.inspect.diagrams.graph import Box, Graph
from ostinato.inspect.diagrams.norms import NORMS, with_norms
from ostinato.inspect.diagrams.phrases import Phrases, prime

__all__ = ["DiagramError", "cell_graph"]

_CURVES = frozenset({"sigmoid", "tanh", "relu", "softplus", "sin", "cos", "erf", "exp", "log"})
_CURVES |= {"sqrt", "abs", "sign", "floor"}
_FIXED = frozenset({"vector", "const"})
_LEAVES = frozenset({"state", "input"})
_SIGNS = {"add": "+", "mul": "×", "sub": "−", "div": "÷", "where": "choose", "pow": "power"}
_SIGNS |= {"minimum": "min", "maximum": "max", "remainder": "remainder", "cat": "join"}
_SIGNS |= {"gt": ">", "ge": "≥", "lt": "<", "le": "≤", "eq": "=", "ne": "≠", "sum": "sum of units"}
# operations whose operands are not alike
_ROLES = {"where": ("if", "then", "else"), "div": ("", "by"), "sub": ("", "less")}
_ROLES |= dict.fromkeys(("gt", "ge", "lt", "le"), ("left", "right"))
_ROLES |= {"pow": ("", "to"), "remainder": ("", "by")}


class DiagramError(ValueError):
    """There is nothing that could be drawn; the message says why and what to do."""


def cell_graph(
    cell: nn.Module, x: Tensor | None = None, state: State | Tensor | None = None
) -> Graph:
    """The data flow of one step of a cell: its gates, products, pointwise operations and states.

    What becomes a box: an activation of a weighted sum is a gate, a weighted sum on its own is
    linear, and pointwise operations are small; parameters stand inside the boxes that use them.

    Args:
        cell: a cell of ours, or any module that maps (x, *state) to the new state.
        x: an example of one step's input, [B, I]; needed where the cell has no `input_size`.
        state: its states, each [B, S]; needed where the cell has no `initial_state`.

    Raises:
        DiagramError: the engine cannot read the cell's equations.
        TypeError: an example is needed and missing.
    """
    found = explain(cell, x, state)
    if found.recurrence is None:
        raise _unread(found)
    return _Reader(found, found.recurrence).graph()


def _unread(found: Explanation) -> DiagramError:
    obstacle = found.obstacle
    assert obstacle is not None
    where = f" ({obstacle.line})" if obstacle.line else ""
    return DiagramError(
        f"diagram: the equations of {found.cell} cannot be read: {obstacle.operation}: "
        f"{obstacle.reason}{where}. Write that operation with others, or draw "
        'kind="folded" or kind="unrolled", which need no equations.'
    )


class _Reader:
    """Groups the nodes of a step into boxes, from its results backwards."""

    def __init__(self, found: Explanation, recurrence: Recurrence) -> None:
        self.found, self.recurrence = found, recurrence
        program = recurrence.program
        new, roots = with_norms((*program.new_states, *program.emits))
        self.states, self.emits = roots[: len(program.states)], roots[len(program.states) :]
        self.uses = Counter(arg for node in walk_nodes(roots) for arg in node.args)
        self.uses.update(roots)
        self.roots = frozenset(roots)
        self.names = {new[n]: name for n, name in recurrence.names.items() if n in new}
        self.keys: dict[Node, str] = {}
        self.short, self.full = Phrases(recurrence), Phrases(recurrence, short=False)
        self.drawn = Graph(f"{found.cell}: one step")

    def graph(self) -> Graph:
        names = self.recurrence.state_names
        for name, node in zip(names, self.states, strict=True):
            if node.op not in _LEAVES:
                self.names[node] = prime(name)
        self._ports()
        for k, (name, node) in enumerate(zip(names, self.states, strict=True)):
            detail = "new state, output" if self.recurrence.output == ("state", k) else "new state"
            told = f"{prime(name)}: the new state {name}, {self._wide(node.width)}"
            port = self.drawn.add(Box(f"new_{k}", "state", prime(name), detail, told))
            self._join(node, port)
        self._output()
        self._drop_unused()
        self.drawn.words = _in_words(self.found)
        return self.drawn

    # what comes in and goes out

    def _ports(self) -> None:
        program, recurrence = self.recurrence.program, self.recurrence
        source = self.drawn.add(Box("x", "input", "x", "input", "x: the input of this step"))
        if recurrence.before is not None:
            told = "; ".join(self.found.before)
            before = Box("before", "part", "before time", _operators(self.found.before), told)
            self.drawn.join(source, self.drawn.add(before))
        for k, name in enumerate(recurrence.state_names):
            told = f"{name}: the state of the step before, {self._wide(program.states[k])}"
            self.drawn.add(Box(f"state_{k}", "state", name, "state", told))

    def _output(self) -> None:
        kind, place = self.recurrence.output
        if kind == "state":
            return
        port = self.drawn.add(Box("y", "output", "y", "output", "y: what the layer above reads"))
        if kind == "emit":
            self._join(self.emits[place], port)
            return
        after = self.recurrence.after
        assert after is not None
        told = "; ".join(self.found.after)
        part = Box("after", "part", "after time", _operators(self.found.after), told)
        self.drawn.add(part)
        self.drawn.join(part.key, port)
        for row, index in after.rows:
            if row == "state":
                self._join(self.states[index], part.key)
            elif row == "emit":
                self._join(self.emits[index], part.key)
            else:
                self.drawn.join(self._input(index) if row == "input" else "x", part.key)

    def _drop_unused(self) -> None:
        joined = {key for arrow in self.drawn.arrows for key in (arrow.source, arrow.target)}
        boxes = self.drawn.boxes
        self.drawn.boxes = {k: box for k, box in boxes.items() if k in joined or k[0] == "n"}

    def _wide(self, width: int) -> str:
        return f"{width} unit{'s' if width != 1 else ''}"

    def _input(self, index: int) -> str:
        return "x" if self.recurrence.input_names[index] == "x" else "before"

    # nodes to boxes

    def _join(self, node: Node, target: str, role: str = "") -> None:
        """An arrow from the box of a node."""
        label = role
        if node.op in _LEAVES:
            label = " ".join(word for word in (role, self.short.units(node)) if word)
            if node.op == "input" and self._input(node.data[0]) == "before":
                label = " ".join(word for word in (role, self.short.leaf(node)) if word)
        self.drawn.join(self._box(node), target, label)

    def _box(self, node: Node) -> str:
        if node.op == "state":
            return f"state_{node.data[0]}"
        if node.op == "input":
            return self._input(node.data[0])
        if node not in self.keys:
            self.keys[node] = self._new_box(node)
        return self.keys[node]

    def _new_box(self, node: Node) -> str:
        kinds = {"gate": self._gate, "linear": self._weighted, "operation": self._chain}
        for kind, grouped in kinds.items():
            region = grouped(node)
            if region:
                return self._filled(kind, node, region)
        if node.op in _FIXED:
            return self._filled("operation", node, frozenset({node}))
        return self._sign(node)

    def _filled(self, kind: str, node: Node, region: frozenset[Node]) -> str:
        """A box that holds an expression."""
        # operands first, so that boxes are in the order of the flow
        outside = list(self._outside(node, region))
        for arg in outside:
            self._box(arg)
        self.short.shown = {arg: self._shown(arg) for arg in outside}
        self.full.shown = dict(self.short.shown)
        title = "" if node in self.states else self.names.get(node, "")
        name = self.names.get(node)
        told = f"{name} = {self.full.expand(node)}" if name else self.full.expand(node)
        box = Box(f"n{len(self.keys)}", kind, title, self.short.expand(node), told)
        self.keys[node] = self.drawn.add(box)
        for arg in outside:
            self._join(arg, box.key)
        return box.key

    def _sign(self, node: Node) -> str:
        """A box that holds the sign of one operation."""
        args = list(self._operands(node)) if node.op in ("add", "mul") else list(node.args)
        for arg in args:
            self._box(arg)
        self.full.shown = {arg: self._shown(arg) for arg in args if arg.op not in _FIXED}
        name = self.names.get(node)
        told = f"{name} = {self.full.expand(node)}" if name else self.full.expand(node)
        text = _SIGNS.get(node.op, node.op)
        title = "" if node in self.states else self.names.get(node, "")
        box = Box(f"n{len(self.keys)}", "operation", title, text, told)
        self.keys[node] = self.drawn.add(box)
        roles = _ROLES.get(node.op, ("",) * len(args))
        for arg, role in zip(args, roles, strict=True):
            self._join(arg, box.key, role)
        return box.key

    def _shown(self, node: Node) -> str:
        if node.op in _LEAVES:
            return self.short.leaf(node)
        return self.names.get(node, "·")

    def _operands(self, node: Node) -> Iterator[Node]:
        """Operands of a sum or product of any number of them."""
        for arg in node.args:
            plain = arg.op == node.op and self._free(arg) and arg not in self.names
            if plain and not self._weighted(arg):
                yield from self._operands(arg)
            else:
                yield arg

    # regions: the nodes that one box holds

    def _free(self, node: Node) -> bool:
        """Nobody else uses the value."""
        return self.uses[node] == 1 and node not in self.roots

    def _outside(self, node: Node, region: frozenset[Node]) -> Iterator[Node]:
        """What the nodes of a region take from elsewhere, once each."""
        inside = [n for n in walk_nodes([node]) if n in region]
        found = dict.fromkeys(a for n in inside for a in n.args if a not in region)
        return (a for a in found if a.op not in _FIXED)

    def _gate(self, node: Node) -> frozenset[Node]:
        if node.op not in _CURVES or not self._free(node.args[0]):
            return frozenset()
        weighted = self._weighted(node.args[0])
        return weighted | {node} if weighted else weighted

    def _weighted(self, node: Node) -> frozenset[Node]:
        """A sum with at least one product of weights; empty where there is none."""
        region, found = {node}, node.op != "add" and self._product(node)
        if found:
            return found
        waiting = list(node.args) if node.op == "add" else []
        while waiting:
            term = waiting.pop()
            if term.op == "add" and self._free(term):
                region.add(term)
                waiting += term.args
                continue
            product = self._product(term) if self._free(term) else frozenset()
            found = found or product
            region |= product or self._scaled(term)
        return frozenset(region) if found else frozenset()

    def _product(self, node: Node) -> frozenset[Node]:
        """A matrix times something, perhaps normalised and scaled; empty for other nodes."""
        if node.op == "matmul":
            return frozenset({node})
        inner: Sequence[Node] = ()
        if node.op in NORMS or node.op == "neg":
            inner = node.args
        elif node.op in ("mul", "div"):
            inner = [arg for arg in node.args if arg.op not in _FIXED]
        if len(inner) != 1 or not self._free(inner[0]):
            return frozenset()
        found = self._product(inner[0])
        return found | {node, *(arg for arg in node.args if arg.op in _FIXED)} if found else found

    def _scaled(self, node: Node) -> frozenset[Node]:
        """A bias, or a value that each unit weighs by itself."""
        if node.op in _FIXED:
            return frozenset({node})
        ops = [arg.op for arg in node.args]
        if node.op == "mul" and "vector" in ops and self._free(node) and node not in self.names:
            return frozenset({node, node.args[ops.index("vector")]})
        return frozenset()

    def _chain(self, node: Node) -> frozenset[Node]:
        """Pointwise operations one after the other on a single value; empty if there are two."""
        region: set[Node] = set()
        while node.op not in _LEAVES | {"matmul", "cat", "sum"}:
            inner = dict.fromkeys(arg for arg in node.args if arg.op not in _FIXED)
            if len(inner) != 1 or (len(node.args) == 2 and len(set(node.args)) == 1):
                break
            region |= {node, *(arg for arg in node.args if arg.op in _FIXED)}
            (node,) = inner
            if not self._free(node) or node in self.names or self._heavy(node):
                break
        return frozenset(region)

    def _heavy(self, node: Node) -> bool:
        return bool(self._gate(node) or self._weighted(node))


def _operators(lines: Sequence[str]) -> str:
    """The operations of a part, each named once."""
    found = (re.match(r"\S+ = (\w+)", line) for line in lines)
    return ", ".join(dict.fromkeys(match[1] for match in found if match))


def _in_words(found: Explanation) -> str:
    lines = [*found.before, *found.through, *found.after]
    return f"One step of {found.cell}: " + "; ".join(lines) + "."
