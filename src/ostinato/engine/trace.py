"""From a cell to its recurrence: export once, read the graph, cut it into its three parts.

Products of x stay in the step, since the kernel does them for all steps at once; so do pointwise
operations on them. Other work on x alone (a product of a nonlinear function of x, an operation
outside the algebra) makes the *before* part. An output that takes products of its own makes the
*after* part.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from ostinato.engine.apart import apart
from ostinato.engine.aten import VIEWS
from ostinato.engine.calls import Label, State
from ostinato.engine.exporting import exported_step
from ostinato.engine.expressions import Node, Program, make, walk_nodes
from ostinato.engine.limits import Limit
from ostinato.engine.parts import Extract, cast, form_of, row_finish, shaped, together
from ostinato.engine.recurrence import NotFusable, Part, Recurrence
from ostinato.engine.sharing import share_products
from ostinato.engine.sources import source_line, state_names, variables
from ostinato.engine.tracer import STATIC, Form, Tracer, operator_name
from ostinato.engine.values import Opaque, Rows, Static, Unfit

__all__ = ["compiling", "trace"]

# torch marks the whole process while it exports
_busy = threading.RLock()


def compiling() -> bool:
    """Whether the caller is being compiled or exported, and not some thread that reads a cell."""
    if torch.compiler.is_dynamo_compiling():
        return True
    if not torch.compiler.is_compiling():
        return False
    with _busy:
        return torch.compiler.is_compiling()


def trace(cell: nn.Module, x: Tensor, state: State) -> Recurrence:
    """Read a cell's equations.

    Args:
        cell: maps (x, *state) to the new state.
        x: an example of one step's input, [B, I]; only its type and width count.
        state: likewise for each state, [B, S].

    Raises:
        NotFusable: the algebra cannot express the cell.
    """
    dtype = _state_type(state)
    with _busy:
        exported, labels = exported_step(cell, x, state)
    inputs = set(exported.graph_signature.user_inputs)
    users = [node for node in exported.graph.nodes if node.name in inputs]
    tracer = Tracer(dtype, users[0], users[1:])
    tracer.run(exported.graph)
    return _Assembly(cell, exported, tracer, users, labels).recurrence()


def _state_type(state: State) -> torch.dtype:
    types = {part.dtype for part in state}
    if len(types) != 1 or not next(iter(types)).is_floating_point:
        raise NotFusable("state", "", f"the states must share one floating type, got {types}")
    if any(part.dim() != 2 or part.shape[1] == 0 for part in state):
        raise NotFusable("state", "", "each state must be [B, S]")
    return types.pop()


class _Assembly:
    """Puts the parts of one recurrence together."""

    def __init__(
        self,
        cell: nn.Module,
        exported: ExportedProgram,
        tracer: Tracer,
        users: Sequence[fx.Node],
        labels: dict[Label, bool],
    ) -> None:
        self.cell, self.exported, self.tracer, self.labels = cell, exported, tracer, labels
        self.x, self.states = users[0], users[1:]
        results: Sequence[fx.Node] = exported.graph.output_node().args[0]
        self.output, self.results = results[0], results[1 : len(users)]
        self.told = [self._told(result) for result in results[len(users) :]]
        self.sources = _sources(exported)
        self.extract = Extract(tracer, self.sources)
        self.new_states = tuple(map(self._new_state, self.results, self.states))
        self._refuse_inner_limits()
        self.emits: list[Node] = []
        self.costly = {node for node in walk_nodes(self.new_states) if node.op in ("matmul", "sum")}

    def _new_state(self, result: fx.Node, old: fx.Node) -> Node:
        value, width = self.tracer.values[result], old.meta["val"].shape[1]
        if isinstance(value, NotFusable):
            raise value
        try:
            rows = self.tracer.rows(value)
        except Unfit as unfit:
            raise NotFusable(operator_name(result), source_line(result), str(unfit)) from None
        if rows.shape != (width,):
            reason = f"a state [B, {width}] becomes {[*'B', *rows.shape]}"
            raise NotFusable(operator_name(result), source_line(result), reason)
        return rows.full()

    def _told(self, result: fx.Node) -> Node | None:
        """A kept value as a node; None where the algebra or the type of the states ends."""
        value = self.tracer.values.get(result)
        if not isinstance(value, (Rows, Opaque)) or result.meta["val"].dtype != self.tracer.dtype:
            return None
        try:
            return self.tracer.rows(value).full()
        except Unfit:
            return None

    def _refuse_inner_limits(self) -> None:
        """A gradient is limited where it enters a step, and nowhere inside."""
        for node in self.exported.graph.nodes:
            if _is_limit(node) and (node not in self.results or _is_limit(node.args[0])):
                reason = "only the gradient of a new state can be limited"
                raise NotFusable(operator_name(node), source_line(node), reason)

    def _tally(self, result: fx.Node) -> Node:
        """The static vector in which a limit counts."""
        value = self.tracer.values[result.args[1]]  # type: ignore[index]
        if not isinstance(value, Static):
            raise NotFusable(operator_name(result), source_line(result), "its tally changes")
        return self.tracer.operand(value, value.shape)

    def _limits(self, new: dict[Node, Node]) -> tuple[Limit | None, ...]:
        if not any(map(_is_limit, self.results)):
            return ()
        found: list[Limit | None] = []
        for result in self.results:
            if not _is_limit(result):
                found.append(None)
                continue
            bound, norm = result.args[2:4]
            static = new[self._tally(result)].data[0]
            found.append(Limit(float(bound), bool(norm), static))  # type: ignore[arg-type]
        return tuple(found)

    def recurrence(self) -> Recurrence:
        frontier = self._frontier()
        output = ("after", 0)
        if frontier is None:
            output = self._kept(self.tracer.values[self.output])
        kept = {} if frontier is None else {n: self._source(n) for n in frontier}
        new, inputs, statics = self._renumbered(kept)
        roots = [new[root] for root in (*self.new_states, *self.emits)]
        count = len(self.new_states)
        program = Program(
            tuple(map(_width, inputs)),
            tuple(_static_shape(*static) for static in statics),
            tuple(state.meta["val"].shape[1] for state in self.states),
            tuple(roots[:count]),
            tuple(roots[count:]),
            self._limits(new),
        )
        told, program = apart(program, [node and new[node] for node in self.told])
        places = iter(told)
        return Recurrence(
            program=program,
            static=self._static_part(statics),
            before=self._before_part(inputs),
            after=None if frontier is None else self._after_part(kept, inputs),
            output=output,
            constants={name: self.exported.constants[name] for name in self._constant_names()},
            state_names=state_names(self.cell, count),
            static_names=tuple(self._label(origin) for origin, _ in statics),
            input_names=tuple("x" if origin is self.x else str(origin) for origin in inputs),
            output_shape=tuple(self.output.meta["val"].shape[1:]),
            names=self._names(new),
            kept={label: next(places) if here else None for label, here in self.labels.items()},
        )

    # the after part

    def _cheap(self, node: fx.Node) -> bool:
        """The step has the value at no product of its own."""
        value = self.tracer.values[node]
        if not isinstance(value, Rows):
            return False
        nodes = walk_nodes([value.node])
        return all(n in self.costly or _is_cheap(n) for n in nodes)

    def _is_view_of_kept(self, node: fx.Node) -> bool:
        """Units of what is kept anyway, to be taken after the walk."""
        value = self.tracer.values[node]
        return operator_name(node) in VIEWS and value.node not in self.new_states

    def _frontier(self) -> list[fx.Node] | None:
        """The values that the *after* part starts from; None where the output needs none."""
        if self._cheap(self.output) and not self._is_view_of_kept(self.output):
            return None
        found: dict[fx.Node, None] = {}
        stack, seen = [self.output], set()
        while stack:
            node = stack.pop()
            if node in seen or self.tracer.levels[node] == STATIC:
                continue
            seen.add(node)
            tensor = isinstance(node.meta.get("val"), Tensor)
            opaque = tensor and isinstance(self.tracer.values[node], Opaque)
            kept = self._cheap(node) and not self._is_view_of_kept(node)
            if kept or opaque:
                found[node] = None
            else:
                stack.extend(node.all_input_nodes)
        return list(found)

    def _kept(self, value: Rows) -> tuple[str, int]:
        """Where a value is found after the walk; what is not kept yet is emitted."""
        node = value.full()
        if node in self.new_states:
            return ("state", self.new_states.index(node))
        if node not in self.emits:
            self.emits.append(node)
        return ("emit", self.emits.index(node))

    def _source(self, node: fx.Node) -> tuple[str, int] | fx.Node:
        """Likewise; a graph node stands for the input sequence that it makes."""
        value = self.tracer.values[node]
        if isinstance(value, Opaque):
            return node
        if value.node.op == "input":
            origin: fx.Node = list(self.tracer.inputs)[value.node.data[0]]
            if value.size == _width(origin):
                return origin
        return self._kept(value)

    def _after_part(
        self, kept: dict[fx.Node, tuple[str, int] | fx.Node], inputs: Sequence[fx.Node]
    ) -> Part:
        rows = []
        for node, source in kept.items():
            value, dtype = self.tracer.values[node], node.meta["val"].dtype
            if isinstance(source, fx.Node):
                kind = ("input", list(inputs).index(source))
                value = Rows(make("const", (), 1, 0.0), tuple(node.meta["val"].shape[1:]))
                # x itself is never flattened
                finish = None if source is self.x else row_finish(value, dtype)
            else:
                kind, finish = source, row_finish(value, dtype)
            rows.append((node, kind, finish))
        return self.extract.part([(self.output, None)], rows)

    # numbering, and the other two parts

    def _renumbered(
        self, kept: dict[fx.Node, tuple[str, int] | fx.Node]
    ) -> tuple[dict[Node, Node], list[fx.Node], list[tuple[fx.Node, Form]]]:
        """Each node with inputs and statics numbered in the order of their use."""
        told = [node for node in self.told if node is not None]
        shared = share_products((*self.new_states, *self.emits), told)
        # tallies are static tensors, too, though no value depends on them
        tallies = [self._tally(result) for result in self.results if _is_limit(result)]
        shared |= {tally: tally for tally in tallies}
        roots = [shared[node] for node in (*self.new_states, *self.emits, *tallies, *told)]
        order = list(walk_nodes(roots))
        all_inputs, all_statics = list(self.tracer.inputs), list(self.tracer.statics)
        inputs = dict.fromkeys(all_inputs[n.data[0]] for n in order if n.op == "input")
        inputs.update(dict.fromkeys(s for s in kept.values() if isinstance(s, fx.Node)))
        inputs = inputs or {self.x: None}
        statics = dict.fromkeys(
            all_statics[n.data.static if n.op == "matmul" else n.data[0]]
            for n in order
            if n.op in ("matmul", "vector")
        )
        input_map = {all_inputs.index(n): k for k, n in enumerate(inputs) if n in all_inputs}
        static_map = {all_statics.index(s): k for k, s in enumerate(statics)}
        new: dict[Node, Node] = {}
        for node in order:
            new[node] = _renumber(node, new, input_map, static_map)
        found = {old: new[node] for old, node in shared.items() if node in new}
        return found, list(inputs), list(statics)

    def _names(self, new: dict[Node, Node]) -> dict[Node, str]:
        """Nodes that are the value of a variable in the cell's source."""
        found: dict[Node, str] = {}
        for origin, name in variables(self.exported.graph.nodes).items():
            value = self.tracer.values.get(origin)
            if isinstance(value, Rows) and value.node in new and value.node.args:
                found.setdefault(new[value.node], name)
        return found

    def _static_part(self, statics: Sequence[tuple[fx.Node, Form]]) -> Part:
        dtype = self.tracer.dtype
        return self.extract.part(
            [
                (origin, form_of(form, None if origin.meta["val"].dtype == dtype else dtype))
                for origin, form in statics
            ],
            [],
        )

    def _before_part(self, inputs: Sequence[fx.Node]) -> Part | None:
        if list(inputs) == [self.x]:
            return None
        outputs = []
        for origin in inputs:
            flat = origin.meta["val"].dim() == 2
            steps = [] if flat else [shaped((_width(origin),))]
            if origin is not self.x and origin.meta["val"].dtype == torch.bool:
                steps.append(cast(self.tracer.dtype))
            outputs.append((origin, together(steps)))
        return self.extract.part(outputs, [(self.x, ("x", 0), None)])

    def _constant_names(self) -> list[str]:
        held = set(self.exported.graph_signature.inputs_to_lifted_tensor_constants.values())
        return [name for name in self.sources.values() if name in held]

    def _label(self, origin: fx.Node) -> str:
        """A static tensor as an expression of parameters."""
        if origin in self.sources:
            return self.sources[origin]
        args = [self._label(a) if isinstance(a, fx.Node) else str(a) for a in origin.args]
        return f"{operator_name(origin)}({', '.join(args)})"


def _is_limit(node: Any) -> bool:
    return isinstance(node, fx.Node) and operator_name(node) == "limit_gradient"


def _is_cheap(node: Node) -> bool:
    """Products of an input are made for all steps at once."""
    if node.op == "matmul":
        return node.args[0].op == "input"
    return node.op != "sum"


def _sources(exported: ExportedProgram) -> dict[fx.Node, str]:
    """Name of the tensor behind each placeholder, as the cell's own modules have it."""
    signature = exported.graph_signature
    named = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
    }
    found = {}
    for node in exported.graph.nodes:
        if node.name in named:
            found[node] = named[node.name].removeprefix("cell.")
        elif node.name in signature.inputs_to_lifted_tensor_constants:
            found[node] = signature.inputs_to_lifted_tensor_constants[node.name]
    return found


def _width(origin: fx.Node) -> int:
    return math.prod(origin.meta["val"].shape[1:])


def _static_shape(origin: fx.Node, form: Form) -> tuple[int, ...]:
    value = torch.empty(tuple(origin.meta["val"].shape), device="meta")
    permuted, expanded, reshaped = form
    value = value.permute(permuted) if permuted else value
    value = value.expand(expanded) if expanded else value
    return tuple((value.reshape(reshaped) if reshaped else value).shape)


def _renumber(
    node: Node, new: dict[Node, Node], inputs: dict[int, int], statics: dict[int, int]
) -> Node:
    data = node.data
    if node.op == "input":
        data = (inputs[data[0]], data[1])
    elif node.op == "vector":
        data = (statics[data[0]], data[1])
    elif node.op == "matmul":
        data = replace(data, static=statics[data.static])
    return make(node.op, (new[arg] for arg in node.args), node.width, data)
