"""Cutting pieces out of an exported graph, to be run as ordinary PyTorch over all steps at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import fx, nn

from ostinato.engine.elementwise import ELEMENTWISE
from ostinato.engine.recurrence import NotFusable, Part
from ostinato.engine.sources import source_line
from ostinato.engine.tracer import STATIC, Form, Tracer, operator_name
from ostinato.engine.values import Rows, Unfit

__all__ = ["Extract", "cast", "form_of", "row_finish", "shaped", "together"]

aten = torch.ops.aten
# adds to a graph what is done to a result or an argument
Finish = Callable[[fx.Graph, fx.Node], fx.Node]

# operations that treat each row alike if the dimensions that they work over leave out the batch
_OVER = {
    **dict.fromkeys(("softmax", "log_softmax", "_softmax", "_log_softmax", "cumsum", "cumprod"), 1),
    **dict.fromkeys(("sum", "mean", "amax", "amin", "argmax", "argmin", "logsumexp", "prod"), 1),
    **dict.fromkeys(("max", "min", "sort", "topk", "all", "any", "var", "std", "norm", "glu"), 1),
}
_BY_ROW_NAMES = """
    linear layer_norm rms_norm group_norm embedding one_hot conv1d conv2d conv3d lstm_cell gru_cell
    rnn_tanh_cell rnn_relu_cell to _to_copy type_as detach matmul mm addmm
"""
_BY_ROW = frozenset(_BY_ROW_NAMES.split())


@dataclass(frozen=True)
class Extract:
    """Cuts pieces out of one graph.

    Args:
        tracer: what is known of the graph's nodes.
        sources: name of the tensor behind each static placeholder.
    """

    tracer: Tracer
    sources: Mapping[fx.Node, str]

    def part(
        self,
        outputs: Sequence[tuple[fx.Node, Finish | None]],
        rows: Sequence[tuple[fx.Node, tuple[str, int], Finish | None]],
    ) -> Part:
        """The piece from given values of the batch (and static tensors) to some outputs."""
        needed = self._needed((node for node, _ in outputs), {node for node, _, _ in rows})
        graph = fx.Graph()
        new: dict[fx.Node, fx.Node] = {}
        given = [graph.placeholder(f"rows_{k}") for k in range(len(rows))]
        asked = dict.fromkeys([node for node, _ in outputs] + needed)
        order = [node for node in asked if node in self.sources and node in needed]
        for node in order:
            new[node] = graph.placeholder(f"fixed_{len(new)}")
        for (node, _, finish), row in zip(rows, given, strict=True):
            new[node] = row if finish is None else finish(graph, row)
        for node in needed:
            if node not in new:
                new[node] = self._copy(graph, node, new, given)
        results = [new[n] if finish is None else finish(graph, new[n]) for n, finish in outputs]
        graph.output(tuple(results))
        names = tuple(self.sources[node] for node in order)
        kinds = tuple(kind for _, kind, _ in rows)
        plain = not rows and results == [new[node] for node in order]
        return Part(fx.GraphModule(nn.Module(), graph), kinds, names, plain)

    def _needed(self, outputs: Iterable[fx.Node], stop: set[fx.Node]) -> list[fx.Node]:
        found: set[fx.Node] = set()
        stack = list(outputs)
        while stack:
            node = stack.pop()
            if node not in found and node not in stop:
                found.add(node)
                if not _is_batch_size(node):
                    stack.extend(node.all_input_nodes)
        # statics keep the order in which they are asked for, all else that of the graph
        return [node for node in self.tracer.values if node in found]

    def _copy(
        self, graph: fx.Graph, node: fx.Node, new: dict[fx.Node, fx.Node], rows: list[fx.Node]
    ) -> fx.Node:
        if _is_batch_size(node):
            return graph.call_function(aten.sym_size.int, (rows[0], 0))
        if self.tracer.levels[node] != STATIC:
            self._check(node)
        return graph.node_copy(node, lambda arg: new[arg])

    def _check(self, node: fx.Node) -> None:
        """Refuse what would mix the rows of the batch, now that steps are rows, too."""
        name = operator_name(node)
        if not isinstance(node.target, torch._ops.OpOverload):
            return
        if torch.Tag.pointwise in node.target.tags or name in ELEMENTWISE or name in _BY_ROW:
            if name in ("matmul", "mm", "addmm") and not self._static_factor(node):
                raise NotFusable(name, source_line(node), "it may mix the rows of the batch")
            return
        if name in _OVER and _spares_batch(node, _OVER[name]):
            return
        try:
            self.tracer.check_view(node)
        except Unfit as unfit:
            raise NotFusable(
                name, source_line(node), "it may mix the rows of the batch, " + str(unfit)
            ) from None

    def _static_factor(self, node: fx.Node) -> bool:
        first, second = node.args[-2:]
        levels = self.tracer.levels
        return levels[first] != STATIC and levels[second] == STATIC  # type: ignore[index]


def _is_batch_size(node: fx.Node) -> bool:
    return operator_name(node) == "sym_size" and bool(node.args[1] == 0)


def _spares_batch(node: fx.Node, position: int) -> bool:
    given = node.args[position] if len(node.args) > position else node.kwargs.get("dim")
    if given is None:
        return False
    source: fx.Node = node.args[0]  # type: ignore[assignment]
    rank: int = source.meta["val"].dim()
    dims = given if isinstance(given, (list, tuple)) else [given]
    return len(dims) > 0 and all(isinstance(d, int) and bool(d % rank) for d in dims)


def shaped(shape: Sequence[int]) -> Finish:
    """[N, ...] as [N, *shape]."""
    return lambda graph, node: graph.call_function(aten.reshape.default, (node, [-1, *shape]))


def cast(dtype: torch.dtype) -> Finish:
    """In another type."""
    return lambda graph, node: graph.call_function(aten.to.dtype, (node, dtype))


def form_of(form: Form, dtype: torch.dtype | None) -> Finish | None:
    """What brings a static tensor into its form."""
    permuted, expanded, reshaped = form
    steps: list[Finish] = []
    if permuted:
        steps.append(lambda g, n: g.call_function(aten.permute.default, (n, list(permuted))))
    if expanded:
        steps.append(lambda g, n: g.call_function(aten.expand.default, (n, list(expanded))))
    if reshaped:
        steps.append(lambda g, n: g.call_function(aten.reshape.default, (n, list(reshaped))))
    if dtype is not None:
        steps.append(cast(dtype))
    return together(steps)


def together(steps: Sequence[Finish]) -> Finish | None:
    """One after the other; None for none."""

    def finish(graph: fx.Graph, node: fx.Node) -> fx.Node:
        for step in steps:
            node = step(graph, node)
        return node

    return finish if steps else None


def row_finish(value: Rows, dtype: torch.dtype) -> Finish | None:
    """What makes a kept node, [N, width], the tensor that the graph has there."""
    steps: list[Finish] = []
    if len(value.shape) != 1:
        steps.append(shaped(value.shape))
    if dtype == torch.bool:
        steps.append(lambda g, n: g.call_function(aten.ne.Scalar, (n, 0)))
    return together(steps)
