"""Pointwise operations of torch, composed of those in `operations.POINTWISE`.

Arguments are named as in torch's own schemas. Each gives the value and, at ties and ends of a
range, the derivative that torch gives.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from ostinato.engine.algebra import add, const, div, mul, neg, pointwise, sub
from ostinato.engine.expressions import Node
from ostinato.engine.values import Unfit

__all__ = ["ELEMENTWISE"]

Operand: TypeAlias = Node | float


def node(value: Operand) -> Node:
    return value if isinstance(value, Node) else const(value)


def apply(op: str, *args: Operand) -> Node:
    return pointwise(op, *map(node, args))


def where(condition: Operand, a: Operand, b: Operand) -> Node:
    return apply("where", condition, a, b)


def _add(self: Operand, other: Operand, alpha: float = 1) -> Node:
    return add(node(self), mul(const(alpha), node(other)))


def _sub(self: Operand, other: Operand, alpha: float = 1) -> Node:
    return sub(node(self), mul(const(alpha), node(other)))


def _div(self: Operand, other: Operand, rounding_mode: str | None = None) -> Node:
    a, b = node(self), node(other)
    if rounding_mode is None:
        return div(a, b)
    if rounding_mode == "trunc":
        raise Unfit("rounding towards zero is not in the algebra")
    # nearly whole before it is rounded, so that no rounding error can carry it over an edge
    whole = div(sub(a, apply("remainder", a, b)), b)
    return apply("floor", add(whole, const(0.5)))


def _pow(self: Operand, exponent: Operand) -> Node:
    base, power = node(self), node(exponent)
    if power.op != "const":
        if base.op != "const" or base.data <= 0:
            raise Unfit("the exponent is not a constant")
        return apply("exp", mul(const(math.log(base.data)), power))
    simple = {
        1: lambda: base,
        2: lambda: mul(base, base),
        3: lambda: mul(mul(base, base), base),
        0.5: lambda: apply("sqrt", base),
        -0.5: lambda: _rsqrt(base),
        -1: lambda: div(const(1), base),
    }
    return simple[power.data]() if power.data in simple else pointwise("pow", base, power)


def _rsqrt(self: Node) -> Node:
    return div(const(1), apply("sqrt", self))


def _clamp(self: Node, min: Operand | None = None, max: Operand | None = None) -> Node:
    bounded = self if min is None else where(apply("lt", self, min), min, self)
    return bounded if max is None else where(apply("gt", bounded, max), max, bounded)


def _hardtanh(self: Node, min_val: float = -1, max_val: float = 1) -> Node:
    below = where(apply("ge", self, max_val), max_val, self)
    return where(apply("le", self, min_val), min_val, below)


def _hardsigmoid(self: Node) -> Node:
    return div(_hardtanh(add(self, const(3)), 0, 6), const(6))


def _hardswish(self: Node) -> Node:
    middle = mul(self, div(add(self, const(3)), const(6)))
    return where(apply("le", self, -3), 0, where(apply("ge", self, 3), self, middle))


def _expm1(self: Node) -> Node:
    # no cancellation near 0; what is not taken must be finite, since its gradient is 0 times it
    is_near = apply("lt", apply("abs", self), 0.5)
    t = apply("tanh", div(where(is_near, self, 0), const(2)))
    near = div(add(t, t), sub(const(1), t))
    return where(is_near, near, sub(apply("exp", self), const(1)))


def _log1p(self: Node) -> Node:
    u = add(self, const(1))
    # the rounding error of 1 + x cancels in this quotient
    is_near = mul(apply("lt", apply("abs", self), 0.5), apply("ne", u, 1))
    quotient = div(where(is_near, self, 1), where(is_near, sub(u, const(1)), 1))
    log = mul(apply("log", u), quotient)
    return where(apply("eq", u, 1), self, log)


def _elu(self: Node, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Node:
    high = apply("gt", self, 0)
    low = mul(const(alpha * scale), _expm1(mul(where(high, 0, self), const(input_scale))))
    return where(high, mul(self, const(scale)), low)


def _selu(self: Node) -> Node:
    # the two constants of torch.nn.SELU
    return _elu(self, 1.6732632423543772848170429916717, 1.0507009873554804934193349852946)


def _celu(self: Node, alpha: float = 1) -> Node:
    return _elu(self, alpha, 1, 1 / alpha)


def _leaky_relu(self: Node, negative_slope: float = 0.01) -> Node:
    return where(apply("gt", self, 0), self, mul(self, const(negative_slope)))


def _prelu(self: Node, weight: Node) -> Node:
    return where(apply("gt", self, 0), self, mul(weight, self))


def _gelu(self: Node, approximate: str = "none") -> Node:
    if approximate == "tanh":
        cubic = add(self, mul(const(0.044715), mul(mul(self, self), self)))
        bell = apply("tanh", mul(const(math.sqrt(2 / math.pi)), cubic))
    else:
        bell = apply("erf", mul(self, const(math.sqrt(0.5))))
    return mul(mul(const(0.5), self), add(const(1), bell))


def _silu(self: Node) -> Node:
    return mul(self, apply("sigmoid", self))


def _softplus(self: Node, beta: float = 1, threshold: float = 20) -> Node:
    if threshold != 20:
        raise Unfit("the threshold of softplus must be 20")
    return div(apply("softplus", mul(self, const(beta))), const(beta))


def _log_sigmoid(self: Node) -> Node:
    return sub(apply("minimum", self, 0), apply("softplus", neg(apply("abs", self))))


def _logaddexp(self: Node, other: Node) -> Node:
    distance = apply("abs", sub(self, other))
    return add(apply("maximum", self, other), apply("softplus", neg(distance)))


def _masked_fill(self: Node, mask: Node, value: Operand) -> Node:
    return where(mask, value, self)


def _threshold(self: Node, threshold: float, value: float) -> Node:
    return where(apply("le", self, threshold), value, self)


def _lerp(self: Node, end: Node, weight: Operand) -> Node:
    return add(self, mul(node(weight), sub(end, self)))


def _addcmul(self: Node, tensor1: Node, tensor2: Node, value: float = 1) -> Node:
    return add(self, mul(const(value), mul(tensor1, tensor2)))


def _addcdiv(self: Node, tensor1: Node, tensor2: Node, value: float = 1) -> Node:
    return add(self, mul(const(value), div(tensor1, tensor2)))


def _truth(self: Node) -> Node:
    return self if self.op in _MASKS else apply("ne", self, 0)


def _and(self: Node, other: Node) -> Node:
    return mul(_truth(self), _truth(other))


def _or(self: Node, other: Node) -> Node:
    return apply("maximum", _truth(self), _truth(other))


def _xor(self: Node, other: Node) -> Node:
    return apply("ne", _truth(self), _truth(other))


def _not(self: Node) -> Node:
    return sub(const(1), _truth(self))


def _same(self: Node) -> Node:
    return self


def _unary(op: str) -> Callable[..., Node]:
    return lambda self: apply(op, self)


def _binary(op: str) -> Callable[..., Node]:
    return lambda self, other: apply(op, self, other)


def _where(condition: Node, self: Operand, other: Operand) -> Node:
    return where(condition, self, other)


_MASKS = frozenset({"gt", "ge", "lt", "le", "eq", "ne"})
_UNARY = ("abs", "sign", "exp", "log", "sqrt", "tanh", "sigmoid", "relu", "sin", "cos", "erf")
_LONG = {
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "not_equal": "ne",
}

ELEMENTWISE: dict[str, Callable[..., Node]] = {
    **{name: _unary(name) for name in (*_UNARY, "floor")},
    **{name: _binary(name) for name in (*_MASKS, "minimum", "maximum", "remainder")},
    **{name: _binary(op) for name, op in _LONG.items()},
    "add": _add,
    "sub": _sub,
    "subtract": _sub,
    "rsub": lambda self, other, alpha=1: _sub(other, self, alpha),
    "mul": lambda self, other: mul(node(self), node(other)),
    "multiply": lambda self, other: mul(node(self), node(other)),
    "div": _div,
    "divide": _div,
    "true_divide": _div,
    "floor_divide": partial(_div, rounding_mode="floor"),
    "neg": lambda self: neg(self),
    "negative": lambda self: neg(self),
    "absolute": _unary("abs"),
    "sgn": _unary("sign"),
    "ceil": lambda self: neg(apply("floor", neg(self))),
    "pow": _pow,
    "square": lambda self: mul(self, self),
    "rsqrt": _rsqrt,
    "reciprocal": lambda self: div(const(1), self),
    "exp2": lambda self: apply("exp", mul(self, const(math.log(2)))),
    "log2": lambda self: div(apply("log", self), const(math.log(2))),
    "log10": lambda self: div(apply("log", self), const(math.log(10))),
    "expm1": _expm1,
    "log1p": _log1p,
    "tan": lambda self: div(apply("sin", self), apply("cos", self)),
    "clamp": _clamp,
    "clip": _clamp,
    "clamp_min": lambda self, min: _clamp(self, min=min),
    "clamp_max": lambda self, max: _clamp(self, max=max),
    "hardtanh": _hardtanh,
    "relu6": lambda self: _hardtanh(self, 0, 6),
    "hardsigmoid": _hardsigmoid,
    "hardswish": _hardswish,
    "elu": _elu,
    "selu": _selu,
    "celu": _celu,
    "leaky_relu": _leaky_relu,
    "prelu": _prelu,
    "gelu": _gelu,
    "silu": _silu,
    "mish": lambda self: mul(self, apply("tanh", apply("softplus", self))),
    "softplus": _softplus,
    "softsign": lambda self: div(self, add(const(1), apply("abs", self))),
    "log_sigmoid": _log_sigmoid,
    "logaddexp": _logaddexp,
    "where": _where,
    "masked_fill": _masked_fill,
    "threshold": _threshold,
    "lerp": _lerp,
    "addcmul": _addcmul,
    "addcdiv": _addcdiv,
    "logical_and": _and,
    "bitwise_and": _and,
    "__and__": _and,
    "logical_or": _or,
    "bitwise_or": _or,
    "__or__": _or,
    "logical_xor": _xor,
    "__xor__": _xor,
    "logical_not": _not,
    "bitwise_not": _not,
    "isnan": lambda self: apply("ne", self, self),
    "alias": _same,
    "clone": _same,
    "copy": lambda self, src: node(src),
    "contiguous": _same,
    "zeros_like": lambda self: const(0),
    "ones_like": lambda self: const(1),
    "full_like": lambda self, fill_value: const(fill_value),
}
