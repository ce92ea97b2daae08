"""Matrices of reservoirs: who hears whom, and the radius they are scaled to."""

import pytest
import torch

from ostinato.reservoirs.topology import (
    TOPOLOGIES,
    input_matrix,
    random_matrix,
    recurrent_matrix,
    ring,
    scaled_to_radius,
    small_world,
    spectral_radius,
)


def drawn(make, *args, seed=0, **options):
    return make(*args, generator=torch.Generator().manual_seed(seed), **options)


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("radius", [0.3, 0.99, 1.7])
def test_the_radius_is_exact(topology, radius):
    matrix = drawn(recurrent_matrix, 60, topology=topology, density=0.1, radius=radius)
    largest = torch.linalg.eigvals(matrix).abs().max().item()
    assert largest == pytest.approx(radius, rel=1e-12)


def test_each_unit_of_a_random_matrix_hears_as_many_others():
    matrix = drawn(random_matrix, 40, 0.25)
    assert (matrix != 0).sum(1).tolist() == [10] * 40
    assert matrix.abs().max() < 1
    assert not torch.equal(matrix, drawn(random_matrix, 40, 0.25, seed=1))


def test_a_ring_goes_round_once():
    matrix = ring(5)
    assert torch.equal(torch.linalg.matrix_power(matrix, 5), torch.eye(5).double())
    assert matrix[1, 0] == matrix[0, 4] == 1


def test_a_small_world_is_a_lattice_with_some_connections_elsewhere():
    places = torch.arange(50)
    apart = (places[:, None] - places).abs()
    near = (torch.minimum(apart, 50 - apart) <= 3) & (apart > 0)
    lattice = drawn(small_world, 50, 0.12, rewired=0.0) != 0
    assert torch.equal(lattice, near)
    some = drawn(small_world, 50, 0.12, rewired=0.2) != 0
    assert some.sum(1).tolist() == [6] * 50
    assert 0.1 < (some & ~near).sum() / some.sum() < 0.3
    assert not some.diagonal().any()


def test_a_given_matrix_is_scaled():
    given = torch.tensor([[0.0, 4.0], [1.0, 0.0]])
    matrix = recurrent_matrix(2, topology=given, density=1.0, radius=0.5)
    torch.testing.assert_close(matrix, given.double() / 4)


@pytest.mark.parametrize(
    "nilpotent",
    [
        torch.ones(6, 6).tril(-1),
        torch.tensor([[1.0, 1.0], [-1.0, -1.0]]),
        torch.zeros(3, 3),
    ],
    ids=["no cycle", "cancelling", "empty"],
)
def test_a_nilpotent_matrix_is_refused(nilpotent):
    with pytest.raises(ValueError, match=r"nilpotent .* spectral radius 0.9. Raise density"):
        scaled_to_radius(nilpotent.double(), 0.9)


def test_a_nilpotent_draw_is_refused_whatever_the_order_of_its_units():
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    matrix = torch.randn(30, 30, dtype=torch.float64).tril(-1)[order][:, order]
    with pytest.raises(ValueError, match="nilpotent"):
        scaled_to_radius(matrix, 0.9)


def test_a_radius_of_zero_is_no_connection():
    assert not scaled_to_radius(torch.eye(3).double(), 0.0).any()


def test_inputs_are_scaled_and_thinned():
    full = drawn(input_matrix, 200, 10, scaling=0.5)
    assert 0.49 < full.abs().max() < 0.5
    thin = drawn(input_matrix, 200, 10, scaling=0.5, density=0.2)
    assert (thin != 0).double().mean().item() == pytest.approx(0.2, abs=0.03)


def test_what_cannot_be_is_told():
    with pytest.raises(ValueError, match=r"density must be in \(0, 1\], got 0"):
        recurrent_matrix(5, density=0, radius=0.9)
    with pytest.raises(ValueError, match=r"'smal_world' is none of .* Did you mean 'small_world'"):
        recurrent_matrix(5, topology="smal_world", density=1, radius=0.9)
    with pytest.raises(ValueError, match=r"must be \[5, 5\], got \[4, 4\]"):
        recurrent_matrix(5, topology=torch.eye(4), density=1, radius=0.9)
    with pytest.raises(ValueError, match="must not be negative, got -1"):
        scaled_to_radius(torch.eye(2), -1)
    with pytest.raises(ValueError, match=r"input_density must be in"):
        input_matrix(3, 2, scaling=1.0, density=2.0)
    with pytest.raises(ValueError, match="not finite"):
        spectral_radius(torch.tensor([[float("nan")]]))
