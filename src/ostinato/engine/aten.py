"""Torch's operators, as the exported graph has them, in terms of the algebra.

Handlers take the tracer and the operator's arguments by the names of torch's own schema. Pointwise
operators are in `elementwise`, views need no handler of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

import torch

from ostinato.engine.algebra import add, cat, const, div, mul, pointwise, slice_, sub, sum_
from ostinato.engine.expressions import Node
from ostinato.engine.values import Rows, Static, Unfit, view_rows

if TYPE_CHECKING:
    from ostinato.engine.tracer import Tracer

__all__ = ["HANDLERS", "VIEWS"]

# torch says what these take, see `values.view_rows`
_VIEW_NAMES = """
    slice select chunk split split_with_sizes tensor_split unbind narrow view reshape view_as
    reshape_as _unsafe_view flatten unflatten unsqueeze squeeze expand expand_as permute transpose
    movedim moveaxis swapaxes swapdims t numpy_T mT flip roll repeat tile repeat_interleave
    index_select slice_scatter select_scatter cat concat stack hstack lift_fresh_copy lift_fresh
"""
VIEWS = frozenset(_VIEW_NAMES.split())


def linear(t: Tracer, input: Rows, weight: Static, bias: Static | None = None) -> Rows:
    """Input @ weight.T + bias."""
    if not isinstance(weight, Static) or not isinstance(input, Rows):
        raise Unfit("the matrix changes from step to step")
    product = t.product(input, weight)
    return product if bias is None else plus(t, product, bias)


def plus(t: Tracer, a: Rows, b: Any) -> Rows:
    """The sum of a and what is broadcast to it."""
    return Rows(add(a.node, t.operand(b, a.shape)), a.shape)


def matmul(t: Tracer, self: Any, other: Any) -> Rows:
    """A product with one static factor, on either side."""
    if isinstance(self, Rows) and isinstance(other, Rows):
        raise Unfit("both factors change from step to step; write (a * b).sum(-1)")
    rows, fixed = (self, other) if isinstance(self, Rows) else (other, self)
    if len(fixed.shape) == 1:
        if rows is other or not rows.shape:
            raise Unfit("a vector times a batch would mix its rows")
        product = Rows(mul(rows.full(), t.operand(fixed, rows.shape)), rows.shape)
        return reduce_units(product, (-1,), keepdim=False)
    # letters of the dimensions before the last two (of rows: before the last one)
    stacked = len(fixed.shape) - 2
    if rows is self:
        letters = "uvwxyz"[: len(rows.shape) - 1]
        heads = letters[len(letters) - 1 - stacked : -1] if stacked else ""
        return einsum(t, f"b{letters}k,{heads}kn->b{letters}n", [self, other])
    letters = "uvwxyz"[: len(rows.shape) - 2]
    heads = letters[len(letters) - stacked :] if stacked else ""
    return einsum(t, f"{heads}nk,b{letters}km->b{letters}nm", [self, other])


def addmm(t: Tracer, self: Any, mat1: Any, mat2: Any, beta: float = 1, alpha: float = 1) -> Rows:
    """Self + mat1 @ mat2."""
    if beta != 1 or alpha != 1:
        raise Unfit("it is scaled")
    return plus(t, matmul(t, mat1, mat2), self)


def einsum(t: Tracer, equation: str, tensors: Sequence[Any], path: Any = None) -> Rows:
    """A batch of rows with one static tensor; letters that both keep are heads."""
    sides = equation.replace(" ", "").split("->")
    names = sides[0].split(",")
    if len(sides) != 2 or len(tensors) != 2 or "." in equation:
        raise Unfit("write it with two operands and all letters")
    if not isinstance(tensors[0], Rows):
        names, tensors = names[::-1], tensors[::-1]
    (rows, fixed), (row_names, fixed_names), result = tensors, names, sides[1]
    if not isinstance(rows, Rows) or not isinstance(fixed, Static):
        raise Unfit("one operand must be a batch of rows, the other a parameter or buffer")
    batch, kept = row_names[0], row_names[1:]
    if batch in fixed_names or result[:1] != batch or len(set(kept)) < len(kept):
        raise Unfit("it moves or mixes the rows of the batch")
    heads = [n for n in kept if n in fixed_names and n in result]
    inner = [n for n in kept if n in fixed_names and n not in result]
    free = [n for n in kept if n not in fixed_names and n in result]
    outer = [n for n in fixed_names if n not in kept]
    if set(result[1:]) != {*heads, *free, *outer} or len(kept) != len(heads + inner + free):
        raise Unfit("a letter is summed within one operand")
    return _contract(t, rows, fixed, kept, fixed_names, result[1:], (heads, free, inner, outer))


def _contract(
    t: Tracer,
    rows: Rows,
    fixed: Static,
    kept: str,
    fixed_names: str,
    result: str,
    groups: tuple[list[str], ...],
) -> Rows:
    heads, free, inner, outer = groups
    size = dict(zip(kept, rows.shape, strict=True)) | dict(
        zip(fixed_names, fixed.shape, strict=True)
    )
    if tuple(size[n] for n in kept) != rows.shape:
        raise Unfit("it broadcasts a letter")
    H, F, K, N = (math.prod(size[n] for n in group) for group in groups)
    ordered = _permuted(rows, [kept.index(n) for n in (*heads, *free, *inner)]).full()
    matrices = t.matrices(fixed, [fixed_names.index(n) for n in (*heads, *outer, *inner)], H, N, K)
    pieces = [
        t.matmul(slice_(ordered, (h * F + f) * K, (h * F + f + 1) * K), matrices[h])
        for h in range(H)
        for f in range(F)
    ]
    names = [*heads, *free, *outer]
    found = Rows(cat(pieces), tuple(size[n] for n in names))
    return _permuted(found, [names.index(n) for n in result])


def _permuted(rows: Rows, order: Sequence[int]) -> Rows:
    if list(order) == sorted(order):
        return rows
    moved: Rows = view_rows([rows], lambda p: p[0].permute(0, *(d + 1 for d in order)))
    return moved


def reduce_units(value: Rows, dim: Any, keepdim: bool) -> Rows:
    """The sum over some dimensions other than the batch."""
    rank = len(value.shape) + 1
    if dim is None or dim == [] or dim == ():
        raise Unfit("it sums over the batch; give dim=-1")
    dims = sorted(d % rank for d in (dim if isinstance(dim, (tuple, list)) else (dim,)))
    if 0 in dims:
        raise Unfit("it sums over the batch")
    kept = [d for d in range(1, rank) if d not in dims]
    shape = tuple(value.shape[d - 1] for d in kept)
    R, K = (math.prod(value.shape[d - 1] for d in some) for some in (dims, kept))
    if K <= R:
        ordered = _permuted(value, [d - 1 for d in (*kept, *dims)]).full()
        total = cat(sum_(slice_(ordered, k * R, (k + 1) * R)) for k in range(K))
    else:
        ordered = _permuted(value, [d - 1 for d in (*dims, *kept)]).full()
        total = reduce(add, (slice_(ordered, r * K, (r + 1) * K) for r in range(R)))
    if keepdim:
        shape = tuple(1 if d in dims else value.shape[d - 1] for d in range(1, rank))
    return Rows(total, shape)


def sum_units(
    t: Tracer, self: Rows, dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Rows:
    """torch.sum over units."""
    return reduce_units(self, dim, keepdim)


def mean_units(
    t: Tracer, self: Rows, dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Rows:
    """torch.mean over units."""
    total = reduce_units(self, dim, keepdim)
    return Rows(mul(total.node, const(total.size / self.size)), total.shape)


def layer_norm(
    t: Tracer,
    input: Rows,
    normalized_shape: Sequence[int],
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Rows:
    """Over the last dimensions."""
    width = math.prod(normalized_shape)
    node = _by_group(input.full(), width, lambda group: _standard(group, eps, centred=True))
    return _affine(t, Rows(node, input.shape), weight, bias)


def rms_norm(
    t: Tracer,
    input: Rows,
    normalized_shape: Sequence[int],
    weight: Any = None,
    eps: float | None = None,
) -> Rows:
    """Over the last dimensions."""
    eps = torch.finfo(t.dtype).eps if eps is None else eps
    width = math.prod(normalized_shape)
    node = _by_group(input.full(), width, lambda group: _standard(group, eps, centred=False))
    return _affine(t, Rows(node, input.shape), weight, None)


def group_norm(
    t: Tracer,
    input: Rows,
    num_groups: int,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Rows:
    """Over groups of neighbouring channels."""
    if len(input.shape) != 1:
        raise Unfit("a value with channels and positions")
    width = input.size // num_groups
    node = _by_group(input.full(), width, lambda group: _standard(group, eps, centred=True))
    return _affine(t, Rows(node, input.shape), weight, bias)


def _by_group(node: Node, width: int, apply: Callable[[Node], Node]) -> Node:
    return cat(apply(slice_(node, k, k + width)) for k in range(0, node.width, width))


def _standard(a: Node, eps: float, *, centred: bool) -> Node:
    share = const(1 / a.width)
    if centred:
        a = sub(a, mul(sum_(a), share))
    variance = mul(sum_(mul(a, a)), share)
    return mul(a, div(const(1), pointwise("sqrt", add(variance, const(eps)))))


def _affine(t: Tracer, value: Rows, weight: Any, bias: Any) -> Rows:
    node = value.node
    if weight is not None:
        node = mul(node, t.operand(weight, value.shape))
    if bias is not None:
        node = add(node, t.operand(bias, value.shape))
    return Rows(node, value.shape)


def glu(t: Tracer, self: Rows, dim: int = -1) -> Rows:
    """The first half gated by the second."""
    a, b = view_rows([self], lambda p: p[0].chunk(2, dim))
    return Rows(mul(a.full(), pointwise("sigmoid", b.full())), a.shape)


def dropout(t: Tracer, input: Rows, p: float, train: bool) -> Rows:
    """Nothing, unless it would draw."""
    if train and p > 0:
        raise Unfit("it draws random numbers")
    return input


def _gates(t: Tracer, rows: Rows, weight: Static, bias: Static | None, count: int) -> list[Node]:
    drive = linear(t, rows, weight, bias).full()
    width = drive.width // count
    return [slice_(drive, k * width, (k + 1) * width) for k in range(count)]


def lstm_cell(
    t: Tracer,
    input: Rows,
    hx: Sequence[Rows],
    w_ih: Static,
    w_hh: Static,
    b_ih: Static | None = None,
    b_hh: Static | None = None,
) -> list[Rows]:
    """torch.nn.LSTMCell."""
    h, c = hx
    pairs = zip(_gates(t, input, w_ih, b_ih, 4), _gates(t, h, w_hh, b_hh, 4), strict=True)
    i, f, g, o = (add(a, b) for a, b in pairs)
    kept = mul(pointwise("sigmoid", f), c.full())
    c_new = add(kept, mul(pointwise("sigmoid", i), pointwise("tanh", g)))
    h_new = mul(pointwise("sigmoid", o), pointwise("tanh", c_new))
    return [Rows(h_new, h.shape), Rows(c_new, c.shape)]


def gru_cell(
    t: Tracer,
    input: Rows,
    hx: Rows,
    w_ih: Static,
    w_hh: Static,
    b_ih: Static | None = None,
    b_hh: Static | None = None,
) -> Rows:
    """torch.nn.GRUCell."""
    r_x, z_x, n_x = _gates(t, input, w_ih, b_ih, 3)
    r_h, z_h, n_h = _gates(t, hx, w_hh, b_hh, 3)
    r, z = pointwise("sigmoid", add(r_x, r_h)), pointwise("sigmoid", add(z_x, z_h))
    n = pointwise("tanh", add(n_x, mul(r, n_h)))
    return Rows(add(n, mul(z, sub(hx.full(), n))), hx.shape)


def _rnn_cell(activation: str) -> Callable[..., Rows]:
    def handler(
        t: Tracer,
        input: Rows,
        hx: Rows,
        w_ih: Static,
        w_hh: Static,
        b_ih: Static | None = None,
        b_hh: Static | None = None,
    ) -> Rows:
        drive = plus(t, linear(t, input, w_ih, b_ih), linear(t, hx, w_hh, b_hh))
        return Rows(pointwise(activation, drive.full()), hx.shape)

    return handler


def limit_gradient(t: Tracer, value: Rows, tally: Any, bound: float, norm: bool) -> Rows:
    """The value; what becomes of its gradient is noted where the step is put together."""
    return value


HANDLERS: dict[str, Callable[..., Any]] = {
    "limit_gradient": limit_gradient,
    "linear": linear,
    "matmul": matmul,
    "mm": lambda t, self, mat2: matmul(t, self, mat2),
    "bmm": lambda t, self, mat2: matmul(t, self, mat2),
    "addmm": addmm,
    "einsum": einsum,
    "sum": sum_units,
    "mean": mean_units,
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
    "group_norm": group_norm,
    "glu": glu,
    "dropout": dropout,
    "feature_dropout": dropout,
    "alpha_dropout": dropout,
    "lstm_cell": lstm_cell,
    "gru_cell": gru_cell,
    "rnn_tanh_cell": _rnn_cell("tanh"),
    "rnn_relu_cell": _rnn_cell("relu"),
}
