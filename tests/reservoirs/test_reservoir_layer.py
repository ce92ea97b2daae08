"""Reservoirs as layers: the walk over single connections equals the cell, called step by step."""

import itertools

import pytest
import torch

import ostinato
from ostinato.engine.llvm.compile import host_target
from ostinato.reservoirs import Reservoir, ReservoirCell, fast
from ostinato.reservoirs import sparse as kernel

SHAPES = [
    # steps, rows, inputs, units, layers, directions
    (70, 1, 1, 64, 1, False),
    (70, 3, 2, 101, 1, True),
    (70, 9, 1, 77, 2, False),
    (30, 17, 20, 100, 1, False),
    (40, 2, 3, 65, 2, True),
]


@pytest.fixture
def sparse(monkeypatch):
    """Lets the sparse walk do whatever it can, and tells which calls it did."""
    done = []
    walk = fast.walk

    def watched(call):
        found = walk(call)
        done.append(found is not None)
        return found

    monkeypatch.setattr(fast, "pays", lambda *_, **__: True)
    monkeypatch.setattr(fast, "walk", watched)
    return done


def both(layer, *args, **options):
    """What the fast engine says, and what the reference says."""
    with ostinato.engine("auto"):
        ours = layer(*args, **options)
    return ours, layer(*args, **options)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "identity", "softplus"])
def test_the_sparse_walk_equals_the_reference(sparse, activation):
    layer = Reservoir(1, 70, density=0.1, leak=0.6, activation=activation, seed=0)
    (y, h), (expected, last) = both(layer, torch.rand(50, 2, 1).double())
    assert sparse == [True, False]
    torch.testing.assert_close(y, expected, rtol=1e-11, atol=1e-13)
    torch.testing.assert_close(h, last, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(("T", "B", "inputs", "units", "layers", "bidirectional"), SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_does_so_for_every_shape(sparse, T, B, inputs, units, layers, bidirectional, dtype):
    layer = Reservoir(
        inputs, units, layers, bidirectional, density=0.1, leak=0.5, seed=1, dtype=dtype
    )
    x = torch.rand(T, B, inputs, dtype=dtype)
    start = torch.rand(layers * (1 + bidirectional), B, units, dtype=dtype)
    start = start[0] if len(start) == 1 else start
    ours, reference = both(layer, x, start, all_states=True)
    assert any(sparse)
    far = 1e-11 if dtype == torch.float64 else 1e-4
    torch.testing.assert_close(ours[:2], reference[:2], rtol=far, atol=far)
    torch.testing.assert_close(ours[2], reference[2], rtol=far, atol=far)


@pytest.mark.parametrize("B", [1, 2])
def test_a_long_sequence_is_walked_in_segments(sparse, B):
    layer = Reservoir(2, 80, density=0.05, spectral_radius=0.7, seed=0)
    x = torch.rand(3001, B, 2).double()
    (y, h), (expected, last) = both(layer, x, torch.ones(B, 80).double())
    walker, _ = layer.units[0].__dict__["_walker"]
    assert 0 < walker.forgets < 375
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(h, last, rtol=0, atol=1e-12)


@pytest.mark.parametrize("level", ["avx2", "sse2"])
def test_lesser_processors_walk_the_same(sparse, monkeypatch, level):
    try:
        target = host_target(level)
    except ValueError as error:
        pytest.skip(str(error))
    kernel._library.cache_clear()
    monkeypatch.setattr(kernel, "host_target", lambda: target)
    layer = Reservoir(1, 70, density=0.1, spectral_radius=0.7, seed=0)
    (y, _), (expected, _) = both(layer, torch.rand(1200, 1, 1).double())
    kernel._library.cache_clear()
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-12)
    assert any(sparse)


def test_a_reservoir_that_does_not_forget_is_walked_in_one_piece(sparse):
    layer = Reservoir(1, 80, density=0.2, spectral_radius=0.999, activation="identity", seed=0)
    x = torch.rand(1500, 1, 1).double() - 0.5
    (y, _), (expected, _) = both(layer, x)
    assert layer.units[0].__dict__["_walker"][0].forgets == -1
    torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-11)


def test_segments_that_do_not_meet_are_walked_again(sparse):
    # quick to forget while the input saturates the units, slow after it
    layer = Reservoir(
        1, 80, density=0.2, spectral_radius=1.0, input_scaling=1.0, bias_scaling=0.0, seed=0
    )
    x = torch.zeros(4000, 1, 1).double()
    x[:1024] = 30 * (torch.rand(1024, 1, 1).double() - 0.5).sign()
    (y, _), (expected, _) = both(layer, x)
    assert layer.units[0].__dict__["_walker"][0].forgets == -1
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-12)


def test_weights_that_change_are_seen(sparse):
    layer = Reservoir(1, 64, density=0.1, seed=0)
    x = torch.rand(70, 1, 1).double()
    with ostinato.engine("auto"):
        before = layer(x)[0]
        layer.units[0].weight_hh.data *= 0.5
        after = layer(x)[0]
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, layer(x)[0], rtol=0, atol=1e-12)


def test_gradients_go_the_general_way(sparse):
    layer = Reservoir(1, 64, density=0.1, seed=0)
    x = torch.rand(70, 1, 1).double().requires_grad_()
    with ostinato.engine("auto"):
        layer(x)[0].sum().backward()
    assert x.grad.abs().sum() > 0
    assert not any(sparse)


def test_lengths_and_resets_go_the_general_way():
    layer = Reservoir(1, 64, density=0.1, seed=0)
    x = torch.rand(70, 2, 1).double()
    reset = torch.zeros(70, 2, dtype=torch.bool)
    reset[40] = True
    (y, h), (expected, last) = both(layer, x, lengths=[70, 33], reset=reset)
    torch.testing.assert_close(y, expected, rtol=1e-11, atol=1e-13)
    torch.testing.assert_close(h, last, rtol=1e-11, atol=1e-13)


def test_a_subclass_is_not_taken_for_what_it_inherits(sparse):
    class Mine(ReservoirCell):
        def forward(self, x, h):
            return 2 * super().forward(x, h)

    cell = Mine(1, 64, density=0.1, seed=0)
    layer = Reservoir(1, 64, density=0.1, seed=0)
    layer.cells[0] = cell
    (y, _), (expected, _) = both(layer, torch.rand(70, 1, 1).double())
    torch.testing.assert_close(y, expected, rtol=1e-10, atol=1e-12)
    assert not any(sparse)


def test_it_is_chosen_for_few_connections_alone():
    assert fast.pays(1000, 0.01, 1, torch.float64)
    assert not fast.pays(1000, 1.0, 32, torch.float64)
    assert not fast.pays(10, 0.1, 1, torch.float64)
    assert not fast.pays(1000, 0.3, 1, torch.float64)
    assert fast.pays(1000, 0.3, 1, torch.float64, cut=True)


def test_it_streams_and_takes_steps():
    layer = Reservoir(2, 64, 2, density=0.1, seed=0)
    x = torch.rand(5, 1, 2).double()
    step = layer.stream(batch_size=1)
    with ostinato.engine("auto"):
        y = torch.stack([step(given) for given in x])
    torch.testing.assert_close(y, layer(x)[0])


def test_layers_and_directions_differ_and_the_seed_makes_them_again():
    one, two = (Reservoir(1, 20, 2, True, seed=5) for _ in range(2))
    weights = [cell.weight_hh for cell in one.units]
    assert not any(torch.equal(a, b) for a, b in itertools.pairwise(weights))
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)
