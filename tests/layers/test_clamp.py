import pytest
import torch
from layer_cases import H, I, TwoFaced, gradients

import ostinato as ost
from ostinato import cells
from ostinato.engine import split_result
from ostinato.layers import Clamp

close = torch.testing.assert_close
T, B = 5, 2
X = torch.randn(T, B, I, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
UNITS = [0, 3]


def by_hand(cell, values, which):
    """Units held in the state that the cell reads and in the one that it leaves."""
    state, outputs = cell.initial_state(B), []

    def hold(parts, t):
        held = parts[which].index_copy(1, torch.tensor(UNITS), values[t])
        return tuple(held if i == which else part for i, part in enumerate(parts))

    for t, x_t in enumerate(X):
        output, new = split_result(cell(x_t, *hold(state, t)), len(state))
        state = hold(new, t)
        outputs.append(state[0] if output is new[0] else output)
    return torch.stack(outputs), state


@pytest.mark.parametrize("state", [0, 1])
def test_held_units_have_the_values_of_each_step(state):
    cell = cells.LSTM(I, H).double()
    values = torch.randn(T, B, 2, dtype=torch.float64)
    layer = ost.Recurrent(cell, clamp=Clamp(UNITS, state=state))
    y, last, states = layer(X, clamp=values, all_states=True)
    expected_y, expected = by_hand(cell, values, state)
    close(y, expected_y)
    close(last, expected)
    close(states[state][:, :, UNITS], values, rtol=0, atol=0)
    first = ost.Recurrent(cell, clamp=Clamp(UNITS, state=state), batch_first=True)
    close(first(X.transpose(0, 1), clamp=values.transpose(0, 1))[0].transpose(0, 1), y)
    close(layer(X[:, 0], clamp=values[:, 0])[0], y[:, 0])


def test_a_constant_is_the_same_as_equal_values_at_every_step():
    cell = TwoFaced(I, H).double()
    constant = ost.Recurrent(cell, clamp=Clamp(UNITS, [0.3, -0.2]))
    given = ost.Recurrent(cell, clamp=Clamp(UNITS))
    values = torch.tensor([0.3, -0.2], dtype=torch.float64).expand(T, B, 2)
    close(constant(X), given(X, clamp=values))
    assert not torch.allclose(constant(X, clamp=values + 1)[0], constant(X)[0])
    assert not torch.allclose(constant(X)[0], ost.Recurrent(cell)(X)[0])


def test_gradients_reach_values_and_spare_what_is_held():
    cell = cells.Elman(I, H).double()
    layer = ost.Recurrent(cell, clamp=Clamp(UNITS))
    values = torch.randn(T, B, 2, dtype=torch.float64, requires_grad=True)
    h0 = torch.randn(B, H, dtype=torch.float64, requires_grad=True)
    y, _ = layer(X, h0, clamp=values)
    on_values, on_h0, on_u = gradients(
        y[:, :, [1, 2]].square().sum(), [values, h0, cell.gates.weight_hh]
    )
    assert (on_values != 0).all()
    assert (on_h0[:, UNITS] == 0).all()
    assert (on_h0[:, [1, 2]] != 0).all()
    assert (on_u[UNITS] == 0).all()  # what these units would compute is thrown away
    assert (on_u[[1, 2]] != 0).all()


def test_a_layer_of_a_stack_is_held_and_the_others_are_free():
    torch.manual_seed(0)
    layer = ost.LSTM(I, H, 2, bidirectional=True, clamp=Clamp(UNITS, 0.25, layer=1)).double()
    _, (h, _) = layer(X)
    assert (h[2:, :, UNITS] == 0.25).all()
    assert not (h[:2, :, UNITS] == 0.25).any()
    everywhere = ost.LSTM(I, H, 2, clamp=Clamp(UNITS, 0.25)).double()
    assert (everywhere(X)[1][0][..., UNITS] == 0.25).all()


def test_resets_lengths_and_zoneout_leave_held_units_held():
    layer = ost.GRU(I, H, clamp=Clamp(UNITS, 0.5), zoneout=0.3).double()
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[2, 0] = True
    x = X.clone()
    x[3:, 1] = float("nan")
    y, h = layer(x, lengths=[T, 3], reset=reset)
    assert (y[:3, :, UNITS] == 0.5).all()
    assert (y[3:, 1] == 0).all()
    assert (h[..., UNITS] == 0.5).all()


def test_what_does_not_fit_is_said():
    layer = ost.GRU(I, H, clamp=Clamp(UNITS)).double()
    with pytest.raises(ValueError, match=r"no values. Pass clamp= with 2 value\(s\)"):
        layer(X)
    with pytest.raises(ValueError, match=r"hold 2 value\(s\) for each step and row, got 3"):
        layer(X, clamp=torch.zeros(T, B, 3))
    with pytest.raises(ValueError, match=r"\(time 5, batch 2, units\), got \[2, 2\]"):
        layer(X, clamp=torch.zeros(B, 2))
    with pytest.raises(ValueError, match="no unit is clamped"):
        ost.GRU(I, H).double()(X, clamp=torch.zeros(T, B, 2))
    with pytest.raises(ValueError, match=r"in 0..3, got \[4\]"):
        ost.GRU(I, H, clamp=Clamp([4]))
    with pytest.raises(ValueError, match="no such state"):
        ost.GRU(I, H, clamp=Clamp([0], state=1))
    with pytest.raises(ValueError, match=r"clamp is for layer 2, and there are 0..1"):
        ost.GRU(I, H, 2, clamp=Clamp([0], layer=2))
    with pytest.raises(ValueError, match="2 units need one value or as many, got 3"):
        Clamp([0, 1], [1, 2, 3])
