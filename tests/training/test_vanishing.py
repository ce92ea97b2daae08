import json

import pytest
import torch
from torch import nn

import ostinato as ost
from ostinato import cells
from ostinato.layers import RNN
from ostinato.training import SequenceModule, TrainingConfig, fit
from ostinato.training.vanishing import VanishingPenalty

T, B, H = 7, 3, 4


def explicit(layer, x, weight, lengths=(T,) * B):
    """Omega and its gradient in U with every Jacobian written out, row by row."""
    U = layer.weight_hh_l0.detach().clone().requires_grad_()
    W, b = layer.weight_ih_l0.detach(), (layer.bias_ih_l0 + layer.bias_hh_l0).detach()
    total = torch.zeros((), dtype=torch.float64)
    for row, length in enumerate(lengths):
        h = [torch.zeros(H, dtype=torch.float64)]
        for t in range(length):
            h.append(torch.tanh(W @ x[t, row] + U.detach() @ h[-1] + b))
        d = torch.zeros(H, dtype=torch.float64)
        for t in reversed(range(length)):
            d = d + weight[t, row]
            if t > 0:
                # the step again, with the old state held: only U is followed
                new = torch.tanh(W @ x[t, row] + U @ h[t] + b)
                jacobian = (1 - new**2)[:, None] * U
                total = total + ((d @ jacobian).norm() / d.norm() - 1) ** 2
            d = d @ ((1 - h[t + 1] ** 2)[:, None] * U.detach())
    omega = total / len(lengths)
    return omega.detach(), torch.autograd.grad(omega, U)[0]


def data():
    torch.manual_seed(0)
    return torch.randn(T, B, 2).double(), torch.randn(T, B, H).double()


@pytest.mark.parametrize("engine", ["eager", "llvm"])
@pytest.mark.parametrize("lengths", [None, [T, 4, 1]])
def test_the_penalty_and_its_gradient_are_those_of_explicit_jacobians(engine, lengths):
    x, weight = data()
    layer, penalty = RNN(2, H).double(), VanishingPenalty()
    with ost.engine(engine), penalty.watching():
        y, _ = layer(x, lengths=lengths)
    if lengths is not None:
        weight = weight * (y != 0)
    omega = penalty((y * weight).sum())
    wanted, gradient = explicit(layer, x, weight, lengths or (T,) * B)
    torch.testing.assert_close(omega.detach(), wanted)
    torch.testing.assert_close(penalty.last, wanted)
    torch.testing.assert_close(torch.autograd.grad(omega, layer.weight_hh_l0)[0], gradient)


LAYERS = {
    "lstm": lambda: ost.LSTM(2, H, num_layers=2, bidirectional=True),
    "clipped": lambda: ost.GRU(2, H, clip_gradient=1.0),
    "regularised": lambda: ost.GRU(2, H, zoneout=0.2, recurrent_dropout=0.2, weight_drop=0.2),
    "own cell": lambda: ost.Recurrent(cells.GRU(2, H, reset="before"), num_layers=2),
    "a state that counts": lambda: ost.Recurrent(cells.ClockworkRNN(2, H)),
}


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_any_cell_can_be_watched_on_any_engine(make):
    torch.manual_seed(0)
    layer, penalty = make().double(), VanishingPenalty()
    x, _ = data()

    def measured(engine):
        torch.manual_seed(1)
        with ost.engine(engine), penalty.watching():
            y, _ = layer(x, reset=torch.arange(T)[:, None].expand(T, B) == 3)
        loss = y.square().sum()
        omega = penalty(loss)
        found = torch.autograd.grad(loss + omega, list(layer.parameters()))
        return omega.detach(), torch.cat([g.flatten() for g in found])

    for a, b in zip(measured("eager"), measured("llvm"), strict=True):
        torch.testing.assert_close(a, b)
    assert float(penalty.last) > 0


def test_watching_changes_no_output_and_no_gradient_of_the_loss():
    x, weight = data()
    layer, penalty = ost.LSTM(2, H).double(), VanishingPenalty()
    plain = torch.autograd.grad((layer(x)[0] * weight).sum(), layer.weight_hh_l0)[0]
    with penalty.watching():
        y, state = layer(x)
    assert torch.equal(y, layer(x)[0])
    assert len(state) == 2
    watched = torch.autograd.grad((y * weight).sum(), layer.weight_hh_l0)[0]
    torch.testing.assert_close(watched, plain)


def test_the_penalty_turns_gradients_that_vanish():
    def carried(strength):
        torch.manual_seed(0)
        layer, penalty = ost.RNN(1, 8), VanishingPenalty()
        nn.init.normal_(layer.weight_hh_l0, std=0.15)
        optimizer = torch.optim.Adam(layer.parameters(), 0.01)
        x = 0.1 * torch.randn(20, 4, 1)
        for _ in range(60):
            optimizer.zero_grad()
            with penalty.watching():
                y, _ = layer(x)
            loss = y[-1].square().sum()
            (strength * penalty(loss) + 0.0 * loss).backward()
            optimizer.step()
        start = torch.zeros(1, 4, 8, requires_grad=True)
        y, _ = layer(x, start)
        return float(torch.autograd.grad(y[-1].sum(), start)[0].norm())

    assert carried(0.0) < 1e-6
    assert carried(1.0) > 1e-2


def test_what_was_not_watched_is_an_error():
    layer, penalty = ost.GRU(2, H), VanishingPenalty()
    loss = layer(torch.randn(T, B, 2))[0].sum()
    with pytest.raises(RuntimeError, match="depends on no layer that was watched"):
        penalty(loss)


def fitted(tmp_path, name, **settings):
    run = tmp_path / name
    lm = ost.LanguageModel.fit(
        "to be or not to be, that is the question\n" * 20,
        hidden_size=8,
        num_layers=1,
        batch_size=2,
        chunk_length=8,
        max_steps=4,
        dropout=0.0,
        output_dropout=0.0,
        log_every=1,
        progress=False,
        baselines=False,
        out=run,
        **settings,
    )
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return torch.cat([p.detach().flatten() for p in lm.parameters()]), lines


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"vanishing_penalty": 0.5}, "vanishing_penalty"),
        ({"clip_gradient": 1e-4}, "clipped_in_time"),
        ({"clip_gradient": 1e-5, "clip_gradient_by": "value"}, "clipped_in_time"),
        ({"gradient_noise": 0.1}, None),
        ({"initialise": "orthogonal"}, None),
        ({"initialise": "radius", "initialise_gain": 0.5}, None),
        ({"initialise_input": "normal"}, None),
        ({"forget_bias": 3.0}, None),
        ({"chrono": 30}, None),
    ],
    ids=str,
)
def test_each_setting_of_a_task_changes_the_weights_and_is_told(tmp_path, settings, told):
    plain, _ = fitted(tmp_path, "plain")
    weights, lines = fitted(tmp_path, "set", **settings)
    assert not torch.equal(weights, plain)
    if told is not None:
        assert all(line[told] > 0 for line in lines if "loss" in line)


def test_the_penalty_needs_a_loss_that_is_not_scaled():
    with pytest.raises(ValueError, match="vanishing_penalty"):
        TrainingConfig(vanishing_penalty=0.1, precision="16")


def test_accumulated_batches_weigh_the_penalty_as_one(tiny):
    class Watched(SequenceModule):
        def __init__(self):
            super().__init__()
            self.net = ost.GRU(2, 5)

        def training_step(self, batch, batch_idx):
            return {"loss": self.net(batch.inputs)[0].square().mean()}

    def weights(accumulate, strength=1.0):
        torch.manual_seed(0)
        model, piece = Watched(), tiny.Streams().epoch(0)[0]
        config = TrainingConfig(
            optimizer="sgd",
            lr=0.1,
            max_steps=1,
            accumulate=accumulate,
            vanishing_penalty=strength,
            device="cpu",
        )
        fit(model, [piece] * accumulate, config=config, progress=False)
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    torch.testing.assert_close(weights(1), weights(3))
    assert not torch.allclose(weights(1), weights(1, strength=0.5))
