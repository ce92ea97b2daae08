"""Options that act inside time: zoneout, recurrent dropout, weight drop."""

import copy
import pickle

import pytest
import torch
from layer_cases import H, I, Plain, TwoFaced, loop
from torch import nn

import ostinato as ost
from ostinato import cells
from ostinato.engine import split_result
from ostinato.layers.products import recurrent_matrices
from ostinato.layers.recurrent_dropout import RecurrentDropout, WeightDrop, states_in_products
from ostinato.layers.zoneout import Zoneout

close = torch.testing.assert_close
T, B = 6, 3
X = torch.randn(T, B, I, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
MATRIX_CELLS = {
    "elman": lambda: cells.Elman(I, H),
    "lstm": lambda: cells.LSTM(I, H),
    "joint-lstm": lambda: cells.LSTM(I, H, joint=True),
    "projected": lambda: cells.LSTM(I, H, proj_size=2),
    "gru-after": lambda: cells.GRU(I, H),
    "gru-before": lambda: cells.GRU(I, H, reset="before"),
    "gated": lambda: cells.Gated(I, H),
    "mgu": lambda: cells.MGU(I, H),
    "multiplicative": lambda: cells.MultiplicativeLSTM(I, H),
    "leaky": lambda: cells.LeakyRNN(I, H, leak=0.5),
    "two-faced": lambda: TwoFaced(I, H),
}


def widths(cell):
    return cell.state_sizes


# zoneout


@pytest.mark.parametrize("make", MATRIX_CELLS.values(), ids=MATRIX_CELLS)
def test_zoneout_in_evaluation_mixes_old_and_new_by_its_rate(make):
    cell = make().double()
    rates = (0.25, 0.5)[: len(widths(cell))]
    layer = ost.Recurrent(cell, zoneout=rates).eval()
    state, outputs = cell.initial_state(B), []
    for x_t in X:
        output, new = split_result(cell(x_t, *state), len(state))
        state = tuple(
            rate * old + (1 - rate) * fresh
            for rate, old, fresh in zip(rates, state, new, strict=True)
        )
        outputs.append(state[0] if output is new[0] else output)
    y, last = layer(X)
    close(y, torch.stack(outputs))
    close(last if isinstance(last, tuple) else (last,), state)


def test_zoneout_in_training_keeps_units_at_its_rate_and_moves_the_others_as_the_cell_would():
    cell = cells.LSTM(I, 200).double()
    layer = ost.Recurrent(cell, zoneout=(0.1, 0.6))
    y, _, (h, c) = layer(X, all_states=True)
    close(y, h)
    for history, rate in ((h, 0.1), (c, 0.6)):
        kept = (history[1:] == history[:-1]).double().mean()
        assert abs(kept - rate) < 0.04
    expected = cell(X[1], h[0], c[0])
    for history, fresh in zip((h, c), expected, strict=True):
        moved = history[1] != history[0]
        close(history[1][moved], fresh[moved])
    assert not torch.equal(layer(X)[0], y)


def test_zoneout_of_everything_holds_the_state_for_ever():
    layer = ost.Recurrent(cells.GRU(I, H), zoneout=1.0).double()
    h0 = torch.randn(B, H, dtype=torch.float64)
    for mode in (True, False):
        y, last = layer.train(mode)(X, h0)
        close(last, h0, rtol=0, atol=0)
        assert (y == h0).all()


def test_zoneout_of_nothing_changes_nothing():
    cell = cells.LSTM(I, H).double()
    close(ost.Recurrent(cell, zoneout=(0, 0))(X), ost.Recurrent(cell)(X))
    close(
        Zoneout(cell, (H, H), (0.0, 0.0), expected=True)(X[0], *cell.initial_state(B))[1],
        cell(X[0], *cell.initial_state(B)),
    )


# recurrent dropout


def masked_by_hand(cell, x, state, mask):
    """The equations again, with the mask where the paper has it: beside each U."""
    u, w = cell.gates.weights()
    b = cell.gates.bias
    outputs = []
    for x_t in x:
        if isinstance(cell, cells.LSTM):
            h, c = state
            i, f, g, o = (x_t @ w.T + (h * mask) @ u.T + b).chunk(4, -1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            state = (o.sigmoid() * c.tanh(), c)
        else:
            (h,) = state
            r, z = (x_t @ w.T + (h * mask) @ u.T + b).chunk(2, -1)
            v, q = cell.candidate.weights()
            n = x_t @ q.T + (r.sigmoid() * h * mask) @ v.T + cell.candidate.bias
            z = z.sigmoid()
            state = ((1 - z) * n.tanh() + z * h,)
        outputs.append(state[0])
    return torch.stack(outputs)


@pytest.mark.parametrize("name", ["lstm", "joint-lstm", "gru-before"])
def test_recurrent_dropout_masks_products_and_not_the_carry(name):
    cell = MATRIX_CELLS[name]().double()
    mask = torch.tensor([2.0, 0.0, 2.0, 0.0]).double().expand(B, H)
    masked = states_in_products(cell, I, cell.state_sizes)
    assert masked == (0,)
    wrapped = RecurrentDropout(cell, cell.state_sizes, 0.5, masked)
    state = tuple(torch.randn(B, H).double() for _ in cell.state_sizes)
    y, last = loop(wrapped, X, (*state, mask))
    close(y, masked_by_hand(cell, X, state, mask))
    close(last[-1], mask, rtol=0, atol=0)


@pytest.mark.parametrize("make", MATRIX_CELLS.values(), ids=MATRIX_CELLS)
def test_recurrent_dropout_acts_in_training_only_and_from_the_second_step(make):
    cell = make().double()
    layer, plain = ost.Recurrent(cell, recurrent_dropout=0.6), ost.Recurrent(cell)
    torch.manual_seed(0)
    y, expected = layer(X)[0], plain(X)[0]
    close(y[0], expected[0])  # the first step reads zeros
    assert not torch.allclose(y[1:], expected[1:])
    assert not torch.equal(layer(X)[0], y)
    close(layer.eval()(X), plain(X))


def test_recurrent_dropout_draws_a_mask_for_each_row_and_keeps_it():
    cell = cells.Elman(I, 400, activation=lambda x: x)
    torch.nn.init.eye_(cell.gates.weight_hh)
    torch.nn.init.zeros_(cell.gates.weight_ih)
    layer = ost.Recurrent(cell, recurrent_dropout=0.5)
    y, _ = layer(torch.zeros(3, 2, I), torch.ones(2, 400))
    kept = y[0] != 0
    assert 0.4 < kept.double().mean() < 0.6
    assert not torch.equal(kept[0], kept[1])
    for t in range(3):
        close(y[t], kept * 2.0 ** (t + 1))


def test_a_reset_does_not_change_the_mask():
    cell = cells.Elman(I, 50, activation=lambda x: x).double()
    layer = ost.Recurrent(cell, recurrent_dropout=0.5, initial_state="ones")
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[3] = True
    twice = torch.cat([X[:3], X[:3]])
    y, _ = layer(twice, reset=reset)
    close(y[:3], y[3:])


def test_strangers_cells_are_masked_too():
    class Stranger(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.randn(I + H, H))
            self.v = nn.Parameter(torch.randn(2, H))

        def forward(self, x, h):
            left = h[:, :2].contiguous()
            return torch.tanh(torch.cat((x, 0.5 * h), 1) @ self.w + torch.mm(left, self.v)) + h

    cell = Stranger().double()
    mask = torch.tensor([0.0, 2.0, 2.0, 0.0]).double().expand(B, H)
    h = torch.randn(B, H).double()
    wrapped = RecurrentDropout(cell, (H,), 0.5, (0,))
    y, _ = wrapped(X[0], h, mask)
    expected = torch.cat([X[0], 0.5 * h * mask], 1) @ cell.w + (h * mask)[:, :2] @ cell.v
    close(y, torch.tanh(expected) + h)
    layer = ost.Recurrent(Plain().double(), recurrent_dropout=0.5, input_size=I, state_sizes=(H,))
    assert not torch.equal(layer(X)[0], layer(X)[0])


def test_a_cell_without_a_recurrent_product_is_refused():
    with pytest.raises(ValueError, match="multiplies no matrix with its old state"):
        ost.Recurrent(cells.IndRNN(I, H), recurrent_dropout=0.5)
    with pytest.raises(ValueError, match="multiplies no parameter with its old state"):
        ost.Recurrent(cells.IndRNN(I, H), weight_drop=0.5)


# weight drop


def test_weight_drop_touches_the_recurrent_matrix_only():
    cell = cells.LSTM(I, 50).double()
    drop = WeightDrop(cell, I, cell.state_sizes, 0.3)
    drawn = drop.draw(cell, None)
    assert set(drawn) == {"gates.weight_hh"}
    weight = drawn["gates.weight_hh"]
    gone = weight == 0
    assert 0.27 < gone.double().mean() < 0.33
    close(weight[~gone], cell.gates.weight_hh[~gone] / 0.7)


def test_weight_drop_leaves_the_columns_of_x_in_a_joint_matrix():
    cell = cells.GRU(I, H, joint=True)
    drawn = WeightDrop(cell, I, (H,), 0.9).draw(cell, None)["gates.weight"]
    assert torch.equal(drawn[:, H:], cell.gates.weight[:, H:])
    assert (drawn[:, :H] == 0).double().mean() > 0.5


def test_weight_drop_finds_matrices_that_are_made_from_parameters():
    cell = cells.ClockworkRNN(I, H, periods=(1, 2))
    drop = WeightDrop(cell, I, widths(cell), 0.9)
    (region,) = drop.regions.values()
    assert not region.all()
    assert region.any()
    assert recurrent_matrices(cell, I, widths(cell))


@pytest.mark.parametrize("make", MATRIX_CELLS.values(), ids=MATRIX_CELLS)
def test_weight_drop_uses_one_matrix_for_the_whole_pass_in_training_only(make):
    cell = make().double()
    layer, plain = ost.Recurrent(cell, weight_drop=0.5), ost.Recurrent(cell)
    torch.manual_seed(0)
    y, expected = layer(X)[0], plain(X)[0]
    assert not torch.allclose(y, expected)
    close(y[0], expected[0])
    torch.manual_seed(0)
    with_drawn = layer._in_time[0]._weight_drop.draw(cell, None)
    swapped = torch.func.functional_call(
        plain, {f"cells.0.{name}": value for name, value in with_drawn.items()}, (X,)
    )
    close(y, swapped[0])
    close(layer.eval()(X), plain(X))


# all of them


def test_a_torch_like_layer_does_the_same_as_recurrent():
    torch.manual_seed(3)
    layer = ost.GRU(I, H, 2, True, dtype=torch.float64)
    options = {"recurrent_dropout": 0.3, "zoneout": 0.2, "weight_drop": 0.4}
    tried = ost.GRU(I, H, 2, True, dtype=torch.float64, **options)
    tried.load_state_dict(layer.state_dict())
    stack = [cells.GRU(width, H, bias="both").double() for width in (I, H)]
    for i, cell in enumerate(stack):
        cell.load_state_dict({inner: getattr(layer, own) for inner, own in layer._borrowed[i]})
    general = ost.Recurrent(stack, 2, **options)
    torch.manual_seed(0)
    expected = general(X)
    torch.manual_seed(0)
    close(tried(X), expected)
    assert not torch.allclose(tried(X)[0], layer(X)[0])
    close(tried.eval()(X), general.eval()(X))
    tried.train()(X)[0].sum().backward()
    assert all(parameter.grad is not None for parameter in tried.parameters())


def test_copies_and_pickles_of_a_layer_with_options_are_whole():
    layer = ost.Recurrent(cells.LSTM(I, H), 2, zoneout=0.2, recurrent_dropout=0.3, weight_drop=0.1)
    layer = layer.double()
    layer(X)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        close(twin.eval()(X), layer.eval()(X))
        with torch.no_grad():
            twin.cells[0].gates.bias.add_(1)
        assert not torch.allclose(twin(X)[0], layer(X)[0])
    assert len(layer.state_dict()) == 6


def test_lengths_and_options_go_together():
    layer = ost.Recurrent(cells.LSTM(I, H), bidirectional=True, zoneout=0.3, recurrent_dropout=0.4)
    layer = layer.double()
    x = X.clone()
    x[3:, 1] = float("nan")
    y, (h, _) = layer(x, lengths=[T, 3, 0])
    assert y.isfinite().all()
    assert (y[3:, 1] == 0).all()
    assert (h[:, 2] == 0).all()
    close(layer.eval()(x, lengths=[T, 3, 0])[0][:3, 1], layer(X[:3])[0][:, 1])


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("zoneout", 1.5, r"zoneout must be in \[0, 1\], got 1.5"),
        ("zoneout", (0.1, 0.2, 0.3), r"one rate, or 2 \(one for each state\), got 3"),
        ("recurrent_dropout", 1.0, r"recurrent_dropout must be in \[0, 1\), got 1.0"),
        ("weight_drop", -0.1, r"weight_drop must be in \[0, 1\), got -0.1"),
        ("dropout", True, r"dropout must be in \[0, 1\], got True"),
    ],
)
def test_rates_out_of_range_are_refused(option, value, told):
    with pytest.raises(ValueError, match=told):
        ost.Recurrent(cells.LSTM(I, H), 2, **{option: value})
