"""Traces that a kernel writes as it walks, beside those of the reference."""

import numpy as np
import pytest
import torch
from layer_cases import Plain
from torch import nn

import ostinato as ost
from ostinato import cells
from ostinato.layers import Recurrent
from ostinato.layers.tracing import keeping

T, B, I, H = 9, 4, 5, 12  # noqa: E741


@pytest.fixture(autouse=True)
def _kernels(_reference, tmp_path, monkeypatch):
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path))
    with ost.engine("llvm"):
        yield


def inputs(seed=0):
    return torch.randn(T, B, I, generator=torch.Generator().manual_seed(seed))


class Gated(ost.Cell):
    """A cell of one's own."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.gates = ost.cells.Gates("g n", input_size, hidden_size)

    def forward(self, x, h):
        g, n = self.gates(x, h)
        g = torch.sigmoid(g)
        return (1 - g) * h + g * torch.tanh(n)


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.reader = nn.GRU(I, H, 2, bidirectional=True)

    def forward(self, x):
        return self.reader(x)[0]


NETWORKS = {
    "lstm": (lambda: ost.LSTM(I, H), {}),
    "gru": (lambda: ost.GRU(I, H), {}),
    "rnn": (lambda: ost.RNN(I, H), {}),
    "own cell": (lambda: Recurrent(Gated(I, H)), {}),
    "a mask among its names": (lambda: Recurrent(cells.ClockworkRNN(I, H)), {}),
    "torch's lstm": (lambda: nn.LSTM(I, H), {}),
    "torch's gru in a network": (Reader, {}),
    "stacked, both ways": (lambda: ost.LSTM(I, H, num_layers=2, bidirectional=True), {}),
    "lengths": (lambda: ost.GRU(I, H, bidirectional=True), {"lengths": [T, 0, 4, 1]}),
    "resets": (lambda: ost.GRU(I, H), {"reset": torch.arange(T * B).view(T, B) % 7 == 3}),
    "projected": (lambda: ost.LSTM(I, H, proj_size=3), {}),
    "batch first": (lambda: ost.LSTM(I, H, batch_first=True), {"lengths": [T, 2, 5, 3]}),
}


def refuse(*_):
    raise AssertionError("computed again")


@pytest.mark.parametrize("name", NETWORKS)
def test_it_tells_what_the_reference_tells(name, monkeypatch):
    torch.manual_seed(1)
    make, options = NETWORKS[name]
    network = make()
    x = inputs().transpose(0, 1) if name == "batch first" else inputs()
    with ost.engine("eager"):
        wanted = ost.trace(network, x, **options)
    if name != "a mask among its names":
        monkeypatch.setattr(keeping, "record", refuse)
    monkeypatch.setattr("ostinato.layers.tracing.record.record", refuse)
    found = ost.trace(network, x, **options)
    for a, b in zip(found.layers, wanted.layers, strict=True):
        assert (a.name, a.cell, a.directions) == (b.name, b.cell, b.directions)
        assert a.lengths.tolist() == b.lengths.tolist()
    assert len(found.parts) == len(wanted.parts)
    for a, b in zip(found.parts, wanted.parts, strict=True):
        for told in ("layer", "direction", "name", "kind", "function"):
            assert getattr(a, told) == getattr(b, told)
        assert a.values.dtype == b.values.dtype
        np.testing.assert_array_equal(a.units, b.units)
        np.testing.assert_allclose(a.values, b.values, rtol=0, atol=1e-5, err_msg=a.name)
    torch.testing.assert_close(found.output, wanted.output, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", [ost.LSTM, ost.GRU, ost.RNN])
def test_states_and_outputs_are_those_of_the_walk_to_the_last_bit(kind):
    layer = kind(I, H, num_layers=2, bidirectional=True)
    lengths = [T, 3, 7, 0]
    with torch.no_grad():
        y, last, states = layer(inputs(), lengths=lengths, all_states=True)
    trace = layer.trace(inputs(), lengths=lengths)
    states = states if isinstance(states, tuple) else (states,)
    for name, whole in zip(("h", "c"), states, strict=False):
        for layer_, direction in np.ndindex(2, 2):
            kept = trace.values(name, layer_, direction)
            np.testing.assert_array_equal(kept, whole[2 * layer_ + direction])
    assert torch.equal(trace.output[0], y)
    torch.testing.assert_close(trace.output[1], last, rtol=0, atol=0)


def test_some_names_are_what_they_are_among_all():
    layer = ost.GRU(I, H)
    whole, some = layer.trace(inputs()), layer.trace(inputs(), only=["r_h", "gate"])
    assert some.names == ("r_h", "r", "z")
    for name in some.names:
        np.testing.assert_array_equal(some[name], whole[name])


def test_some_rows_steps_or_units_are_computed_without_writing_all_down(monkeypatch):
    layer = ost.LSTM(I, H)
    whole = layer.trace(inputs())
    monkeypatch.setattr(keeping, "keep", refuse)
    for options, place in (
        ({"rows": [2]}, np.s_[:, 2:3]),
        ({"steps": [-1, 0]}, np.s_[[-1, 0]]),
        ({"units": [3, 1]}, np.s_[:, :, [3, 1]]),
    ):
        some = layer.trace(inputs(), **options)
        for name in whole.names:
            np.testing.assert_allclose(some[name], whole[name][place], rtol=0, atol=1e-5)


def test_steps_one_by_one_are_written_down_too():
    layer = ost.GRU(I, H)

    def stepwise(x):
        state = None
        for now in x:
            _, state = layer.step(now, state)

    whole, singly = layer.trace(inputs()), layer.trace(inputs(), call=stepwise)
    for name in whole.names:
        np.testing.assert_allclose(singly[name], whole[name], rtol=0, atol=1e-5)


def test_a_name_that_is_not_there_is_refused_as_ever():
    layer = ost.GRU(I, H)
    layer.trace(inputs(), only="z")
    for _ in range(2):
        with pytest.raises(ValueError, match="'zz'"):
            layer.trace(inputs(), only="zz")


def test_weights_that_change_change_the_gates():
    layer = ost.GRU(I, H)
    before = layer.trace(inputs())
    with torch.no_grad():
        layer.weight_hh_l0.mul_(2)
    after = layer.trace(inputs())
    assert np.abs(after["z"] - before["z"]).max() > 1e-3


def test_a_cell_that_changes_its_equations_is_read_anew():
    class Scaled(ost.Cell):
        def __init__(self, input_size, hidden_size):
            super().__init__(input_size, hidden_size)
            self.mix = nn.Linear(input_size, hidden_size)
            self.scale = 1.0

        def forward(self, x, h):
            drive = self.mix(x) * self.scale
            return torch.tanh(drive + h)

    layer = Recurrent(Scaled(I, H))
    once = layer.trace(inputs())["drive"]
    layer.cell.scale = 2.0
    np.testing.assert_allclose(layer.trace(inputs())["drive"], 2 * once, rtol=0, atol=1e-6)


def test_in_training_the_masks_are_those_that_were_drawn():
    layer = ost.LSTM(I, H, zoneout=0.5, recurrent_dropout=0.3)
    torch.manual_seed(3)
    found = layer.trace(inputs())
    torch.manual_seed(3)
    with ost.engine("eager"):
        wanted = layer.trace(inputs())
    calm = layer.trace(inputs(), training=False)
    for name in wanted.names:
        np.testing.assert_allclose(found[name], wanted[name], rtol=0, atol=1e-5, err_msg=name)
    assert np.abs(calm["f"] - found["f"]).max() > 1e-3


def test_a_strangers_cell_has_its_names():
    trace = Recurrent(Plain()).trace(torch.randn(T, B, 3), torch.zeros(B, 4))
    assert trace.names == ("h", "h.pre")
    np.testing.assert_allclose(np.tanh(trace["h.pre"]), trace["h"], rtol=1e-5, atol=1e-6)


def test_large_gradients_by_another_library_are_the_same_gradients():
    torch.manual_seed(7)
    layer = Recurrent(cells.GRU(20, 16, reset="before"))
    x = torch.randn(120, 4, 20)
    assert len(x) * 4 > 256

    def loss(told):
        return told[0].square().sum()

    found = layer.trace(x, gradients=loss)
    wanted = layer.double().trace(x.double(), gradients=loss)
    for name in wanted.names:
        most = np.abs(wanted.gradients(name)).max()
        far = np.abs(found.gradients(name) - wanted.gradients(name)).max()
        assert far <= 1e-5 * most, name
