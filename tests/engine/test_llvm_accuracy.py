"""tanh, sigmoid and exp to the last places, over all of their range."""

import functools

import numpy as np
import pytest
import torch
from operation_code import LEVELS, compiled

INF = float("inf")


@functools.cache
def whole_range():
    """Every exponent and sign of float32, denormal numbers too, with 3000 mantissas each."""
    generator = np.random.default_rng(1)
    mantissas = np.unique(
        np.concatenate([generator.integers(0, 1 << 23, 3000), [0, 1, 2, (1 << 23) - 1, 1 << 22]])
    )
    exponents = np.arange(255)
    bits = (exponents[:, None] << 23 | mantissas[None, :]).astype(np.uint32).ravel()
    # where the functions bend, all the more closely
    near = np.linspace(-105, 90, 400_000, dtype=np.float32)
    both = np.concatenate([bits, bits | np.uint32(1 << 31)]).view(np.float32)
    return torch.from_numpy(np.concatenate([both, near]))


def ulps(found, exact):
    """Distance from the exact value, in units of the last place of its float32 rounding."""
    rounded = exact.float().abs()
    above = torch.nextafter(rounded, torch.tensor(INF))
    unit = torch.where(
        above.isinf(), rounded - torch.nextafter(rounded, torch.tensor(0.0)), above - rounded
    )
    return (found.double() - exact).abs() / unit.double()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", ["tanh", "sigmoid", "exp"])
def test_within_two_units_of_the_last_place_over_all_of_float32(name, level):
    x = whole_range()
    exact = getattr(torch, name)(x.double())
    found = compiled(name, x, level=level)
    # what rounds to infinity in float32 is infinity
    huge = exact.float().isinf()
    assert found[huge].isinf().all()
    assert found.isfinite().logical_or(huge).all()
    assert ulps(found[~huge], exact[~huge]).max() <= 2


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", ["tanh", "sigmoid", "exp"])
def test_double_precision_is_close_over_its_range(name, level):
    x = torch.linspace(-40, 40, 200_001, dtype=torch.float64)
    x = torch.cat([x, x * 1e-4, x * 1e-9, x * 1e-300, x * 17, x.sign() * 1e300])
    wanted = getattr(torch, name)(x)
    found = compiled(name, x, level=level)
    torch.testing.assert_close(found, wanted, rtol=2e-15, atol=5e-324)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f32", "f64"])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_bounded_functions_stay_in_their_bounds(name, level, dtype):
    x = whole_range().to(dtype)
    found = compiled(name, x, level=level)
    low = -1 if name == "tanh" else 0
    assert low <= found.min()
    assert found.max() <= 1
