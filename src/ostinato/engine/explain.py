"""What a cell becomes: its parts as equations, their cost, or what stands in the way."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ostinato.engine.adjoint import Adjoint, adjoint
from ostinato.engine.calls import State
from ostinato.engine.equations import Writer
from ostinato.engine.expressions import LEAVES, Node, Program, walk_nodes
from ostinato.engine.recurrence import NotFusable, Part, Recurrence
from ostinato.engine.scan import how
from ostinato.engine.tangent import Direction, linearise
from ostinato.engine.trace import trace
from ostinato.engine.tracer import operator_name

__all__ = ["Explanation", "explain", "read_back"]

# cheaper to do again than to keep
_CHEAP_NAMES = "add sub mul neg abs relu gt ge lt le eq ne where minimum maximum cat"
_CHEAP = frozenset(_CHEAP_NAMES.split())


@dataclass(frozen=True)
class Explanation:
    """What `explain` found; prints as text.

    Attributes:
        cell: name of the cell's class.
        recurrence: the cell in its parts; None where it cannot be fused.
        obstacle: what stopped fusion, else None.
        before: operations done for all steps at once, before the walk.
        through: the equations of one step.
        after: operations done for all steps at once, after the walk.
        saved: what the reverse walk reads besides states and inputs, with its width.
        multiply_adds: of the products of one step and row; those of inputs are done for all steps
            at once, but count here.
        pointwise: pointwise operations of one step and row, unit by unit.
        weight_bytes: size of the matrices that each step multiplies with.
        row_bytes: what one step and row reads and writes.
        tangent: (multiply-adds, how many of them step by step, pointwise operations) of the step's
            derivative in forward mode, for one step and row, where everything changes.
        parallel: whether and how all steps can be had at once, by `ostinato.engine("scan")`.
    """

    cell: str
    recurrence: Recurrence | None = None
    obstacle: NotFusable | None = None
    before: tuple[str, ...] = ()
    through: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    saved: tuple[tuple[str, int], ...] = ()
    multiply_adds: int = 0
    pointwise: int = 0
    weight_bytes: int = 0
    row_bytes: int = 0
    tangent: tuple[int, int, int] = (0, 0, 0)
    parallel: str = ""

    @property
    def fused(self) -> bool:
        """Whether the cell can run as a fused kernel."""
        return self.obstacle is None

    def __str__(self) -> str:
        if self.obstacle is not None:
            where = f"\n  {self.obstacle.line}" if self.obstacle.line else ""
            reason = f"{self.obstacle.operation}: {self.obstacle.reason}"
            return f"{self.cell} is not fused; it runs step by step.\n  {reason}{where}"
        saved = ", ".join(f"{name} ({width})" for name, width in self.saved) or "nothing"
        return "\n".join(
            [
                f"{self.cell}, fused",
                *_section("before time", self.before or ("nothing: x goes in as it is",)),
                *_section("through time, each step", self.through),
                *_section("after time", self.after or ("nothing",)),
                *_section("cost of a step and row", (self._cost(),)),
                *_section("kept for the reverse walk, besides states and inputs", (saved,)),
                *_section("cost of its tangent, forward mode", (self._tangent_cost(),)),
                *_section("all steps at once", (self.parallel,)),
            ]
        )

    def _cost(self) -> str:
        return (
            f"{self.multiply_adds} multiply-adds, {self.pointwise} pointwise operations, "
            f"{self.row_bytes} bytes; {self.weight_bytes} bytes of weights"
        )

    def _tangent_cost(self) -> str:
        whole, stepwise, pointwise = self.tangent
        return f"{whole} multiply-adds, {stepwise} step by step; {pointwise} pointwise operations"


def _section(title: str, lines: tuple[str, ...]) -> list[str]:
    return [f"  {title}", *(f"    {line}" for line in lines)]


def explain(
    cell: nn.Module, x: Tensor | None = None, state: State | Tensor | None = None
) -> Explanation:
    """Say what becomes of a cell: before, through and after time, or what stops fusion.

    Args:
        cell: a cell of ours, or any module that maps (x, *state) to the new state.
        x: an example of one step's input, [B, I]; needed where the cell has no `input_size`.
        state: its states, each [B, S]; needed where the cell has no `initial_state`.

    Raises:
        TypeError: an example is needed and missing.

    Example:
        >>> from ostinato.cells import Elman
        >>> print(explain(Elman(3, 4)))
        Elman, fused
          before time
            nothing: x goes in as it is
          through time, each step
            drive = gates.weight_ih @ x + gates.bias + gates.weight_hh @ h
            h' = tanh(drive)
          after time
            nothing
          cost of a step and row
            28 multiply-adds, 12 pointwise operations, 44 bytes; 112 bytes of weights
          kept for the reverse walk, besides states and inputs
            nothing
          cost of its tangent, forward mode
            56 multiply-adds, 16 step by step; 28 pointwise operations
          all steps at once
            no: the units of h hear each other's past
    """
    name = type(cell).__name__
    x, state = _examples(cell, x, state)
    try:
        recurrence = trace(cell, x, state)
    except NotFusable as obstacle:
        return Explanation(name, obstacle=obstacle)
    program, reverse = recurrence.program, adjoint(recurrence.program)
    writer = _writer(recurrence)
    roots = [
        (f"{n}'", node) for n, node in zip(recurrence.state_names, program.new_states, strict=True)
    ]
    roots += [(f"y{k or ''}", node) for k, node in enumerate(program.emits)]
    kept = read_back(program, reverse)
    through = writer.equations(roots, kept)
    element = state[0].element_size()
    return Explanation(
        name,
        recurrence,
        before=_operations(recurrence.before, recurrence.input_names),
        through=tuple(through),
        after=_operations(recurrence.after, ("output",)),
        saved=tuple((writer.write(node), node.width) for node in kept),
        multiply_adds=sum(_product_size(node) for node in _nodes(program)),
        pointwise=sum(node.width for node in _nodes(program) if not _is_moved(node)),
        weight_bytes=element * sum(_product_size(node) for node in _nodes(program)),
        row_bytes=element * _row_size(program),
        tangent=_tangent(program),
        parallel=how(recurrence),
    )


def _examples(
    cell: nn.Module, x: Tensor | None, state: State | Tensor | None
) -> tuple[Tensor, State]:
    if state is None:
        ask = getattr(cell, "initial_state", None)
        if ask is None:
            raise TypeError(
                f"explain: {type(cell).__name__} has no initial_state. Give x [B, I] and its "
                "states, each [B, S]."
            )
        state = ask(2)
    states: State = (state,) if isinstance(state, Tensor) else tuple(state)
    if x is None:
        width = getattr(cell, "input_size", None)
        if width is None:
            raise TypeError(f"explain: {type(cell).__name__} has no input_size. Give x [B, I].")
        x = states[0].new_zeros(2, width)
    return x, states


def _writer(recurrence: Recurrence) -> Writer:
    program = recurrence.program
    widths = {("state", k): width for k, width in enumerate(program.states)}
    widths |= {("input", k): width for k, width in enumerate(program.inputs)}
    for k, shape in enumerate(program.statics):
        widths["vector", k] = widths["rows", k] = shape[0] if shape else 1
        widths["columns", k] = shape[-1] if shape else 1
    return Writer(
        recurrence.state_names,
        recurrence.input_names,
        recurrence.static_names,
        widths,
        recurrence.names,
    )


def _operations(part: Part | None, results: tuple[str, ...]) -> tuple[str, ...]:
    """The operations of a part, by the names that torch gives them."""
    if part is None:
        return ()
    calls = [n for n in part.module.graph.nodes if n.op == "call_function"]
    rows = {f"rows_{k}": f"{kind}{index or ''}" for k, (kind, index) in enumerate(part.rows)}
    names = {f"fixed_{k}": name for k, name in enumerate(part.names)}
    known = rows | names

    def shown(argument: object) -> str:
        if isinstance(argument, torch.fx.Node):
            return known.get(str(argument), str(argument))
        if isinstance(argument, (list, tuple)):
            return f"[{', '.join(map(shown, argument))}]"
        return str(argument)

    (outputs,) = part.module.graph.output_node().args
    for name, node in zip(results, outputs, strict=True):  # type: ignore[arg-type]
        known.setdefault(str(node), name)
    return tuple(f"{shown(n)} = {operator_name(n)}({', '.join(map(shown, n.args))})" for n in calls)


def _nodes(program: Program) -> list[Node]:
    return list(walk_nodes((*program.new_states, *program.emits)))


def _is_moved(node: Node) -> bool:
    return node.op in LEAVES or node.op in ("matmul", "cat")


def _product_size(node: Node) -> int:
    return node.data.rows * node.data.columns if node.op == "matmul" else 0


def _tangent(program: Program) -> tuple[int, int, int]:
    everything = Direction(tuple(range(len(program.inputs))), tuple(range(len(program.statics))))
    nodes = _nodes(linearise(program, everything).program)
    walked = [node for node in nodes if node.op == "matmul" and node.args[0].op != "input"]
    pointwise = sum(node.width for node in nodes if not _is_moved(node))
    return sum(map(_product_size, nodes)), sum(map(_product_size, walked)), pointwise


def _row_size(program: Program) -> int:
    """Numbers that a step reads and writes for one row."""
    emitted = sum(node.width for node in program.emits)
    return sum(program.inputs) + 2 * sum(program.states) + emitted


def read_back(program: Program, reverse: Adjoint) -> tuple[Node, ...]:
    """The values of the step that its reverse must be given, besides leaves and new states.

    What a sum, product or comparison of these gives is not among them: it is made again.
    """
    forward = dict.fromkeys(_nodes(program))
    roots = reverse.roots()
    read = {node for node in roots if node in forward}
    for node in walk_nodes(roots):
        if node not in forward:
            read.update(arg for arg in node.args if arg in forward)
    known, saved = {*program.new_states, *program.emits}, []
    for node in forward:
        again = node.op in LEAVES or (node.op in _CHEAP and known.issuperset(node.args))
        if node in read and not again and node not in known:
            saved.append(node)
        if node in read or again:
            known.add(node)
    return tuple(saved)
