import numpy as np
import pytest
import torch
from torch import nn

import ostinato as ost
from ostinato import cells
from ostinato.layers.clip_gradient import ClipGradient

T, B, H = 12, 3, 5
I = 2  # noqa: E741


def explicit(layer, x, weight, cut):
    """Backpropagation through time of an Elman net by hand: gradient of U, and rows cut."""
    W, U = layer.weight_ih_l0.detach().numpy(), layer.weight_hh_l0.detach().numpy()
    b = (layer.bias_ih_l0 + layer.bias_hh_l0).detach().numpy()
    h = [np.zeros((B, H))]
    for t in range(T):
        h.append(np.tanh(x[t] @ W.T + h[-1] @ U.T + b))
    dU, arriving, clipped = np.zeros((H, H)), np.zeros((B, H)), 0
    for t in reversed(range(T)):
        g, count = cut(arriving + weight[t])
        clipped += count
        da = g * (1 - h[t + 1] ** 2)
        dU += da.T @ h[t]
        arriving = da @ U
    return dU, clipped


def by_norm(limit):
    def cut(g):
        size = np.linalg.norm(g, axis=1, keepdims=True)
        return g * np.minimum(1, limit / size), int((size > limit).sum())

    return cut


def by_value(limit):
    return lambda g: (np.clip(g, -limit, limit), int((np.abs(g) > limit).sum()))


@pytest.mark.parametrize(
    ("clip", "cut", "counted"),
    [
        (2.5, by_norm(2.5), T * B),
        (ClipGradient(0.5, by="value"), by_value(0.5), T * B * H),
    ],
)
def test_the_gradient_is_cut_at_every_step_as_by_hand(clip, cut, counted):
    torch.manual_seed(0)
    layer = ost.RNN(I, H, clip_gradient=clip).double()
    x, weight = torch.randn(T, B, I).double(), torch.randn(T, B, H).double()
    (layer(x)[0] * weight).sum().backward()
    wanted, clipped = explicit(layer, x.numpy(), weight.numpy(), cut)
    np.testing.assert_allclose(layer.weight_hh_l0.grad.numpy(), wanted, rtol=1e-12)
    assert 0 < clipped < counted
    assert layer.take_clipped() == pytest.approx(clipped / counted)
    assert layer.take_clipped() is None


def test_a_gradient_that_explodes_is_held():
    def largest(clip):
        torch.manual_seed(0)
        layer = ost.Recurrent(cells.Elman(1, 8, activation="identity"), clip_gradient=clip)
        nn.init.eye_(layer.cell.gates.weight_hh)
        layer.cell.gates.weight_hh.data *= 1.5
        x = torch.randn(100, 1, 1, requires_grad=True)
        y, _ = layer(x)
        y[-1].sum().backward()
        return float(x.grad.abs().max())

    assert largest(None) > 1e12
    assert largest(1.0) < 2


def test_nothing_is_cut_in_evaluation():
    torch.manual_seed(0)
    layer = ost.GRU(I, H, clip_gradient=1e-3)
    x = torch.randn(T, B, I)

    def gradient(module):
        return torch.autograd.grad(module(x)[0].sum(), module.weight_hh_l0)[0]

    plain = ost.GRU(I, H)
    plain.load_state_dict(layer.state_dict())
    assert not torch.allclose(gradient(layer), gradient(plain))
    assert torch.equal(gradient(layer.eval()), gradient(plain))


def test_counts_are_no_parameters():
    layer = ost.LSTM(I, H, clip_gradient=0.1)
    names = set(layer.state_dict())
    layer(torch.randn(T, B, I))[0].sum().backward()
    assert set(layer.state_dict()) == names == {name for name, _ in layer.named_parameters()}
    assert layer.take_clipped() > 0


def test_what_is_clamped_is_held_still():
    from ostinato.layers import Clamp

    layer = ost.GRU(I, H, clip_gradient=0.1, clamp=Clamp([1], 0.5))
    y, _ = layer(torch.randn(T, B, I))
    assert (y[:, :, 1] == 0.5).all()
    y.sum().backward()
    assert layer.take_clipped() > 0


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (0.0, ValueError, "above 0"),
        ("norm", TypeError, "a number"),
        (True, TypeError, "a number"),
    ],
)
def test_bad_limits_are_refused(given, error, message):
    with pytest.raises(error, match=message):
        ost.GRU(I, H, clip_gradient=given)
    with pytest.raises(ValueError, match="by must be"):
        ClipGradient(1.0, by="entry")
