"""Ridge regression from sums: solutions, the choice of a penalty, and what cannot be solved."""

import numpy as np
import pytest
import torch

from ostinato.reservoirs import NormalEquations, SingularRidgeError


def rows(n=200, features=6, targets=2, seed=0, noise=0.1):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, features, generator=g, dtype=torch.float64) + 3
    w = torch.randn(features, targets, generator=g, dtype=torch.float64)
    return x, x @ w + 2 + noise * torch.randn(n, targets, generator=g, dtype=torch.float64)


def plain(x, y, penalty):
    """Ridge regression as the textbook has it, with a constant that is not punished."""
    a, b = x - x.mean(0), y - y.mean(0)
    w = torch.linalg.solve(a.T @ a + penalty * torch.eye(x.shape[1]).double(), a.T @ b)
    return w.T, y.mean(0) - w.T @ x.mean(0)


@pytest.mark.parametrize("penalty", [0.0, 1e-3, 50.0])
def test_the_solution_is_that_of_ridge_regression(penalty):
    x, y = rows()
    equations = NormalEquations(6, 2)
    equations.add(x[:77], y[:77])
    equations.add(x[77:], y[77:])
    for found, expected in zip(equations.solve(penalty), plain(x, y, penalty), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)


def test_more_rows_than_there_is_room_for():
    x, y = rows(n=2000, features=3, targets=1)
    equations = NormalEquations(3, 1)
    equations.add(x, y)
    torch.testing.assert_close(equations.solve(1.0), plain(x, y, 1.0), rtol=1e-9, atol=1e-10)


def test_joined_sums_are_those_of_all_rows():
    x, y = rows()
    equations = NormalEquations(6, 2)
    equations.add(x[:50], y[:50])
    other = equations.another()
    other.add(x[50:], y[50:])
    equations.join(other)
    torch.testing.assert_close(equations.solve(0.1), plain(x, y, 0.1), rtol=1e-9, atol=1e-10)


def test_errors_on_folds_are_those_of_fitting_without_them():
    x, y = rows(n=90, noise=1.0)
    penalties = (1e-3, 1.0, 30.0, 1e3)
    equations = NormalEquations(6, 2, folds=3)
    parts = [slice(k * 30, k * 30 + 30) for k in range(3)]
    for fold, part in enumerate(parts):
        equations.add(x[part], y[part], fold)
    choice = equations.choose(penalties)
    for penalty in penalties:
        error = 0.0
        for part in parts:
            left = torch.ones(90, dtype=torch.bool)
            left[part] = False
            w, b = plain(x[left], y[left], penalty)
            error += float(((x[part] @ w.T + b - y[part]) ** 2).sum())
        assert choice.errors[penalty] == pytest.approx(error / 90, rel=1e-8)
    assert choice.penalty == min(choice.errors, key=choice.errors.get)


def test_of_errors_that_rounding_hides_the_largest_penalty_is_taken():
    x, y = rows(noise=0.0)
    equations = NormalEquations(6, 2, folds=2)
    equations.add(x[:100], y[:100], 0)
    equations.add(x[100:], y[100:], 1)
    choice = equations.choose((1e-12, 1e-11, 1e-10, 1e-9, 1.0))
    assert 1e-10 <= choice.penalty < 1.0


def test_a_singular_ridge_is_told_with_a_penalty_that_is_enough():
    x, y = rows()
    equations = NormalEquations(12, 2)
    equations.add(torch.cat([x, x], dim=1), y)
    with pytest.raises(SingularRidgeError, match=r"12 features from 200 rows .* 0 has no") as told:
        equations.solve(0.0)
    enough = float(str(told.value).split(" is enough")[0].split()[-1])
    weight, _ = equations.solve(enough)
    assert torch.isfinite(weight).all()


def test_fewer_rows_than_features_are_singular_without_a_penalty():
    equations = NormalEquations(6, 2)
    equations.add(*rows(n=3))
    with pytest.raises(SingularRidgeError, match="from 3 rows"):
        equations.solve(0.0)
    equations.solve(1.0)


def test_all_penalties_too_small():
    x, y = rows()
    equations = NormalEquations(12, 2, folds=2)
    equations.add(torch.cat([x, x], dim=1)[:100], y[:100], 0)
    equations.add(torch.cat([x, x], dim=1)[100:], y[100:], 1)
    with pytest.raises(SingularRidgeError):
        equations.choose((0.0, 1e-30))
    assert equations.choose((0.0, 1e-3)).errors[0.0] == np.inf


def test_a_value_that_is_not_finite_is_told():
    x, y = rows()
    x[5, 2] = float("nan")
    equations = NormalEquations(6, 2)
    equations.add(x, y)
    with pytest.raises(ValueError, match="NaN or infinite"):
        equations.solve(1.0)


def test_what_cannot_be_is_told():
    with pytest.raises(ValueError, match="features must be at least 1"):
        NormalEquations(0, 1)
    equations = NormalEquations(2, 1)
    with pytest.raises(ValueError, match="no row was added"):
        equations.solve(1.0)
    equations.add(*rows(features=2, targets=1))
    with pytest.raises(ValueError, match="must not be negative, got -1"):
        equations.solve(-1.0)
    with pytest.raises(ValueError, match="at least 2 folds and 1 penalty"):
        equations.choose((1.0,))
