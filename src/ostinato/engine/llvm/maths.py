"""The pointwise operations in vector code.

`exp` and what is made of it: range reduction by multiples of log 2 in two parts (Cody and Waite),
then a polynomial in the remainder. `tanh` and `sigmoid` are most of what a gated cell computes
beside its products, so they are put together from the parts of `exp` with no step to spare. NaN and
infinities pass through. The other transcendental functions are rare in cells: LLVM expands them to
the C library's, lane by lane.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ostinato.engine.llvm.text import Function

__all__ = ["POINTWISE", "lower"]

# (exp(r) - 1 - r) / r^2 for |r| <= log(2)/2: coefficients of r^k, the highest first. For float
# those of the least greatest relative error in exp(r) - 1, 2.4e-10 (Lawson's reweighted least
# squares at 4001 Chebyshev nodes); for double 1/(k + 2)!, whose remainder is below the rounding
_EXP = {
    "float": (
        0.00019845887436531484,
        0.001394074410200119,
        0.008333389647305012,
        0.04166635870933533,
        0.1666666567325592,
        0.5,
    ),
    "double": tuple(1 / math.factorial(k) for k in range(14, 1, -1)),
}
_SPLIT = {
    "float": (0.693359375, -2.12194440e-4),
    "double": (6.93145751953125e-1, 1.42860682030941723212e-6),
}
_CLAMP = {"float": (-104.0, 89.0), "double": (-746.0, 710.0)}
# beyond these the sigmoid is 0 or 1, and tanh is 1, to the last digit
_SIGMOID_CLAMP = {"float": (-104.0, 88.0), "double": (-746.0, 709.0)}
_TANH_CLAMP = {"float": 10.0, "double": 20.0}


def lower(f: Function, op: str, args: list[str]) -> str:
    """The result of one operation of the table."""
    return POINTWISE[op](f, *args)


def _reduce(f: Function, x: str) -> tuple[str, str]:
    """X = n log 2 + r, with n whole and |r| <= log(2)/2."""
    m = f.module
    n = f.intrinsic("rint", f.binary("fmul", x, m.splat(1 / math.log(2))))
    high, low = _SPLIT[m.element]
    r = f.fma(n, m.splat(-high), x)
    return n, f.fma(n, m.splat(-low), r)


def _bend(f: Function, r: str, sign: float = 1.0) -> str:
    """(exp(a) - 1 - a) / a^2 for a = r or, with `sign` -1, a = -r; |r| <= log(2)/2."""
    m = f.module
    coefficients = _EXP[m.element]
    powers = range(len(coefficients) - 1, -1, -1)
    first, *rest = (c * sign**k for c, k in zip(coefficients, powers, strict=True))
    p = m.splat(first)
    for coefficient in rest:
        p = f.fma(p, r, m.splat(coefficient))
    return p


def _power_of_two(f: Function, n: str) -> str:
    """2^n for whole n that a normal number's exponent can hold."""
    m = f.module
    bits, bias, shift = ("i32", 127, 23) if m.bytes == 4 else ("i64", 1023, 52)
    kind = f"<{m.lanes} x {bits}>"
    whole = f.let(f"fptosi {m.vector} {n} to {kind}")
    moved = f.let(f"add {kind} {whole}, splat ({bits} {bias})")
    shifted = f.let(f"shl {kind} {moved}, splat ({bits} {shift})")
    return f.let(f"bitcast {kind} {shifted} to {m.vector}")


def _scale(f: Function, p: str, n: str) -> str:
    """P * 2^n, through infinity and the denormal numbers."""
    m = f.module
    if m.target.scalef and m.target.vector_bytes == 64:
        kind, mask = ("ps", "i16") if m.bytes == 4 else ("pd", "i8")
        name = m.declare(
            f"llvm.x86.avx512.mask.scalef.{kind}.512",
            f"{m.vector} {{}}({m.vector}, {m.vector}, {m.vector}, {mask}, i32)",
        )
        return f.let(
            f"call {m.vector} {name}({m.vector} {p}, {m.vector} {n}, "
            f"{m.vector} zeroinitializer, {mask} -1, i32 4)"
        )
    half = f.intrinsic("floor", f.binary("fmul", n, m.splat(0.5)))
    first = f.binary("fmul", p, _power_of_two(f, half))
    return f.binary("fmul", first, _power_of_two(f, f.binary("fsub", n, half)))


def _clamp(f: Function, x: str, low: float, high: float) -> str:
    """X within low..high, and NaN as it is."""
    m = f.module
    x = f.select(f.floats("ogt", x, m.splat(high)), m.splat(high), x)
    return f.select(f.floats("olt", x, m.splat(low)), m.splat(low), x)


def _exp(f: Function, x: str) -> str:
    m = f.module
    one = m.splat(1.0)
    n, r = _reduce(f, _clamp(f, x, *_CLAMP[m.element]))
    return _scale(f, f.fma(f.fma(_bend(f, r), r, one), r, one), n)


def _sigmoid(f: Function, x: str) -> str:
    """2^n / (2^n + exp(-r)), with x = n log 2 + r: nothing overflows, nothing is lost near 0."""
    m = f.module
    one = m.splat(1.0)
    n, r = _reduce(f, _clamp(f, x, *_SIGMOID_CLAMP[m.element]))
    u = _scale(f, one, n)
    minus = f.let(f"fneg {m.vector} {r}")
    rest = f.fma(f.fma(_bend(f, r, -1.0), minus, one), minus, u)
    return f.binary("fdiv", u, f.binary("fadd", rest, one))


def _tanh(f: Function, x: str) -> str:
    """(exp(2x) - 1) / (exp(2x) + 1), with 2x = n log 2 + r; near 0 it keeps its digits."""
    m = f.module
    limit = m.splat(_TANH_CLAMP[m.element])
    size = f.intrinsic("fabs", x)
    held = f.select(f.floats("ogt", size, limit), limit, size)
    n, r = _reduce(f, f.binary("fadd", held, held))
    u = _scale(f, m.splat(1.0), n)
    # u r is exact, and so is its sum with u - 1 where n is 0
    v = f.binary("fmul", u, r)
    start = f.binary("fadd", v, f.binary("fadd", u, m.splat(-1.0)))
    above = f.fma(_bend(f, r), f.binary("fmul", v, r), start)
    y = f.binary("fdiv", above, f.binary("fadd", above, m.splat(2.0)))
    # y = h - h y with h = above / 2: for small h that leaves one rounding of the division's two
    half = f.binary("fmul", above, m.splat(0.5))
    near = f.fma(f.let(f"fneg {m.vector} {half}"), y, half)
    y = f.select(f.floats("olt", half, m.splat(0.25)), near, y)
    return f.intrinsic("copysign", y, x)


def _softplus(f: Function, x: str) -> str:
    """log(1 + exp(x)); above 20 it is x, as in torch."""
    m = f.module
    e = _exp(f, x)
    one = f.binary("fadd", e, m.splat(1.0))
    # log(1 + e) e / ((1 + e) - 1) is log1p(e) to the last digits (Kahan)
    rest = f.binary("fsub", one, m.splat(1.0))
    exact = f.binary("fdiv", f.binary("fmul", f.intrinsic("log", one), e), rest)
    y = f.select(f.floats("oeq", rest, m.splat(0.0)), e, exact)
    return f.select(f.floats("ogt", x, m.splat(20.0)), x, y)


def _compare(how: str) -> Callable[..., str]:
    def make(f: Function, a: str, b: str) -> str:
        return f.select(f.floats(how, a, b), f.module.splat(1.0), f.module.splat(0.0))

    return make


def _binary(op: str) -> Callable[..., str]:
    return lambda f, a, b: f.binary(op, a, b)


def _intrinsic(name: str) -> Callable[..., str]:
    return lambda f, *args: f.intrinsic(name, *args)


def _extremum(how: str) -> Callable[..., str]:
    def make(f: Function, a: str, b: str) -> str:
        chosen = f.select(f.floats(how, a, b), a, b)
        # a NaN on either side is the result
        return f.select(f.floats("uno", a, a), a, chosen)

    return make


def _sign(f: Function, a: str) -> str:
    m = f.module
    zero = m.splat(0.0)
    below = f.select(f.floats("olt", a, zero), m.splat(-1.0), zero)
    return f.select(f.floats("ogt", a, zero), m.splat(1.0), below)


def _relu(f: Function, a: str) -> str:
    # not less than, so that a NaN stays
    return f.select(f.floats("olt", a, f.module.splat(0.0)), f.module.splat(0.0), a)


def _where(f: Function, condition: str, a: str, b: str) -> str:
    return f.select(f.floats("une", condition, f.module.splat(0.0)), a, b)


def _remainder(f: Function, a: str, b: str) -> str:
    m = f.module
    r = f.binary("frem", a, b)
    product = f.binary("fmul", r, b)
    return f.select(f.floats("olt", product, m.splat(0.0)), f.binary("fadd", r, b), r)


def _erf(f: Function, x: str) -> str:
    return _by_lane(f, "erff" if f.module.bytes == 4 else "erf", x)


def _by_lane(f: Function, name: str, x: str) -> str:
    """A function of the C library, one lane after the other."""
    m = f.module
    called = m.declare(name, f"{m.element} {{}}({m.element})")
    y = "poison"
    for lane in range(m.lanes):
        a = f.let(f"extractelement {m.vector} {x}, i32 {lane}")
        b = f.let(f"call {m.element} {called}({m.element} {a})")
        y = f.let(f"insertelement {m.vector} {y}, {m.element} {b}, i32 {lane}")
    return y


POINTWISE: dict[str, Callable[..., str]] = {
    "add": _binary("fadd contract"),
    "sub": _binary("fsub contract"),
    "mul": _binary("fmul contract"),
    "div": _binary("fdiv"),
    "neg": lambda f, a: f.let(f"fneg {f.module.vector} {a}"),
    "abs": _intrinsic("fabs"),
    "sign": _sign,
    "exp": _exp,
    "log": _intrinsic("log"),
    "sqrt": _intrinsic("sqrt"),
    "tanh": _tanh,
    "sigmoid": _sigmoid,
    "relu": _relu,
    "softplus": _softplus,
    "sin": _intrinsic("sin"),
    "cos": _intrinsic("cos"),
    "erf": _erf,
    "minimum": _extremum("olt"),
    "maximum": _extremum("ogt"),
    "pow": _intrinsic("pow"),
    "floor": _intrinsic("floor"),
    "remainder": _remainder,
    "gt": _compare("ogt"),
    "ge": _compare("oge"),
    "lt": _compare("olt"),
    "le": _compare("ole"),
    "eq": _compare("oeq"),
    "ne": _compare("une"),
    "where": _where,
}
