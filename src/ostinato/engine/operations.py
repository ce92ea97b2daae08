"""The one table of pointwise operations: what they are, their derivatives, how they print.

Every engine implements all of them, and nothing but them: an activation that is missing here is
composed of these when a cell is traced. Masks are numbers, 0 or 1. NaN and infinities pass through
as in torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.engine.algebra import add, const, div, mul, neg, pointwise, sub
from ostinato.engine.expressions import Node

__all__ = ["CHEAP", "POINTWISE", "Operation"]

Args: TypeAlias = tuple[Node, ...]
# (result, operands, gradient of the result) -> gradient of each operand, None for zero
Rule: TypeAlias = Callable[[Node, Args, Node], tuple[Node | None, ...]]


@dataclass(frozen=True)
class Operation:
    """One pointwise operation.

    Attributes:
        name: key in the table, `Node.op`.
        arity: number of operands.
        evaluate: the reference on tensors.
        derivative: gives the gradient of each operand, before any sum over broadcast units. Written
            with the result of the operation where that is possible, since the result is kept.
        show: how it prints; {0}, {1}, {2} are the operands.
        rank: binding strength of what is printed, from 1 (comparison) to 5 (call, atom).
    """

    name: str
    arity: int
    evaluate: Callable[..., Tensor]
    derivative: Rule
    show: str
    rank: int = 5


def _zero(y: Node, args: Args, g: Node) -> tuple[None, ...]:
    return (None,) * len(args)


def _extremum(op: str) -> Rule:
    def rule(y: Node, args: Args, g: Node) -> tuple[Node, Node]:
        a, b = args
        # torch gives each of two equal operands one half
        share = add(pointwise(op, a, b), mul(const(0.5), pointwise("eq", a, b)))
        return mul(g, share), mul(g, sub(const(1.0), share))

    return rule


def _where(y: Node, args: Args, g: Node) -> tuple[Node | None, ...]:
    zero = const(0.0)
    return None, pointwise("where", args[0], g, zero), pointwise("where", args[0], zero, g)


def _power(y: Node, args: Args, g: Node) -> tuple[Node | None, ...]:
    a, exponent = args
    lower = pointwise("pow", a, const(exponent.data - 1))
    return mul(g, mul(exponent, lower)), None


def _product(y: Node, args: Args, g: Node) -> tuple[Node | None, ...]:
    a, b = args
    if a is b:
        return mul(mul(const(2.0), g), a), None
    return mul(g, b), mul(g, a)


def _quotient(y: Node, args: Args, g: Node) -> tuple[Node, Node]:
    da = div(g, args[1])
    return da, neg(mul(da, y))


def _remainder(y: Node, args: Args, g: Node) -> tuple[Node, Node]:
    whole = pointwise("floor", div(args[0], args[1]))
    return g, neg(mul(g, whole))


def _sigmoid(y: Node, args: Args, g: Node) -> tuple[Node]:
    return (mul(g, mul(y, sub(const(1.0), y))),)


def _erf(y: Node, args: Args, g: Node) -> tuple[Node]:
    slope = pointwise("exp", neg(mul(args[0], args[0])))
    return (mul(g, mul(const(2 / 3.141592653589793**0.5), slope)),)


def _mask(compare: Callable[[Any, Any], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda a, b: compare(a, b).to(a.dtype)


def _comparison(name: str, symbol: str, compare: Callable[[Any, Any], Tensor]) -> Operation:
    return Operation(name, 2, _mask(compare), _zero, f"{{0}} {symbol} {{1}}", 1)


def _relu(y: Node, args: Args, g: Node) -> tuple[Node]:
    return (pointwise("where", pointwise("gt", y, const(0.0)), g, const(0.0)),)


_OPERATIONS = (
    Operation("add", 2, torch.add, lambda y, a, g: (g, g), "{0} + {1}", 2),
    Operation("sub", 2, torch.sub, lambda y, a, g: (g, neg(g)), "{0} - {1}", 2),
    Operation("mul", 2, torch.mul, _product, "{0} * {1}", 3),
    Operation("div", 2, torch.div, _quotient, "{0} / {1}", 3),
    Operation("neg", 1, torch.neg, lambda y, a, g: (neg(g),), "-{0}", 4),
    Operation("abs", 1, torch.abs, lambda y, a, g: (mul(g, pointwise("sign", a[0])),), "|{0}|"),
    Operation("sign", 1, torch.sign, _zero, "sign({0})"),
    Operation("exp", 1, torch.exp, lambda y, a, g: (mul(g, y),), "exp({0})"),
    Operation("log", 1, torch.log, lambda y, a, g: (div(g, a[0]),), "log({0})"),
    Operation("sqrt", 1, torch.sqrt, lambda y, a, g: (div(g, add(y, y)),), "sqrt({0})"),
    Operation(
        "tanh", 1, torch.tanh, lambda y, a, g: (mul(g, sub(const(1.0), mul(y, y))),), "tanh({0})"
    ),
    Operation("sigmoid", 1, torch.sigmoid, _sigmoid, "sigmoid({0})"),
    Operation("relu", 1, torch.relu, _relu, "relu({0})"),
    # log(1 + exp(a)), equal to a above 20, as in torch
    Operation(
        "softplus",
        1,
        F.softplus,
        lambda y, a, g: (mul(g, pointwise("sigmoid", a[0])),),
        "softplus({0})",
    ),
    Operation("sin", 1, torch.sin, lambda y, a, g: (mul(g, pointwise("cos", a[0])),), "sin({0})"),
    Operation(
        "cos", 1, torch.cos, lambda y, a, g: (neg(mul(g, pointwise("sin", a[0]))),), "cos({0})"
    ),
    Operation("erf", 1, torch.erf, _erf, "erf({0})"),
    Operation("minimum", 2, torch.minimum, _extremum("lt"), "min({0}, {1})"),
    Operation("maximum", 2, torch.maximum, _extremum("gt"), "max({0}, {1})"),
    # the exponent is a constant
    Operation("pow", 2, torch.pow, _power, "{0} ** {1}", 4),
    Operation("floor", 1, torch.floor, _zero, "floor({0})"),
    # a - b * floor(a / b): the sign is that of b
    Operation("remainder", 2, torch.remainder, _remainder, "remainder({0}, {1})"),
    _comparison("gt", ">", torch.gt),
    _comparison("ge", ">=", torch.ge),
    _comparison("lt", "<", torch.lt),
    _comparison("le", "<=", torch.le),
    _comparison("eq", "==", torch.eq),
    _comparison("ne", "!=", torch.ne),
    Operation(
        "where", 3, lambda c, a, b: torch.where(c != 0, a, b), _where, "where({0}, {1}, {2})"
    ),
)

POINTWISE: dict[str, Operation] = {operation.name: operation for operation in _OPERATIONS}

# an instruction or a few: what a derivative sooner makes again than reads back
CHEAP = frozenset(
    {"add", "sub", "mul", "neg", "abs", "sign", "relu", "where", "minimum", "maximum"}
    | {"gt", "ge", "lt", "le", "eq", "ne"}
)
