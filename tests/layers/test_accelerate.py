import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import ostinato as ost

close = torch.testing.assert_close
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")


class Net(nn.Module):
    """Nested, shared and unlike layers."""

    def __init__(self, dropout=0.0):
        super().__init__()
        self.read = nn.LSTM(3, 6, 2, bidirectional=True, dropout=dropout, proj_size=2)
        self.blocks = nn.ModuleList([nn.GRU(4, 5, batch_first=True), nn.RNN(5, 4, bias=False)])
        self.again = self.blocks[0]
        self.out = nn.Linear(4, 1)

    def forward(self, x):
        y, _ = self.read(x)
        y = self.again(y.transpose(0, 1))[0].transpose(0, 1)
        return self.out(self.blocks[1](y)[0])


def net(**options):
    torch.manual_seed(0)
    return Net(**options)


def curve(model, steps=8):
    """Losses of a short training."""
    torch.manual_seed(5)
    x, target = torch.randn(7, 4, 3), torch.randn(7, 4, 1)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(steps):
        optimiser.zero_grad()
        loss = (model(x) - target).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return torch.tensor(losses)


@pytest.fixture(params=["eager", "auto"], autouse=True)
def _engine(request):
    with ost.engine(request.param):
        yield


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_training_gives_the_same_losses(dropout):
    plain, swapped = net(dropout=dropout), net(dropout=dropout)
    assert ost.accelerate(swapped).swapped == 3
    expected = curve(plain)
    close(curve(swapped), expected, rtol=1e-4, atol=1e-5)
    assert expected[-1] < 0.95 * expected[0]


def test_an_optimiser_made_before_goes_on():
    model = net()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    names = [(name, id(p)) for name, p in model.named_parameters()]
    ost.accelerate(model)
    assert [(name, id(p)) for name, p in model.named_parameters()] == names
    before = copy.deepcopy(model.state_dict())
    model(torch.randn(5, 2, 3)).square().sum().backward()
    optimiser.step()
    assert list(model.state_dict()) == list(before)
    assert not torch.equal(model.read.weight_hh_l1_reverse, before["read.weight_hh_l1_reverse"])


@pytest.mark.parametrize(
    "layer",
    [
        nn.RNN(3, 4, nonlinearity="relu", bidirectional=True),
        nn.RNN(3, 4, 2, bias=False),
        nn.GRU(3, 4, 2, batch_first=True, bidirectional=True),
        nn.LSTM(3, 4, 2, bias=False),
        nn.LSTM(3, 4, proj_size=2, bidirectional=True, batch_first=True, dtype=torch.float64),
    ],
    ids=str,
)
def test_the_model_itself_keeps_its_numbers(layer):
    layer = copy.deepcopy(layer)
    x = torch.randn(5, 2, 3, dtype=layer.weight_hh_l0.dtype)
    packed = (
        nn.utils.rnn.pack_padded_sequence(
            x, [3, 2], enforce_sorted=False, batch_first=layer.batch_first
        )
        if layer.batch_first is False
        else None
    )
    expected = layer(x), layer(x[0]), None if packed is None else layer(packed)
    report = ost.accelerate(layer)
    assert isinstance(layer, getattr(ost, report.found[0].kind))
    assert (report.found[0].name, report.swapped) == ("", 1)
    close((layer(x), layer(x[0])), expected[:2])
    if packed is not None:
        y, state = layer(packed)
        close(y.data, expected[2][0].data)
        close(state, expected[2][1])


def test_lengths_come_with_it():
    layer = nn.GRU(3, 4)
    ost.accelerate(layer)
    y, _ = layer(torch.randn(5, 2, 3), lengths=[5, 2])
    assert y[2:, 1].abs().sum() == 0


def test_undo_restores_everything():
    model = net()
    kept = {name: dict(module.__dict__) for name, module in model.named_modules()}
    expected = model(torch.ones(5, 2, 3))
    report = ost.accelerate(model)
    report.undo()
    report.undo()
    assert [type(m) for m in (model.read, model.again, model.blocks[1])] == [
        nn.LSTM,
        nn.GRU,
        nn.RNN,
    ]
    for name, module in model.named_modules():
        assert module.__dict__.keys() == kept[name].keys()
    close(model(torch.ones(5, 2, 3)), expected)
    assert ost.accelerate(model).swapped == 3


def test_undo_gives_back_an_attribute_of_the_same_name():
    layer = nn.GRU(3, 3)
    layer.residual = "mine"
    report = ost.accelerate(layer)
    assert layer.residual is False
    report.undo()
    assert layer.residual == "mine"


def test_undo_refuses_what_was_built_upon():
    layer = nn.GRU(3, 4)
    report = ost.accelerate(layer)
    parametrizations.weight_norm(layer, "weight_hh_l0")
    with pytest.raises(RuntimeError, match="ParametrizedGRU"):
        report.undo()


def test_modes_and_hooks_stay():
    model = net().eval()
    seen = []
    handle = model.read.register_forward_hook(lambda module, args, out: seen.append(module))
    ost.accelerate(model)
    assert not model.read.training
    model(torch.zeros(5, 2, 3))
    assert seen == [model.read]
    handle.remove()
    model(torch.zeros(5, 2, 3))
    assert len(seen) == 1


class Mine(nn.LSTM):
    pass


def test_what_is_left_alone_and_why():
    weight_norm = nn.GRU(2, 2)
    with pytest.warns(FutureWarning):
        nn.utils.weight_norm(weight_norm, "weight_hh_l0")
    parametrized = nn.RNN(2, 2)
    parametrizations.weight_norm(parametrized, "weight_hh_l0")
    model = nn.ModuleDict(
        {
            "subclass": Mine(2, 2),
            "ours": ost.GRU(2, 2),
            "norm": weight_norm,
            "parametrized": parametrized,
            "short": nn.LSTM(2, 2, dtype=torch.bfloat16),
            "meta": nn.LSTM(2, 2, device="meta"),
        }
    )
    types = {name: type(module) for name, module in model.items()}
    report = ost.accelerate(model)
    notes = {found.name: found.note for found in report.found}
    assert report.swapped == 0
    assert {name: type(module) for name, module in model.items()} == types
    for name, word in {
        "subclass": "subclass of torch.nn.LSTM",
        "ours": "already",
        "norm": "weight_hh_l0 is no parameter",
        "parametrized": "subclass of torch.nn.RNN",
        "short": "bfloat16",
        "meta": "on meta",
    }.items():
        assert word in notes[name]


def test_report_prints_as_a_table():
    table = str(ost.accelerate(net())).splitlines()
    assert table[0].split() == ["name", "kind", "sizes", "swapped", "note"]
    assert "3 -> 6, projected to 2, 2 layers, both directions" in table[1]
    assert "also again" in table[2]
    assert table[-1] == "3 of 3 swapped"
    assert "no torch.nn.RNN" in str(ost.accelerate(nn.Linear(1, 1)))


def test_swapped_models_can_be_copied_and_pickled():
    model = net()
    ost.accelerate(model)
    x = torch.randn(5, 2, 3)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        close(other(x), model(x))
