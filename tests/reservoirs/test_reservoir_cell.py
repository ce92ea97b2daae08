"""The cell of a reservoir: its equation, its options, and that it is a cell like any."""

import numpy as np
import pytest
import torch

import ostinato
from ostinato.reservoirs import ReservoirCell

OPTIONS = {
    "spectral_radius": 0.5,
    "leak": 0.3,
    "density": 1.0,
    "topology": "ring",
    "input_scaling": 0.1,
    "input_density": 0.3,
    "bias_scaling": 2.0,
    "activation": "relu",
    "seed": 2,
}


def test_a_step_is_its_equation():
    cell = ReservoirCell(3, 7, leak=0.4, seed=0)
    x, h = torch.randn(2, 3).double(), torch.randn(2, 7).double()
    W, U, b = (p.numpy() for p in (cell.weight_ih, cell.weight_hh, cell.bias))
    expected = 0.6 * h.numpy() + 0.4 * np.tanh(x.numpy() @ W.T + h.numpy() @ U.T + b)
    np.testing.assert_allclose(cell(x, h).numpy(), expected, rtol=1e-13)


@pytest.mark.parametrize("name", OPTIONS)
def test_each_option_changes_the_numbers(name):
    def end(**options):
        cell = ReservoirCell(4, 30, **{"seed": 1, **options})
        h = torch.zeros(1, 30).double()
        for _ in range(3):
            h = cell(torch.ones(1, 4).double(), h)
        return h

    assert torch.equal(end(), end())
    assert not torch.allclose(end(), end(**{name: OPTIONS[name]}), atol=1e-3)


def test_its_weights_want_no_gradient_unless_asked():
    cell = ReservoirCell(2, 5, seed=0, dtype=torch.float32)
    assert cell.weight_hh.dtype == torch.float32
    assert not any(p.requires_grad for p in cell.parameters())
    cell.requires_grad_()
    cell(torch.ones(1, 2), torch.zeros(1, 5)).sum().backward()
    assert cell.weight_ih.grad is not None


def test_gradients_are_right():
    cell = ReservoirCell(2, 5, leak=0.5, seed=0)
    inputs = [torch.randn(3, 2), torch.randn(3, 5)]
    assert torch.autograd.gradcheck(cell, [v.double().requires_grad_() for v in inputs])


def test_another_cell_of_a_stack_has_other_weights():
    cell = ReservoirCell(20, 20, seed=3)
    first, second = cell.rebuild(20), cell.rebuild(20)
    assert not torch.equal(first.weight_hh, cell.weight_hh)
    assert not torch.equal(first.weight_hh, second.weight_hh)
    assert cell.rebuild(7).weight_ih.shape == (20, 7)
    again = ReservoirCell(20, 20, seed=3).rebuild(20)
    torch.testing.assert_close(first.weight_hh, again.weight_hh)


def test_it_runs_fused():
    cell = ReservoirCell(2, 30, leak=0.5, seed=0)
    x = torch.randn(20, 3, 2).double()
    layer = ostinato.Recurrent(cell)
    with ostinato.engine("llvm"):
        y, _ = layer(x)
        assert "eager" not in str(ostinato.explain(cell)).split("kernel", 1)[-1][:80]
    torch.testing.assert_close(y, layer(x)[0])


def test_a_leak_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"leak must be in \(0, 1\], got 0"):
        ReservoirCell(1, 2, leak=0)
