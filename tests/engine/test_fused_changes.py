"""What a user changes between two calls is seen by the second, and what cannot be fused is told."""

import copy
import dataclasses
import gc
import pickle
import re
import warnings
import weakref

import pytest
import torch
from against_eager import compare, make_call, only_fused, walk_fused
from torch import nn

import ostinato
from ostinato import cells
from ostinato.engine import Call, eager, run
from ostinato.engine.fused import EngineWarning

I, H = 3, 5  # noqa: E741


class Scaled(nn.Module):
    """Plain attributes, a container, a buffer and a mode that the equations depend on."""

    def __init__(self):
        super().__init__()
        self.inner = cells.Elman(I, H)
        self.scale = 0.5
        self.shifts = {"all": [0.1, 0.2]}
        self.activation = torch.tanh
        self.register_buffer("gain", torch.ones(H))

    def forward(self, x, h):
        new = self.activation(self.inner(x, h) * self.scale + self.shifts["all"][1])
        return new * self.gain + (0.5 if self.training else 0)


def call_of(cell, **options):
    return make_call(cell, (H,), I=I, **options)


def change_gain(cell):
    cell.gain.mul_(3)


def change_data(cell):
    cell.inner.gates.weight_hh.data += 0.5


@torch.no_grad()
def change_in_place(cell):
    cell.inner.gates.weight_ih.mul_(-1)


def change_pointer(cell):
    cell.inner.gates.bias.data = torch.full_like(cell.inner.gates.bias, 0.7)


def replace_parameter(cell):
    cell.inner.gates.weight_hh = nn.Parameter(torch.ones(H, H))


def load(cell):
    cell.load_state_dict({name: value * 2 for name, value in cell.state_dict().items()})


CHANGES = {
    "attribute": lambda cell: setattr(cell, "scale", 2.0),
    "container": lambda cell: cell.shifts["all"].__setitem__(1, -0.4),
    "function": lambda cell: setattr(cell, "activation", torch.sigmoid),
    "method of a child": lambda cell: setattr(cell.inner, "activation", torch.relu),
    "mode": lambda cell: cell.eval(),
    "buffer": change_gain,
    "data": change_data,
    "in place": change_in_place,
    "pointer": change_pointer,
    "parameter": replace_parameter,
    "state dict": load,
    "child": lambda cell: setattr(cell, "inner", cells.LeakyRNN(I, H)),
}


@pytest.mark.parametrize("train", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_after_the_first_call_is_seen(change, train):
    torch.manual_seed(1)
    cell = Scaled()
    with torch.set_grad_enabled(train):
        call = call_of(cell)
        before = walk_fused(call).output
        CHANGES[change](cell)
        assert not torch.equal(walk_fused(call).output, before)
        compare(call)


def test_an_optimisers_steps_are_seen():
    torch.manual_seed(1)
    call = call_of(Scaled())
    optimiser = torch.optim.SGD(call.cell.parameters(), 0.01)
    for _ in range(3):
        walk_fused(call).output.square().sum().backward()
        optimiser.step()
        compare(call)


def test_a_cell_of_another_precision_is_another_cell():
    torch.manual_seed(1)
    cell = Scaled()
    for dtype in (torch.float32, torch.float64, torch.float32):
        compare(call_of(cell, dtype=dtype))


@pytest.mark.parametrize("kind", ["register_forward_hook", "register_forward_pre_hook"])
def test_a_hook_is_called_at_every_step(kind):
    torch.manual_seed(1)
    cell, seen = Scaled(), []
    call = call_of(cell)
    plain = walk_fused(call).output
    handle = getattr(cell.inner, kind)(lambda *parts: seen.append(len(parts)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EngineWarning)
        hooked = run(call).output
    assert len(seen) == len(call.x)
    torch.testing.assert_close(hooked, plain)
    handle.remove()
    assert torch.equal(walk_fused(call).output, plain)


def test_a_hook_that_changes_the_state_does():
    torch.manual_seed(1)
    call = call_of(Scaled())
    plain = walk_fused(call).output
    call.cell.register_forward_hook(lambda module, given, result: result * 0.5)
    assert not torch.allclose(run(call).output, plain)
    assert torch.equal(run(call).output, eager.walk(call).output)


class Deciding(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(I + H, H)

    def forward(self, x, h):
        new = torch.tanh(self.lin(torch.cat([x, h], 1)))
        if new.sum() > 0:
            new = -new
        return new


class Random(Deciding):
    def forward(self, x, h):
        return torch.tanh(self.lin(torch.cat([x, h], 1))) + torch.randn_like(h) * 0


class Unknown(Deciding):
    def forward(self, x, h):
        return torch.special.bessel_j0(self.lin(torch.cat([x, h], 1)))


class Counting(Deciding):
    def __init__(self):
        super().__init__()
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, x, h):
        self.steps += 1
        return torch.tanh(self.lin(torch.cat([x, h], 1)))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (Deciding, r"if new\.sum\(\) > 0"),
        (Random, r"randn_like.*torch\.randn_like\(h\)"),
        (Unknown, r"bessel_j0.*torch\.special\.bessel_j0"),
        (Counting, r"steps"),
    ],
)
def test_what_cannot_be_fused_is_told_once_and_runs_on_the_reference(make, words):
    torch.manual_seed(1)
    call = call_of(make(), B=1)
    with ostinato.engine("llvm"):
        with pytest.warns(EngineWarning, match=rf"{make.__name__} runs on.*") as told:
            found = run(call)
        assert len(told) == 1
        assert torch.equal(found.output, eager.walk(call).output)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            run(call)
    message = str(told[0].message)
    assert re.search(words, message), message
    assert "test_fused_changes.py" in message or make is Counting


def test_the_warning_points_at_the_callers_line():
    layer = ostinato.Recurrent(Deciding(), input_size=I, state_sizes=[H])
    with pytest.warns(EngineWarning) as told:
        layer(torch.zeros(2, 1, I))
    assert told[0].filename.endswith(".py")


@pytest.mark.parametrize("how", ["deepcopy", "pickle"])
def test_a_copy_of_a_used_layer_lives_on_its_own(how):
    torch.manual_seed(1)
    for layer in (ostinato.LSTM(I, H, 2), ostinato.Recurrent(cells.GRU(I, H), zoneout=0.1)):
        layer.eval()
        x = torch.randn(4, 2, I)
        with only_fused():
            wanted = layer(x)[0]
            wanted.sum().backward()
            twin = copy.deepcopy(layer) if how == "deepcopy" else pickle.loads(pickle.dumps(layer))
            assert torch.equal(twin(x)[0], wanted)
            with torch.no_grad():
                for parameter in twin.parameters():
                    parameter.mul_(0)
            assert not torch.equal(twin(x)[0], wanted)
            assert torch.equal(layer(x)[0], wanted)


def test_a_cell_that_nobody_holds_is_let_go():
    call = call_of(Scaled())
    walk_fused(call)
    alive = weakref.ref(call.cell)
    del call
    gc.collect()
    assert alive() is None


def test_a_cell_and_its_stand_ins_may_alternate():
    torch.manual_seed(1)
    call = call_of(cells.Elman(I, H))
    other = {"gates.weight_hh": torch.randn(H, H, requires_grad=True)}
    for parameters in (None, other, None):
        compare(dataclasses.replace(call, parameters=parameters))


@pytest.mark.filterwarnings("ignore::ostinato.engine.fused.EngineWarning")
def test_a_wrong_shape_says_what_the_reference_says():
    cell = cells.Elman(I, H)
    bad = Call(cell, torch.zeros(2, 1, I + 1), (torch.zeros(1, H),))
    messages = []
    for walk in (eager.walk, run):
        with ostinato.engine("llvm"), pytest.raises(RuntimeError) as caught:
            walk(bad)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
