"""Zeros added to states as they are handed on: the same walk, and d loss / d state of each step."""

import dataclasses

import pytest
import torch
from against_eager import gradients, make_call
from torch import nn

import ostinato
from ostinato import cells
from ostinato.engine import fused, nudge, nudging
from ostinato.engine.trace import trace

I, H = 3, 5  # noqa: E741


class Apart(nn.Module):
    """Its output is no state, and made without a product."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Linear(I + H, H)

    def forward(self, x, h):
        new = torch.tanh(self.mix(torch.cat([x, h], -1)))
        return torch.sigmoid(2 * new), (new,)


CELLS = {
    "lstm": lambda: cells.LSTM(I, H),
    "projected": lambda: cells.LSTM(I, H, proj_size=2),
    "gru": lambda: cells.GRU(I, H, reset="before"),
    "narx": lambda: cells.NARX(I, H),
    "output apart": Apart,
}
CASES = {
    "dense": {},
    "from the end": {"reverse": True},
    "lengths": {"lengths": torch.tensor([4, 0, 2])},
    "lengths, from the end": {"lengths": torch.tensor([1, 4, 2]), "reverse": True},
    "resets": {"reset": torch.tensor([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]) > 0},
}


def sizes(cell):
    return getattr(cell, "state_sizes", (H,))


class Added(nn.Module):
    """What is added, as columns of x, by plain operations."""

    def __init__(self, cell, widths, count):
        super().__init__()
        self.cell, self.widths, self.count = cell, widths, count

    def forward(self, x, *state):
        x, *parts = torch.split(x, [x.shape[-1] - sum(self.widths), *self.widths], dim=-1)
        output, new = ostinato.engine.split_result(self.cell(x, *state), len(state))
        moved = tuple(a + b for a, b in zip(new, parts, strict=False))
        same = output is new[0]
        return (moved[0] if same else output + parts[self.count]), (*moved, *new[self.count :])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", CELLS)
def test_its_gradient_is_that_of_a_loop_that_adds(name, case):
    torch.manual_seed(0)
    cell = CELLS[name]()
    call = make_call(cell, sizes(cell), I=I, T=4, dtype=torch.float64, **CASES[case])
    count = len(sizes(cell))
    walk, zeros = nudge(call, count)
    widths = [part.shape[-1] for part in zeros]
    assert len(zeros) == count + (name == "output apart")
    columns = [torch.zeros(4, 3, width).double().requires_grad_() for width in widths]
    looped = dataclasses.replace(
        call, cell=Added(cell, widths, count), x=torch.cat([call.x, *columns], -1)
    )
    with ostinato.engine("eager"):
        wanted = ostinato.engine.run(looped)
    named = [dict(enumerate((w.output, *w.state, *w.states))) for w in (walk, wanted)]
    for a, b in zip(named[0].values(), named[1].values(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
    found = gradients(named[0], dict(enumerate(zeros)))
    expected = gradients(named[1], dict(enumerate(columns)))
    for k, part in expected.items():
        assert part.abs().max() > 1e-3
        torch.testing.assert_close(found[k], part, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", CELLS)
def test_to_add_nothing_changes_nothing(name):
    cell = CELLS[name]()
    call = make_call(cell, sizes(cell), I=I, T=4)
    walk, _ = nudge(call, len(sizes(cell)))
    wanted = fused.walk(call)
    assert torch.equal(walk.output, wanted.output)
    assert all(map(torch.equal, walk.states, wanted.states))


def traced(cell, count=1):
    state = tuple(torch.zeros(1, size) for size in sizes(cell))
    with torch.no_grad():
        return nudging.nudged(trace(cell, torch.zeros(1, I), state), count)


def test_only_so_many_states_are_added_to():
    assert traced(cells.LSTM(I, H), 1).program.inputs == (I, H)
    assert traced(cells.LSTM(I, H), 2).program.inputs == (I, H, H)
    assert traced(cells.LSTM(I, H), 2).input_names == ("x", "nudge0", "nudge1")


def test_an_output_made_after_the_walk_is_left_to_others():
    class Read(nn.Module):
        def __init__(self):
            super().__init__()
            self.mix, self.out = nn.Linear(I + H, H), nn.Linear(H, 2)

        def forward(self, x, h):
            new = torch.tanh(self.mix(torch.cat([x, h], -1)))
            return self.out(new), (new,)

    assert traced(Read()) is None
    assert nudge(make_call(Read(), (H,), I=I), 1) is None


def test_a_limit_on_gradients_is_left_to_others():
    layer = ostinato.GRU(I, H, clip_gradient=1.0)
    heard = []

    def hear(layer, place, call):
        heard.append(call)
        return ostinato.engine.run(call)

    from ostinato.layers.listening import listening

    with listening(hear):
        layer(torch.zeros(4, 2, I))
    assert nudge(heard[0], 1) is None


def test_where_no_kernel_is_to_be_had_there_is_nothing():
    call = make_call(cells.GRU(I, H), (H,), I=I)
    for name in ("eager", "torch", "scan"):
        with ostinato.engine(name):
            assert nudge(call, 1) is None
    with torch.autocast("cpu"):
        assert nudge(call, 1) is None
    assert nudge(dataclasses.replace(call, checkpoint_every=2), 1) is None
    assert nudge(call, 1) is not None
