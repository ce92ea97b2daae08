import pytest
import torch
from torch import nn

import ostinato
from ostinato import cells
from ostinato.tasks.language_model.network import LanguageNetwork
from ostinato.tasks.language_model.settings import ModelSettings
from ostinato.tasks.stack import build_cell, select_rows

TOKENS = torch.randint(0, 7, (5, 3), generator=torch.Generator().manual_seed(0))


def network(**settings):
    torch.manual_seed(0)
    defaults = {"hidden_size": 6, "embedding_size": 4, "dropout": 0.0, "output_dropout": 0.0}
    return LanguageNetwork(7, ModelSettings(**{**defaults, **settings}))


class OwnCell(nn.Module):
    # nothing but forward and its widths, as a stranger would write it
    def __init__(self, input_size, hidden_size, scale=1.0):
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.scale = scale
        self.inner = nn.Linear(input_size + hidden_size, hidden_size)

    def forward(self, x, h):
        return torch.tanh(self.scale * self.inner(torch.cat([x, h], dim=-1)))


@pytest.mark.parametrize("name", [*cells.NAMES, "torch.nn:GRUCell"])
@pytest.mark.parametrize("layers", [1, 2])
def test_every_cell_runs_and_steps_give_the_same_scores(name, layers):
    options = {"clockwork": {"periods": (1, 2)}, "jordan": {"output_size": 5}}.get(name, {})
    net = network(cell=name, num_layers=layers, cell_options=options).eval()
    scores, state = net(TOKENS)
    assert scores.shape == (5, 3, 7)
    stepped, at = [], None
    for tokens in TOKENS:
        one, at = net.step(tokens, at)
        stepped.append(one)
    torch.testing.assert_close(torch.stack(stepped), scores)
    again, _ = net(TOKENS, state)
    assert not torch.allclose(again, scores)


def test_a_strangers_cell_stacks_and_takes_options():
    settings = ModelSettings(
        hidden_size=6, embedding_size=4, num_layers=2, cell_options={"scale": 2}
    )
    net = LanguageNetwork(7, settings, cell=OwnCell)
    assert [cell.scale for cell in net.stack.cells] == [2, 2]
    assert net(TOKENS)[0].shape == (5, 3, 7)


@pytest.mark.parametrize("cell", ["lstm", "gru", "elman"])
def test_without_embedding_tokens_enter_as_one_hot_vectors(cell):
    net = network(cell=cell, embedding_size=0, num_layers=2).eval()
    outputs, _ = net.outputs(TOKENS)
    vectors = nn.functional.one_hot(TOKENS, 7).float()
    torch.testing.assert_close(net.stack(vectors)[0], outputs)


def test_tied_readout_shares_one_matrix_and_bridges_widths():
    net = network(tied=True)
    assert net.readout.projection.weight.shape == (4, 6)
    assert not [name for name in net.state_dict() if name.startswith("readout.weight")]
    square = network(tied=True, embedding_size=6)
    outputs = torch.randn(2, 6)
    want = outputs @ square.embedding.weight.T + square.readout.bias
    torch.testing.assert_close(square.scores(outputs), want)
    net(TOKENS)[0].sum().backward()
    assert net.embedding.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    "change",
    [
        {"dropout": 0.5},
        {"token_dropout": 0.5},
        {"embedding_dropout": 0.5},
        {"output_dropout": 0.5},
        {"recurrent_dropout": 0.5},
        {"zoneout": 0.5},
        {"weight_drop": 0.5},
    ],
)
def test_each_regulariser_changes_training_scores(change):
    plain, net = network(), network(**change)
    net.load_state_dict(plain.state_dict())
    want = plain(TOKENS)[0]
    assert not torch.allclose(net(TOKENS)[0], want)
    torch.manual_seed(0)
    first = net(TOKENS)[0]
    torch.manual_seed(1)
    assert not torch.allclose(net(TOKENS)[0], first)
    if "zoneout" not in change:
        torch.testing.assert_close(net.eval()(TOKENS)[0], want)


@pytest.mark.parametrize("change", [{"residual": True}, {"initial_state": "ones"}])
def test_each_option_of_the_stack_changes_scores(change):
    plain, net = network(embedding_size=6), network(embedding_size=6, **change)
    net.load_state_dict(plain.state_dict())
    assert not torch.allclose(net(TOKENS)[0], plain(TOKENS)[0])


def test_locked_dropout_drops_the_same_at_all_steps():
    outputs = torch.ones(9, 2, 6)
    locked = network(output_dropout=0.5, locked_dropout=True).dropped(outputs)
    assert (locked == locked[0]).all()
    assert (locked == 0).any()
    free = network(output_dropout=0.5).dropped(outputs)
    assert not (free == free[0]).all()


def test_penalties_are_the_mean_squares_they_are_named_after():
    outputs = torch.randn(4, 2, 6)
    dropped = outputs * 2
    net = network(activation_penalty=0.5)
    torch.testing.assert_close(net.penalty(outputs, dropped), 0.5 * (dropped**2).mean())
    net = network(slowness_penalty=3.0)
    want = 3 * ((outputs[1:] - outputs[:-1]) ** 2).mean()
    torch.testing.assert_close(net.penalty(outputs, dropped), want)
    assert network().penalty(outputs, dropped) == 0


def test_select_rows_reaches_into_any_nest():
    state = (torch.arange(6.0).reshape(3, 2), (torch.arange(12.0).reshape(2, 3, 2),))
    first, (second,) = select_rows(state, torch.tensor([2, 2, 0]))
    assert first.tolist() == [[4, 5], [4, 5], [0, 1]]
    assert second[1].tolist() == [[10, 11], [10, 11], [6, 7]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cell": "lstmm"}, "Did you mean 'lstm'"),
        ({"cell": "os:getcwd"}, r"cannot be built|makes no torch\.nn\.Module"),
        ({"cell": "collections:OrderedDict"}, r"is no torch\.nn\.Module"),
        ({"cell_options": {"colour": 1}}, "cannot be built with.*colour"),
    ],
)
def test_cells_that_cannot_be_built_are_explained(settings, message):
    with pytest.raises(ValueError, match=message):
        build_cell(ModelSettings(**settings), 3)


def test_network_is_reached_from_the_top():
    assert ostinato.LanguageModel.__name__ == "LanguageModel"
