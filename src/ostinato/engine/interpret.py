"""The reference of the algebra: programs evaluated on tensors, node by node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.engine.adjoint import Adjoint
from ostinato.engine.expressions import Matrix, Node, Program, walk_nodes
from ostinato.engine.operations import POINTWISE

__all__ = ["evaluate", "reverse_step", "step"]

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
        return torch.full((1, node.width), node.data, dtype=like.dtype, device=like.device)
    if node.op in leaves:
        index, start = node.data
        tensor = leaves[node.op][index]
        # a static number may come without a dimension
        tensor = tensor.reshape(1) if tensor.dim() == 0 else tensor
        return tensor[..., start : start + node.width]
    if node.op == "matmul":
        return F.linear(args[0], matrix_of(node.data, leaves["vector"]))
    if node.op == "sum":
        return args[0].sum(-1, keepdim=True)
    if node.op == "cat":
        rows = torch.broadcast_shapes(*(arg.shape[:-1] for arg in args))
        return torch.cat([arg.expand(*rows, arg.shape[-1]) for arg in args], -1)
    return POINTWISE[node.op].evaluate(*args)


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
    return values[:count], values[count:]


def reverse_step(
    program: Program,
    adjoint: Adjoint,
    inputs: Tensors,
    statics: Tensors,
    state: Tensors,
    gradients: Tensors,
    emit_gradients: Tensors = (),
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], tuple[Tensor, ...]]:
    """The reverse of one step: gradients of (old states, inputs, statics), zeros where there are none.

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
        matrix_of(product.matrix, d_statics).add_(rows(product.d).t() @ rows(product.operand))
    for vector in adjoint.vectors:
        whole = d_statics[vector.static].reshape(-1)
        whole[vector.start : vector.start + vector.width] += rows(vector.d).sum(0)
    d_states = given(adjoint.d_states, program.states)
    return d_states, given(adjoint.d_inputs, program.inputs), tuple(d_statics)
