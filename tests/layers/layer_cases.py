"""Layers of every shape, and the plain loop that says what they must give."""

import torch
from torch import nn

import ostinato as ost
from ostinato import cells
from ostinato.engine import split_result

I, H = 3, 4  # noqa: E741


class Plain(nn.Module):
    """A stranger's cell: one state, nothing said about widths."""

    def __init__(self, input_size=I, hidden_size=H):
        super().__init__()
        self.i = nn.Linear(input_size, hidden_size)
        self.h = nn.Linear(hidden_size, hidden_size)

    def forward(self, x, h):
        return torch.tanh(self.i(x) + self.h(h))


class TwoFaced(ost.Cell):
    """An output of its own, two states of different widths, one product on [h, x]."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size, state_sizes=(hidden_size, 2))
        self.mix = nn.Linear(hidden_size + input_size, hidden_size)
        self.slow = nn.Linear(hidden_size, 2)
        self.out = nn.Linear(hidden_size + 2, 5)

    def forward(self, x, h, s):
        h = torch.tanh(self.mix(torch.cat([h, x], dim=-1)))
        s = 0.9 * s + 0.1 * torch.sigmoid(self.slow(h))
        return self.out(torch.cat([h, s], dim=-1)), (h, s)


class StartsAtHalf(cells.Elman):
    """Brings an initial state of its own."""

    def initial_state(self, batch_size):
        return (torch.full((batch_size, self.hidden_size), 0.5),)


LAYERS = {
    "gru": lambda **k: ost.Recurrent(cells.GRU(I, H), **k),
    "two-faced": lambda **k: ost.Recurrent(TwoFaced(I, H), **k),
    "lstm-2-layers": lambda **k: ost.Recurrent(cells.LSTM(I, H), num_layers=2, **k),
    "bidirectional": lambda **k: ost.Recurrent(cells.LSTM(I, H), bidirectional=True, **k),
    "deep": lambda **k: ost.Recurrent(cells.Elman(I, H), 2, True, residual=True, **k),
    "torch-like": lambda **k: ost.LSTM(I, H, 2, bidirectional=True, proj_size=2, **k),
    "torch-like-gru": lambda **k: ost.GRU(I, H, **k),
    "own-start": lambda **k: ost.Recurrent(StartsAtHalf(I, H), 2, **k),
}


def make(name, **keywords):
    torch.manual_seed(5)
    layer = LAYERS[name](**keywords).double()
    with torch.no_grad():
        # biases and learned starts begin at zero, where mistakes could hide
        for parameter in layer.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return layer


def parts(state):
    return (state,) if isinstance(state, torch.Tensor) else tuple(state)


def loop(cell, x, state):
    """The cell, called once a step: x [T, B, I]."""
    outputs = []
    for x_t in x:
        y, state = split_result(cell(x_t, *state), len(state))
        outputs.append(y)
    return torch.stack(outputs), state


def gradients(loss, tensors):
    return torch.autograd.grad(loss, tensors, allow_unused=True, materialize_grads=True)


def weighted(tensors, seed=9):
    """A loss that every number of every tensor moves in its own way."""
    generator = torch.Generator().manual_seed(seed)
    return sum(
        (t * torch.randn(t.shape, generator=generator, dtype=t.dtype)).sum() for t in tensors
    )
