import pytest
import torch

from ostinato import GRU, LSTM, Recurrent, cells
from ostinato.layers.bridge import Bridge, first_state, states_by_cell

B = 2


def last_of(encoder):
    torch.manual_seed(0)
    _, state = encoder(torch.randn(5, B, encoder.input_size))
    return states_by_cell(encoder, state, B)


def test_equal_cells_hand_their_state_over_as_it_is():
    encoder, decoder = (
        LSTM(3, 4, num_layers=2),
        LSTM(5, 4, num_layers=2, initial_state=Bridge([(4, 4)] * 2)),
    )
    last = last_of(encoder)
    h, c = first_state(decoder, B, torch.zeros(1), last)
    for layer in range(2):
        torch.testing.assert_close(h[layer], last[layer][0])
        torch.testing.assert_close(c[layer], last[layer][1])
    assert not list(decoder.initial.parameters())


def test_two_directions_are_mapped_layer_by_layer():
    encoder = GRU(3, 4, num_layers=2, bidirectional=True)
    bridge = Bridge([(4,)] * 4, directions=2)
    decoder = LSTM(5, 6, num_layers=2, initial_state=bridge)
    last = last_of(encoder)
    h, c = first_state(decoder, B, torch.zeros(1), last)
    for layer in range(2):
        both = torch.cat([last[2 * layer][0], last[2 * layer + 1][0]], dim=-1)
        made = torch.tanh(bridge.maps[layer](both))
        torch.testing.assert_close(h[layer], made[:, :6])
        torch.testing.assert_close(c[layer], made[:, 6:])


@pytest.mark.parametrize(
    ("above", "below", "taken"), [(1, 3, [2]), (3, 1, [0, 0, 0]), (2, 3, [1, 2])]
)
def test_stacks_of_different_depth(above, below, taken):
    encoder = GRU(3, 4, num_layers=below)
    decoder = GRU(3, 4, num_layers=above, initial_state=Bridge([(4,)] * below))
    last = last_of(encoder)
    start = first_state(decoder, B, torch.zeros(1), last)
    for layer, place in enumerate(taken):
        torch.testing.assert_close(start[layer], last[place][0])


def test_a_clock_starts_at_zero():
    decoder = Recurrent(cells.ClockworkRNN(3, 4), initial_state=Bridge([(5,)]))
    h, t = first_state(decoder, B, torch.zeros(1), last_of(GRU(3, 5)))
    assert (t == 0).all()
    assert (h != 0).all()


def test_gradients_reach_the_encoder():
    encoder = GRU(3, 4, bidirectional=True)
    decoder = GRU(5, 6, initial_state=Bridge([(4,)] * 2, directions=2))
    y, _ = decoder(torch.ones(3, B, 5), context=last_of(encoder))
    y.sum().backward()
    assert all((p.grad != 0).any() for p in encoder.parameters())


def test_what_is_missing_is_named():
    with pytest.raises(ValueError, match="no context"):
        GRU(3, 4, initial_state=Bridge([(5,)]))(torch.zeros(2, 1, 3))

    class Silent(torch.nn.Module):
        def forward(self, x, h):
            return h + x

    with pytest.raises(ValueError, match="how wide its states are"):
        Recurrent(Silent(), input_size=4, initial_state=Bridge([(5,)]))
