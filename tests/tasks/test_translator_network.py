from dataclasses import replace

import pytest
import torch
from torch import nn

from ostinato.layers.attention import AdditiveAttention, DotAttention
from ostinato.tasks.translator.decoder import BetweenDecoder, Decoder, FeedingDecoder
from ostinato.tasks.translator.network import TranslatorNetwork
from ostinato.tasks.translator.settings import PLACES, TranslatorModelSettings

SMALL = TranslatorModelSettings(
    hidden_size=8, num_layers=2, embedding_size=6, embedding_dropout=0.0, output_dropout=0.0
)
SOURCE, SOURCE_LENGTHS = torch.arange(10).view(5, 2) + 1, torch.tensor([5, 3])
INPUTS, LENGTHS = torch.arange(8).view(4, 2), torch.tensor([4, 2])


class Mine(nn.Module):
    """A cell of a stranger: two states of different widths, the output a thing of its own."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.read = nn.Linear(input_size + hidden_size + 3, hidden_size)
        self.state_sizes = (hidden_size, 3)

    def initial_state(self, batch_size):
        return tuple(torch.zeros(batch_size, size) for size in self.state_sizes)

    def forward(self, x, h, s):
        h = torch.tanh(self.read(torch.cat([x, h, s], dim=-1)))
        return h[:, :5], (h, torch.sin(s + h[:, :3]))


def built(settings=SMALL, target_size=None, cell=None):
    torch.manual_seed(0)
    return TranslatorNetwork(20, target_size, settings, cell=cell).eval()


def read(network):
    return network(SOURCE, SOURCE_LENGTHS, INPUTS, LENGTHS)


def check_steps_equal_the_walk(network):
    outputs, weights = read(network)
    state = network.begin(SOURCE, SOURCE_LENGTHS)
    for t in range(len(INPUTS)):
        scores, seen, state = network.step(INPUTS[t], state)
        for b in range(2):
            if t < LENGTHS[b]:
                torch.testing.assert_close(scores[b], network.readout(outputs[t, b]))
                if seen is not None:
                    torch.testing.assert_close(seen[b], weights[t, b])


@pytest.mark.parametrize("cell", ["lstm", "gru", "elman", "clockwork", "narx", "torch.nn:GRUCell"])
@pytest.mark.parametrize("place", [None, *PLACES])
def test_steps_give_the_numbers_of_the_walk_for_any_cell(place, cell):
    settings = replace(SMALL, cell=cell, attention=place and "general")
    check_steps_equal_the_walk(built(replace(settings, attention_place=place or "after")))


@pytest.mark.parametrize("place", [None, *PLACES])
def test_a_strangers_cell_with_uneven_states(place):
    settings = replace(SMALL, attention=place and "additive", attention_place=place or "after")
    network = built(settings, cell=Mine)
    check_steps_equal_the_walk(network)
    network.train()
    read(network)[0].sum().backward()
    used = [name for name, p in network.named_parameters() if p.grad is None]
    assert used == ["readout.bias"]


@pytest.mark.parametrize("place", PLACES)
def test_what_stands_behind_the_end_of_a_row_changes_nothing(place):
    network = built(replace(SMALL, attention_place=place))
    outputs, weights = read(network)
    source, inputs = SOURCE.clone(), INPUTS.clone()
    source[3:, 1], inputs[2:, 1] = 19, 19
    again, seen = network(source, SOURCE_LENGTHS, inputs, LENGTHS)
    torch.testing.assert_close(again[:2, 1], outputs[:2, 1])
    torch.testing.assert_close(seen[:2, 1], weights[:2, 1])
    torch.testing.assert_close(again[:, 0], outputs[:, 0])


@pytest.mark.parametrize("place", [None, *PLACES])
def test_a_target_depends_on_all_of_its_source_and_on_nothing_to_come(place):
    network = built(
        replace(
            SMALL,
            attention=place and "dot" if place != "after" else "additive",
            attention_place=place or "after",
            encoder_size=4,
        )
    )
    outputs, _ = read(network)
    for s in range(5):
        source = SOURCE.clone()
        source[s, 0] = 19
        assert not torch.equal(
            network(source, SOURCE_LENGTHS, INPUTS, LENGTHS)[0][0, 0], outputs[0, 0]
        )
    inputs = INPUTS.clone()
    inputs[2, 0] = 19
    again, _ = network(SOURCE, SOURCE_LENGTHS, inputs, LENGTHS)
    torch.testing.assert_close(again[:2, 0], outputs[:2, 0])
    assert not torch.equal(again[2, 0], outputs[2, 0])


def test_rows_of_the_state_can_be_chosen_and_a_memory_is_kept_once():
    for place in PLACES:
        network = built(replace(SMALL, attention_place=place))
        state = network.begin(SOURCE, SOURCE_LENGTHS)
        _, _, state = network.step(INPUTS[0], state)
        # two hypotheses for each source, then only those of the second
        pairs = state.select(torch.tensor([0, 0, 1, 1]))
        assert len(pairs.memory.values) == 2
        after, seen, pairs = network.step(torch.tensor([4, 5, 6, 7]), pairs)
        alone = network.step(torch.tensor([5, 7]), state)[0]
        torch.testing.assert_close(after[[1, 3]], alone)
        assert seen.shape == (4, 5)
        rest = pairs.select(torch.tensor([3, 2]))
        assert len(rest.memory.values) == 1
        swapped = network.step(torch.tensor([1, 2]), rest)[0]
        both = network.step(torch.tensor([9, 9, 2, 1]), pairs)[0]
        torch.testing.assert_close(swapped, both[[3, 2]])


def changed(**settings):
    return read(built(replace(SMALL, **settings)))[0]


@pytest.mark.parametrize(
    "settings",
    [
        {"attention": None},
        {"attention": "general"},
        {"attention": "concat"},
        {"attention_place": "between"},
        {"attention_place": "feeding"},
        {"attention_place": "before"},
        {"encoder_cell": "gru"},
        {"encoder_size": 5},
        {"encoder_layers": 1},
        {"cell": "gru"},
        {"residual": True},
        {"initial_state": "ones"},
    ],
)
def test_every_option_changes_what_is_said(settings):
    assert not torch.allclose(changed(**settings), changed())


@pytest.mark.parametrize(
    "settings",
    [
        {"embedding_dropout": 0.5},
        {"encoder_dropout": 0.5},
        {"dropout": 0.5},
        {"recurrent_dropout": 0.5},
        {"zoneout": 0.5},
        {"weight_drop": 0.5},
    ],
)
@pytest.mark.parametrize("place", ["between", "feeding"])
def test_every_regulariser_acts_in_training_alone(settings, place):
    network = built(replace(SMALL, attention_place=place, **settings))
    if "zoneout" not in settings:
        torch.testing.assert_close(read(network)[0], changed(attention_place=place))
    network.train()
    first, second = read(network)[0], read(network)[0]
    assert not torch.allclose(first, second)


def test_dropout_before_the_readout():
    network = built(replace(SMALL, output_dropout=0.5))
    ones = torch.ones(3, 2, 6)
    assert torch.equal(network.dropped(ones), ones)
    dropped = network.train().dropped(ones)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    locked = built(replace(SMALL, output_dropout=0.5, dropout=0.1, locked_dropout=True)).train()
    once = locked.dropped(ones)
    assert torch.equal(once[0], once[2])


def test_one_vocabulary_has_one_vector_for_a_token_and_two_have_two():
    joint, apart = built(), built(target_size=30)
    assert joint.source_embedding is None
    assert apart.source_embedding.weight.shape == (20, 6)
    assert apart.target_embedding.weight.shape == (30, 6)
    assert read(apart)[0].shape == (4, 2, 6)
    assert apart.readout(read(apart)[0]).shape == (4, 2, 30)


def test_the_readout_shares_the_vectors_or_has_its_own():
    tied, own = built(), built(replace(SMALL, tied=False))
    count = {name: sum(p.numel() for p in n.parameters()) for name, n in (("t", tied), ("o", own))}
    assert count["o"] - count["t"] == 20 * 6


def test_the_settings_choose_decoder_and_attention():
    assert type(built(replace(SMALL, attention=None)).decoder) is Decoder
    assert type(built(replace(SMALL, attention_place="feeding")).decoder) is FeedingDecoder
    assert type(built(replace(SMALL, attention_place="between")).decoder) is BetweenDecoder
    assert type(built().decoder.attend) is AdditiveAttention
    dot = built(replace(SMALL, attention="dot", encoder_size=4))
    assert type(dot.decoder.attend) is DotAttention
    with pytest.raises(ValueError, match="must be equally wide, got 8 and 16"):
        built(replace(SMALL, attention="dot"))


def test_without_attention_and_with_equal_cells_there_is_still_a_bridge():
    network = built(replace(SMALL, attention=None))
    start = network.begin(SOURCE, SOURCE_LENGTHS)
    assert start.memory is None
    h, c = start.stack
    assert h.shape == c.shape == (2, 2, 8)
    assert (h != 0).all()


@pytest.mark.parametrize("place", [None, *PLACES])
def test_sampled_inputs_are_the_true_ones_where_chosen(place):
    settings = replace(SMALL, attention=place and "general", attention_place=place or "after")
    network = built(settings)
    always = network.sampled(SOURCE, SOURCE_LENGTHS, INPUTS, lambda t: torch.ones_like(t).bool())
    outputs, _ = read(network)
    torch.testing.assert_close(always[:, 0], outputs[:, 0])
    torch.testing.assert_close(always[:2, 1], outputs[:2, 1])
    torch.manual_seed(1)
    never = network.sampled(SOURCE, SOURCE_LENGTHS, INPUTS, lambda t: torch.zeros_like(t).bool())
    # the first input is always the true one
    torch.testing.assert_close(never[0], outputs[0])
    assert not torch.allclose(never[1:, 0], outputs[1:, 0])


def test_sampled_inputs_are_what_the_network_finds_probable():
    network = built(replace(SMALL, tied=False))
    with torch.no_grad():
        network.readout.weight.zero_()
        network.readout.bias.copy_(torch.where(torch.arange(20) == 7, 50.0, 0.0))
    never = network.sampled(SOURCE, SOURCE_LENGTHS, INPUTS, lambda t: torch.zeros_like(t).bool())
    sevens = INPUTS.clone()
    sevens[1:] = 7
    wanted, _ = network(SOURCE, SOURCE_LENGTHS, sevens, torch.tensor([4, 4]))
    torch.testing.assert_close(never, wanted)
