"""Conjugate gradients: against a solver, with their stops, and what they keep."""

from __future__ import annotations

import pytest
import torch

from ostinato.training.hessian_free.conjugate import (
    conjugate_gradients,
    kept_iterations,
    too_slow,
)

N = 30


@pytest.fixture
def system():
    """A positive matrix of condition about 1e4, with scales of their own on the diagonal."""
    maker = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(N, N, generator=maker, dtype=torch.float64))[0]
    matrix = basis @ torch.diag(torch.logspace(0, 2, N, dtype=torch.float64)) @ basis.T
    scales = torch.logspace(-1, 1, N, dtype=torch.float64)
    gradient = torch.randn(N, generator=maker, dtype=torch.float64)
    return scales[:, None] * matrix * scales, gradient


def quadratic(matrix, gradient, x):
    return (0.5 * x @ matrix @ x + gradient @ x).item()


@pytest.mark.parametrize("scaled", [False, True], ids=["plain", "preconditioned"])
def test_they_find_the_solution(system, scaled):
    matrix, gradient = system
    start = torch.ones_like(gradient)
    found = conjugate_gradients(
        matrix.mv,
        gradient,
        start,
        preconditioner=matrix.diagonal() if scaled else None,
        iterations=5000,
        progress=0,
    )
    wanted = torch.linalg.solve(matrix, -gradient)
    torch.testing.assert_close(found.iterates[-1], wanted, rtol=1e-6, atol=1e-8)
    assert found.reason == "solved"


def test_a_preconditioner_like_the_matrix_saves_iterations(system):
    matrix, gradient = system
    counts = [
        conjugate_gradients(
            matrix.mv, gradient, torch.zeros(N, dtype=torch.float64), preconditioner=scale
        ).count
        for scale in (None, matrix.diagonal())
    ]
    assert counts[1] < counts[0]
    exact = torch.diag(matrix.diagonal())
    once = conjugate_gradients(
        exact.mv, gradient, torch.zeros_like(gradient), preconditioner=matrix.diagonal()
    )
    assert (once.count, once.reason) == (1, "solved")


def test_the_values_are_those_of_the_quadratic(system):
    matrix, gradient = system
    start = torch.ones_like(gradient)
    found = conjugate_gradients(matrix.mv, gradient, start, iterations=12, progress=0)
    assert found.values[0] == pytest.approx(quadratic(matrix, gradient, start))
    for number, x in zip(found.iterations, found.iterates, strict=True):
        assert found.values[number] == pytest.approx(quadratic(matrix, gradient, x))
    assert found.values == sorted(found.values, reverse=True)


def test_it_goes_on_from_where_it_starts(system):
    matrix, gradient = system
    wanted = torch.linalg.solve(matrix, -gradient)
    far, near = (
        conjugate_gradients(matrix.mv, gradient, start, iterations=3)
        for start in (torch.zeros_like(wanted), 0.999 * wanted)
    )
    assert near.values[0] == pytest.approx(quadratic(matrix, gradient, 0.999 * wanted))
    assert near.values[-1] < near.values[0] < far.values[-1]


def test_it_stops_where_progress_ends(system):
    matrix, gradient = system
    start = torch.zeros_like(gradient)
    counts = {}
    for progress in (0, 5e-4, 5e-2):
        found = conjugate_gradients(matrix.mv, gradient, start, iterations=200, progress=progress)
        counts[progress] = found.count
        # up to the stop it had been worth while
        assert not too_slow(found.values[:-1], progress)
    assert counts[5e-2] < counts[5e-4] < counts[0]
    assert conjugate_gradients(matrix.mv, gradient, start).reason == "progress"


def test_the_rule_of_progress_by_its_numbers():
    # over the last 10 of 11 iterations q fell by 0.1 of 10.1
    assert too_slow([0.0, -10.0, *(-10 - 0.01 * n for n in range(1, 11))], 1e-3)
    assert not too_slow([0.0, -10.0, *(-10 - 0.01 * n for n in range(1, 11))], 9e-4)
    # ten iterations are the fewest to look back on
    assert not too_slow([0.0] + [-1.0] * 10, 1e-3)
    assert too_slow([0.0] + [-1.0] * 11, 1e-3)
    # of 200 it is the last 20 that count: 19 of them without a fall, then all 20
    assert not too_slow([-float(n) for n in range(182)] + [-181.0] * 19, 1e-5)
    assert too_slow([-float(n) for n in range(181)] + [-180.0] * 20, 1e-5)
    # while q is above where it would be without a step, it goes on
    assert not too_slow([5.0] * 30, 1e-3)


def test_no_more_iterations_than_allowed(system):
    matrix, gradient = system
    found = conjugate_gradients(matrix.mv, gradient, torch.zeros_like(gradient), iterations=7)
    assert (found.count, found.reason) == (7, "iterations")
    assert found.iterations == [1, 2, 3, 4, 5, 7]


def test_iterates_are_kept_on_a_widening_grid():
    assert sorted(kept_iterations(30)) == [1, 2, 3, 4, 5, 7, 9, 11, 14, 18, 24, 30]
    assert kept_iterations(1) == {1}


def test_a_product_that_is_not_finite_ends_it_with_the_iterates_before(system):
    matrix, gradient = system
    calls = iter(range(1000))

    def product(x):
        return matrix.mv(x) * (float("nan") if next(calls) == 5 else 1.0)

    found = conjugate_gradients(product, gradient, torch.zeros_like(gradient), progress=0)
    assert (found.reason, found.count) == ("not finite", 4)
    assert found.iterates[-1].isfinite().all()


def test_a_direction_without_curvature_ends_it():
    matrix = torch.diag(torch.tensor([1.0, -1.0]))
    found = conjugate_gradients(matrix.mv, torch.tensor([1.0, 2.0]), torch.zeros(2))
    assert (found.reason, found.count) == ("curvature", 0)
    assert torch.equal(found.iterates[-1], torch.zeros(2))


def test_without_a_gradient_nothing_moves():
    found = conjugate_gradients(torch.eye(2).mv, torch.zeros(2), torch.zeros(2))
    assert (found.reason, found.count) == ("solved", 0)
