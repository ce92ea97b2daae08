import warnings

import pytest
import torch
from torch import nn

import ostinato as ost
from ostinato import cells
from ostinato.engine import stored
from ostinato.engine.affine import plan_of
from ostinato.engine.forms import EngineWarning
from ostinato.engine.limits import limit_gradient, tally_size
from ostinato.engine.recurrence import NotFusable
from ostinato.engine.trace import trace
from ostinato.layers.clip_gradient import ClipGradient, Clipped

T, B, H = 14, 4, 9
I = 3  # noqa: E741

LAYERS = {
    "rnn": lambda c: ost.RNN(I, H, clip_gradient=c),
    "lstm": lambda c: ost.LSTM(I, H, num_layers=2, bidirectional=True, clip_gradient=c),
    "gru before": lambda c: ost.Recurrent(cells.GRU(I, H, reset="before"), clip_gradient=c),
    "layer norm": lambda c: ost.LSTM(I, H, layer_norm=True, clip_gradient=c),
    "projection": lambda c: ost.LSTM(I, H, proj_size=4, clip_gradient=c),
    "a state that counts": lambda c: ost.Recurrent(
        cells.ClockworkRNN(I, H, periods=(1, 2, 4)), clip_gradient=c
    ),
    "a state that shifts": lambda c: ost.Recurrent(cells.NARX(I, H), clip_gradient=c),
    "a state in pieces": lambda c: ost.Recurrent(Pieces(), clip_gradient=c),
    "affine": lambda c: ost.Recurrent(cells.MinGRU(I, H), clip_gradient=c),
    "checkpointed": lambda c: ost.GRU(I, H, clip_gradient=c, checkpoint_every=4),
    "with zoneout": lambda c: ost.GRU(I, H, clip_gradient=c, zoneout=0.3),
    "with dropped states": lambda c: ost.GRU(I, H, clip_gradient=c, recurrent_dropout=0.3),
}


class Pieces(ost.Cell):
    """A new state that is a concatenation of unlike parts."""

    def __init__(self):
        super().__init__(I, H)
        self.gates = cells.Gates("h", I, H)

    def forward(self, x, h):
        (drive,) = self.gates(x, h)
        return torch.cat([torch.tanh(drive[:, :5]), drive[:, 5:] * h[:, 5:]], dim=-1)


def gradients(layer, engine, *, lengths=None, reset=None):
    """Gradients of all parameters and of x, and the share that was cut."""
    torch.manual_seed(1)
    x = torch.randn(T, B, I, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(T, B, 1, dtype=torch.float64)
    layer.zero_grad()
    with warnings.catch_warnings(), ost.engine(engine):
        warnings.simplefilter("error", EngineWarning)
        y, _ = layer(x, lengths=lengths, reset=reset)
        (y * weight).sum().backward()
    return [*(p.grad for p in layer.parameters()), x.grad], layer.take_clipped()


@pytest.mark.parametrize("clip", [ClipGradient(0.7), ClipGradient(0.3, by="value")], ids=repr)
@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_kernels_limit_as_the_reference_does(make, clip):
    torch.manual_seed(0)
    layer = make(clip).double()
    masks = (
        {},
        {"lengths": [T, 5, 0, 9], "reset": torch.arange(T)[:, None].expand(T, B) == 3},
    )
    for options in masks:
        wanted, share = gradients(layer, "eager", **options)
        found, counted = gradients(layer, "llvm", **options)
        for a, b in zip(wanted, found, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
        assert 0 < share <= 1
        assert share == counted


def test_a_limit_that_is_never_reached_changes_nothing():
    torch.manual_seed(0)
    plain, clipped = ost.LSTM(I, H).double(), ost.LSTM(I, H, clip_gradient=1e6).double()
    clipped.load_state_dict(plain.state_dict())
    pairs = zip(gradients(plain, "llvm")[0], gradients(clipped, "llvm")[0], strict=True)
    for a, b in pairs:
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    assert clipped.take_clipped() is None
    gradients(clipped, "llvm")
    assert plain.take_clipped() is None


def traced(clip=None):
    """The equations of a small cell with a limit."""
    cell = cells.LSTM(I, H)
    wrapped = cell if clip is None else Clipped(cell, (H, H), clip, torch.zeros(1))
    return trace(wrapped, torch.zeros(1, I), (torch.zeros(1, H), torch.zeros(1, H)))


def test_limits_belong_to_the_key_and_to_what_is_kept_on_disk():
    keys = {traced(c).key() for c in (None, ClipGradient(1.0), ClipGradient(2.0))}
    keys.add(traced(ClipGradient(1.0, by="value")).key())
    assert len(keys) == 4
    found = traced(ClipGradient(0.1))
    again = stored.read_text(stored.text_of(found))
    assert again.program == found.program
    assert [limit.bound for limit in again.program.limits] == [0.1, 0.1]


def test_a_limited_state_is_walked_even_where_a_scan_could_find_it():
    cell = Clipped(cells.MinGRU(I, H), (H,), ClipGradient(1.0), torch.zeros(1))
    found = trace(cell, torch.zeros(1, I), (torch.zeros(1, H),))
    assert "limited at every step" in plan_of(found.program, found.state_names)
    torch.manual_seed(0)
    layer = ost.Recurrent(cells.MinGRU(I, H), clip_gradient=0.5).double()
    with pytest.warns(EngineWarning, match="limited at every step"), ost.engine("scan"):
        layer(torch.randn(T, B, I, dtype=torch.float64))


class Inner(nn.Module):
    """A limit in the middle of a step."""

    def __init__(self):
        super().__init__()
        self.tally = nn.Parameter(torch.zeros(tally_size(H, True)))

    def forward(self, x, h):
        return torch.tanh(limit_gradient(h, self.tally, 1.0, True))


def test_a_limit_inside_a_step_is_left_to_the_reference():
    with pytest.raises(NotFusable, match="only the gradient of a new state"):
        trace(Inner(), torch.zeros(1, I), (torch.zeros(1, H),))


@pytest.mark.parametrize("norm", [True, False])
def test_the_operation_is_one_node_of_an_exported_graph_with_its_gradient(norm):
    class Use(nn.Module):
        def forward(self, h, tally):
            return limit_gradient(h, tally, 0.5, norm)

    torch.manual_seed(0)
    h, tally = torch.randn(3, H, requires_grad=True), torch.zeros(tally_size(H, norm))
    tally.requires_grad_()
    exported = torch.export.export(Use(), (h, tally), strict=False)
    names = [str(node.target) for node in exported.graph.nodes]
    assert "ostinato.limit_gradient.default" in names
    weight = torch.randn(3, H)
    shown = torch.autograd.grad((exported.module()(h, tally) * weight).sum(), (h, tally))
    plain = torch.autograd.grad((Use()(h, tally) * weight).sum(), (h, tally))
    for a, b in zip(shown, plain, strict=True):
        torch.testing.assert_close(a, b)


def test_gradients_of_gradients_see_the_limit():
    torch.manual_seed(0)
    layer = ost.RNN(I, H, clip_gradient=0.5).double()
    x = torch.randn(T, B, I, dtype=torch.float64, requires_grad=True)

    def second(engine):
        with ost.engine(engine):
            y, _ = layer(x)
            (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
            return g, torch.autograd.grad(g.square().sum(), layer.weight_hh_l0)[0]

    for a, b in zip(second("eager"), second("llvm"), strict=True):
        torch.testing.assert_close(a, b)


def test_evaluation_takes_the_short_way():
    layer = ost.GRU(I, H, clip_gradient=0.1, weight_drop=0.1)
    x = torch.randn(T, B, I)
    with torch.no_grad(), ost.engine("auto"):
        # the first walk reads the cell
        layer.eval()(x)
        assert layer._quickly(x, None, False) is not None
        assert layer.train()._quickly(x, None, False) is None


@pytest.mark.parametrize("engine", ["eager", "llvm"])
def test_forward_mode_sees_no_limit(engine):
    torch.manual_seed(0)
    clipped, plain = ost.RNN(I, H, clip_gradient=0.01).double(), ost.RNN(I, H).double()
    plain.load_state_dict(clipped.state_dict())
    x, v = torch.randn(2, T, B, I, dtype=torch.float64)
    with ost.engine(engine):
        found = torch.func.jvp(lambda x: clipped(x)[0], (x,), (v,))[1]
        wanted = torch.func.jvp(lambda x: plain(x)[0], (x,), (v,))[1]
    torch.testing.assert_close(found, wanted)
