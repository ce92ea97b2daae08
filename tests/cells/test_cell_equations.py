"""One step of each cell against its equation, written out again in NumPy."""

import numpy as np
import pytest
import torch

from ostinato import cells
from ostinato.engine import split_result

INPUT, HIDDEN, BATCH = 3, 4, 6


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def layer_norm(a, gain, shift=0.0):
    mean = a.mean(axis=1, keepdims=True)
    variance = a.var(axis=1, keepdims=True)
    return (a - mean) / np.sqrt(variance + 1e-5) * gain + shift


def terms(p, prefix, x, h):
    """W x + b and U h + d, from the parameters under a prefix, whichever of them there are."""
    wx = x @ p[f"{prefix}.weight_ih"].T
    uh = h @ p[f"{prefix}.weight_hh"].T
    if f"{prefix}.norm_ih.weight" in p:
        wx = layer_norm(wx, p[f"{prefix}.norm_ih.weight"])
        uh = layer_norm(uh, p[f"{prefix}.norm_hh.weight"])
    wx = wx + p.get(f"{prefix}.bias", p.get(f"{prefix}.bias_ih", 0.0))
    uh = uh + p.get(f"{prefix}.bias_hh", 0.0)
    return wx, uh


def affine(p, prefix, x, h):
    wx, uh = terms(p, prefix, x, h)
    return wx + uh


def split(a, count):
    return np.split(a, count, axis=1)


def elman(p, x, h, activation="tanh", **_):
    act = {"tanh": np.tanh, "relu": lambda a: np.maximum(a, 0)}[activation]
    return (act(affine(p, "gates", x, h)),)


def jordan(p, x, y, **_):
    a = np.tanh(affine(p, "gates", x, y))
    return (a @ p["readout.weight"].T + p.get("readout.bias", 0.0),)


def leaky(p, x, h, leak=0.5, **_):
    return ((1 - leak) * h + leak * np.tanh(affine(p, "gates", x, h)),)


def gated(p, x, h, **_):
    g, n = split(affine(p, "gates", x, h), 2)
    g, n = sigmoid(g), np.tanh(n)
    return ((1 - g) * h + g * n,)


def mgu(p, x, h, **_):
    f = sigmoid(affine(p, "gate", x, h))
    n = np.tanh(affine(p, "candidate", x, f * h))
    return ((1 - f) * h + f * n,)


def lstm(p, x, h, c, coupled=False, **_):
    drive = split(affine(p, "gates", x, h), 3 if coupled else 4)
    f, g, o = drive[-3:]
    f = sigmoid(f + p.get("weight_cf", 0.0) * c)
    i = 1 - f if coupled else sigmoid(drive[0] + p.get("weight_ci", 0.0) * c)
    c = f * c + i * np.tanh(g)
    o = sigmoid(o + p.get("weight_co", 0.0) * c)
    read = c
    if "norm_c.weight" in p:
        read = layer_norm(c, p["norm_c.weight"], p["norm_c.bias"])
    h = o * np.tanh(read)
    if "weight_hr" in p:
        h = h @ p["weight_hr"].T
    return h, c


def mlstm(p, x, h, c, **_):
    m = (x @ p["input_factor.weight"].T) * (h @ p["state_factor.weight"].T)
    i, f, g, o = split(affine(p, "gates", x, m), 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru(p, x, h, reset="after", **_):
    if reset == "after":
        wx, uh = terms(p, "gates", x, h)
        (r_x, z_x, n_x), (r_h, z_h, n_h) = split(wx, 3), split(uh, 3)
        r, z = sigmoid(r_x + r_h), sigmoid(z_x + z_h)
        n = np.tanh(n_x + r * n_h)
    else:
        r, z = (sigmoid(a) for a in split(affine(p, "gates", x, h), 2))
        n = np.tanh(affine(p, "candidate", x, r * h))
    return ((1 - z) * n + z * h,)


def indrnn(p, x, h, **_):
    drive = x @ p["drive.weight"].T + p.get("drive.bias", 0.0) + p["weight_hh"] * h
    return (np.maximum(drive, 0),)


def mingru(p, x, h, **_):
    z, n = split(x @ p["gates.weight"].T + p.get("gates.bias", 0.0), 2)
    z = sigmoid(z)
    return ((1 - z) * h + z * n,)


def minlstm(p, x, h, **_):
    f, i, n = split(x @ p["gates.weight"].T + p.get("gates.bias", 0.0), 3)
    f, i = sigmoid(f), sigmoid(i)
    return (f / (f + i) * h + i / (f + i) * n,)


def clockwork(p, x, h, t, periods=(1, 2, 4, 8), **_):
    n, size = np.zeros_like(h), h.shape[1] // len(periods)
    bias = p.get("gates.bias", np.zeros(h.shape[1]))
    for k, own in enumerate(periods):
        rows = slice(k * size, (k + 1) * size)
        drive = x @ p["gates.weight_ih"][rows].T + bias[rows]
        for j, other in enumerate(periods):
            columns = slice(j * size, (j + 1) * size)
            if other >= own:
                drive = drive + h[:, columns] @ p["gates.weight_hh"][rows, columns].T
        n[:, rows] = np.where(t % own == 0, np.tanh(drive), h[:, rows])
    return n, (t + 1) % np.lcm.reduce(periods)


def narx(p, x, *past, delays=(1, 2), **_):
    heard = np.concatenate([past[k - 1] for k in delays], axis=1)
    return (np.tanh(affine(p, "gates", x, heard)), *past[:-1])


CASES = [
    (clockwork, {}),
    (clockwork, {"periods": (4, 2)}),
    (clockwork, {"periods": (1, 3), "bias": False}),
    (elman, {}),
    (elman, {"activation": "relu", "bias": False}),
    (elman, {"bias": "both", "layer_norm": True}),
    (gated, {}),
    (gru, {}),
    (gru, {"bias": "both"}),
    (gru, {"layer_norm": True}),
    (gru, {"reset": "before"}),
    (gru, {"reset": "before", "layer_norm": True, "bias": False}),
    (indrnn, {}),
    (jordan, {}),
    (jordan, {"output_size": 2, "bias": False}),
    (leaky, {}),
    (leaky, {"leak": 0.1}),
    (lstm, {}),
    (lstm, {"peephole": True}),
    (lstm, {"coupled": True}),
    (lstm, {"proj_size": 2, "bias": "both"}),
    (lstm, {"layer_norm": True}),
    (lstm, {"peephole": True, "coupled": True, "proj_size": 3, "layer_norm": True}),
    (mgu, {}),
    (mingru, {}),
    (minlstm, {"bias": False}),
    (minlstm, {}),
    (mlstm, {}),
    (narx, {}),
    (narx, {"delays": (1, 4)}),
]


def test_every_cell_has_its_equation_here():
    assert {equation.__name__ for equation, _ in CASES} == set(cells.NAMES)


@pytest.mark.parametrize(
    ("equation", "options"), CASES, ids=[f"{e.__name__}-{options}" for e, options in CASES]
)
def test_one_step_equals_the_equation(equation, options):
    rng = np.random.default_rng(3)
    cell = cells.by_name(equation.__name__)(INPUT, HIDDEN, **options).double()
    for parameter in cell.parameters():
        parameter.data = torch.from_numpy(rng.normal(size=parameter.shape) * 0.7)
    x = rng.normal(size=(BATCH, INPUT))
    state = [
        np.arange(BATCH, dtype=float)[:, None] if name == "t" else rng.normal(size=(BATCH, size))
        for name, size in zip(cell.state_names, cell.state_sizes, strict=True)
    ]
    result = cell(torch.from_numpy(x), *map(torch.from_numpy, state))
    output, new = split_result(result, len(state))
    numbers = {key: parameter.detach().numpy() for key, parameter in cell.named_parameters()}
    expected = equation(numbers, x, *state, **options)
    np.testing.assert_allclose(output.detach().numpy(), expected[0], rtol=1e-12, atol=1e-13)
    for part, wanted in zip(new, expected, strict=True):
        np.testing.assert_allclose(part.detach().numpy(), wanted, rtol=1e-12, atol=1e-13)
