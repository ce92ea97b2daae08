"""Layers on kernels: every option gives what it gives on the reference."""

import pytest
import torch
from against_eager import TOLERANCE, assert_equal, error, gradients, only_fused
from torch.nn.utils.rnn import pack_padded_sequence

import ostinato
from ostinato import GRU, LSTM, RNN, Recurrent, cells
from ostinato.layers import Clamp

T, B, I, H = 6, 5, 3, 7  # noqa: E741
DOUBLE = torch.float64
LENGTHS = torch.tensor([4, 0, 6, 1, 3])


def cell(kind="GRU", **options):
    return getattr(cells, kind)(I, H, **options)


LAYERS = {
    "one cell": lambda: Recurrent(cell("LSTM")),
    "stack": lambda: Recurrent(cell(), 3),
    "both directions": lambda: Recurrent(cell("LSTM"), bidirectional=True),
    "stack in both directions": lambda: Recurrent(cell("MGU"), 2, True, batch_first=True),
    "dropout": lambda: Recurrent(cell(), 2, dropout=0.4),
    "locked dropout": lambda: Recurrent(cell(), 2, dropout=0.4, locked_dropout=True),
    "residual": lambda: Recurrent(cell(), 3, residual=True),
    "recurrent dropout": lambda: Recurrent(cell("LSTM"), recurrent_dropout=0.4),
    "recurrent dropout, two stages": lambda: Recurrent(cell("MGU"), 2, recurrent_dropout=0.4),
    "zoneout": lambda: Recurrent(cell("LSTM"), zoneout=(0.2, 0.5)),
    "weight drop": lambda: Recurrent(cell("LSTM"), 2, weight_drop=0.5),
    "all that acts in time": lambda: Recurrent(
        cell("LSTM"), 2, recurrent_dropout=0.3, zoneout=0.2, weight_drop=0.3
    ),
    "clamp": lambda: Recurrent(cell("LSTM"), clamp=Clamp([1, 4], 0.5)),
    "clamp of values": lambda: Recurrent(cell("Elman"), clamp=Clamp([0, 2])),
    "clamp and zoneout": lambda: Recurrent(cell(), zoneout=0.3, clamp=Clamp([6], -1.0, layer=0)),
    "ones": lambda: Recurrent(cell("LSTM"), initial_state="ones"),
    "random": lambda: Recurrent(cell("LSTM"), 2, initial_state="random"),
    "learned": lambda: Recurrent(cell("LSTM"), 2, initial_state="learned"),
    "number": lambda: Recurrent(cell("Elman"), initial_state=0.3),
    "narx": lambda: Recurrent(cell("NARX"), 2, bidirectional=True),
    "LSTM": lambda: LSTM(I, H),
    "LSTM, all": lambda: LSTM(I, H, 2, bidirectional=True, batch_first=True, dropout=0.3),
    "LSTM, projection": lambda: LSTM(I, H, 2, proj_size=3, bidirectional=True),
    "LSTM, layer norm": lambda: LSTM(I, H, layer_norm=True, zoneout=0.2),
    "LSTM, no bias": lambda: LSTM(I, H, bias=False, weight_drop=0.4, initial_state="learned"),
    "GRU": lambda: GRU(I, H, 2, bidirectional=True),
    "GRU, in time": lambda: GRU(I, H, recurrent_dropout=0.3, zoneout=0.2),
    "RNN": lambda: RNN(I, H, 2),
    "RNN, relu": lambda: RNN(I, H, nonlinearity="relu", bidirectional=True),
    "RNN, clamp": lambda: RNN(I, H, clamp=Clamp([0], 1.0)),
}
CALLS = {
    "": {},
    "lengths": {"lengths": LENGTHS},
    "reset": {"reset": torch.rand(T, B, generator=torch.Generator().manual_seed(2)) < 0.3},
}
CALLS["both"] = CALLS["lengths"] | CALLS["reset"]


def tensors(state):
    if isinstance(state, torch.Tensor):
        return [state]
    return [tensor for part in state for tensor in tensors(part)]


def outcome(layer, x, options, seed=8):
    """Outputs, states and gradients, masks drawn from one seed."""
    torch.manual_seed(seed)
    y, *states = layer(x, **options)
    outputs = {"y": y} | {f"state {n}": part for n, part in enumerate(tensors(states))}
    outputs = {name: value for name, value in outputs.items() if value.requires_grad}
    inputs = {"x": x} | {n: p for n, p in layer.named_parameters() if p.requires_grad}
    return outputs | {f"d {n}": g for n, g in gradients(outputs, inputs).items()}


def made(name):
    torch.manual_seed(3)
    layer = LAYERS[name]().to(DOUBLE)
    first = layer.batch_first
    x = torch.randn(*((B, T) if first else (T, B)), I, dtype=DOUBLE).requires_grad_()
    return layer, x


def options_of(layer, name, form):
    options = dict(CALLS[form])
    if layer.batch_first and "reset" in options:
        options["reset"] = options["reset"].t()
    if name == "clamp of values":
        options["clamp"] = torch.rand(T, B, 2, dtype=DOUBLE)
    return options


# every layer plainly, and in one other form in turn
FORMS = [
    (name, form)
    for n, name in enumerate(LAYERS)
    for form in ("", ("lengths", "reset", "both")[n % 3])
]


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_a_layer_equals_its_reference(name, form):
    layer, x = made(name)
    options = options_of(layer, name, form) | {"all_states": form in ("", "both")}
    with ostinato.engine("eager"):
        wanted = outcome(layer, x, options)
    with only_fused():
        assert_equal(outcome(layer, x, options), wanted, DOUBLE)


@pytest.mark.parametrize("name", ["all that acts in time", "LSTM, all", "clamp and zoneout"])
def test_in_evaluation_too(name):
    layer, x = made(name)
    layer.eval()
    with ostinato.engine("eager"):
        wanted = outcome(layer, x, {})
    with only_fused():
        assert_equal(outcome(layer, x, {}), wanted, DOUBLE)


@pytest.mark.parametrize("name", ["stack", "LSTM", "LSTM, projection", "RNN"])
def test_given_states_one_row_and_packed_input(name):
    layer, x = made(name)
    with ostinato.engine("eager"):
        _, state = layer(x)
    packed = pack_padded_sequence(x, LENGTHS.clamp(min=1), enforce_sorted=False)
    for given in ((x, state), (x[:, 0],), (packed,)):
        with ostinato.engine("eager"):
            wanted, last = layer(*given)
        with only_fused():
            found, end = layer(*given)
        assert type(found) is type(wanted)
        pairs = [(found, wanted)] if given[0] is not packed else [(found.data, wanted.data)]
        for got, want in [*pairs, *zip(tensors(end), tensors(last), strict=True)]:
            assert error(got, want) <= TOLERANCE[DOUBLE]


@pytest.mark.parametrize("name", ["stack", "LSTM", "zoneout"])
def test_step_by_step_is_the_whole(name):
    layer, x = made(name)
    layer.eval()
    with only_fused():
        whole, last = layer(x)
        state, steps = None, []
        for row in x:
            y, state = layer.step(row, state)
            steps.append(y)
        assert error(torch.stack(steps), whole) <= TOLERANCE[DOUBLE]
        for got, want in zip(tensors(state), tensors(last), strict=True):
            assert error(got, want) <= TOLERANCE[DOUBLE]
        found = torch.autograd.grad(torch.stack(steps).sum(), x)[0]
        assert error(found, torch.autograd.grad(whole.sum(), x)[0]) <= TOLERANCE[DOUBLE]


def test_another_seed_gives_another_mask():
    layer, x = made("all that acts in time")
    with only_fused():
        first, second = (outcome(layer, x, {}, seed=seed)["y"] for seed in (1, 2))
        assert torch.equal(outcome(layer, x, {}, seed=1)["y"], first)
    assert not torch.equal(first, second)


def test_tokens_go_through_a_look_up_into_the_kernel():
    torch.manual_seed(1)
    layer = Recurrent(cell("LSTM")).to(DOUBLE)
    tokens = torch.randint(I, (T, B))
    with only_fused():
        found, _ = layer(tokens)
        wanted, _ = layer(torch.nn.functional.one_hot(tokens, I).to(DOUBLE))
    assert error(found, wanted) <= TOLERANCE[DOUBLE]


def test_training_takes_the_same_path_as_on_the_reference():
    losses = {}
    for engine in ("llvm", "eager"):
        layer, x = made("stack in both directions")
        x = x.detach()
        optimiser = torch.optim.AdamW(layer.parameters(), 0.01)
        with ostinato.engine(engine):
            for _ in range(5):
                loss = (layer(x)[0] - 0.3).square().mean()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        losses[engine] = loss.item()
    assert abs(losses["llvm"] - losses["eager"]) < 1e-9
