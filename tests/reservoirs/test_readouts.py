"""Readouts that learn row by row, and by gradients."""

import pytest
import torch
from torch.nn import functional as F

from ostinato.reservoirs import LMS, RLS, Gradient, Ridge
from ostinato.reservoirs.readouts import Force

LIKE = torch.empty(0, dtype=torch.float64)


def rows(n=100, seed=0):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 4, generator=g, dtype=torch.float64)
    noise = torch.randn(n, 2, generator=g, dtype=torch.float64)
    y = x @ torch.tensor([[1.0, 0], [2, 1], [0, -3], [0.5, 0]]).double() + 1.5 + 0.1 * noise
    return x, y


def learned(readout, *parts):
    readout.begin(4, 2, LIKE)
    for x, y in parts:
        readout.add(x, y)
    readout.end()
    return readout


def one_by_one(x, y, alpha, forgetting):
    """Recursive least squares, row by row, as the equations stand."""
    x = torch.cat([x, torch.ones(len(x), 1).double()], dim=1)
    p, w = torch.eye(5).double() / alpha, torch.zeros(5, 2).double()
    for r, target in zip(x, y, strict=True):
        heard = p @ r
        p = (p - torch.outer(heard, heard) / (forgetting + r @ heard)) / forgetting
        w = w - torch.outer(p @ r, r @ w - target)
    return w


@pytest.mark.parametrize("forgetting", [1.0, 0.95])
def test_recursive_least_squares_of_many_rows_is_that_of_one_after_the_other(forgetting):
    x, y = rows()
    readout = learned(RLS(1.0, forgetting=forgetting), (x[:41], y[:41]), (x[41:], y[41:]))
    expected = one_by_one(x, y, 1.0, forgetting)
    torch.testing.assert_close(readout.weight.T, expected[:4], rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(readout.bias, expected[4], rtol=1e-8, atol=1e-9)


def test_without_forgetting_it_is_least_squares():
    x, y = rows()
    readout = learned(RLS(0.1), (x, y))
    a = torch.cat([x, torch.ones(100, 1).double()], dim=1)
    expected = torch.linalg.solve(a.T @ a + 0.1 * torch.eye(5).double(), a.T @ y)
    torch.testing.assert_close(readout.weight.T, expected[:4], rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(readout(x), a @ expected, rtol=1e-9, atol=1e-10)


def test_with_forgetting_it_follows_a_change():
    x, y = rows(400)
    y[200:] = -y[200:]
    kept, follows = (learned(RLS(1e-3, forgetting=f), (x, y)) for f in (1.0, 0.9))
    errors = [float(((r(x[350:]) - y[350:]) ** 2).mean()) for r in (kept, follows)]
    assert errors[1] < 0.05 < errors[0]


def test_least_mean_squares_is_its_equation():
    x, y = rows(20)
    readout = learned(LMS(0.02, epochs=2), (x, y))
    ones = torch.cat([x, torch.ones(20, 1).double()], dim=1)
    w = torch.zeros(5, 2).double()
    for _ in range(2):
        for r, target in zip(ones, y, strict=True):
            w -= 0.02 * torch.outer(r, r @ w - target)
    torch.testing.assert_close(readout.weight.T, w[:4])
    torch.testing.assert_close(readout.bias, w[4])


def test_least_mean_squares_that_runs_away_is_told():
    with pytest.raises(ValueError, match=r"grown without end at rate 10\. Take one below"):
        learned(LMS(10.0), rows(500))


def test_any_loss_can_be_learned():
    x, y = rows(300)
    classes = (x[:, 0] > 0).long()
    readout = Gradient(F.cross_entropy, outputs=2, epochs=60)
    learned(readout, (x, classes))
    assert (readout(x).argmax(1) == classes).double().mean() > 0.95
    absolute = learned(Gradient(F.l1_loss, epochs=200), (x, y))
    assert F.l1_loss(absolute(x), y) < 0.2


def test_options_of_the_gradient_change_what_is_learned():
    def weight(**options):
        return learned(Gradient(F.mse_loss, **{"epochs": 3, **options}), rows(300)).weight

    assert torch.equal(weight(), weight())
    others = (
        {"epochs": 4},
        {"batch_size": 100},
        {"seed": 1},
        {"optimiser": lambda p: torch.optim.SGD(p, 0.1)},
    )
    for options in others:
        assert not torch.allclose(weight(), weight(**options))


def test_what_cannot_be_is_told():
    with pytest.raises(ValueError, match="must be a number or \"cv\", got 'best'"):
        Ridge("best")
    with pytest.raises(ValueError, match="must not be negative"):
        Ridge(-1.0)
    with pytest.raises(ValueError, match="at least 2 folds"):
        Ridge("cv", folds=1)
    with pytest.raises(ValueError, match=r"Force: alpha must be positive"):
        Force(0.0)
    with pytest.raises(ValueError, match="every must be at least 1"):
        Force(every=0)
    with pytest.raises(ValueError, match="forgetting"):
        RLS(forgetting=1.5)
    with pytest.raises(ValueError, match="LMS: rate must be positive"):
        LMS(0.0)
    with pytest.raises(ValueError, match="epochs and batch_size"):
        Gradient(F.mse_loss, epochs=0)
