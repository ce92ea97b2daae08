"""What a reservoir remembers, whether it forgets, and units that learn by themselves."""

import pytest
import torch

from ostinato.reservoirs import (
    Reservoir,
    ReservoirCell,
    echo_states,
    effective_spectral_radius,
    intrinsic_plasticity,
    memory_capacity,
)


def test_a_delay_line_remembers_as_many_inputs_as_it_has_units():
    line = Reservoir(1, 12, topology="ring", activation="identity", bias_scaling=0.0, seed=0)
    cell = line.units[0]
    cell.weight_hh.zero_()
    cell.weight_hh[range(1, 12), range(11)] = 1.0
    cell.weight_ih.zero_()
    cell.weight_ih[0] = 1.0
    found = memory_capacity(line)
    # unit k holds the input of k steps ago; the first one that of now
    torch.testing.assert_close(found.delays[:11], torch.ones(11).double(), rtol=0, atol=1e-6)
    assert found.delays[11:].sum() == 0
    assert found.capacity == pytest.approx(11, abs=1e-5)


def test_no_reservoir_remembers_more_than_it_has_units():
    for activation in ("tanh", "identity"):
        layer = Reservoir(1, 15, activation=activation, input_scaling=0.1, seed=0)
        assert 3 < memory_capacity(layer, delays=60).capacity <= 15.01


def test_options_of_the_memory_capacity_change_it():
    layer = Reservoir(1, 15, input_scaling=0.1, seed=0)
    first = memory_capacity(layer).capacity
    for options in ({"delays": 3}, {"steps": 500}, {"seed": 1}, {"ridge": 10.0}, {"washout": 900}):
        assert memory_capacity(layer, **options).capacity != pytest.approx(first, rel=1e-9)


def test_the_effective_radius_is_that_of_the_leaky_step():
    cell = ReservoirCell(1, 40, spectral_radius=0.9, leak=0.3, seed=0)
    step = 0.7 * torch.eye(40).double() + 0.3 * cell.weight_hh
    expected = torch.linalg.eigvals(step).abs().max().item()
    assert effective_spectral_radius(cell) == pytest.approx(expected, rel=1e-12)


def test_echo_states_are_certain_possible_or_neither():
    x = torch.zeros(400, 1).double()

    def found(radius, **options):
        cell = ReservoirCell(1, 40, spectral_radius=radius, bias_scaling=0.0, seed=0, **options)
        return echo_states(cell, x)

    small, large = found(0.3), found(1.5)
    assert small.certain
    assert small.possible
    assert 5 < small.steps < 60
    assert not large.certain
    assert not large.possible
    assert large.steps is None
    assert large.apart > 0.01
    assert "agree after" in str(small)
    assert "still differ" in str(large)
    between = found(0.9)
    assert between.possible
    assert not between.certain


def test_options_of_the_check_change_it():
    cell = ReservoirCell(1, 40, spectral_radius=0.8, seed=0)
    x = torch.linspace(0, 1, 300)[:, None]
    first = echo_states(cell, x)
    assert echo_states(cell, x, tolerance=1e-3).steps < first.steps
    apart = echo_states(cell, x[:20]).apart
    assert echo_states(cell, x[:20], starts=2).apart != apart
    assert echo_states(cell, x[:20], seed=1).apart != apart


def test_more_than_one_input_has_no_memory_capacity():
    with pytest.raises(ValueError, match="got 2 inputs"):
        memory_capacity(Reservoir(2, 5))


@pytest.mark.parametrize(
    ("activation", "options"),
    [("tanh", {"mean": 0.1, "deviation": 0.3}), ("sigmoid", {"mean": 0.2})],
)
def test_plasticity_drives_units_towards_its_mean(activation, options):
    cell = ReservoirCell(1, 40, activation=activation, bias_scaling=1.0, seed=0)
    x = torch.rand(600, 1).double() * 2 - 1

    def values():
        h = torch.zeros(40).double()
        found = []
        for given in x:
            h = cell(given[None], h[None])[0]
            found.append(h)
        return torch.stack(found)[100:]

    before = (values().mean(0) - options["mean"]).abs().mean()
    intrinsic_plasticity(cell, x, rate=5e-3, epochs=8, **options)
    after = (values().mean(0) - options["mean"]).abs().mean()
    assert after < 0.4 * before


def test_a_step_of_plasticity_is_its_equation():
    cell = ReservoirCell(1, 3, seed=0)
    W, U, b = (p.clone() for p in (cell.weight_ih, cell.weight_hh, cell.bias))
    x = torch.tensor([[0.7]]).double()
    gain, bias = intrinsic_plasticity(cell, x, mean=0.1, deviation=0.5, rate=0.01)
    z = (W @ x[0]) + b
    y, s, m = z.tanh(), 0.5, 0.1
    down = -0.01 * (-m / s**2 + y / s**2 * (2 * s**2 + 1 - y**2 + m * y))
    torch.testing.assert_close(bias, down)
    torch.testing.assert_close(gain, 1 + 0.01 + down * z)
    torch.testing.assert_close(cell.weight_hh.data, U * gain[:, None])
    torch.testing.assert_close(cell.bias.data, b * gain + bias)


def test_plasticity_refuses_other_units():
    with pytest.raises(ValueError, match="not for 'relu'"):
        intrinsic_plasticity(ReservoirCell(1, 3, activation="relu"), torch.zeros(3, 1))
    with pytest.raises(ValueError, match="must be positive and epochs"):
        intrinsic_plasticity(ReservoirCell(1, 3), torch.zeros(3, 1), rate=0)
    with pytest.raises(ValueError, match="mean must be positive"):
        intrinsic_plasticity(ReservoirCell(1, 3, activation="sigmoid"), torch.zeros(3, 1), mean=0.0)
