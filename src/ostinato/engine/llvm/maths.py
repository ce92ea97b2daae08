"""The pointwise operations in vector code.

`exp` and what is made of it: range reduction by multiples of log 2 in two parts (Cody and Waite),
then a polynomial in the remainder. NaN and infinities pass through. The other transcendental
functions are rare in cells: LLVM expands them to the C library's, lane by lane.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ostinato.engine.llvm.text import Function

__all__ = ["POINTWISE", "lower"]

# coefficients of r^k, the highest first and down to r^2: for float those of Cephes' expf (Moshier),
# for double 1/k!, whose remainder at |r| <= log(2)/2 is below the rounding
_EXP = {
    "float": (
        1.9875691500e-4,
        1.3981999507e-3,
        8.3334519073e-3,
        4.1665795894e-2,
        1.6666665459e-1,
        5.0000001201e-1,
    ),
    "double": tuple(1 / math.factorial(k) for k in range(14, 1, -1)),
}
# Cephes' tanhf: x + x^3 P(x^2) for |x| < 0.625
_TANH = (
    -5.70498872745e-3,
    2.06390887954e-2,
    -5.37397155531e-2,
    1.33314422036e-1,
    -3.33332819422e-1,
)
_SPLIT = {
    "float": (0.693359375, -2.12194440e-4),
    "double": (6.93145751953125e-1, 1.42860682030941723212e-6),
}
_CLAMP = {"float": (-104.0, 89.0), "double": (-746.0, 710.0)}
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


def _expm1_small(f: Function, r: str) -> str:
    """exp(r) - 1 for |r| <= log(2)/2."""
    m = f.module
    first, *rest = _EXP[m.element]
    p = m.splat(first)
    for coefficient in rest:
        p = f.fma(p, r, m.splat(coefficient))
    return f.fma(f.binary("fmul", r, r), p, r)


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


def _exp_within(f: Function, x: str) -> str:
    n, r = _reduce(f, x)
    p = f.binary("fadd", _expm1_small(f, r), f.module.splat(1.0))
    return _scale(f, p, n)


def _exp(f: Function, x: str) -> str:
    return _exp_within(f, _clamp(f, x, *_CLAMP[f.module.element]))


def _sigmoid(f: Function, x: str) -> str:
    """1 / (1 + e) above 0, e - e^2 / (1 + e) below, with e = exp(-|x|), which cannot overflow."""
    m = f.module
    one = m.splat(1.0)
    low = m.splat(_CLAMP[m.element][0])
    size = f.let(f"fneg {m.vector} {f.intrinsic('fabs', x)}")
    size = f.select(f.floats("olt", size, low), low, size)
    e = _exp_within(f, size)
    above = f.binary("fdiv", one, f.binary("fadd", e, one))
    minus = f.let(f"fneg {m.vector} {f.binary('fmul', e, above)}")
    return f.select(f.floats("olt", x, m.splat(0.0)), f.fma(minus, e, e), above)


def _tanh(f: Function, x: str) -> str:
    return _tanh_float(f, x) if f.module.element == "float" else _tanh_double(f, x)


def _tanh_float(f: Function, x: str) -> str:
    """1 - 2 / (exp(2|x|) + 1) with the sign of x; near 0 a polynomial, which keeps its digits."""
    m = f.module
    size = f.intrinsic("fabs", x)
    limit = m.splat(_TANH_CLAMP["float"])
    held = f.select(f.floats("ogt", size, limit), limit, size)
    e = _exp_within(f, f.binary("fadd", held, held))
    t = f.binary("fdiv", m.splat(2.0), f.binary("fadd", e, m.splat(1.0)))
    far = f.intrinsic("copysign", f.binary("fsub", m.splat(1.0), t), x)
    z = f.binary("fmul", x, x)
    p = m.splat(_TANH[0])
    for coefficient in _TANH[1:]:
        p = f.fma(p, z, m.splat(coefficient))
    near = f.fma(f.binary("fmul", p, z), x, x)
    # x itself keeps the sign of zero
    near = f.select(f.floats("oeq", x, m.splat(0.0)), x, near)
    return f.select(f.floats("olt", size, m.splat(0.625)), near, far)


def _tanh_double(f: Function, x: str) -> str:
    """expm1(2x) / (expm1(2x) + 2)."""
    m = f.module
    limit = _TANH_CLAMP["double"]
    x = _clamp(f, x, -limit, limit)
    twice = f.binary("fadd", x, x)
    n, r = _reduce(f, twice)
    power = _power_of_two(f, n)
    rest = f.binary("fsub", power, m.splat(1.0))
    e = f.fma(_expm1_small(f, r), power, rest)
    y = f.binary("fdiv", e, f.binary("fadd", e, m.splat(2.0)))
    # keeps -0 and what is too small to be squared
    return f.select(f.floats("olt", f.intrinsic("fabs", x), m.splat(1e-8)), x, y)


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
