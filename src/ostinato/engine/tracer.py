"""From an exported graph to the algebra: an abstract interpretation, one graph node at a time."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import fx
from torch.utils import _pytree as pytree

from ostinato.engine import algebra
from ostinato.engine.algebra import cat, const, slice_
from ostinato.engine.aten import HANDLERS, VIEWS
from ostinato.engine.elementwise import ELEMENTWISE
from ostinato.engine.expressions import Matrix, Node, make, walk_nodes
from ostinato.engine.recurrence import NotFusable
from ostinato.engine.sources import source_line
from ostinato.engine.values import (
    ROWS,
    Batch,
    Opaque,
    Rows,
    Static,
    Unfit,
    as_matrix,
    as_vector,
    new_static,
    positions,
    units_taken,
    view_rows,
    view_static,
)

__all__ = ["Tracer", "operator_name"]

STATIC, BEFORE, THROUGH = range(3)
# arguments that say how a tensor is stored, not what is in it; types are checked on the result
_STORAGE = frozenset({"dtype", "layout", "device", "pin_memory", "memory_format", "non_blocking"})
_CASTS = frozenset({"to", "_to_copy", "type_as"})
_FILLS = {"zeros": 0, "new_zeros": 0, "ones": 1, "new_ones": 1, "full": 0, "new_full": 0}
_BOOLEAN = frozenset({"logical_and", "logical_or", "logical_xor", "logical_not", "bitwise_and"}) | {
    *("bitwise_or", "bitwise_not", "isnan", "where", "clone", "contiguous", "alias"),
    *("gt", "ge", "lt", "le", "eq", "ne", "greater", "greater_equal", "less", "less_equal"),
    *(
        "not_equal",
        "zeros_like",
        "ones_like",
        "masked_fill",
        "copy",
        "__and__",
        "__or__",
        "__xor__",
    ),
}
# a form of a static tensor: (permuted to, expanded to, reshaped to), () where nothing is done
Form = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
AS_IS: Form = ((), (), ())


def operator_name(node: fx.Node) -> str:
    """`add` for torch.ops.aten.add.Tensor."""
    if isinstance(node.target, torch._ops.OpOverload):
        return str(node.target._schema.name.split("::")[-1])
    return getattr(node.target, "__name__", str(node.target))


class Tracer:
    """Gives each node of a graph what stands for it.

    Args:
        dtype: the type that the step computes in.
        placeholders: what the graph's placeholders stand for; others are static.

    Attributes:
        values: Rows, Static, Opaque, Batch, numbers and lists of these; NotFusable where the
            algebra ends.
        levels: STATIC, BEFORE or THROUGH, by what a node depends on.
        inputs: graph nodes that make the input sequences, in order.
        statics: graph nodes that make the static tensors, with their forms, in order.
        origins: graph node behind an expression of x alone.
    """

    def __init__(self, dtype: torch.dtype, x: fx.Node, states: Sequence[fx.Node]) -> None:
        self.dtype = dtype
        self.values: dict[fx.Node, Any] = {}
        self.levels: dict[fx.Node, int] = {x: BEFORE} | dict.fromkeys(states, THROUGH)
        self.inputs: dict[fx.Node, int] = {}
        self.statics: dict[tuple[fx.Node, Form], int] = {}
        self.origins: dict[Node, fx.Node] = {}
        for index, state in enumerate(states):
            (width,) = state.meta["val"].shape[1:]
            self.values[state] = Rows(make("state", (), width, (index, 0)), (width,))
        value = x.meta["val"]
        simple = value.dim() == 2 and value.dtype == dtype
        self.values[x] = self.input_rows(x) if simple else Opaque(x)

    def run(self, graph: fx.Graph) -> None:
        for node in graph.nodes:
            if node.op == "placeholder":
                if node not in self.values:
                    self.levels[node] = STATIC
                    self.values[node] = new_static(node)
            elif node.op == "call_function":
                level = max((self.levels[arg] for arg in node.all_input_nodes), default=STATIC)
                self.levels[node] = level
                self.values[node] = self.evaluate(node, level)
                self._remember(node, level)

    def _remember(self, node: fx.Node, level: int) -> None:
        value = self.values[node]
        if level == BEFORE and isinstance(value, Rows) and value.node.width == value.size:
            self.origins.setdefault(value.node, node)

    def evaluate(self, node: fx.Node, level: int) -> Any:
        if level == STATIC:
            return self._static(node)
        args = [self.values[arg] for arg in node.all_input_nodes]
        failed = next((arg for arg in args if isinstance(arg, NotFusable)), None)
        if failed is not None:
            return failed
        try:
            value = self._through(node)
            self._check(node, value)
            return value
        except Unfit as unfit:
            if level == BEFORE:
                return Opaque(node)
            return NotFusable(operator_name(node), source_line(node), str(unfit))

    def _static(self, node: fx.Node) -> Any:
        inputs = node.all_input_nodes
        arg = self.values[inputs[0]] if len(inputs) == 1 else None
        if node.target is operator.getitem and isinstance(arg, list):
            value: Static = arg[node.args[1]]  # type: ignore[index]
            return replace(value, origin=node)
        if operator_name(node) in VIEWS and isinstance(arg, Static):
            found = view_static(arg, lambda view: self._applied(node, [view]))
            if found is not None:
                return found if isinstance(found, list) else replace(found, origin=node)
        shaped = isinstance(node.meta.get("val"), torch.Tensor)
        return new_static(node) if shaped else None

    def _through(self, node: fx.Node) -> Any:
        name = operator_name(node)
        if name.startswith("_assert"):
            return None
        if node.target is operator.getitem:
            return self._item(node)
        if not isinstance(node.target, torch._ops.OpOverload):
            return self._number(node)
        args = self._bind(node)
        if name == "sym_size":
            return Batch(ROWS) if args["dim"] == 0 else node.meta["val"]
        if name in _FILLS:
            return Rows(const(float(args.get("fill_value", _FILLS[name]))), _row_shape(node))
        if name in _CASTS:
            return self._cast(node, self.rows(args["self"]))
        if name in VIEWS:
            return self._view(node)
        if name in ELEMENTWISE:
            return self._elementwise(node, ELEMENTWISE[name], args)
        if name in HANDLERS:
            plain = {key: self._prepare(value) for key, value in args.items()}
            return HANDLERS[name](self, **plain)
        raise Unfit("it is not in the algebra of the fused engine")

    def _bind(self, node: fx.Node) -> dict[str, Any]:
        assert isinstance(node.target, torch._ops.OpOverload)
        names = [arg.name for arg in node.target._schema.arguments]
        given = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
        found = {key: value for key, value in given.items() if key not in _STORAGE}
        return {key: self._value(value) for key, value in found.items()}

    def _value(self, argument: Any) -> Any:
        return fx.node.map_arg(argument, lambda node: self.values[node])

    def _prepare(self, value: Any) -> Any:
        """An argument for a handler: opaque values become input sequences."""
        if isinstance(value, Batch):
            raise Unfit("its result depends on the size of the batch")
        if isinstance(value, (list, tuple)):
            return [self._prepare(part) for part in value]
        return self.rows(value) if isinstance(value, Opaque) else value

    def _item(self, node: fx.Node) -> Any:
        source, index = self.values[node.args[0]], node.args[1]  # type: ignore[index]
        return Opaque(node) if isinstance(source, Opaque) else source[index]

    def _number(self, node: fx.Node) -> Any:
        arithmetic = getattr(operator, operator_name(node), None)
        args = self._value(node.args)
        if arithmetic is not node.target or not any(isinstance(arg, Batch) for arg in args):
            raise Unfit("it is not an operation on tensors")
        return Batch(node.target(*(a.value if isinstance(a, Batch) else a for a in args)))

    def _cast(self, node: fx.Node, value: Rows) -> Rows:
        before, after = value.node, node.meta["val"].dtype
        if after == torch.bool and before.op not in _BOOLEAN:
            before = algebra.pointwise("ne", before, const(0))
        return Rows(before, value.shape)

    def _view(self, node: fx.Node) -> Any:
        if operator_name(node) == "expand":
            source = self.values[node.args[0]]  # type: ignore[index]
            if isinstance(source, Static):
                # the same for every row, as a vector is
                filled = Rows(self.operand(source, _row_shape(node)), _row_shape(node))
                return replace(filled, node=filled.full())
        rows = [self._row_value(self.values[arg]) for arg in self._tensors(node)]
        return view_rows(rows, lambda positions: self._applied(node, positions))

    def check_view(self, node: fx.Node) -> None:
        """Make sure that an operation does no more than take units of each row.

        Raises:
            Unfit: it does more, or is no view.
        """
        if operator_name(node) not in VIEWS:
            raise Unfit("it is not known to treat each row alike")
        shapes = [_row_shape(arg) for arg in self._tensors(node)]
        total = sum(math.prod(shape) for shape in shapes)
        taken = self._applied(node, positions(shapes))
        pytree.tree_map(lambda part: units_taken(part, total), taken)

    def _tensors(self, node: fx.Node) -> list[fx.Node]:
        """The tensors among the operands, as often as they occur."""
        leaves = pytree.tree_leaves((node.args, node.kwargs))
        nodes = [leaf for leaf in leaves if isinstance(leaf, fx.Node)]
        return [arg for arg in nodes if isinstance(arg.meta["val"], torch.Tensor)]

    def _applied(self, node: fx.Node, tensors: list[torch.Tensor]) -> Any:
        """What a view gives for tensors in place of its operands."""
        leaves, spec = pytree.tree_flatten((node.args, node.kwargs))
        rest, tensor_nodes = iter(tensors), self._tensors(node)
        leaves = [next(rest) if leaf in tensor_nodes else self._plain(leaf) for leaf in leaves]
        args, kwargs = pytree.tree_unflatten(leaves, spec)
        try:
            return node.target(*args, **kwargs)  # type: ignore[operator]
        except RuntimeError as error:
            raise Unfit("it does not treat each row of the batch alike") from error

    def _plain(self, leaf: Any) -> Any:
        value = self.values[leaf] if isinstance(leaf, fx.Node) else leaf
        return value.value if isinstance(value, Batch) else value

    def _row_value(self, value: Any) -> Rows:
        if isinstance(value, Static):
            raise Unfit("it joins a parameter to values of the batch; expand it to the batch first")
        return self.rows(value)

    def _elementwise(
        self, node: fx.Node, apply: Callable[..., Node], args: Mapping[str, Any]
    ) -> Rows:
        shape = _row_shape(node)
        return Rows(apply(**{k: self._scalar_or_node(v, shape) for k, v in args.items()}), shape)

    def _scalar_or_node(self, value: Any, shape: tuple[int, ...]) -> Any:
        if isinstance(value, (Rows, Static, Opaque)):
            return self.operand(value, shape)
        if isinstance(value, Batch):
            raise Unfit("its result depends on the size of the batch")
        return value

    def _check(self, node: fx.Node, value: Any) -> None:
        for part in value if isinstance(value, (list, tuple)) else (value,):
            if not isinstance(part, Rows):
                continue
            dtype = node.meta["val"].dtype if isinstance(value, Rows) else self.dtype
            masks = (
                operator_name(node) in _BOOLEAN | VIEWS | _CASTS or node.target is operator.getitem
            )
            if dtype != self.dtype and not (dtype == torch.bool and masks):
                raise Unfit(f"its result is {dtype}, the states are {self.dtype}")
            if isinstance(value, Rows) and part.shape != _row_shape(node):
                raise Unfit(f"its rows are {list(part.shape)}, expected {list(_row_shape(node))}")

    def rows(self, value: Any) -> Rows:
        """A value of the batch as a node; what comes from x alone may become an input sequence."""
        if isinstance(value, Rows):
            return value
        if isinstance(value, Opaque):
            return self.input_rows(value.origin)
        raise Unfit("it needs a value for each row of the batch")

    def input_rows(self, origin: fx.Node) -> Rows:
        value = origin.meta["val"]
        if not isinstance(value, torch.Tensor) or value.dim() < 1:
            raise Unfit("it is no tensor of the batch")
        if not (value.dtype == self.dtype or value.dtype == torch.bool):
            raise Unfit(f"it is {value.dtype}, the states are {self.dtype}")
        shape = _row_shape(origin)
        index = self.inputs.setdefault(origin, len(self.inputs))
        return Rows(make("input", (), math.prod(shape), (index, 0)), shape)

    def operand(self, value: Any, shape: tuple[int, ...]) -> Node:
        """The node of a value broadcast to [B, *shape]; of width 1 where all units are equal."""
        if isinstance(value, Static):
            return self._vector(value, shape)
        rows = self.rows(value)
        if rows.node.width == 1 or rows.shape == shape:
            return rows.node
        # a tensor of fewer dimensions is aligned at the last one, so that its batch would move
        if len(rows.shape) < len(shape):
            raise Unfit("it aligns the rows of the batch with units; unsqueeze the tensor")
        spread: Rows = view_rows([rows], lambda p: p[0].expand(ROWS, *shape))
        return spread.node

    def _vector(self, value: Static, shape: tuple[int, ...]) -> Node:
        extra = len(value.shape) - len(shape)
        if extra > 1 or (extra == 1 and value.shape[0] != 1):
            raise Unfit(f"it aligns a tensor {list(value.shape)} with the rows of the batch")
        plain = as_vector(value)
        size, numel = math.prod(shape), value.view.numel()
        if plain is not None and numel in (1, size) and value.base.meta["val"].dim() == 1:
            return make("vector", (), numel, (self.static(value.base, AS_IS), plain[0]))
        form: Form = ((), () if numel in (1, size) else (1, *shape), (-1,))
        index = self.static(value.origin, form)
        return make("vector", (), numel if numel == 1 else size, (index, 0))

    def static(self, origin: fx.Node, form: Form) -> int:
        return self.statics.setdefault((origin, form), len(self.statics))

    def product(self, rows: Rows, weight: Static) -> Rows:
        """Rows @ weight.T, over the last dimension."""
        N, K = weight.shape
        matrix = self.matrices(weight, [0, 1], 1, N, K)[0]
        whole = rows.full()
        node = cat(self.matmul(slice_(whole, k, k + K), matrix) for k in range(0, rows.size, K))
        return Rows(node, (*rows.shape[:-1], N))

    def matrices(
        self, value: Static, order: Sequence[int], heads: int, N: int, K: int
    ) -> list[Matrix]:
        """A [N, K] matrix for each head of a static tensor, its dimensions put in an order."""
        if heads == 1 and len(order) == 2:
            view = Static(value.origin, value.base, value.view.permute(*order))
            matrix = as_matrix(view, 0)
            if matrix is not None and as_matrix(value, 0) is not None:
                index = self.static(value.base, AS_IS)
                return [as_matrix(view, index) or matrix]
        moved = tuple(order) if list(order) != sorted(order) else ()
        index = self.static(value.origin, (moved, (), (heads * N, K)))
        return [Matrix(index, h * N, 0, N, K) for h in range(heads)]

    def matmul(self, operand: Node, matrix: Matrix) -> Node:
        """A product; an operand that is made of x alone is computed before the walk."""
        pieces = operand.args if operand.op == "cat" else (operand,)
        return algebra.matmul(cat(map(self._hoisted, pieces)), matrix)

    def _hoisted(self, piece: Node) -> Node:
        origin = self.origins.get(piece)
        if origin is None or piece.op == "input":
            return piece
        if not any(node.op == "input" for node in walk_nodes([piece])):
            return piece
        return self.input_rows(origin).node


def _row_shape(node: fx.Node) -> tuple[int, ...]:
    value = node.meta["val"]
    if value.dim() == 0 or isinstance(value.shape[0], int):
        raise Unfit("its first dimension is not that of the batch")
    if any(not isinstance(size, int) for size in value.shape[1:]):
        raise Unfit("its width depends on the size of the batch")
    return tuple(value.shape[1:])
