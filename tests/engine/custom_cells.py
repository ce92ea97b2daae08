"""Cells as people write them: ten from papers, then habits of strangers.

CELLS maps a name to (a function that makes the cell, I, widths of the states).
"""

import functools
import math

import torch
from torch import nn
from torch.nn import functional as F

from ostinato.engine.trace import trace

I, H = 5, 6  # noqa: E741


class LayerNormLSTM(nn.Module):
    """Ba, Kiros, Hinton (2016), arXiv:1607.06450, as in torch's fastrnns benchmark."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.weight_ih = nn.Parameter(torch.randn(4 * hidden_size, input_size) * 0.3)
        self.weight_hh = nn.Parameter(torch.randn(4 * hidden_size, hidden_size) * 0.3)
        self.layernorm_i = nn.LayerNorm(4 * hidden_size)
        self.layernorm_h = nn.LayerNorm(4 * hidden_size)
        self.layernorm_c = nn.LayerNorm(hidden_size)

    def forward(self, input, hx, cx):
        igates = self.layernorm_i(torch.mm(input, self.weight_ih.t()))
        hgates = self.layernorm_h(torch.mm(hx, self.weight_hh.t()))
        ingate, forgetgate, cellgate, outgate = (igates + hgates).chunk(4, 1)
        cy = self.layernorm_c(
            torch.sigmoid(forgetgate) * cx + torch.sigmoid(ingate) * torch.tanh(cellgate)
        )
        hy = torch.sigmoid(outgate) * torch.tanh(cy)
        return hy, cy


class PeepholeLSTM(nn.Module):
    """Gers, Schraudolph, Schmidhuber (2002), jmlr.org/papers/volume3/gers02a."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.hidden_size = hidden_size
        self.fc = nn.Linear(input_size + hidden_size, 4 * hidden_size)
        self.w_ci = nn.Parameter(torch.randn(hidden_size))
        self.w_cf = nn.Parameter(torch.randn(1, hidden_size))
        self.w_co = nn.Parameter(torch.randn(hidden_size))

    def forward(self, x, h, c):
        gates = self.fc(torch.cat([x, h], dim=1))
        n = self.hidden_size
        i = torch.sigmoid(gates[:, :n] + self.w_ci * c)
        f = torch.sigmoid(gates[:, n : 2 * n] + self.w_cf * c)
        c = f * c + i * gates[:, 2 * n : 3 * n].tanh()
        o = torch.sigmoid(gates[:, 3 * n :] + self.w_co * c)
        return o * torch.tanh(c), c


class CoupledLSTM(nn.Module):
    """Input gate 1 - f."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.x2h = nn.Linear(input_size, 3 * hidden_size)
        self.h2h = nn.Linear(hidden_size, 3 * hidden_size, bias=False)

    def forward(self, x, h, c):
        f, o, g = torch.split(self.x2h(x) + self.h2h(h), h.size(1), dim=1)
        f = f.sigmoid()
        c = f * c + (1.0 - f) * torch.tanh(g)
        return torch.sigmoid(o) * c.tanh(), c


class MinimalGatedUnit(nn.Module):
    """Zhou, Wu, Zhang, Zhou (2016), arXiv:1603.09420: two stages."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.W_f = nn.Parameter(torch.randn(hidden_size, hidden_size + input_size) * 0.3)
        self.W_h = nn.Parameter(torch.randn(hidden_size, hidden_size + input_size) * 0.3)
        self.b_f = nn.Parameter(torch.zeros(hidden_size))
        self.b_h = nn.Parameter(torch.zeros(hidden_size))

    def forward(self, x, h):
        f = torch.sigmoid(torch.cat((h, x), 1) @ self.W_f.T + self.b_f)
        n = torch.tanh(torch.cat((f * h, x), 1) @ self.W_h.T + self.b_h)
        return (1 - f) * h + f * n


class SRU(nn.Module):
    """Lei et al. (2018), arXiv:1709.02755: no product with the state; needs I = H."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.W = nn.Linear(input_size, 3 * hidden_size, bias=False)
        self.v = nn.Parameter(torch.randn(2, hidden_size))
        self.b = nn.Parameter(torch.randn(2 * hidden_size))

    def forward(self, x, c):
        u, f, r = self.W(x).chunk(3, dim=-1)
        b_f, b_r = self.b.chunk(2)
        f = torch.sigmoid(f + self.v[0] * c + b_f)
        r = torch.sigmoid(r + self.v[1] * c + b_r)
        c = f * c + (1 - f) * u
        return r * c + (1 - r) * x, (c,)


class JANET(nn.Module):
    """van der Westhuizen, Lasenby (2018), arXiv:1804.04849."""

    def __init__(self, input_size, hidden_size, beta=1.0):
        super().__init__()
        self.i2h = nn.Linear(input_size, 2 * hidden_size)
        self.h2h = nn.Linear(hidden_size, 2 * hidden_size)
        self.beta = beta

    def forward(self, x, c):
        s, g = (self.i2h(x) + self.h2h(c)).chunk(2, 1)
        return torch.sigmoid(s) * c + (1 - torch.sigmoid(s - self.beta)) * torch.tanh(g)


class RecurrentHighway(nn.Module):
    """Zilly et al. (2017), arXiv:1607.03474, with two micro-steps and coupled gates."""

    def __init__(self, input_size, hidden_size, depth=2):
        super().__init__()
        self.input = nn.Linear(input_size, 2 * hidden_size)
        self.recurrent = nn.ModuleList(
            nn.Linear(hidden_size, 2 * hidden_size) for _ in range(depth)
        )

    def forward(self, x, s):
        for depth, layer in enumerate(self.recurrent):
            drive = layer(s) + self.input(x) if depth == 0 else layer(s)
            h, t = drive.chunk(2, dim=-1)
            t = torch.sigmoid(t)
            s = torch.tanh(h) * t + s * (1 - t)
        return s


class MultiplicativeLSTM(nn.Module):
    """Krause, Lu, Murray, Renals (2016), arXiv:1609.07959: two stages."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.wmx = nn.Linear(input_size, hidden_size, bias=False)
        self.wmh = nn.Linear(hidden_size, hidden_size, bias=False)
        self.wx = nn.Linear(input_size, 4 * hidden_size)
        self.wh = nn.Linear(hidden_size, 4 * hidden_size, bias=False)

    def forward(self, x, h, c):
        m = self.wmx(x) * self.wmh(h)
        i, f, o, u = torch.chunk(self.wx(x) + self.wh(m), 4, dim=1)
        c = F.sigmoid(f) * c + F.sigmoid(i) * F.tanh(u)
        return F.sigmoid(o) * F.tanh(c), (F.sigmoid(o) * F.tanh(c), c)


class FoPooling(nn.Module):
    """Bradbury et al. (2017), arXiv:1611.01576: the pooling behind a QRNN's filters of width 1."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.z = nn.Linear(input_size, hidden_size)
        self.f = nn.Linear(input_size, hidden_size)
        self.o = nn.Linear(input_size, hidden_size)

    def forward(self, x, c):
        z, f, o = torch.tanh(self.z(x)), torch.sigmoid(self.f(x)), torch.sigmoid(self.o(x))
        c = f * c + (1 - f) * z
        return o * c, (c,)


class ScalarLSTM(nn.Module):
    """sLSTM of Beck et al. (2024), arXiv:2405.04517: exponential gates, normaliser, stabiliser."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.W = nn.Linear(input_size, 4 * hidden_size)
        self.R = nn.Linear(hidden_size, 4 * hidden_size, bias=False)

    def forward(self, x, h, c, n, m):
        i, f, z, o = (self.W(x) + self.R(h)).chunk(4, dim=-1)
        log_f = F.logsigmoid(f)
        m_new = torch.maximum(log_f + m, i)
        i = torch.exp(i - m_new)
        f = torch.exp(log_f + m - m_new)
        c = f * c + i * torch.tanh(z)
        n = f * n + i
        h = torch.sigmoid(o) * (c / n.clamp(min=1e-6))
        return h, c, n, m_new


# habits of strangers


class MatrixRightLSTM(nn.Module):
    """x @ W with W [I, N], slices of one parameter, numbers and 0-dim parameters."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.W = nn.Parameter(torch.randn(input_size, 4 * hidden_size) * 0.3)
        self.U = nn.Parameter(torch.randn(hidden_size, 4 * hidden_size) * 0.3)
        self.b = nn.Parameter(torch.randn(4 * hidden_size))
        self.scale = nn.Parameter(torch.tensor(0.7))

    def forward(self, x, h, c):
        H = h.shape[-1]
        i = torch.sigmoid(x @ self.W[:, :H] + h @ self.U[:, :H] + self.b[:H])
        f = torch.sigmoid(x @ self.W[:, H : 2 * H] + h @ self.U[:, H : 2 * H] + self.b[H : 2 * H])
        rest = torch.addmm(self.b[2 * H :], x, self.W[:, 2 * H :]) + h.matmul(self.U[:, 2 * H :])
        g, o = rest.unflatten(-1, (2, H)).unbind(1)
        c = f * c + i * torch.tanh(g) * self.scale
        return torch.sigmoid(o) * torch.tanh(c), c


class BufferedLeaky(nn.Module):
    """Buffers, a mask on a weight, a computed parameter, where, a state of another width."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.cell = nn.Linear(input_size + hidden_size, hidden_size)
        self.log_tau = nn.Parameter(torch.randn(hidden_size))
        self.register_buffer("mask", (torch.rand(hidden_size, input_size + hidden_size) > 0.4))
        self.register_buffer("special", torch.arange(hidden_size) % 2 == 0)
        self.down = nn.Linear(hidden_size, 3)

    def forward(self, x, h, s):
        leak = torch.sigmoid(self.log_tau)
        weight = self.cell.weight * self.mask
        new = torch.tanh(F.linear(torch.cat([x, h], -1), weight, self.cell.bias))
        new = torch.where(self.special, F.relu(new), new)
        h = (1 - leak) * h + leak * new
        s = 0.9 * s + 0.1 * self.down(h).clamp(-1, 1)
        return h * (s.sum(-1, keepdim=True) > 0), (h, s)


class TorchCells(nn.Module):
    """torch's own cells inside a cell."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.lstm = nn.LSTMCell(input_size, hidden_size)
        self.gru = nn.GRUCell(hidden_size, hidden_size, bias=False)
        self.rnn = nn.RNNCell(hidden_size, hidden_size, nonlinearity="relu")

    def forward(self, x, h, c, g, r):
        h, c = self.lstm(x, (h, c))
        g = self.gru(h, g)
        r = self.rnn(g, r)
        return h, c, g, r


class Readout(nn.Module):
    """An output with products of its own, of state, input and an intermediate value."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.cell = nn.GRUCell(input_size, hidden_size)
        self.gate = nn.Linear(hidden_size, hidden_size)
        self.head = nn.Sequential(nn.Linear(hidden_size + input_size, 4), nn.LogSoftmax(-1))

    def forward(self, x, h):
        g = torch.sigmoid(self.gate(h))
        h = self.cell(x, h) * g
        return self.head(torch.cat([F.gelu(h) * g, x], dim=1)), (h,)


class Encoder(nn.Module):
    """Work on x alone that cannot stay in the step: a small network, softmax, arctangent."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(input_size, 7), nn.ReLU(), nn.Linear(7, hidden_size))
        self.mix = nn.Linear(input_size + hidden_size, 2 * hidden_size)

    def forward(self, x, h):
        e = self.net(x)
        attention = torch.softmax(x, dim=-1)
        a, b = self.mix(torch.cat([attention, h], dim=-1)).chunk(2, -1)
        return torch.tanh(a + e) * torch.atan(e) + torch.sigmoid(b) * h


class Tokens(nn.Module):
    """Whole numbers in, through an embedding."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.embedding = nn.Embedding(11, input_size)
        self.cell = nn.LSTMCell(input_size, hidden_size)

    def forward(self, token, h, c):
        return self.cell(self.embedding(token), (h, c))


class Heads(nn.Module):
    """Block-diagonal recurrent weights, one block a head, and norms over each head."""

    def __init__(self, input_size, hidden_size, heads=2):
        super().__init__()
        self.heads, self.width = heads, hidden_size // heads
        self.W = nn.Linear(input_size, hidden_size)
        self.R = nn.Parameter(torch.randn(heads, self.width, self.width) * 0.3)
        self.norm = nn.GroupNorm(heads, hidden_size)
        self.gain = nn.Parameter(torch.randn(heads, 1))

    def forward(self, x, h):
        split = h.view(-1, self.heads, self.width)
        r = torch.einsum("bhi,hoi->bho", split, self.R)
        r = r + torch.matmul(split.unsqueeze(-2), self.R).squeeze(-2) * self.gain
        energy = split.pow(2).mean(dim=-1, keepdim=True)
        r = (r / torch.sqrt(energy + 1)).flatten(1)
        return torch.tanh(self.norm(self.W(x) + r))


class InPlace(nn.Module):
    """Values changed in place, zeros made by hand, early names used again."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.lin = nn.Linear(input_size, hidden_size)
        self.rec = nn.Linear(hidden_size, hidden_size)

    def forward(self, x, h):
        out = torch.zeros(x.shape[0], h.shape[1], dtype=h.dtype)
        out += self.lin(x)
        new = out.add_(self.rec(h)).tanh().clone()
        half = h.shape[1] // 2
        new[:, :half] *= 0.5
        new[:, half] = h[:, 0]
        return new


class Delays(nn.Module):
    """States that only move on, a swap, a reversal and a repeated unit."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.lin = nn.Linear(input_size + 3 * hidden_size, hidden_size)

    def forward(self, x, a, b, c):
        new = torch.tanh(self.lin(torch.cat([x, a, b.flip(-1), c], dim=-1)))
        new = new + c[:, :1] + torch.roll(a, 1, dims=-1)
        return new, a, b


class Activations(nn.Module):
    """One of each activation that is composed of others."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.lin = nn.Linear(input_size, hidden_size)
        self.alpha = nn.Parameter(torch.tensor([0.2]))

    def forward(self, x, h):
        a = self.lin(x) + h
        total = F.silu(a) + F.elu(a) + F.leaky_relu(a, 0.1) + F.gelu(a) + F.mish(a)
        total = total + F.gelu(a, approximate="tanh") + F.selu(a) + F.celu(a, 0.5) + F.softsign(a)
        total = total + F.hardswish(a) + F.hardtanh(a) + F.relu6(a)
        total = total + F.softplus(a, beta=2) + F.prelu(a, self.alpha) + F.tanhshrink(a)
        total = total + torch.log1p(a.abs()) + torch.expm1(a) + torch.rsqrt(1 + a.square())
        total = total + torch.where((a > 0) & (h < 0.5) | ~(a < 1), a, a.new_tensor(0.1))
        total = total + torch.logaddexp(a, h) + torch.lerp(a, h, 0.3) + torch.addcmul(a, a, h)
        total = total + 2.0**a + a.abs() ** 1.5 + torch.sin(a) * torch.cos(h) + torch.erf(a)
        total = total + torch.remainder(a, 0.7) + torch.minimum(a, h) + a.masked_fill(h > 0, 0.3)
        total = total + 1 / (2 + a.exp()) - (1 - a) + F.threshold(a, 0.1, -1) + a.ceil() + a.sign()
        return torch.tanh(total / 20 + math.pi * 0.01)


CELLS = {
    "layer norm LSTM": (lambda: LayerNormLSTM(I, H), I, (H, H)),
    "peephole LSTM": (lambda: PeepholeLSTM(I, H), I, (H, H)),
    "coupled LSTM": (lambda: CoupledLSTM(I, H), I, (H, H)),
    "MGU": (lambda: MinimalGatedUnit(I, H), I, (H,)),
    "SRU": (lambda: SRU(H, H), H, (H,)),
    "JANET": (lambda: JANET(I, H), I, (H,)),
    "RHN": (lambda: RecurrentHighway(I, H), I, (H,)),
    "mLSTM": (lambda: MultiplicativeLSTM(I, H), I, (H, H)),
    "fo-pooling": (lambda: FoPooling(I, H), I, (H,)),
    "sLSTM": (lambda: ScalarLSTM(I, H), I, (H, H, H, H)),
    "matrices on the right": (lambda: MatrixRightLSTM(I, H), I, (H, H)),
    "buffers and where": (lambda: BufferedLeaky(I, H), I, (H, 3)),
    "torch cells": (lambda: TorchCells(I, H), I, (H, H, H, H)),
    "readout": (lambda: Readout(I, H), I, (H,)),
    "encoder": (lambda: Encoder(I, H), I, (H,)),
    "heads": (lambda: Heads(I, H), I, (H,)),
    "in place": (lambda: InPlace(I, H), I, (H,)),
    "delays": (lambda: Delays(I, H), I, (H, H, H)),
    "activations": (lambda: Activations(I, H), I, (H,)),
}
# takes whole numbers [B]
TOKEN_CELL = (lambda: Tokens(I, H), (H, H))


@functools.cache
def traced_custom(name):
    """A cell of CELLS in float64, and its recurrence."""
    torch.manual_seed(1)
    make_cell, input_size, widths = CELLS[name]
    cell = make_cell().double()
    x, *state = (torch.zeros(2, n, dtype=torch.float64) for n in (input_size, *widths))
    return cell, trace(cell, x, tuple(state))
