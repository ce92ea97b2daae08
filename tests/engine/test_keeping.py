"""Walks that write values down: the same walk to the last bit, and the values of the equations."""

import dataclasses

import pytest
import torch
from against_eager import in_double, make_call
from custom_cells import CELLS
from torch import nn

import ostinato
from ostinato import cells
from ostinato.engine import Keeper, fused, keep, keeping, origin, stored
from ostinato.engine.forms import form_of
from ostinato.engine.llvm import kernel as kernels
from ostinato.layers.tracing.keeping import Naming
from ostinato.layers.tracing.steps import old_states
from ostinato.layers.tracing.watch import state_names

I, H = 5, 20  # noqa: E741
TARGETS = ["", "avx2", "sse2"]
OTHERS = [name for name in cells.NAMES if name not in ("elman", "gru", "lstm")]


class Sums(nn.Module):
    """Names inside sums of all kinds."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(I, H), nn.Linear(H, H)
        self.c = nn.Linear(H, H, bias=False)

    def forward(self, x, h):
        drive = self.a(x)
        old = self.b(h)
        both = drive + old
        more = self.c(torch.relu(h))
        total = both + more
        gate = torch.sigmoid(total + 0.1 * h)
        part = gate * h
        rest = (1 - gate) * torch.tanh(more)
        return part + rest + self.a(x)


OURS = {
    "elman": lambda: cells.Elman(I, H, joint=True),
    "gru": lambda: cells.GRU(I, H, bias="both"),
    "gru without bias": lambda: cells.GRU(I, H, bias=False),
    "gru before, norm": lambda: cells.GRU(I, H, reset="before", layer_norm=True),
    "gru norm": lambda: cells.GRU(I, H, layer_norm=True),
    "lstm": lambda: cells.LSTM(I, H, bias="both"),
    "lstm peep": lambda: cells.LSTM(I, H, peephole=True),
    "lstm projected": lambda: cells.LSTM(I, H, peephole=True, coupled=True, proj_size=7),
    "lstm norm": lambda: cells.LSTM(I, H, layer_norm=True),
    **{f"default {name}": lambda n=name: cells.by_name(n)(I, H) for name in OTHERS},
    "sums": Sums,
}


def all_cells():
    for name, make in OURS.items():
        cell = make()
        sizes = getattr(cell, "state_sizes", (H,))
        yield pytest.param(make, I, sizes, id=name)
    for name, (make, width, sizes) in CELLS.items():
        # the largest take longest to compile, and are made of the same operations
        if name not in ("activations", "delays"):
            yield pytest.param(make, width, sizes, id=name)


def naming(call, only=None):
    return Naming(call.cell, state_names(call.cell, len(call.state)), only)


CASES = {
    "dense": {"B": 3},
    "one row": {"B": 1},
    "two rows, from the end": {"B": 2, "reverse": True},
    "lengths": {"B": 7, "lengths": torch.tensor([5, 0, 3, 5, 1, 4, 2])},
    "lengths, from the end": {"B": 3, "lengths": torch.tensor([2, 5, 3]), "reverse": True},
    "resets": {
        "B": 3,
        "reset": torch.tensor([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 1], [0] * 3]) > 0,
    },
}


@pytest.mark.parametrize(("make", "width", "sizes"), list(all_cells()))
def test_to_write_values_down_changes_no_bit_of_the_walk(make, width, sizes):
    torch.manual_seed(0)
    assert_same_bits(make(), width, sizes, torch.float32)


@pytest.mark.parametrize("name", ["gru before, norm", "lstm peep", "sums"])
def test_so_it_is_in_double_precision(name):
    torch.manual_seed(0)
    cell = OURS[name]()
    assert_same_bits(cell, I, getattr(cell, "state_sizes", (H,)), torch.float64)


def assert_same_bits(cell, width, sizes, dtype):
    some = None
    for case, options in CASES.items():
        call = make_call(cell, sizes, I=width, dtype=dtype, **options)
        some = some or naming(call)
        with torch.no_grad():
            wanted, found = fused.walk(call), keep(call, some)
        if wanted is None:
            assert found is None
            continue
        assert found is not None, case
        assert torch.equal(found.walk.output, wanted.output), case
        assert all(map(torch.equal, found.walk.state, wanted.state)), case
        assert all(map(torch.equal, found.walk.states, wanted.states)), case


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ["gru", "lstm peep", "sums"])
def test_so_it_is_on_every_kind_of_processor(name, target):
    torch.manual_seed(0)
    cell = OURS[name]()
    call = make_call(cell, getattr(cell, "state_sizes", (H,)), I=I, B=4)
    with torch.no_grad():
        wanted = fused.walk(call, target=target)
        found = keeping.walk(call, naming(call), target=target)
    assert all(map(torch.equal, found.walk.states, wanted.states))


def by_the_equations(call):
    """What has a name, of all steps at once, in float64."""
    call = in_double(call)
    with torch.no_grad(), ostinato.engine("eager"):
        walk = ostinato.engine.run(call)
        x, *old = (p.reshape(-1, p.shape[-1]) for p in (call.x, *old_states(call, walk.states)))
        _, _, kept = naming(call)(x, *old)
    T, B = call.x.shape[:2]
    return {label: value.reshape(T, B, -1) for label, value in kept.items()}


@pytest.mark.parametrize("name", OURS)
def test_what_is_written_down_is_what_the_equations_say(name):
    assert_told(name, torch.float32)


@pytest.mark.parametrize("name", ["gru", "lstm peep", "sums"])
def test_and_does_so_in_double_precision(name):
    assert_told(name, torch.float64)


def assert_told(name, dtype):
    torch.manual_seed(1)
    cell = OURS[name]()
    for reverse in (False, True):
        call = make_call(
            cell, getattr(cell, "state_sizes", (H,)), I=I, dtype=dtype, reverse=reverse
        )
        with torch.no_grad():
            found = keep(call, naming(call)).values
        wanted = by_the_equations(call)
        assert list(found) == list(wanted)
        told = {label: value for label, value in found.items() if value is not None}
        # a mask is no number
        assert {label[0] for label in found.keys() - told.keys()} <= {"ticks"}
        for label, value in told.items():
            # what is told from a whole sum has the rounding of that
            most = 1e-5 if dtype == torch.float32 else 1e-13
            assert (value - wanted[label]).abs().max() <= most, label


def test_padding_holds_zeros_and_is_never_read():
    call = make_call(cells.GRU(I, H), (H,), I=I, lengths=torch.tensor([5, 0, 2]))
    spoiled = call.x.detach().clone()
    spoiled[2:, 2] = torch.nan
    with torch.no_grad():
        found = keep(dataclasses.replace(call, x=spoiled), naming(call)).values
    for label, value in found.items():
        assert not value[:, 1].any(), label
        assert not value[2:, 2].any(), label
        assert value[:2, 2].abs().sum() > 0, label


def test_rows_without_any_step_hold_zeros():
    call = make_call(cells.GRU(I, H), (H,), I=I, lengths=torch.tensor([0, 0, 0]))
    with torch.no_grad():
        found = keep(call, naming(call))
    assert {tuple(value.shape) for value in found.values.values()} == {(5, 3, H)}
    assert not any(value.any() for value in found.values.values())


def test_only_what_is_wanted_is_written():
    call = make_call(cells.LSTM(I, H), (H, H), I=I)
    some = naming(call, ("f", "state"))
    with torch.no_grad():
        found = keep(call, some)
        whole = keep(call, naming(call))
    told = {label[0]: value for label, value in found.values.items() if value is not None}
    assert set(told) == {"h", "c", "f"}
    assert list(found.values) == list(whole.values)
    assert torch.equal(told["f"], whole.values["f", "gate", "sigmoid"])
    assert len(form_of(some, call.x, call.state).found.program.emits) == 1


def test_parameters_of_the_call_take_the_place_of_the_cells_own():
    call = make_call(cells.GRU(I, H), (H,), I=I)
    halved = {name: part.detach() / 2 for name, part in call.cell.named_parameters()}
    given = dataclasses.replace(call, parameters=halved)
    with torch.no_grad():
        found = keep(given, naming(call))
        assert torch.equal(found.walk.states[0], fused.walk(given).states[0])
        plain = keep(call, naming(call))
    name = ("z", "gate", "sigmoid")
    assert (found.values[name] - plain.values[name]).abs().max() > 1e-3


def test_products_that_have_a_name_each_in_one_sum_are_not_told_apart():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(H, H), nn.Linear(H, H)

        def forward(self, x, h):
            first = self.a(h)
            second = self.b(torch.relu(h))
            return torch.tanh(first + second)

    call = make_call(Two(), (H,), I=I)
    with torch.no_grad():
        found = keep(call, naming(call)).values
    assert {label[0]: value is None for label, value in found.items()} == {
        **{"h": False, "first": True, "second": True},
        "h.pre": False,
    }


def test_where_no_kernel_is_to_be_had_there_is_nothing():
    call = make_call(cells.GRU(I, H), (H,), I=I)
    # its gradient is asked for
    assert keep(call, naming(call)) is None
    with torch.no_grad():
        for name in ("eager", "torch", "scan"):
            with ostinato.engine(name):
                assert keep(call, naming(call)) is None
        with torch.autocast("cpu"):
            assert keep(call, naming(call)) is None
        assert keep(call, naming(call)) is not None


def test_a_cell_that_no_kernel_is_made_for_is_passed_over_without_a_word():
    class Odd(nn.Module):
        def forward(self, x, h):
            return torch.cumsum(h, 1) * x.sum(1, keepdim=True) + torch.linalg.norm(h)

    call = make_call(Odd(), (H,), I=I)
    with torch.no_grad():
        assert keep(call, naming(call)) is None


def test_the_kernel_is_made_once(monkeypatch):
    call = make_call(cells.MGU(I, 9), (9,), I=I)
    some, made = naming(call), []
    first = kernels.Kernel.__init__
    monkeypatch.setattr(
        kernels.Kernel, "__init__", lambda *a, **k: (made.append(1), first(*a, **k))[1]
    )
    with torch.no_grad():
        for B in (3, 1, 4):
            keep(make_call(call.cell, (9,), I=I, B=B, T=B + 1), some)
    assert len(made) == 1


def test_equations_with_names_are_kept_on_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path))
    monkeypatch.setattr(origin, "own_source", lambda: "ours")
    cell = cells.GRU(I, 11)
    x, state = torch.zeros(1, I), (torch.zeros(1, 11),)
    some = Naming(cell, ("h",), None)
    with torch.no_grad():
        found = form_of(some, x, state).found
        assert len(list((tmp_path / "equations").glob("*.json"))) == 1
        back = stored.read_text(stored.text_of(found))
        assert back.kept == found.kept
        assert back.program == found.program
        monkeypatch.setattr("ostinato.engine.forms.trace", lambda *_: pytest.fail("read anew"))
        again = form_of(Naming(cell, ("h",), None), x, state).found
    assert again.kept == found.kept
    # what else is wanted is another thing
    with torch.no_grad(), pytest.raises(pytest.fail.Exception, match="read anew"):
        form_of(Naming(cell, ("h",), ("z",)), x, state)


def test_a_keeper_tells_what_it_keeps():
    with pytest.raises(NotImplementedError):
        Keeper(nn.Identity()).key()
