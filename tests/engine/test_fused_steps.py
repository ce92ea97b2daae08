"""Shapes of step that once were refused, or wrong: each named by its symptom."""

import pytest
import torch
from against_eager import compare, make_call
from torch import nn
from torch.nn import functional as F

H = 6


class _Step(nn.Module):
    def __init__(self, *shapes):
        super().__init__()
        for n, shape in enumerate(shapes):
            self.register_parameter(f"p{n}", nn.Parameter(torch.randn(shape) * 0.4))


class WholeAndPart(_Step):
    """The gradient of units of h is cut where the product is whole."""

    def forward(self, x, h):
        value = F.linear(h[:, 1:2], self.p0)
        return torch.tanh(value * torch.sigmoid(F.linear(h, self.p1)) + h)


class BothWays(_Step):
    """A matrix as it stands, and turned: autoencoding with tied weights."""

    def forward(self, x, h):
        code = torch.tanh(h @ self.p0 + x[:, :1])
        return torch.tanh(code @ self.p0.t() - h)


class Appended(_Step):
    """Ones, and a static vector, beside the state in one product."""

    def forward(self, x, h):
        ones, fixed = torch.ones_like(h[:, :1]), self.p1.expand(h.shape[0], -1)
        return torch.tanh(F.linear(torch.cat([h, ones, fixed, x], -1), self.p0))


class OnlyConstants(_Step):
    """A product of a number that fills every unit."""

    def forward(self, x, h):
        return torch.tanh(h + F.linear(torch.full_like(h, 0.5), self.p0) * x[:, :1])


class Unread(_Step):
    """A state that no step reads, and that is not asked for."""

    def forward(self, x, h, last):
        new = torch.tanh(F.linear(h, self.p0) + x[:, :1])
        return new, (new, new * h)


class OneUnit(_Step):
    """The gradient reaches h by a product of a single unit."""

    def forward(self, x, h):
        return torch.tanh(F.linear(F.linear(h, self.p0), self.p1) + x[:, :1])


STEPS = {
    "a product whole and in part": lambda: (WholeAndPart((H, 1), (H, H)), (H,)),
    "a matrix both ways": lambda: (BothWays((H, 3)), (H,)),
    "constants beside the state": lambda: (Appended((H, H + 1 + 2 + 3), (2,)), (H,)),
    "a product of constants": lambda: (OnlyConstants((H, H)), (H,)),
    "a state that nothing reads": lambda: (Unread((H, H)), (H, H)),
    "a product of one unit": lambda: (OneUnit((1, H), (H, 1)), (H,)),
}


@pytest.mark.parametrize("all_states", [True, False])
@pytest.mark.parametrize("name", STEPS)
def test_a_step_equals_the_reference(name, all_states):
    torch.manual_seed(4)
    cell, widths = STEPS[name]()
    lengths = None if all_states else torch.tensor([5, 0, 3])
    call = make_call(
        cell, widths, I=3, T=5, B=3, dtype=torch.float64, all_states=all_states, lengths=lengths
    )
    compare(call)


def test_a_product_of_constants_alone_runs_at_inference():
    torch.manual_seed(4)
    cell, widths = STEPS["a product of constants"]()
    with torch.no_grad():
        compare(make_call(cell.requires_grad_(False), widths, I=3, dtype=torch.float64))
