"""Prepared steps: the bits of the whole sequence, and every change is seen."""

import contextlib
import copy
import pickle
import threading
import warnings

import pytest
import torch
from custom_cells import CELLS
from torch import nn

import ostinato
from ostinato import GRU, LSTM, RNN, Recurrent, cells
from ostinato.engine.fused import EngineWarning
from ostinato.engine.stepper import Stepper, Unprepared

I, H, T = 5, 20, 6  # noqa: E741
LAYERS = {
    "lstm": lambda: LSTM(I, H),
    "gru": lambda: GRU(I, H),
    "relu": lambda: RNN(I, H, nonlinearity="relu"),
    "no bias": lambda: LSTM(I, H, bias=False),
    "projected": lambda: LSTM(I, H, proj_size=7),
    "normed": lambda: GRU(I, H, layer_norm=True),
    "wide": lambda: LSTM(33, 48),
    "stack": lambda: LSTM(I, H, 3),
    "stack of cells": lambda: Recurrent(cells.GRU(I, H, reset="before"), 2),
    "double": lambda: GRU(I, H).double(),
}


@torch.no_grad()
def whole_and_steps(layer, B, x=None, state=None):
    """(Output of the whole sequence, outputs of single steps, how many of these were prepared)."""
    torch.manual_seed(1)
    like = next(layer.parameters())
    x = torch.randn(T, B, layer.input_size, dtype=like.dtype) if x is None else x
    y, last = layer(x, state)
    stream = layer.stream(B, state)
    steps, prepared = [], 0
    for part in x:
        prepared += stream._stepper is not None
        steps.append(stream(part))
    leaves = (last, stream.state)
    for a, b in zip(*map(torch.utils._pytree.tree_leaves, leaves), strict=True):
        torch.testing.assert_close(a, b, **({"rtol": 0, "atol": 0} if prepared else {}))
    return y, torch.stack(steps), prepared


@pytest.mark.parametrize("B", [1, 2, 3, 7])
@pytest.mark.parametrize("name", LAYERS)
def test_prepared_steps_have_the_bits_of_the_whole_sequence(name, B):
    y, steps, prepared = whole_and_steps(LAYERS[name](), B)
    assert prepared == T - 1
    assert torch.equal(y, steps)


@pytest.mark.parametrize("B", [1, 3])
@pytest.mark.parametrize("name", [*cells.NAMES, *CELLS])
def test_every_cell_steps_with_the_numbers_of_the_whole_sequence(name, B):
    if name in cells.NAMES:
        layer = Recurrent(cells.by_name(name)(I, H))
    else:
        make, width, sizes = CELLS[name]
        layer = Recurrent(make(), input_size=width, state_sizes=sizes)
    state = layer._states.join([tuple(torch.rand(B, size) for size in layer._states.sizes[0])])
    y, steps, prepared = whole_and_steps(layer, B, state=state)
    if prepared:
        assert torch.equal(y, steps)
    else:
        # products before or after the walk are PyTorch's, whose bits depend on the number of rows
        torch.testing.assert_close(y, steps)


def test_most_cells_can_be_prepared():
    """So that the test above compares bits."""
    prepared = {
        name for name in cells.NAMES if whole_and_steps(Recurrent(cells.by_name(name)(I, H)), 1)[2]
    }
    assert {"elman", "lstm", "gru", "mgu", "leaky", "indrnn", "mlstm"} <= prepared


@pytest.mark.parametrize("level", ["avx512", "avx2", "sse2"])
@pytest.mark.parametrize("B", [1, 2, 3])
def test_all_instruction_sets_give_the_bits_of_their_walk(level, B, monkeypatch):
    from ostinato.engine import fused, quick, stepper
    from ostinato.engine.llvm.compile import host_target

    with contextlib.suppress(ValueError):
        target = host_target(level)
        monkeypatch.setattr(stepper, "host_target", lambda: target)
        monkeypatch.setattr(quick, "host_target", lambda: target)
        monkeypatch.setattr(fused, "host_target", lambda _="": target)
        make, width, sizes = CELLS["matrices on the right"]
        for layer in (LSTM(I, H), Recurrent(make(), input_size=width, state_sizes=sizes)):
            y, steps, prepared = whole_and_steps(layer, B)
            assert prepared == T - 1
            assert torch.equal(y, steps)


# changes


def ready(layer, B=1):
    """A stream that is prepared."""
    stream = layer.stream(B)
    stream(torch.ones(B, layer.input_size))
    assert stream._stepper is not None
    return stream


@torch.no_grad()
def follows(layer, stream):
    """Whether the next step is what the layer makes of the stream's state."""
    state = stream.state
    x = torch.randn(stream.batch_size, layer.input_size, dtype=stream._held[0][0].dtype)
    return torch.equal(stream(x), layer(x.unsqueeze(0), state)[0][0])


def in_inference_mode(weight):
    with torch.inference_mode():
        weight.mul_(2)


def by_optimizer(weight):
    weight.grad = torch.ones_like(weight)
    torch.optim.SGD([weight], 0.1).step()


def one_element(weight):
    weight.data[0, 0] += 1


WRITES = {
    "in inference mode": in_inference_mode,
    "by an optimizer": by_optimizer,
    "one element of the data": one_element,
    "through numpy": lambda weight: weight.detach().numpy().__imul__(2),
    "new data": lambda weight: setattr(weight, "data", torch.randn(weight.shape)),
    "turned round in place": lambda weight: setattr(weight, "data", weight.data.t()),
}


@pytest.mark.parametrize("B", [1, 3])
@pytest.mark.parametrize("write", WRITES)
def test_weights_that_are_written_count_from_the_next_step(write, B):
    layer = RNN(I, H)
    stream, x = ready(layer, B), torch.ones(B, I)
    before = layer(x.unsqueeze(0), stream.state)[0][0]
    kept = copy.deepcopy(stream)
    WRITES[write](layer.weight_hh_l0)
    assert not torch.equal(stream(x), before)
    assert follows(layer, stream)
    # what was copied has weights of its own
    assert torch.equal(kept(x), before)


CHANGES = {
    "a parameter is replaced": lambda layer: setattr(
        layer.cell.gates, "bias", nn.Parameter(torch.ones(H))
    ),
    "an attribute": lambda layer: setattr(layer.cell, "leak", 0.9),
    "the cell": lambda layer: layer.cells.__setitem__(0, cells.LeakyRNN(I, H, leak=0.1)),
    "all cells": lambda layer: setattr(layer, "cells", nn.ModuleList([cells.LeakyRNN(I, H)])),
    "a module inside": lambda layer: setattr(layer.cell, "gates", cells.LeakyRNN(I, H).gates),
    "residual": lambda layer: setattr(layer, "residual", True),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_layer_is_seen(change):
    layer = Recurrent(cells.LeakyRNN(H, H, leak=0.5)) if change == "residual" else None
    layer = Recurrent(cells.LeakyRNN(I, H, leak=0.5)) if layer is None else layer
    stream = ready(layer)
    CHANGES[change](layer)
    assert follows(layer, stream)


def test_a_hook_on_the_cell_is_called():
    layer, seen = Recurrent(cells.GRU(I, H)), []
    stream = ready(layer)
    layer.cell.register_forward_hook(lambda *_: seen.append(1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EngineWarning)
        stream(torch.ones(1, I))
    assert seen == [1]


def test_dropout_between_layers_starts_with_training():
    layer = LSTM(I, H, 2, dropout=0.99).eval()
    stream = ready(layer)
    assert follows(layer, stream)
    layer.train()
    torch.manual_seed(0)
    state = stream.state
    y = stream(torch.ones(1, I))
    layer.eval()
    with torch.no_grad():
        assert not torch.equal(y, layer(torch.ones(1, 1, I), state)[0][0])


def test_another_type_is_followed():
    layer = GRU(I, H)
    stream = ready(layer)
    layer.double()
    stream.state = stream.state.double()
    assert follows(layer, stream)
    assert stream(torch.ones(1, I, dtype=torch.float64)).dtype == torch.float64


def test_a_set_state_and_a_reset_reach_prepared_steps():
    layer = LSTM(I, H, 2)
    stream = ready(layer, 2)
    stream.state = (torch.rand(2, 2, H), torch.rand(2, 2, H))
    assert stream._stepper is not None
    assert follows(layer, stream)
    stream.reset([1])
    assert not stream.state[0][:, 1].any()
    assert stream.state[0][:, 0].any()
    assert stream._stepper is not None
    assert follows(layer, stream)


# what comes back


def test_outputs_and_states_belong_to_the_caller():
    layer = GRU(I, H)
    stream = ready(layer)
    first = stream(torch.ones(1, I))
    state = stream.state
    kept = first.clone()
    second = stream(torch.ones(1, I))
    assert torch.equal(first, kept)
    assert torch.equal(state[0], kept)
    second.zero_()
    state.zero_()
    assert stream.state.any()


def test_prepared_steps_keep_no_graph_and_take_any_strides():
    layer = LSTM(I, H)
    stream = ready(layer, 2)
    x = torch.randn(I, 2, requires_grad=True)
    other = copy.deepcopy(stream)
    y = stream(x.t())
    assert not y.requires_grad
    assert torch.equal(y, other._general(x.t().contiguous(), None))


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, contextlib.nullcontext])
def test_steps_within_and_without_inference_mode_are_the_same(mode):
    layer = LSTM(I, H)
    stream, other = ready(layer), ready(layer)
    with mode():
        y = stream(torch.ones(1, I))
        assert y.is_inference() == torch.is_inference_mode_enabled()
    assert torch.equal(y, other(torch.ones(1, I)))
    assert torch.equal(stream(torch.ones(1, I)), other(torch.ones(1, I)))


@pytest.mark.parametrize("way", [copy.deepcopy, copy.copy, lambda s: pickle.loads(pickle.dumps(s))])
def test_a_copy_of_a_stream_goes_its_own_way(way):
    layer = LSTM(I, H)
    stream = ready(layer)
    other = way(stream)
    ahead = stream(torch.ones(1, I))
    stream(torch.ones(1, I))
    assert torch.equal(other(torch.ones(1, I)), ahead)


def test_the_engine_in_force_is_obeyed():
    layer = GRU(I, H)
    stream = ready(layer)
    with ostinato.engine("eager"):
        assert stream._stepper.take(torch.ones(1, I)) is None
        stream(torch.ones(1, I))
        assert stream._stepper is None
    with torch.autocast("cpu", torch.bfloat16):
        y = stream(torch.ones(1, I))
    assert follows(layer, stream), y


def test_a_transform_goes_the_general_way():
    layer = GRU(I, H)
    stream = ready(layer, 2)
    stepper = stream._stepper
    y = torch.func.vmap(lambda x: x if stepper.take(x) is None else x * torch.nan)(
        torch.ones(3, 2, I)
    )
    assert not y.isnan().any()


def test_a_compiled_caller_gets_the_same_numbers():
    layer = GRU(I, H)
    stream, other = ready(layer), ready(layer)
    compiled = torch.compile(lambda x: stream(x) + 1, backend="eager")
    for _ in range(3):
        x = torch.randn(1, I)
        torch.testing.assert_close(compiled(x), other(x) + 1)


def test_what_cannot_be_prepared_is_refused():
    layer = Recurrent(cells.GRU(I, H))
    with ostinato.engine("eager"), pytest.raises(Unprepared):
        Stepper([layer.cell], [None], [], torch.ones(1, I), [(torch.zeros(1, H),)])


def test_streams_run_side_by_side_in_several_threads():
    layer = LSTM(I, H)
    x = torch.randn(200, 1, I)
    with torch.no_grad():
        expected = layer(x)[0]
    found = {}

    def work(n):
        stream = layer.stream()
        found[n] = torch.stack([stream(part) for part in x])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(y, expected) for y in found.values())
    assert len(found) == 4
