"""The cells that torch.nn has, too, against torch.nn: output, states and every gradient."""

import pytest
import torch
from torch import nn

from ostinato import cells
from ostinato.engine import Call, run

T, BATCH, INPUT, HIDDEN = 6, 3, 4, 5

PAIRS = {
    "tanh": (cells.Elman, {}, nn.RNN, {}),
    "relu": (cells.Elman, {"activation": "relu"}, nn.RNN, {"nonlinearity": "relu"}),
    "lstm": (cells.LSTM, {}, nn.LSTM, {}),
    "projected": (cells.LSTM, {"proj_size": 2}, nn.LSTM, {"proj_size": 2}),
    "gru": (cells.GRU, {}, nn.GRU, {}),
}
every_pair = pytest.mark.parametrize("pair", PAIRS)
with_and_without_bias = pytest.mark.parametrize("bias", [True, False])


def cell_and_torch(pair, bias):
    """Our cell with torch's weights, and torch's layer."""
    cell_class, options, torch_class, torch_options = PAIRS[pair]
    theirs = torch_class(INPUT, HIDDEN, bias=bias, **torch_options).double()
    cell = cell_class(INPUT, HIDDEN, bias="both" if bias else False, **options).double()
    matching = {f"{our_name(key)}": value for key, value in theirs.state_dict().items()}
    cell.load_state_dict(matching)
    return cell, theirs


def our_name(key):
    name = key.removesuffix("_l0")
    return name if name == "weight_hr" else f"gates.{name}"


def sequence(cell):
    x = torch.randn(T, BATCH, INPUT, dtype=torch.float64, requires_grad=True)
    state = tuple(
        torch.randn(BATCH, size, dtype=torch.float64, requires_grad=True)
        for size in cell.state_sizes
    )
    return x, state


def torch_call(layer, x, state):
    packed = tuple(part[None] for part in state)
    output, last = layer(x, packed if len(packed) > 1 else packed[0])
    last = last if isinstance(last, tuple) else (last,)
    return output, tuple(part[0] for part in last)


def gradients(output, state, wanted):
    loss = (output.cos() * torch.arange(T)[:, None, None]).sum()
    loss = loss + sum((part.sin() * k).sum() for k, part in enumerate(state, start=1))
    return torch.autograd.grad(loss, wanted)


@every_pair
@with_and_without_bias
def test_a_loop_over_the_cell_equals_torch(pair, bias):
    cell, theirs = cell_and_torch(pair, bias)
    x, state = sequence(cell)
    walk = run(Call(cell, x, state))
    output, last = torch_call(theirs, x, state)
    torch.testing.assert_close(walk.output, output)
    for ours, wanted in zip(walk.state, last, strict=True):
        torch.testing.assert_close(ours, wanted)
    own = dict(cell.named_parameters())
    ours = gradients(
        walk.output,
        walk.state,
        [x, *state, *(own[our_name(k)] for k, _ in theirs.named_parameters())],
    )
    wanted = gradients(output, last, [x, *state, *theirs.parameters()])
    for a, b in zip(ours, wanted, strict=True):
        torch.testing.assert_close(a, b)


@every_pair
@pytest.mark.parametrize("bias", [True, False, "both"])
@pytest.mark.parametrize("joint", [False, True])
def test_the_kernel_it_names_gives_its_numbers(pair, bias, joint):
    if joint and bias == "both":
        bias = True
    cell_class, options, _, _ = PAIRS[pair]
    cell = cell_class(INPUT, HIDDEN, bias=bias, joint=joint, **options).double()
    for parameter in cell.parameters():
        parameter.data.normal_(std=0.5)
    x, state = sequence(cell)
    kind, weights = cell.torch_kernel()
    w_ih, w_hh, b_ih, b_hh, *projection = weights
    zeros = w_ih.new_zeros(len(w_ih))
    flat = [
        w_ih,
        w_hh,
        zeros if b_ih is None else b_ih,
        zeros if b_hh is None else b_hh,
        *projection,
    ]
    start = tuple(part[None] for part in state)
    kernel = {
        "lstm": torch._VF.lstm,
        "gru": torch._VF.gru,
        "rnn_tanh": torch._VF.rnn_tanh,
        "rnn_relu": torch._VF.rnn_relu,
    }[kind]
    first = start if kind == "lstm" else start[0]
    output, *last = kernel(x, first, flat, True, 1, 0.0, False, False, False)
    walk = run(Call(cell, x, state))
    torch.testing.assert_close(walk.output, output)
    for ours, theirs in zip(walk.state, last, strict=True):
        torch.testing.assert_close(ours, theirs[0])
    leaves = [x, *state, *cell.parameters()]
    for a, b in zip(
        gradients(walk.output, walk.state, leaves),
        gradients(output, [part[0] for part in last], leaves),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(
    "cell",
    [
        cells.Elman(2, 3, activation="sigmoid"),
        cells.Elman(2, 3, layer_norm=True),
        cells.LSTM(2, 3, peephole=True),
        cells.LSTM(2, 3, coupled=True),
        cells.LSTM(2, 3, layer_norm=True),
        cells.GRU(2, 3, reset="before"),
        cells.GRU(2, 3, layer_norm=True),
        cells.MGU(2, 3),
    ],
    ids=repr,
)
def test_a_cell_with_other_equations_names_no_kernel(cell):
    assert cell.torch_kernel() is None


class Noisy(cells.LSTM):
    def forward(self, x, h, c):
        h, c = super().forward(x, h, c)
        return h + 1, c


class NoisyGates(cells.Gates):
    def forward(self, x, h):
        return tuple(drive + 1 for drive in super().forward(x, h))


def with_other_gates():
    cell = cells.GRU(2, 3)
    cell.gates = NoisyGates("r z n", 2, 3)
    return cell


def with_hook(where):
    cell = cells.Elman(2, 3)
    where(cell).register_forward_hook(lambda module, given, result: None)
    return cell


def with_own_forward():
    cell = cells.Elman(2, 3)
    cell.forward = lambda x, h: h
    return cell


@pytest.mark.parametrize(
    "build",
    [
        lambda: Noisy(2, 3),
        with_other_gates,
        with_own_forward,
        lambda: with_hook(lambda cell: cell),
        lambda: with_hook(lambda cell: cell.gates),
    ],
)
def test_a_changed_cell_names_no_kernel(build):
    assert build().torch_kernel() is None


def test_torch_cells_walk_as_they_are():
    theirs = nn.GRU(INPUT, HIDDEN)
    stranger = nn.GRUCell(INPUT, HIDDEN)
    stranger.load_state_dict({k.removesuffix("_l0"): v for k, v in theirs.state_dict().items()})
    x, h = torch.randn(T, BATCH, INPUT), torch.randn(BATCH, HIDDEN)
    output, (last,) = torch_call(theirs, x, (h,))
    walk = run(Call(stranger, x, (h,)))
    torch.testing.assert_close(walk.output, output)
    torch.testing.assert_close(walk.state[0], last)
