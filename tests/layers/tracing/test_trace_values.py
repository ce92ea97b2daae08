"""What a trace says, beside the same numbers worked out by hand, step by step."""

import copy

import numpy as np
import pytest
import torch
from layer_cases import Plain, TwoFaced
from torch import nn

import ostinato as ost
from ostinato import cells
from ostinato.layers import Clamp, Recurrent

T, B, I, H = 7, 3, 3, 4  # noqa: E741


def inputs(seed=0, dtype=torch.float64):
    return torch.randn(T, B, I, generator=torch.Generator().manual_seed(seed)).to(dtype)


def lstm_by_hand(layer, x, h, c, direction=""):
    """Gates and states of one torch.nn.LSTM layer, a dictionary for each step."""
    W, U = getattr(layer, f"weight_ih_l0{direction}"), getattr(layer, f"weight_hh_l0{direction}")
    b = getattr(layer, f"bias_ih_l0{direction}") + getattr(layer, f"bias_hh_l0{direction}")
    told = []
    for now in x:
        drive = (now @ W.T + h @ U.T + b).chunk(4, dim=-1)
        step = dict(zip(("i.pre", "f.pre", "g.pre", "o.pre"), drive, strict=True))
        i, f, o = (1 / (1 + torch.exp(-step[f"{n}.pre"])) for n in "ifo")
        g = torch.tanh(step["g.pre"])
        c = f * c + i * g
        h = o * torch.tanh(c)
        told.append({**step, "i": i, "f": f, "g": g, "o": o, "c": c, "h": h})
    return told


@pytest.mark.parametrize("kind", [nn.LSTM, ost.LSTM])
@pytest.mark.parametrize("engine", ["eager", "auto"])
def test_gates_and_states_are_those_of_the_equations(kind, engine):
    torch.manual_seed(1)
    layer = kind(I, H).double()
    x, h, c = inputs(), torch.randn(1, B, H).double(), torch.randn(1, B, H).double()
    with ost.engine(engine):
        trace = ost.trace(layer, x, (h, c))
    told = lstm_by_hand(layer, x, h[0], c[0])
    assert set(trace.names) == set(told[0])
    for name in trace.names:
        wanted = np.stack([step[name].detach().numpy() for step in told])
        np.testing.assert_allclose(trace[name], wanted, rtol=0, atol=1e-12, err_msg=name)


def test_the_walk_from_the_end_is_told_at_the_steps_where_it_was():
    torch.manual_seed(1)
    layer = ost.LSTM(I, H, bidirectional=True).double()
    x, lengths = inputs(), [T, 4, 0]
    trace = layer.trace(x, lengths=lengths)
    zeros = torch.zeros(1, H).double()
    for row, length in enumerate(lengths):
        part = x[:length, row : row + 1].flip(0)
        told = lstm_by_hand(layer, part, zeros, zeros, "_reverse")[::-1]
        for name in trace.names:
            found = trace[name, 0, 1][:, row]
            for t, step in enumerate(told):
                np.testing.assert_allclose(found[t], step[name][0].detach(), rtol=0, atol=1e-12)
            assert not found[length:].any()
    assert trace.lengths.tolist() == lengths


def test_what_stands_in_padding_is_not_seen():
    layer = ost.GRU(I, H).double()
    x = inputs()
    spoiled = x.clone()
    spoiled[4:, 1] = torch.nan
    a, b = (layer.trace(one, lengths=[T, 4, 1]) for one in (x, spoiled))
    for name in a.names:
        np.testing.assert_array_equal(a[name], b[name])


def test_a_reset_begins_from_the_initial_state():
    layer = ost.GRU(I, H, initial_state=0.5).double()
    x, reset = inputs(), torch.zeros(T, B, dtype=torch.bool)
    reset[3, 1] = True
    trace = layer.trace(x, reset=reset)
    fresh = layer.trace(x[3:, 1:2])
    for name in trace.names:
        np.testing.assert_allclose(trace[name][3:, 1:2], fresh[name], rtol=0, atol=1e-12)
    assert np.abs(layer.trace(x)["h"][3:, 1] - trace["h"][3:, 1]).max() > 1e-3


CELLS = {
    "elman": lambda: cells.Elman(I, H),
    "gru before": lambda: cells.GRU(I, H, reset="before"),
    "peepholes": lambda: cells.LSTM(I, H, peephole=True, coupled=True, proj_size=2),
    "norm": lambda: cells.LSTM(I, H, layer_norm=True),
    "clockwork": lambda: cells.ClockworkRNN(I, H, periods=(1, 2)),
    "narx": lambda: cells.NARX(I, H),
    "minimal": lambda: cells.MinLSTM(I, H),
    "multiplicative": lambda: cells.MultiplicativeLSTM(I, H),
    "two faced": lambda: TwoFaced(I, H),
}


@pytest.mark.parametrize("name", CELLS)
def test_any_cell_tells_what_it_told_step_by_step(name):
    torch.manual_seed(2)
    cell = CELLS[name]().double()
    layer = Recurrent(cell, bidirectional=True).double()
    x = inputs()
    trace = layer.trace(x, lengths=[T, 5, 2])
    _, _, states = layer(x, lengths=[T, 5, 2], all_states=True)
    states = states if isinstance(states, tuple) else (states,)
    for state, told in zip(cell.state_names, states, strict=True):
        for direction in (0, 1):
            kept = trace.values(state, 0, direction)
            np.testing.assert_array_equal(kept, told[direction].detach())
    # a row on its own, one step after the other, says the same of everything else
    alone, state = [], cell.initial_state(1)
    single = Recurrent(cell)
    for now in x[:5, 1:2]:
        one = single.trace(now[None], state if len(state) > 1 else state[0])
        alone.append(one)
        state = tuple(torch.from_numpy(one[name][0]) for name in cell.state_names)
    for told in trace.names:
        wanted = np.concatenate([one[told] for one in alone])[:, 0]
        np.testing.assert_allclose(trace[told][:5, 1], wanted, rtol=0, atol=1e-10, err_msg=told)


def test_a_strangers_cell_goes_by_the_arguments_of_its_forward():
    layer = Recurrent(Plain())
    trace = layer.trace(torch.randn(T, B, I), torch.zeros(B, H))
    assert trace.names == ("h", "h.pre")
    np.testing.assert_allclose(np.tanh(trace["h.pre"]), trace["h"], rtol=1e-5, atol=1e-6)


def test_one_hot_numbers_are_traced_as_the_vectors_they_stand_for():
    layer = ost.LSTM(5, H).double()
    tokens = torch.tensor([[0, 4], [3, 3], [1, 0]])
    vectors = nn.functional.one_hot(tokens, 5).double()
    a, b = layer.trace(tokens), layer.trace(vectors)
    for name in a.names:
        np.testing.assert_allclose(a[name], b[name], rtol=0, atol=1e-12)


def test_clamped_units_are_seen_as_they_are_held():
    layer = ost.GRU(I, H, clamp=Clamp([1], 0.25)).double()
    trace = layer.trace(inputs())
    assert (trace["h"][:, :, 1] == 0.25).all()
    U = layer.weight_hh_l0.chunk(3)[0].detach().numpy()
    b = layer.bias_hh_l0.chunk(3)[0].detach().numpy()
    heard = np.concatenate([np.zeros((1, B, H)), trace["h"][:-1]])
    heard[0, :, 1] = 0.25
    np.testing.assert_allclose(trace["r_h"], heard @ U.T + b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("option", ["zoneout", "recurrent_dropout", "weight_drop"])
def test_in_training_the_masks_are_those_that_were_drawn(option):
    torch.manual_seed(3)
    layer = ost.LSTM(I, H, **{option: 0.5}).double()
    x = inputs()
    torch.manual_seed(4)
    y, _ = layer(x)
    torch.manual_seed(4)
    trace = layer.trace(x)
    np.testing.assert_array_equal(trace["h"], y.detach())
    calm = layer.trace(x, training=False)
    assert np.abs(calm["f"] - trace["f"])[1:].max() > 1e-3
    assert layer.training


def test_dropout_inside_a_cell_is_told_as_it_was_drawn():
    class Noisy(ost.Cell):
        def __init__(self, input_size, hidden_size):
            super().__init__(input_size, hidden_size)
            self.mix = nn.Linear(input_size + hidden_size, hidden_size)

        def forward(self, x, h):
            dropped = nn.functional.dropout(torch.cat([x, h], -1), 0.5, self.training)
            return torch.tanh(self.mix(dropped))

    layer = Recurrent(Noisy(I, H)).double()
    torch.manual_seed(5)
    trace = layer.trace(inputs())
    torch.manual_seed(5)
    y, _ = layer(inputs())
    np.testing.assert_array_equal(trace["h"], y.detach())
    pre = trace["dropped"] @ layer.cell.mix.weight.detach().numpy().T
    pre += layer.cell.mix.bias.detach().numpy()
    np.testing.assert_allclose(trace["h.pre"], pre, rtol=0, atol=1e-12)
    assert (trace["dropped"] == 0).mean() > 0.2
    some = layer.trace(inputs(), rows=[2], steps=[5, 1])
    assert some["dropped"].shape == (2, 1, I + H)


def test_a_cell_that_cannot_be_asked_again_is_refused():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.count = 0

        def forward(self, x, h):
            self.count += 1
            return torch.tanh(x + h) * self.count

    layer = Recurrent(Counting())
    x, h = torch.randn(T, B, H), torch.zeros(B, H)
    with pytest.raises(RuntimeError, match=r"Counting, called again .* only=\[\"state\"\]"):
        layer.trace(x, h)
    assert layer.trace(x, h, only="state").names == ("h",)


def test_a_cell_that_writes_to_a_buffer_is_left_as_one_walk_leaves_it():
    class Normed(ost.Cell):
        def __init__(self, input_size, hidden_size):
            super().__init__(input_size, hidden_size)
            self.norm = nn.BatchNorm1d(hidden_size)
            self.mix = nn.Linear(input_size, hidden_size)

        def forward(self, x, h):
            normal = self.norm(self.mix(x))
            return torch.tanh(normal + h)

    layer = Recurrent(Normed(I, H)).double()
    other = copy.deepcopy(layer)
    y, _ = other(inputs())
    trace = layer.trace(inputs())
    np.testing.assert_array_equal(trace["h"], y.detach())
    assert torch.equal(layer.cell.norm.running_mean, other.cell.norm.running_mean)
    assert np.abs(trace["normal"].mean(axis=1)).max() < 1e-10


def test_a_matrix_with_as_many_rows_as_the_batch_is_no_gate():
    class Doubled(ost.Cell):
        def __init__(self, input_size, hidden_size):
            super().__init__(input_size, hidden_size)
            self.mix = nn.Linear(input_size, hidden_size)

        def forward(self, x, h):
            twice = 2 * self.mix.weight
            return torch.tanh(x @ twice.T + h)

    layer = Recurrent(Doubled(I, T * B))
    assert layer.trace(torch.randn(T, B, I)).names == ("h", "h.pre")


class Stranger(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.inner = nn.ModuleDict({"reader": nn.GRU(I, H, 2, bidirectional=True, **options)})
        self.out = nn.Linear(2 * H, 2)

    def forward(self, x):
        return self.out(self.inner["reader"](x)[0])


@pytest.mark.parametrize("batch_first", [False, True])
def test_torchs_layers_are_traced_where_they_stand(batch_first):
    model = Stranger(batch_first=batch_first).double()
    x = inputs().transpose(0, 1) if batch_first else inputs()
    before = model(x)
    trace = ost.trace(model, x)
    assert torch.allclose(trace.output, before.detach(), rtol=0, atol=1e-12)
    assert type(model.inner["reader"]) is nn.GRU
    assert "forward" not in vars(model.inner["reader"])
    assert [layer.name for layer in trace.layers] == ["inner.reader.0", "inner.reader.1"]
    y, _ = model.inner["reader"](x)
    y = y.transpose(0, 1) if batch_first else y
    both = np.concatenate([trace["h", 1, 0], trace["h", 1, 1]], axis=-1)
    np.testing.assert_allclose(both, y.detach(), rtol=0, atol=1e-12)
    with torch.no_grad():
        model.inner["reader"].weight_hh_l0.mul_(2)
    assert np.abs(ost.trace(model, x)["h"] - trace["h"]).max() > 1e-3


def test_the_model_is_whole_again_when_its_forward_fails():
    model = Stranger()
    with pytest.raises(ValueError, match="input must be"):
        ost.trace(model, torch.zeros(T, B, I + 1))
    assert "forward" not in vars(model.inner["reader"])


def test_a_module_without_recurrence_is_refused():
    class Own(nn.GRU):
        pass

    for model in (nn.Linear(2, 2), nn.Sequential(Own(I, H))):
        with pytest.raises(ValueError, match="has no recurrent layer"):
            ost.trace(model, torch.zeros(T, B, I))


def test_steps_that_go_on_from_each_other_are_one_walk():
    layer = ost.GRU(I, H).double()

    def stepwise(x):
        state, outputs = None, []
        for now in x:
            y, state = layer.step(now, state)
            outputs.append(y)
        return torch.stack(outputs)

    whole, steps = layer.trace(inputs()), layer.trace(inputs(), call=stepwise)
    assert [one.name for one in steps.layers] == ["0"]
    for name in whole.names:
        np.testing.assert_allclose(steps[name], whole[name], rtol=0, atol=1e-12)
    last = layer.trace(inputs(), call=stepwise, steps=[-1])
    np.testing.assert_array_equal(last["z"], steps["z"][-1:])


def test_calls_that_begin_anew_are_layers_of_their_own():
    layer = ost.GRU(I, H).double()
    trace = layer.trace(inputs(), call=lambda x: (layer(x), layer(x[:2])))
    assert [one.name for one in trace.layers] == ["0", "0#2"]
    np.testing.assert_allclose(trace["z", "0#2"], trace["z"][:2], rtol=0, atol=1e-12)


def test_large_products_by_another_library_are_the_same_products():
    torch.manual_seed(7)
    layer = ost.LSTM(20, 16)
    x = torch.randn(120, 4, 20)
    exact = copy.deepcopy(layer).double().trace(x.double())
    trace = layer.trace(x)
    for name in exact.names:
        np.testing.assert_allclose(trace[name], exact[name], rtol=0, atol=1e-5)
    # rows enough for it, and more than one of the checks that compare them
    assert len(x) * 4 > 256
