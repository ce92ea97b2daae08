import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ostinato.engine.interpret import unroll
from ostinato.engine.trace import trace

ACTIVATIONS = {
    "silu": F.silu,
    "elu": F.elu,
    "celu": lambda a: F.celu(a, 0.5),
    "selu": F.selu,
    "leaky_relu": lambda a: F.leaky_relu(a, 0.1),
    "relu": F.relu,
    "relu6": F.relu6,
    "gelu": F.gelu,
    "gelu tanh": lambda a: F.gelu(a, approximate="tanh"),
    "mish": F.mish,
    "softplus": F.softplus,
    "softplus beta": lambda a: F.softplus(a, beta=2),
    "softsign": F.softsign,
    "logsigmoid": F.logsigmoid,
    "tanhshrink": F.tanhshrink,
    "hardtanh": lambda a: F.hardtanh(a, -2, 0.5),
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "threshold": lambda a: F.threshold(a, 0.1, -1),
    "clamp": lambda a: a.clamp(-1, 3),
    "clamp below": lambda a: a.clamp_min(3),
    "clamp crossed": lambda a: a.clamp(3, -1),
    "expm1": torch.expm1,
    "log1p": lambda a: torch.log1p(a.abs()),
    "rsqrt": lambda a: torch.rsqrt(1 + a * a),
    "reciprocal": lambda a: torch.reciprocal(a.abs() + 1),
    "power": lambda a: (a.abs() + 0.1) ** -1.5,
    "cube": lambda a: a**3,
    "exponent": lambda a: 2.0**a,
    "exp2": torch.exp2,
    "log2": lambda a: torch.log2(a * a + 1),
    "logaddexp": lambda a: torch.logaddexp(a, 2 * a - 1),
    "floor division": lambda a: torch.div(a, 0.3, rounding_mode="floor") + a,
    "remainder": lambda a: torch.remainder(a, -0.7),
    "ceil": lambda a: a.ceil() + a,
    "logic": lambda a: torch.where((a > 0) ^ (a < 2) | torch.isnan(a), a, -a),
    "comparison": lambda a: a * (a.ge(1) & a.ne(2)).to(a.dtype) + (a == 2) * a,
    "scaled": lambda a: torch.add(a, a, alpha=0.3) - torch.rsub(a, 2),
}


class Activated(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x, h):
        return self.function(h + x)


def both(function, a):
    """(value, gradient) of the algebra's composition, and of torch."""
    cell = Activated(function)
    recurrence = trace(cell, torch.zeros_like(a), (a,))
    results = []
    for way in ("algebra", "torch"):
        leaf = a.clone().requires_grad_()
        if way == "algebra":
            value, _ = unroll(
                recurrence, torch.zeros_like(a)[None], [leaf], recurrence.tensors(cell)
            )
        else:
            value = function(leaf)[None]
        results.append((value, torch.autograd.grad(value.sum(), leaf)[0]))
    return results


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_value_and_derivative_are_torchs_everywhere(name):
    ends = torch.tensor([0.0, 0.1, 0.5, -0.5, 1, -1, 2, -2, 3, -3, 6, -6], dtype=torch.float64)
    tiny = torch.linspace(-1e-3, 1e-3, 101, dtype=torch.float64)
    a = torch.cat([torch.linspace(-25, 25, 501, dtype=torch.float64), tiny, ends])[None]
    if name == "hardswish":
        # at 3 torch takes the slope from the left, 3/2
        a = a[a != 3][None]
    found, wanted = both(ACTIVATIONS[name], a)
    # torch's own derivatives of some are rounded to float32 within
    torch.testing.assert_close(found, wanted, rtol=2e-6, atol=2e-8)


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {"exponent", "exp2", "expm1"}))
def test_large_values_keep_a_finite_gradient(name):
    a = torch.tensor([[-120.0, -95, -30, 30, 95, 120]])
    found, wanted = both(ACTIVATIONS[name], a)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {"logic"}))
def test_nan_stays_nan(name):
    (value, _), (wanted, _) = both(ACTIVATIONS[name], torch.tensor([[math.nan, 1.0]]))
    assert value.isnan().tolist() == wanted.isnan().tolist()
