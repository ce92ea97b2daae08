import math
from typing import ClassVar

import pytest
import torch
from torch import nn

import ostinato as ost
from ostinato import cells, initialise
from ostinato.training.blocks import blocks_of
from ostinato.training.starts import Request, draw

H = 12
MODULES = {
    "elman": lambda: ost.Recurrent(cells.Elman(5, H)),
    "joint": lambda: ost.Recurrent(cells.LSTM(5, H, joint=True), num_layers=2),
    "gru before": lambda: ost.Recurrent(cells.GRU(5, H, reset="before"), bidirectional=True),
    "mgu": lambda: ost.Recurrent(cells.MGU(5, H)),
    "narx": lambda: ost.Recurrent(cells.NARX(5, H, delays=(1, 3))),
    "multiplicative": lambda: ost.Recurrent(cells.MultiplicativeLSTM(5, H)),
    "leaky": lambda: cells.LeakyRNN(5, H),
    "ours": lambda: ost.LSTM(5, H, num_layers=2, bidirectional=True),
    "torch gru": lambda: nn.GRU(5, H, num_layers=2),
    "torch cell": lambda: nn.LSTMCell(5, H),
    "in a model": lambda: nn.Sequential(nn.Linear(5, 5), ost.GRU(5, H)),
}


class Stranger(nn.Module):
    """A cell that knows nothing of this package."""

    def __init__(self):
        super().__init__()
        self.joined = nn.Linear(H + 5, 2 * H)
        self.inner = nn.Parameter(torch.zeros(H, H))

    def forward(self, x, h):
        g, n = self.joined(torch.cat([h, x], -1)).chunk(2, -1)
        return torch.sigmoid(g) * h + torch.tanh(n + h @ self.inner)


MODULES["stranger"] = lambda: ost.Recurrent(Stranger(), input_size=5, state_sizes=(H,))


def kinds(module, kind):
    return [block for block in blocks_of(module) if block.kind == kind]


@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES)
def test_orthogonal_blocks_have_equal_singular_values(make):
    module = initialise(make().double(), "orthogonal", gain=1.5)
    blocks = kinds(module, "recurrent")
    assert blocks
    for block in blocks:
        values = torch.linalg.svdvals(block.value)
        torch.testing.assert_close(values, torch.full_like(values, 1.5))


@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES)
def test_every_square_block_has_exactly_the_radius(make):
    module = initialise(make().double(), "radius", gain=0.9)
    for block in kinds(module, "recurrent"):
        radius = float(torch.linalg.eigvals(block.value).abs().max())
        assert radius == pytest.approx(0.9, rel=1e-12)


def test_identity_and_small_inputs_make_an_irnn():
    layer = ost.Recurrent(cells.Elman(40, 50, activation="relu"))
    initialise(layer, "identity", input="normal", input_gain=0.001, bias="zeros")
    gates = layer.cell.gates
    assert torch.equal(gates.weight_hh, torch.eye(50))
    assert not gates.bias.any()
    assert float(gates.weight_ih.detach().std()) == pytest.approx(0.001, rel=0.1)


def test_sparse_units_hear_as_many_others_as_asked():
    layer = initialise(ost.GRU(4, 60), "sparse", input="sparse", connections=7, gain=0.5)
    for block in kinds(layer, "recurrent"):
        assert (block.value != 0).sum(1).unique().tolist() == [7]
        assert float(block.value[block.value != 0].std()) == pytest.approx(0.5, rel=0.15)
    # there are only four inputs to hear
    assert all((block.value != 0).all() for block in kinds(layer, "input"))


def test_sparse_takes_fifteen_connections_unless_told():
    (block,) = kinds(initialise(ost.RNN(4, 60), "sparse"), "recurrent")
    assert (block.value != 0).sum(1).unique().tolist() == [15]


def test_uniform_is_as_torch_starts():
    layer = ost.Recurrent(cells.LSTM(30, 64))
    initialise(layer, "uniform", input="uniform", bias="uniform")
    for block in blocks_of(layer):
        largest = float(block.value.abs().max())
        assert 0.8 / 8 < largest <= 1 / 8
    torch_like = nn.LSTM(30, 64)
    assert 0.8 / 8 < float(torch_like.weight_hh_l0.detach().abs().max()) <= 1 / 8


def test_glorot_scales_each_gate_by_its_own_rows():
    layer = initialise(ost.LSTM(20, 60), input="glorot")
    for block in kinds(layer, "input"):
        bound = math.sqrt(6 / 80)
        assert 0.9 * bound < float(block.value.abs().max()) <= bound


@pytest.mark.parametrize("make", [lambda: ost.LSTM(3, H), lambda: nn.LSTM(3, H, 2)])
def test_the_forget_gate_of_two_biases_sums_to_what_is_asked(make):
    layer = initialise(make(), forget_bias=2.0)
    for k in range(layer.num_layers):
        total = getattr(layer, f"bias_ih_l{k}") + getattr(layer, f"bias_hh_l{k}")
        assert (total[H : 2 * H] == 2.0).all()
        assert not (total[:H] == 2.0).any()


def test_a_gate_that_renews_gets_the_opposite_bias():
    for cell, name in ((cells.Gated(3, H), "gates"), (cells.MGU(3, H), "gate")):
        initialise(cell, forget_bias=1.5)
        assert (getattr(cell, name).bias[:H] == -1.5).all()


@pytest.mark.parametrize("cell", ["lstm", "gru", "gated", "mgu", "mingru", "minlstm"])
def test_chrono_biases_spread_memories_up_to_the_longest_lag(cell):
    made = initialise(cells.by_name(cell)(3, 400), chrono=100)
    gates = [b for b in kinds(made, "bias") if b.role]
    for block in gates:
        lags = (block.role * block.value).exp()
        assert 1 <= float(lags.min()) < 3
        assert 96 < float(lags.max()) <= 99
    if len(gates) == 2:
        assert torch.equal(gates[0].value, -gates[1].value)


def test_chrono_directions_differ():
    layer = initialise(ost.GRU(3, H, bidirectional=True), chrono=50)
    assert not torch.equal(layer.bias_ih_l0, layer.bias_ih_l0_reverse)
    assert not layer.bias_hh_l0[H : 2 * H].any()


def test_a_cell_of_ones_own_says_what_its_gates_do():
    class Own(ost.Cell):
        gate_roles: ClassVar = {"k": 1}

        def __init__(self):
            super().__init__(3, H)
            self.gates = cells.Gates("k n", 3, H)

        def forward(self, x, h):
            k, n = self.gates(x, h)
            k = torch.sigmoid(k)
            return k * h + (1 - k) * torch.tanh(n)

    own = initialise(ost.Recurrent(Own()), forget_bias=3.0).cell
    assert own.gates.bias.tolist() == [3.0] * H + [0.0] * H


def test_layers_are_chosen_apart():
    layer = ost.RNN(H, H, num_layers=2)
    before = layer.weight_hh_l1.detach().clone()
    initialise(layer, ["identity", None])
    assert torch.equal(layer.weight_hh_l0, torch.eye(H))
    assert torch.equal(layer.weight_hh_l1, before)
    initialise(layer, "zeros, identity")
    assert not layer.weight_hh_l0.any()
    assert torch.equal(layer.weight_hh_l1, torch.eye(H))


def test_a_clockwork_radius_is_that_of_the_weights_it_uses():
    cell = initialise(cells.ClockworkRNN(3, H).double(), "radius", gain=1.1)
    recurrent, _ = cell.gates.weights()
    radius = float(torch.linalg.eigvals(recurrent.detach()).abs().max())
    assert radius == pytest.approx(1.1, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("identity", lambda u: (u == 0.8).all()),
        ("orthogonal", lambda u: (u.abs() == 0.8).all() and u.unique().numel() == 2),
        ("radius", lambda u: abs(u.abs().max() - 0.8) < 1e-15 and u.abs().min() < 0.8),
    ],
)
def test_units_that_hear_only_themselves_have_starts_too(name, check):
    cell = initialise(cells.IndRNN(3, 30).double(), name, gain=0.8)
    assert check(cell.weight_hh)


def test_only_what_is_named_changes():
    layer = ost.LSTM(5, H)
    before = {name: value.detach().clone() for name, value in layer.named_parameters()}
    initialise(layer, "orthogonal")
    changed = {n for n, value in layer.named_parameters() if not torch.equal(value, before[n])}
    assert changed == {"weight_hh_l0"}


def test_the_generator_decides():
    def drawn(seed):
        generator = torch.Generator().manual_seed(seed)
        layer = initialise(ost.GRU(3, H), "orthogonal", chrono=9, generator=generator)
        return torch.cat([layer.weight_hh_l0.flatten(), layer.bias_ih_l0[H : 2 * H]])

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_a_nilpotent_draw_has_no_radius_to_set():
    request = Request((3, 3), 3, mask=torch.ones(3, 3).tril(-1), owner="initialise: W")
    with pytest.raises(ValueError, match=r"initialise: W: .*nilpotent.*another seed"):
        draw("radius", request)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: initialise(ost.GRU(3, 4), "orthogonl"), "Did you mean 'orthogonal'"),
        (lambda: initialise(nn.Linear(3, 4), "orthogonal"), "no recurrent layer"),
        (lambda: initialise(cells.MinGRU(3, 4), "orthogonal"), "no recurrent weights"),
        (lambda: initialise(cells.IndRNN(3, 4), "sparse"), "hears only itself"),
        (lambda: initialise(ost.LSTM(3, 4, proj_size=2), "identity"), "square"),
        (lambda: initialise(ost.GRU(3, 4), ["identity"] * 3), "3 starts for 1 layer"),
        (lambda: initialise(ost.GRU(3, 4), bias="orthogonal"), "bias starts as"),
        (lambda: initialise(ost.RNN(3, 4), forget_bias=1.0), "no gate"),
        (lambda: initialise(ost.GRU(3, 4), forget_bias=1.0, chrono=9), "Give one"),
        (lambda: initialise(ost.GRU(3, 4), chrono=2), "above 2"),
        (lambda: initialise(ost.GRU(3, 4), "radius", gain=-1.0), "must not be negative"),
        (lambda: initialise(ost.GRU(3, 4)), "nothing is named.*orthogonal.*forget_bias or chrono"),
        (lambda: initialise(ost.GRU(3, 4), [None]), "nothing is named"),
        (lambda: initialise(ost.GRU(3, 4), input="glorot", gain=0.9), "gain=0.9 belongs to recur"),
        (lambda: initialise(ost.GRU(3, 4), "zeros", input_gain=0.9), "input_gain=0.9 belongs to"),
        (lambda: initialise(ost.GRU(3, 4), "zeros", connections=3), "connections=3 belongs to"),
    ],
)
def test_bad_requests_say_what_to_do(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_stranger_whose_widths_nobody_knows_is_refused():
    layer = ost.Recurrent(Stranger())
    with pytest.raises(ValueError, match="input_size and state_sizes"):
        initialise(layer, "orthogonal")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"input": "identity"}, "square block"),
        ({"chrono": 2}, "above 2 steps"),
        ({"gain": float("nan")}, "gain must be a finite number, got nan"),
        ({"forget_bias": float("inf")}, "forget_bias must be a finite number"),
        ({"connections": 0}, "connections must be at least 1, got 0"),
        ({"bias": []}, r"one for each layer, got \[\]"),
        ({"bias": 3}, "the name of a start, or one for each layer, got 3"),
    ],
)
def test_a_mistake_leaves_all_weights_as_they_were(options, said):
    layer = ost.LSTM(2, 3)
    before = [p.clone() for p in layer.parameters()]
    with pytest.raises(ValueError, match=said):
        initialise(layer, "orthogonal", **options)
    assert all(torch.equal(a, b) for a, b in zip(before, layer.parameters(), strict=True))
