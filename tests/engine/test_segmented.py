"""Segments on the engines that are ordinary PyTorch."""

import dataclasses

import pytest
import torch
from against_eager import error, make_call, padded, results
from torch import nn

import ostinato
from ostinato import cells
from ostinato.engine import run, segmented
from ostinato.engine.calls import segment_steps

I, H, T, B = 3, 4, 11, 5  # noqa: E741
LENGTHS = torch.tensor([7, 0, 3, 11, 1])
RESET = torch.rand(T, B, generator=torch.Generator().manual_seed(0)) < 0.3
FORMS = [
    {},
    {"all_states": False, "reverse": True},
    {"lengths": LENGTHS},
    {"lengths": LENGTHS, "reset": RESET, "reverse": True},
]


class Noisy(nn.Module):
    """A cell that draws: what is walked again must draw the same."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(H, H) * 0.4)

    def forward(self, x, h):
        return torch.tanh(h @ self.weight + torch.rand_like(h) * x[:, :1])


@pytest.mark.parametrize("every", [1, 3, "sqrt"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("engine", ["eager", "torch"])
def test_segments_give_what_the_whole_walk_gives(engine, form, every):
    torch.manual_seed(2)
    cell = cells.LSTM(I, H)
    call = make_call(cell, cell.state_sizes, I=I, T=T, B=B, dtype=torch.float64, **form)
    if call.lengths is not None:
        call = dataclasses.replace(call, x=padded(call.x, call.lengths))
    with ostinato.engine(engine):
        wanted = results(call, run(call))
        parts = dataclasses.replace(call, checkpoint_every=every)
        walk = run(parts)
    # whatever engine is in force when the gradient is asked for
    found = results(parts, walk)
    assert found.keys() == wanted.keys()
    assert all(error(found[name], wanted[name]) < 1e-13 for name in wanted)


def test_stand_ins_for_parameters_reach_the_second_walk():
    torch.manual_seed(2)
    cell = cells.Elman(I, H)
    own = {name: torch.randn_like(p).requires_grad_() for name, p in cell.named_parameters()}
    own = {name: value.double().detach().requires_grad_() for name, value in own.items()}
    call = make_call(cell, cell.state_sizes, I=I, T=T, B=B, dtype=torch.float64, parameters=own)
    with ostinato.engine("eager"):
        wanted = results(call, run(call))
        parts = dataclasses.replace(call, checkpoint_every=4)
        found = results(parts, run(parts))
    assert all(error(found[name], wanted[name]) < 1e-13 for name in wanted)


def test_noise_is_drawn_again():
    torch.manual_seed(2)
    call = make_call(Noisy(), (H,), I=I, T=T, B=B, dtype=torch.float64)
    found = []
    for every in (None, 3):
        torch.manual_seed(7)
        with ostinato.engine("eager"):
            asked = dataclasses.replace(call, checkpoint_every=every)
            found.append(results(asked, run(asked)))
    assert all(error(found[1][name], found[0][name]) < 1e-13 for name in found[0])


def kept(every):
    """How many numbers autograd keeps of a walk."""
    torch.manual_seed(2)
    cell = cells.GRU(I, H)
    call = make_call(cell, cell.state_sizes, I=I, T=100, B=B, checkpoint_every=every)
    sizes = {}

    def pack(value):
        sizes[value.data_ptr()] = value.numel()
        return value

    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value)
    with hooks, ostinato.engine("eager"):
        run(call)
    return sum(sizes.values())


def test_little_is_kept():
    assert kept("sqrt") < kept(None) / 3


@pytest.mark.parametrize(
    ("steps", "every", "numbers", "found"),
    [
        (100, "sqrt", 1 << 16, 10),
        (101, "sqrt", 1 << 16, 11),
        # fewer numbers in a step, longer segments, but four times the root at most
        (100, "sqrt", 1 << 12, 16),
        (100, "sqrt", 8, 40),
        (1, "sqrt", 8, 0),
        (0, "sqrt", 8, 0),
        (9, 4, 8, 4),
        (9, 9, 8, 0),
    ],
)
def test_how_long_a_segment_is(steps, every, numbers, found):
    call = make_call(nn.Identity(), (numbers,), I=I, T=steps, B=1, checkpoint_every=every)
    assert segment_steps(call) == found


def test_without_gradients_there_are_no_segments():
    call = make_call(nn.Identity(), (H,), I=I, T=T, checkpoint_every=2)
    assert segmented.asked(call)
    with torch.no_grad():
        assert not segmented.asked(call)
