"""The reference of the algebra: programs evaluated on tensors, node by node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.engine.adjoint import Adjoint
from ostinato.engine.expressions import Matrix, Node, Program, walk_nodes
from ostinato.engine.limits import limit_gradient
from ostinato.engine.operations import POINTWISE
from ostinato.engine.recurrence import Recurrence

__all__ = ["evaluate", "reverse_step", "step", "unroll"]

Tensors: TypeAlias = Sequence[Tensor]


def evaluate(roots: Iterable[Node], leaves: Mapping[str, Tensors]) -> dict[Node, Tensor]:
    """Every node below the roots, each [B, width] or broadcastable to it.

    Args:
        roots: what is wanted.
        leaves: tensors for each kind of leaf that occurs ("state", "input", "gradient",
            "emit_gradient"; "vector" for the static tensors, matrices included).
    """
    like = next(tensor for tensors in leaves.values() for tensor in tensors)
    found: dict[Node, Tensor] = {}
    for node in walk_nodes(roots):
        found[node] = _value(node, [found[arg] for arg in node.args], leaves, like)
    return found


def _value(node: Node, args: list[Tensor], leaves: Mapping[str, Tensors], like: Tensor) -> Tensor:
    if node.op == "const":
        filled: Tensor = like.new_full((1, node.width), float(node.data))
        return filled
    if node.op in leaves:
        index, start = node.data
        tensor = leaves[node.op][index]
        # a static number may come without a dimension
        tensor = tensor.reshape(1) if tensor.dim() == 0 else tensor
        view: Tensor = tensor[..., start : start + node.width]
        return view
    if node.op == "matmul":
        return F.linear(args[0], matrix_of(node.data, leaves["vector"]))
    if node.op == "sum":
        return args[0].sum(-1, keepdim=True)
    if node.op == "cat":
        B = max(arg.shape[0] if arg.dim() > 1 else 1 for arg in args)
        return torch.cat([arg.expand(B, arg.shape[-1]) for arg in args], -1)
    result: Tensor = POINTWISE[node.op].evaluate(*args)
    return result


def matrix_of(matrix: Matrix, statics: Tensors) -> Tensor:
    """The view [outer, inner] of a static tensor, as `linear` takes it."""
    rows = slice(matrix.row, matrix.row + matrix.rows)
    view = statics[matrix.static][rows, matrix.column : matrix.column + matrix.columns]
    return view.t() if matrix.transposed else view


def step(
    program: Program, inputs: Tensors, statics: Tensors, state: Tensors
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """One step: (new states, emitted values), each [B, width]."""
    roots = (*program.new_states, *program.emits)
    leaves = {"state": state, "input": inputs, "vector": statics}
    found = evaluate(roots, leaves)
    B = state[0].shape[0]
    values = tuple(found[root].expand(B, root.width) for root in roots)
    count = len(program.new_states)
    new = [
        value if limit is None else limit_gradient(value, statics[limit.static], *limit.how)
        for value, limit in zip(values, program.limits or (None,) * count, strict=False)
    ]
    return tuple(new), values[count:]


def unroll(
    recurrence: Recurrence, x: Tensor, state: Tensors, tensors: Mapping[str, Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """A whole sequence, part by part: (output [T, B, ...], each state at every step [T, B, S]).

    Args:
        recurrence: a traced cell.
        x: the inputs, [T, B, ...], at least one step.
        state: what to start from, each [B, S].
        tensors: parameters and buffers, see `Recurrence.tensors`.
    """
    T, B = x.shape[:2]
    statics = recurrence.static((), tensors)
    rows = {"x": [x.flatten(0, 1)], "input": [x.flatten(0, 1)]}
    if recurrence.before is not None:
        rows["input"] = list(recurrence.before(rows["x"], tensors))
    inputs = [row.reshape(T, B, -1) for row in rows["input"]]
    new, steps = tuple(state), []
    for t in range(T):
        new, emits = step(recurrence.program, [i[t] for i in inputs], statics, new)
        steps.append((*new, *emits))
    kept = [torch.stack(values) for values in zip(*steps, strict=True)]
    rows["state"] = [values.flatten(0, 1) for values in kept[: len(new)]]
    rows["emit"] = [values.flatten(0, 1) for values in kept[len(new) :]]
    if recurrence.after is None:
        kind, index = recurrence.output
        output = rows[kind][index]
    else:
        given = [rows[kind][index] for kind, index in recurrence.after.rows]
        (output,) = recurrence.after(given, tensors)
    return output.reshape(T, B, *recurrence.output_shape), kept[: len(new)]


def reverse_step(
    program: Program,
    adjoint: Adjoint,
    inputs: Tensors,
    statics: Tensors,
    state: Tensors,
    gradients: Tensors,
    emit_gradients: Tensors = (),
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], tuple[Tensor, ...]]:
    """The reverse of one step: gradients of (old states, inputs, statics), zeros for none.

    Args:
        program: the step.
        adjoint: its reverse.
        inputs: each [B, width].
        statics: the static tensors.
        state: the old state, each [B, S].
        gradients: of the new states, each [B, S].
        emit_gradients: of the emitted values.
    """
    leaves = {
        "state": state,
        "input": inputs,
        "vector": statics,
        "gradient": gradients,
        "emit_gradient": emit_gradients,
    }
    found = evaluate(adjoint.roots(), leaves)
    B = state[0].shape[0]

    def rows(node: Node) -> Tensor:
        return found[node].expand(B, node.width)

    def given(nodes: Sequence[Node | None], widths: Sequence[int]) -> tuple[Tensor, ...]:
        pairs = zip(nodes, widths, strict=True)
        return tuple(state[0].new_zeros(B, w) if n is None else rows(n) for n, w in pairs)

    d_statics = [torch.zeros_like(static) for static in statics]
    for product in adjoint.products:
        m, share = product.matrix, rows(product.d).t() @ rows(product.operand)
        d_statics[m.static] = _added(d_statics[m.static], share, (m.row, m.column))
    for vector in adjoint.vectors:
        k, share = vector.static, rows(vector.d).sum(0)
        d_statics[k] = _added(
            d_statics[k], share.reshape(share.shape if statics[k].dim() else ()), [vector.start]
        )
    d_states = given(adjoint.d_states, program.states)
    return d_states, given(adjoint.d_inputs, program.inputs), tuple(d_statics)


def _added(whole: Tensor, share: Tensor, start: Sequence[int]) -> Tensor:
    """The whole with a share added from a start on, as a new tensor that autograd can follow."""
    sizes = zip(whole.shape, share.shape, start[: whole.dim()], strict=True)
    ends = [end for size, width, at in sizes for end in (size - width - at, at)]
    return whole + F.pad(share, ends[::-1])
