"""The engine that is parallel in time, held to the reference, and where it is taken."""

import copy
import dataclasses
import warnings

import pytest
import torch
from against_eager import (
    TOLERANCE,
    assert_equal,
    error,
    in_double,
    make_call,
    padded,
    results,
)
from custom_cells import CELLS
from torch import nn

import ostinato
from ostinato import cells
from ostinato.engine import Call, eager, fused, kernels, run, scan
from ostinato.engine.fused import EngineWarning
from ostinato.layers import Clamp

B = 5
DTYPES = [pytest.param(torch.float32, id="f32"), pytest.param(torch.float64, id="f64")]


class TwoScales(nn.Module):
    """A fast average, a slow one of it, and a count that the output is divided by."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.rate = nn.Linear(input_size, 2 * hidden_size)
        self.write = nn.Linear(input_size, hidden_size)
        self.mix = nn.Linear(hidden_size, hidden_size)

    def forward(self, x, slow, fast, count):
        a, b = torch.sigmoid(self.rate(x)).chunk(2, -1)
        old = fast
        fast = torch.lerp(fast, torch.tanh(self.write(x)), a)
        slow = b * slow + (1 - b) * torch.tanh(self.mix(old))
        count = 0.9 * count + 1
        return slow * fast / count, (slow, fast, count)


class Taps(nn.Module):
    """A delay line in one state, read by a filter."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.filter = nn.Linear(hidden_size, 3)

    def forward(self, x, taps):
        taps = torch.cat([x, taps[:, : -x.shape[1]]], dim=-1)
        return torch.tanh(self.filter(taps)), (taps,)


class Echo(nn.Module):
    """The input as it is, kept for the next step."""

    def forward(self, x, h):
        return x


CASES = {
    "minGRU": (lambda: cells.MinGRU(3, 4), 3, (4,)),
    "minLSTM without bias": (lambda: cells.MinLSTM(3, 4, bias=False), 3, (4,)),
    "fo-pooling": CELLS["fo-pooling"],
    "SRU": CELLS["SRU"],
    "IndRNN": (lambda: cells.IndRNN(3, 4, activation="tanh"), 3, (4,)),
    "two scales": (lambda: TwoScales(3, 4), 3, (4, 4, 4)),
    "taps": (lambda: Taps(2, 6), 2, (6,)),
    "echo": (Echo, 3, (3,)),
}
LENGTHS = torch.tensor([3, 0, 19, 1, 11])


def marks(T, seed=0):
    return torch.rand(T, B, generator=torch.Generator().manual_seed(seed)) < 0.2


FORMS = {
    "plain": {},
    "reverse": {"reverse": True},
    "lengths": {"lengths": LENGTHS},
    "lengths reverse": {"lengths": LENGTHS, "reverse": True},
    "reset": {"reset": marks(19)},
    "reset reverse": {"reset": marks(19, 1), "reverse": True},
    "all": {"lengths": LENGTHS, "reset": marks(19, 2), "reverse": True},
    "last state only": {"lengths": LENGTHS, "reset": marks(19, 3), "all_states": False},
}


def case(name, dtype=torch.float32, T=19, B=B, seed=0, **options):
    make_cell, input_size, widths = CASES[name]
    torch.manual_seed(4)
    call = make_call(make_cell(), widths, I=input_size, T=T, B=B, dtype=dtype, seed=seed, **options)
    if call.lengths is not None:
        call = dataclasses.replace(call, x=padded(call.x, call.lengths))
    return call


def compare(call):
    double = in_double(call)
    walk = scan.walk(call)
    assert walk is not None, "not scanned"
    assert_equal(results(call, walk), results(double, eager.walk(double)), call.x.dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", CASES)
def test_every_form_of_a_walk_equals_the_reference(name, form, dtype):
    compare(case(name, dtype, **FORMS[form]))


@pytest.mark.parametrize("T", [1, 2, 8, 15, 16, 17, 130])
@pytest.mark.parametrize("B", [1, 3, 16])
def test_every_shape_equals_the_reference(T, B):
    compare(case("minGRU", T=T, B=B))
    compare(case("two scales", T=T, B=B, reverse=True))


def test_a_long_sequence_keeps_its_accuracy():
    compare(case("minLSTM without bias", T=4000, B=1))


@pytest.mark.parametrize("name", ["minGRU", "two scales", "SRU"])
def test_gradients_of_gradients_pass_gradcheck(name):
    call = case(name, torch.float64, T=5, B=2)
    names, parameters = zip(*call.cell.named_parameters(), strict=True)
    count = len(call.state)

    def walk(x, *rest):
        stand_ins = dict(zip(names, rest[count:], strict=True))
        found = scan.walk(dataclasses.replace(call, x=x, state=rest[:count], parameters=stand_ins))
        return found.output, *found.state

    inputs = (call.x, *call.state, *parameters)
    torch.autograd.gradcheck(walk, inputs)
    torch.autograd.gradgradcheck(walk, inputs)


def test_no_gradient_is_asked_for_and_none_is_kept():
    call = case("two scales")
    wanted = scan.walk(call)
    with torch.no_grad():
        found = scan.walk(call)
    assert not found.output.requires_grad
    assert torch.equal(found.output, wanted.output)


def test_the_same_bits_run_after_run():
    call = case("minGRU", T=300)
    first, second = (results(call, scan.walk(call)) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_output_is_not_the_input_under_another_name():
    call = case("echo")
    with torch.no_grad():
        scan.walk(call).output.zero_()
    assert call.x.any()


def test_the_last_state_does_not_hold_all_the_others():
    (last,) = scan.walk(case("minGRU", T=200)).state
    assert last.untyped_storage().nbytes() == last.numel() * last.element_size()


# under engine("scan")


@pytest.fixture
def only_scan(monkeypatch):
    """The scan in force, and everything else out of reach."""

    def refuse(call):
        raise AssertionError(f"{type(call.cell).__name__} was walked")

    for other in (eager, fused, kernels):
        monkeypatch.setattr(other, "walk", refuse)
    with ostinato.engine("scan"):
        yield


@pytest.mark.usefixtures("only_scan")
def test_it_can_be_forced():
    run(case("minGRU"))
    run(case("IndRNN", T=3))


@pytest.mark.parametrize(
    "options",
    [
        {"num_layers": 2, "bidirectional": True},
        {"zoneout": 0.3},
        {"clamp": Clamp([1, 3], 0.5)},
        {"initial_state": "learned"},
    ],
    ids=str,
)
def test_layers_give_what_they_give_on_the_reference(options):
    torch.manual_seed(0)
    layer = ostinato.Recurrent(cells.MinGRU(3, 4), **options)
    x, found = torch.randn(20, 3, 3), []
    for name in ("scan", "eager"):
        torch.manual_seed(1)
        with ostinato.engine(name):
            y, _ = layer(x, lengths=[20, 5, 0])
        found.append((y, *torch.autograd.grad(y.square().sum(), list(layer.parameters()))))
    for got, want in zip(*found, strict=True):
        assert error(got, want) <= TOLERANCE[torch.float32]


def test_no_steps_and_no_rows_are_fine():
    with ostinato.engine("scan"):
        layer = ostinato.Recurrent(cells.MinGRU(3, 4))
        y, h = layer(torch.zeros(0, 2, 3))
        assert (y.shape, h.shape) == ((0, 2, 4), (2, 4))
        y, h = layer(torch.zeros(20, 0, 3))
        assert (y.shape, h.shape) == ((20, 0, 4), (0, 4))


def test_autocast_runs_in_single_precision():
    call = case("minGRU")
    wanted = scan.walk(call)
    half = dataclasses.replace(call, x=call.x.bfloat16())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = scan.walk(half)
    assert found.output.dtype == torch.float32
    assert error(found.output, wanted.output) < 0.02


@pytest.mark.usefixtures("only_scan")
def test_a_compiled_layer_uses_it_too():
    layer = ostinato.Recurrent(cells.MinGRU(3, 4))
    x = torch.randn(20, 2, 3)
    wanted, _ = layer(x)
    found, _ = torch.compile(layer, backend="eager", fullgraph=True)(x)
    assert torch.equal(found, wanted)


def test_what_cannot_be_scanned_says_so_once_and_runs_on_the_reference():
    call = make_call(cells.GRU(3, 4), (4,), I=3, T=20)
    with ostinato.engine("scan"):
        with pytest.warns(EngineWarning, match="GRU .* the units of h hear each other's past"):
            found = run(call)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            run(call)
    assert torch.equal(found.output, eager.walk(call).output)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_tangents_and_transforms_go_to_the_reference():
    call = case("minGRU")
    with ostinato.engine("scan"):

        def last(x):
            return run(dataclasses.replace(call, x=x)).output[-1]

        _, found = torch.func.jvp(last, (call.x.detach(),), (torch.ones_like(call.x),))
    with ostinato.engine("eager"):
        _, wanted = torch.func.jvp(last, (call.x.detach(),), (torch.ones_like(call.x),))
    assert torch.equal(found, wanted)


# where "auto" takes it


def taken(call, monkeypatch):
    """Whether "auto" takes the scan where no kernel can be had."""
    monkeypatch.setattr(fused, "walk", lambda call, **_: None)
    steps = []
    monkeypatch.setattr(eager, "walk", lambda call: steps.append(call))
    with ostinato.engine("auto"), warnings.catch_warnings():
        warnings.simplefilter("error")
        run(call)
    return not steps


@pytest.mark.parametrize(
    ("name", "T", "B", "wanted"),
    [
        ("minGRU", 64, 3, True),
        ("minGRU", 8, 3, False),
        ("minGRU", 64, 2000, False),
        ("IndRNN", 64, 1, False),
        ("IndRNN", 1500, 1, True),
        ("IndRNN", 1500, 30, False),
    ],
)
def test_without_a_kernel_auto_takes_what_was_measured_to_be_quicker(
    name, T, B, wanted, monkeypatch
):
    assert taken(case(name, T=T, B=B), monkeypatch) == wanted


def test_auto_says_nothing_of_cells_that_cannot_be_scanned(monkeypatch):
    assert not taken(make_call(cells.MGU(3, 4), (4,), I=3, T=64), monkeypatch)


def test_a_kernel_goes_before_a_scan(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("scanned")

    monkeypatch.setattr(scan, "walk", refuse)
    with ostinato.engine("auto"):
        run(case("minGRU", T=64))


def test_explain_says_whether_and_how():
    said = {name: ostinato.explain(cells.by_name(name)(3, 4)).parallel for name in cells.NAMES}
    assert said["mingru"] == "yes: h by a scan"
    assert said["indrnn"] == "yes: h by Newton's iteration, walked if 24 fall short"
    assert said["lstm"] == "no: h and c hear each other's past"
    assert said["elman"] == "no: the units of h hear each other's past"
    two = ostinato.explain(
        TwoScales(3, 4), torch.zeros(2, 3), tuple(torch.zeros(2, 4) for _ in range(3))
    )
    assert "  all steps at once\n    yes: slow, fast, count by a scan" in str(two)
    taps = ostinato.explain(Taps(2, 6), torch.zeros(2, 2), torch.zeros(2, 6))
    assert taps.parallel == "yes: no state hears its own past"


def test_a_deep_copy_is_a_cell_of_its_own():
    call = case("minGRU")
    other = copy.deepcopy(call.cell)
    with torch.no_grad():
        other.gates.weight.mul_(0.5)
    changed = Call(other, call.x, call.state)
    assert not torch.equal(scan.walk(call).output, scan.walk(changed).output)
