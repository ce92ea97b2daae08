"""Gradients of a trace beside a plain loop that keeps the gradient of everything."""

import numpy as np
import pytest
import torch
from layer_cases import TwoFaced
from torch import nn

import ostinato as ost
from ostinato import cells
from ostinato.engine import split_result
from ostinato.layers import Clamp, Recurrent
from ostinato.layers.attention import AdditiveAttention

T, B, I, H = 6, 3, 3, 4  # noqa: E741
LENGTHS = [T, 4, 1]


def inputs(seed=0):
    return torch.randn(T, B, I, generator=torch.Generator().manual_seed(seed)).double()


def weighted(y):
    """A loss in which every output counts differently."""
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(9)).double()
    return (weights * y + 0.3 * y.square()).sum()


def loop(cell, x, lengths, reset, reverse):
    """All states, each with its gradient kept, by calls of the cell alone."""
    outputs, states = [[None] * B for _ in range(T)], [[None] * B for _ in range(T)]
    for row in range(B):
        state = cell.initial_state(1)
        steps = range(lengths[row])
        for t in reversed(steps) if reverse else steps:
            if reset[t, row]:
                state = cell.initial_state(1)
            output, new = split_result(cell(x[t, row : row + 1], *state), len(state))
            # a state that is handed on as it was is another state one step later
            state = tuple(
                p.clone().requires_grad_() if any(p is old for old in state) else p for p in new
            )
            for part in state:
                part.retain_grad()
            outputs[t][row], states[t][row] = output, state
    width = next(one for one in outputs[0] if one is not None).shape[-1]
    zero = torch.zeros(1, width).double()
    rows = [torch.cat([zero if one is None else one for one in row]) for row in outputs]
    return torch.stack(rows), states


CELLS = {
    "elman": lambda: cells.Elman(I, H),
    "lstm": lambda: cells.LSTM(I, H),
    "peepholes": lambda: cells.LSTM(I, H, peephole=True, proj_size=2),
    "gru": lambda: cells.GRU(I, H, reset="before"),
    "narx": lambda: cells.NARX(I, H),
    "two faced": lambda: TwoFaced(I, H),
}


@pytest.mark.parametrize("engine", ["eager", "llvm"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("name", CELLS)
def test_gradients_of_states_are_those_of_a_plain_loop(name, reverse, engine):
    torch.manual_seed(1)
    cell = CELLS[name]().double()
    x, reset = inputs(), torch.zeros(T, B, dtype=torch.bool)
    reset[2, 0] = True
    layer = Recurrent([cell, cell], bidirectional=True)
    width = layer.output_size // 2
    half = slice(width, None) if reverse else slice(0, width)
    mask = reset
    if reverse:
        # a mark for the walk from the end stands where an episode begins: one step later in time
        mask = torch.cat([reset[1:], reset[:1] & False])
    with ost.engine(engine):
        trace = layer.trace(
            x, lengths=LENGTHS, reset=reset, gradients=lambda out: weighted(out[0][..., half])
        )
    y, states = loop(cell, x, LENGTHS, mask, reverse)
    weighted(y).backward()
    for k, state in enumerate(cell.state_names):
        found = trace.gradients(state, 0, int(reverse))
        for row, length in enumerate(LENGTHS):
            for t in range(length):
                wanted = states[t][row][k].grad
                wanted = torch.zeros(1, found.shape[-1]) if wanted is None else wanted
                np.testing.assert_allclose(found[t, row], wanted[0], rtol=0, atol=1e-10)
            assert not found[length:, row].any()


@pytest.mark.parametrize("engine", ["eager", "llvm"])
def test_gradients_of_gates_are_those_of_a_plain_loop(engine):
    torch.manual_seed(2)
    layer = ost.LSTM(I, H, num_layers=2).double()
    with ost.engine(engine):
        trace = layer.trace(inputs(), gradients=lambda out: weighted(out[0]))
    told, x = [], inputs()
    for k in range(2):
        W, U = getattr(layer, f"weight_ih_l{k}"), getattr(layer, f"weight_hh_l{k}")
        b = getattr(layer, f"bias_ih_l{k}") + getattr(layer, f"bias_hh_l{k}")
        h = c = torch.zeros(B, H).double()
        steps, outputs = [], []
        for now in x:
            drive = (now @ W.T + h @ U.T + b).chunk(4, dim=-1)
            step = dict(zip(("i.pre", "f.pre", "g.pre", "o.pre"), drive, strict=True))
            step.update({n: torch.sigmoid(step[f"{n}.pre"]) for n in "ifo"})
            step["g"] = torch.tanh(step["g.pre"])
            c = step["c"] = step["f"] * c + step["i"] * step["g"]
            h = step["h"] = step["o"] * torch.tanh(c)
            for part in step.values():
                part.retain_grad()
            steps.append(step)
            outputs.append(h)
        told.append(steps)
        x = torch.stack(outputs)
    weighted(x).backward()
    for k, steps in enumerate(told):
        for name in trace.names:
            wanted = np.stack([step[name].grad for step in steps])
            found = trace.gradients(name, k)
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("option", ["zoneout", "recurrent_dropout", "weight_drop"])
def test_masks_of_training_are_in_the_gradients(option):
    torch.manual_seed(3)
    layer = ost.GRU(I, H, **{option: 0.4}).double()
    x = inputs()

    def loss(out):
        return weighted(out[0])

    torch.manual_seed(4)
    trace = layer.trace(x, gradients=loss)
    # a small push on one state, in the plain layer under the same masks
    calm = layer.trace(x, gradients=loss, training=False)
    assert np.abs(trace.gradients("h") - calm.gradients("h")).max() > 1e-3
    torch.manual_seed(4)
    y, _ = layer(x)
    np.testing.assert_array_equal(trace["h"], y.detach())


def test_a_push_on_a_state_moves_the_loss_by_its_gradient():
    torch.manual_seed(5)
    layer = ost.GRU(I, H, zoneout=0.3, clamp=Clamp([1], 0.2)).double().eval()
    x = inputs()
    trace = layer.trace(x, gradients=lambda out: weighted(out[0]))
    states = torch.from_numpy(trace["h"])

    def after(state):
        """The loss of what comes after step 2, and of step 2 itself, from a state there."""
        y, _ = layer(x[3:], state[None])
        return weighted(torch.cat([states[:2], state[None], y])).item()

    for unit in range(H):
        push = torch.zeros(B, H).double()
        push[1, unit] = 1e-6
        slope = (after(states[2] + push) - after(states[2] - push)) / 2e-6
        assert slope == pytest.approx(trace.gradients("h")[2, 1, unit], abs=1e-7)


def test_gradients_of_attention_and_of_torchs_layers():
    class Looking(nn.Module):
        def __init__(self):
            super().__init__()
            self.read, self.write = nn.LSTM(I, H), nn.GRU(I, H)
            self.attend = AdditiveAttention(H, H)
            self.kept = None

        def forward(self, x):
            memory = self.attend.memory(self.read(x)[0], lengths=LENGTHS)
            context, self.kept = self.attend(self.write(x)[0], memory)
            return context

    torch.manual_seed(6)
    model = Looking().double()
    trace = ost.trace(model, inputs(), gradients=lambda y: y.square().sum())
    model(inputs())
    weights = model.kept.detach().requires_grad_()
    values = model.read(inputs())[0].detach()
    torch.einsum("tbs,sbm->tbm", weights, values).square().sum().backward()
    assert trace.part("weights").kind == "attention"
    np.testing.assert_allclose(trace["weights"], weights.detach(), rtol=0, atol=1e-12)
    valid = np.arange(T) < np.array(LENGTHS)[:, None]
    found = trace.gradients("weights")
    np.testing.assert_allclose(found, weights.grad.numpy() * valid, rtol=0, atol=1e-12)
    # a row that can look at one step only has no choice to make
    assert np.abs(trace.gradients("h", "write")[:, :2]).min() > 0
    assert [one.name for one in trace.layers] == ["read.0", "write.0", "attend"]


def test_what_the_loss_does_not_reach_has_no_gradient():
    layer = ost.GRU(I, H).double()
    trace = layer.trace(inputs(), gradients=lambda out: out[0][2, 1].sum())
    found = trace.gradients("h")
    assert not found[3:].any()
    assert not found[:, [0, 2]].any()
    assert (found[2, 1] == 1).all()


@pytest.mark.parametrize("loss", [lambda out: out[0], lambda out: 3.0, lambda out: torch.ones(())])
def test_a_loss_that_is_no_number_of_the_layers_is_refused(loss):
    with pytest.raises(ValueError, match="one number that depends on the recurrent layers"):
        ost.GRU(I, H).double().trace(inputs(), gradients=loss)


def test_gradients_that_were_not_asked_for_are_refused():
    with pytest.raises(ValueError, match=r"no gradients of 'h'. Trace it with gradients="):
        ost.GRU(I, H).double().trace(inputs()).gradients("h")
