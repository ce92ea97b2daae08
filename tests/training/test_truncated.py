import gc
import weakref

import pytest
import torch
from torch import nn

import ostinato as ost
from ostinato.training.truncated import reach_back, truncated

T, B, H = 23, 3, 6


def layer_and_data(kind=ost.GRU, **options):
    torch.manual_seed(0)
    layer = kind(2, H, **options).double()
    x, weight = torch.randn(T, B, 2).double(), torch.randn(T, B, H).double()
    return layer, x, weight


def gradient(layer):
    found = torch.cat([p.grad.flatten() for p in layer.parameters()])
    layer.zero_grad()
    return found


def of_windows(layer, x, weight, **options):
    for window in truncated(layer, x, **options):
        (window.output * weight[window.steps]).sum().backward()
    return gradient(layer)


def explicit(layer, x, weight, k1, k2):
    """The gradient by its definition: each window's loss, through a graph cut k2 steps before."""
    for done in range(0, T, k1):
        stop = min(done + k1, T)
        start = max(0, stop - k2)
        with torch.no_grad():
            state = layer(x[:start])[1] if start else None
        y, _ = layer(x[start:stop], state)
        (y[done - start :] * weight[done:stop]).sum().backward()
    return gradient(layer)


@pytest.mark.parametrize("kind", [ost.GRU, ost.LSTM, nn.LSTM])
@pytest.mark.parametrize("k1", [1, 5, 23, 40])
def test_windows_that_cover_the_sequence_add_up_to_its_gradient(kind, k1):
    layer, x, weight = layer_and_data(kind)
    (layer(x)[0] * weight).sum().backward()
    wanted = gradient(layer)
    torch.testing.assert_close(
        of_windows(layer, x, weight, k1=k1, k2=max(k1, T)), wanted, rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize(("k1", "k2"), [(5, 5), (5, 7), (5, 10), (4, 13), (1, 3), (7, 22)])
def test_shorter_windows_have_the_gradient_of_their_definition(k1, k2):
    layer, x, weight = layer_and_data()
    found, wanted = of_windows(layer, x, weight, k1=k1, k2=k2), explicit(layer, x, weight, k1, k2)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    (layer(x)[0] * weight).sum().backward()
    assert not torch.allclose(found, gradient(layer))


def test_windows_bring_each_step_once_and_the_state_with_it():
    layer, x, _ = layer_and_data()
    windows = list(truncated(layer, x, k1=6, k2=10))
    y, h = layer(x)
    torch.testing.assert_close(torch.cat([window.output for window in windows]), y)
    assert [window.steps for window in windows] == [slice(a, min(a + 6, T)) for a in range(0, T, 6)]
    torch.testing.assert_close(windows[-1].state, h)
    assert not windows[-1].state.requires_grad


def test_the_second_axis_may_be_time():
    layer, x, _ = layer_and_data(batch_first=True)
    outputs = [w.output for w in truncated(layer, x.transpose(0, 1), k1=6, k2=12)]
    torch.testing.assert_close(torch.cat(outputs, 1), layer(x.transpose(0, 1))[0])


def test_weights_may_change_between_windows():
    layer, x, weight = layer_and_data()
    optimizer = torch.optim.SGD(layer.parameters(), 0.1)
    before = layer.weight_hh_l0.detach().clone()
    for window in truncated(layer, x, k1=5, k2=15):
        optimizer.zero_grad()
        (window.output * weight[window.steps]).mean().backward()
        optimizer.step()
    assert not torch.equal(before, layer.weight_hh_l0)


def most_alive(length, k1, k2):
    """How many tensors that steps have kept for a gradient live at once, at most."""
    torch.manual_seed(0)
    cell = nn.GRUCell(2, H)
    alive, most = weakref.WeakSet(), 0

    class Kept:
        def __init__(self, tensor):
            self.tensor = tensor

    def pack(tensor):
        nonlocal most
        kept = Kept(tensor.detach())
        alive.add(kept)
        most = max(most, len(alive))
        return kept

    def steps(x, h):
        h = torch.zeros(B, H) if h is None else h
        outputs = []
        for x_t in x:
            h = cell(x_t, h)
            outputs.append(h)
        return torch.stack(outputs), h

    gc.collect()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept.tensor):
        for window in truncated(steps, torch.randn(length, B, 2), k1=k1, k2=k2):
            window.output.sum().backward()
            del window
    return most


def test_memory_does_not_grow_with_the_length():
    short, long = most_alive(40, 5, 10), most_alive(400, 5, 10)
    assert short == long
    assert most_alive(400, 5, 40) > 2 * long


@pytest.mark.parametrize(("k1", "k2"), [(5, 5), (5, 12), (1, 4), (4, 100)])
def test_chunks_of_a_stream_reach_back_as_windows_do(k1, k2):
    layer, x, weight = layer_and_data()
    x, weight, carried = x[:20], weight[:20], None
    for number, chunk in enumerate(x.split(k1)):
        y, carried = reach_back(lambda p, h: layer(p[0], h), (chunk, None), carried, k2=k2)
        (y * weight[number * k1 :][: len(y)]).sum().backward()
    found = gradient(layer)
    torch.testing.assert_close(
        found, of_windows(layer, x, weight, k1=k1, k2=k2), rtol=1e-12, atol=1e-12
    )
    assert len(carried[1][0]) == min(k2 - k1, 20)


def test_a_reset_in_one_chunk_is_not_forgotten_in_the_next():
    layer, x, weight = layer_and_data()
    reset = torch.zeros(20, B, dtype=torch.bool)
    reset[7, 1] = True

    def walk(parts, state):
        return layer(parts[0], state, reset=parts[1])

    carried, outputs = None, []
    for number, chunk in enumerate(x[:20].split(5)):
        marks = reset[5 * number :][:5]
        given = marks if bool(marks.any()) else None
        y, carried = reach_back(walk, (chunk, given), carried, k2=20)
        (y * weight[5 * number :][:5]).sum().backward()
        outputs.append(y)
    found = gradient(layer)
    whole, _ = layer(x[:20], reset=reset)
    torch.testing.assert_close(torch.cat(outputs), whole)
    (whole * weight[:20]).sum().backward()
    torch.testing.assert_close(found, gradient(layer))


def test_a_learned_start_is_learned_as_long_as_it_is_reached():
    layer, x, weight = layer_and_data(initial_state="learned")
    (layer(x)[0] * weight).sum().backward()
    wanted = gradient(layer)
    torch.testing.assert_close(of_windows(layer, x, weight, k1=5, k2=30), wanted)


@pytest.mark.parametrize(("k1", "k2", "message"), [(0, 5, "at least 1"), (5, 4, "as many")])
def test_bad_windows_are_refused(k1, k2, message):
    layer, x, _ = layer_and_data()
    with pytest.raises(ValueError, match=message):
        truncated(layer, x, k1=k1, k2=k2)


def test_a_language_model_may_reach_back():
    def weights(**settings):
        lm = ost.LanguageModel.fit(
            "to be or not to be, that is the question\n" * 20,
            hidden_size=8,
            num_layers=1,
            batch_size=2,
            chunk_length=8,
            max_steps=4,
            dropout=0.0,
            output_dropout=0.0,
            progress=False,
            baselines=False,
            **settings,
        )
        return torch.cat([p.detach().flatten() for p in lm.parameters()])

    alone = weights()
    assert torch.equal(weights(reach=8), alone)
    assert not torch.equal(weights(reach=20), alone)
    with pytest.raises(ValueError, match="reach must be chunk_length"):
        weights(reach=4)


def test_packed_rows_are_to_be_padded_first():
    packed = torch.nn.utils.rnn.pack_sequence([torch.zeros(3, 2)])
    with pytest.raises(TypeError, match=r"got PackedSequence\. Pad packed rows first"):
        truncated(torch.nn.GRU(2, 3), packed, k1=1, k2=1)
