import copy
import pickle

import pytest
import torch
from layer_cases import LAYERS, H, I, Plain, StartsAtHalf, TwoFaced, loop, make, parts
from torch import nn

import ostinato as ost
from ostinato import cells

X = torch.randn(6, 2, I, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
close = torch.testing.assert_close


def test_one_cell_gives_what_its_equations_give_step_by_step():
    for cell in (cells.LSTM(I, H).double(), TwoFaced(I, H).double()):
        y, state = ost.Recurrent(cell)(X)
        expected_y, expected = loop(cell, X, cell.initial_state(2))
        close(y, expected_y)
        close(parts(state), expected)


def test_given_state_is_where_the_walk_starts():
    cell = cells.GRU(I, H).double()
    layer = ost.Recurrent(cell)
    h0 = torch.randn(2, H, dtype=torch.float64)
    close(layer(X, h0)[0], loop(cell, X, (h0,))[0])
    assert not torch.equal(layer(X, h0)[0], layer(X)[0])


def test_a_stack_feeds_each_layer_with_the_outputs_below():
    layer = make("lstm-2-layers")
    below, first = loop(layer.cells[0], X, layer.cells[0].initial_state(2))
    above, second = loop(layer.cells[1], below, layer.cells[1].initial_state(2))
    y, (h, c) = layer(X)
    close(y, above)
    close(h, torch.stack([first[0], second[0]]))
    close(c, torch.stack([first[1], second[1]]))


def test_both_directions_stand_side_by_side():
    layer = make("bidirectional")
    forward, backward = layer.cells
    zero = forward.initial_state(2)
    y, (h, _) = layer(X)
    there, there_state = loop(forward, X, zero)
    back, back_state = loop(backward, X.flip(0), zero)
    close(y, torch.cat([there, back.flip(0)], dim=-1))
    close(h, torch.stack([there_state[0], back_state[0]]))


def test_the_cells_of_a_stack_share_no_parameter():
    layer = make("deep")
    assert len(layer.cells) == 4
    first = [dict(cell.named_parameters())["gates.weight_hh"] for cell in layer.cells]
    assert all(not torch.equal(first[0], other) for other in first[1:])
    assert [cell.input_size for cell in layer.cells] == [I, I, 2 * H, 2 * H]


def test_a_stack_keeps_the_options_and_the_type_of_its_cell():
    layer = ost.Recurrent(cells.LSTM(I, H, proj_size=2, peephole=True).double(), num_layers=2)
    assert layer.cells[1].peephole
    assert layer.cells[1].input_size == 2
    assert layer(X)[0].dtype == torch.float64


def test_residual_adds_the_input_where_widths_agree():
    torch.manual_seed(0)
    layer = ost.Recurrent(cells.Elman(I, H), num_layers=2, residual=True).double()
    below, _ = loop(layer.cells[0], X, layer.cells[0].initial_state(2))
    above, _ = loop(layer.cells[1], below, layer.cells[1].initial_state(2))
    close(layer(X)[0], below + above)


def test_batch_first_exchanges_two_axes_and_nothing_else():
    plain, other = make("bidirectional"), make("bidirectional", batch_first=True)
    y, state, states = plain(X, all_states=True)
    y_b, state_b, states_b = other(X.transpose(0, 1), all_states=True)
    close(y_b, y.transpose(0, 1))
    close(state_b, state)
    close(states_b, tuple(part.transpose(1, 2) for part in states))


@pytest.mark.parametrize("name", LAYERS)
def test_one_sequence_may_come_without_a_batch(name):
    layer = make(name)
    y, state, states = layer(X[:, 0], all_states=True)
    y_b, state_b, states_b = layer(X[:, :1], all_states=True)
    close(y, y_b[:, 0])
    close(parts(state), tuple(part.squeeze(-2) for part in parts(state_b)))
    close(parts(states), tuple(part.squeeze(-2) for part in parts(states_b)))
    close(layer(X[:, 0], state)[0], layer(X[:, :1], state_b)[0][:, 0])


@pytest.mark.parametrize("name", LAYERS)
def test_all_states_holds_every_state_at_every_step(name):
    layer = make(name)
    y, state, states = layer(X, all_states=True)
    close((y, state), layer(X))
    backward = layer.bidirectional
    for last, history in zip(parts(state), parts(states), strict=True):
        at_end = history.select(-3, len(X) - 1)
        if backward:
            at_end = at_end.clone()
            at_end[1::2] = history[1::2, 0]
        close(at_end, last)
    for t in (1, 4):
        # the forward cell of the lowest layer, on its own
        cut = parts(layer(X[:t], all_states=True)[2])
        whole = parts(states)
        stacked = whole[0].dim() == 4
        pairs = zip(cut, whole, strict=True)
        for short, long in pairs:
            close((short[0] if stacked else short), (long[0] if stacked else long)[:t])


@pytest.mark.parametrize("name", LAYERS)
def test_a_sequence_in_two_halves_gives_the_same_as_whole(name):
    layer = make(name)
    if layer.bidirectional:
        return
    y, state = layer(X)
    first, middle = layer(X[:2])
    second, end = layer(X[2:], middle)
    close(torch.cat([first, second]), y)
    close(end, state)


@pytest.mark.parametrize("name", LAYERS)
def test_no_step_at_all_leaves_the_state(name):
    layer = make(name)
    y, state = layer(X[:0])
    assert y.shape == (0, 2, layer.output_size)
    assert layer(X)[0].shape == (6, 2, layer.output_size)
    y_again, again = layer(X[:0], state)
    close(again, state)
    assert y_again.shape == y.shape


@pytest.mark.parametrize("name", LAYERS)
def test_copies_and_pickles_give_the_same_numbers_from_own_parameters(name):
    layer = make(name)
    expected = layer(X)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        close(twin(X), expected)
        with torch.no_grad():
            next(twin.parameters()).add_(1.0)
        assert not torch.equal(twin(X)[0], expected[0])
        close(layer(X), expected)


def test_dropout_acts_between_layers_in_training_only():
    layer = make("lstm-2-layers", dropout=0.5)
    same = make("lstm-2-layers")
    y, (h, _) = layer(X)
    y_same, (h_same, _) = same(X)
    close(h[0], h_same[0])  # the lowest layer hears no dropout
    assert not torch.allclose(y, y_same)
    close(layer.eval()(X), same(X))


def test_dropout_of_everything_leaves_the_upper_layer_without_input():
    with pytest.warns(UserWarning, match="one layer only"):
        ost.Recurrent(cells.GRU(I, H), dropout=0.5)
    layer = make("lstm-2-layers", dropout=1.0)
    upper = layer.cells[1]
    expected, _ = loop(upper, torch.zeros(6, 2, H, dtype=torch.float64), upper.initial_state(2))
    close(layer(X)[0], expected)


def test_locked_dropout_keeps_its_mask_over_time():
    class Passes(ost.Cell):
        def forward(self, x, h):
            return x + 0 * h

        def rebuild(self, input_size):
            return Passes(input_size, input_size)

    ones = torch.ones(50, 1, 40)
    locked = ost.Recurrent(Passes(40, 40), 2, dropout=0.5, locked_dropout=True)
    y, _ = locked(ones)
    assert (y == y[0]).all()
    assert sorted(y.unique().tolist()) == [0.0, 2.0]
    y, _ = ost.Recurrent(Passes(40, 40), 2, dropout=0.5)(ones)
    assert not (y == y[0]).all()


def test_a_strangers_cell_needs_its_widths_only_where_nothing_else_tells_them():
    cell = Plain().double()
    bare = ost.Recurrent(cell)
    h0 = torch.zeros(2, H, dtype=torch.float64)
    expected = loop(cell, X, (h0,))[0]
    close(bare(X, h0)[0], expected)
    told = ost.Recurrent(cell, input_size=I, state_sizes=(H,))
    close(told(X)[0], expected)
    assert told.output_size == H
    with pytest.raises(ValueError, match="Pass the state, or state_sizes"):
        bare(X)


def test_a_stack_of_strangers_comes_as_a_list():
    pair = [Plain(I, H).double(), Plain(H, H).double()]
    layer = ost.Recurrent(pair, num_layers=2, input_size=I, state_sizes=(H,))
    zero = torch.zeros(2, H, dtype=torch.float64)
    below, first = loop(pair[0], X, (zero,))
    above, second = loop(pair[1], below, (zero,))
    y, h = layer(X)
    close(y, above)
    close(h, torch.stack([*first, *second]))


def test_cells_of_different_widths_have_a_state_each():
    pair = [cells.LSTM(I, H).double(), cells.LSTM(H, 2).double()]
    layer = ost.Recurrent(pair, num_layers=2)
    below, first = loop(pair[0], X, pair[0].initial_state(2))
    above, second = loop(pair[1], below, pair[1].initial_state(2))
    y, state = layer(X)
    close(y, above)
    close(state, (first, second))
    close(layer(X[3:], layer(X[:3])[1])[0], y[3:])


def test_own_initial_state_of_a_cell_is_taken():
    cell = StartsAtHalf(I, H).double()
    half = torch.full((2, H), 0.5, dtype=torch.float64)
    close(ost.Recurrent(cell)(X)[0], loop(cell, X, (half,))[0])


def test_module_methods_reach_every_cell():
    layer = make("deep")
    assert layer.float()(X.float())[0].dtype == torch.float32
    names = {name.split(".")[1] for name in layer.state_dict()}
    assert names == {"0", "1", "2", "3"}
    assert isinstance(layer.cell, nn.Module)
    assert layer.cell is layer.cells[0]
