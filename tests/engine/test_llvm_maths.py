"""The table of operations in vector code: all are there, and all give what torch gives."""

import pytest
import torch
from operation_code import ELEMENTS, LEVELS, compiled

from ostinato.engine import operations
from ostinato.engine.llvm import maths

INF, NAN = float("inf"), float("nan")
DTYPES = [pytest.param(torch.float32, id="f32"), pytest.param(torch.float64, id="f64")]


def special(dtype):
    info = torch.finfo(dtype)
    least = 2.0**-149 if dtype == torch.float32 else 5e-324
    sizes = [0.0, least, least * 3, info.tiny / 4, info.tiny, info.eps, 1e-5, 0.3, 0.5, 1.0, 1.5]
    sizes += [2.0, 3.0, 7.25, 19.9, 20.0, 20.1, 87.0, 104.0, 1e4, info.max / 2, info.max, INF]
    return torch.tensor([*sizes, *(-size for size in sizes), NAN], dtype=dtype)


def same(found, wanted, rtol):
    """Equal NaN, infinities and signs of zero, and close to the smallest number."""
    torch.testing.assert_close(
        found, wanted, rtol=rtol, atol=torch.finfo(found.dtype).tiny, equal_nan=True
    )


def test_the_code_generator_has_every_operation_and_no_other():
    assert maths.POINTWISE.keys() == operations.POINTWISE.keys()


# exact operations, and those that the C library computes
WITHIN = {"float": 2e-6, "double": 4e-15}
EXACT = {"add", "sub", "mul", "div", "neg", "abs", "sign", "relu", "minimum", "maximum"}
EXACT |= {"floor", "gt", "ge", "lt", "le", "eq", "ne", "where"}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted(set(operations.POINTWISE) - {"pow", "remainder"}))
def test_an_operation_gives_what_torch_gives_on_special_values(name, dtype, level):
    operation = operations.POINTWISE[name]
    values = special(dtype)
    if name in ("sin", "cos"):
        # torch's own reduction of huge arguments is coarse
        values = values[values.abs() < 1e5]
    grids = torch.meshgrid(*[values] * min(operation.arity, 2), indexing="ij")
    operands = [grid.flatten() for grid in grids]
    if operation.arity == 3:
        operands.append(operands[1].flip(0))
    found = compiled(name, *operands, level=level)
    wanted = operation.evaluate(*operands)
    rtol = 0 if name in EXACT else WITHIN[ELEMENTS[dtype]]
    same(found, wanted, rtol)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0, 3.0, -1.0, -2.0, 0.5, -0.5, 1.5, 2.7])
def test_powers_of_special_values(exponent, dtype, level):
    values = special(dtype)
    found = compiled("pow", values, torch.full_like(values, exponent), level=level)
    wanted = torch.pow(values, torch.full_like(values, exponent))
    same(found, wanted, 1e-6 if dtype == torch.float32 else 1e-14)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("divisor", [0.7, -0.7, 2.0, -3.0, INF, 0.0, NAN])
def test_remainders_have_the_sign_of_the_divisor(divisor, dtype, level):
    values = special(dtype)
    values = values[~(values.abs() > 1e6) | values.isinf() | values.isnan()]
    by = torch.full_like(values, divisor)
    same(compiled("remainder", values, by, level=level), torch.remainder(values, by), 1e-6)


@pytest.mark.parametrize("level", LEVELS)
def test_the_sign_of_zero_is_kept_where_torch_keeps_it(level):
    zeros = torch.tensor([0.0, -0.0])
    for name in ("neg", "abs", "sqrt", "tanh", "sin", "erf", "floor"):
        wanted = operations.POINTWISE[name].evaluate(zeros).signbit()
        assert torch.equal(compiled(name, zeros, level=level).signbit(), wanted), name
