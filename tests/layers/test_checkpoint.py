import copy

import pytest
import torch

import ostinato as ost
from ostinato import cells

I, H, T, B = 3, 4, 30, 5  # noqa: E741
LENGTHS = torch.tensor([30, 0, 17, 5, 29])
LAYERS = {
    "RNN": lambda **k: ost.RNN(I, H, **k),
    "LSTM": lambda **k: ost.LSTM(I, H, num_layers=2, bidirectional=True, **k),
    "GRU": lambda **k: ost.GRU(I, H, zoneout=0.3, initial_state="learned", **k),
    "Recurrent": lambda **k: ost.Recurrent(cells.MGU(I, H), 2, recurrent_dropout=0.2, **k),
    "projection": lambda **k: ost.LSTM(I, H, proj_size=2, layer_norm=True, **k),
}


def layer_of(name, every):
    torch.manual_seed(0)
    return LAYERS[name](checkpoint_every=every).double()


def step(layer, x):
    """Everything that comes out, and every gradient."""
    torch.manual_seed(1)
    out = layer(x, lengths=LENGTHS, all_states=True)
    parts = torch.utils._pytree.tree_leaves(out)
    loss = sum(
        (part.sin() * torch.arange(1, part.numel() + 1).view(part.shape)).sum() for part in parts
    )
    return [*parts, *torch.autograd.grad(loss, [x, *layer.parameters()], allow_unused=True)]


def kept(layer):
    """How many numbers autograd keeps of a forward pass."""
    sizes = {}
    hooks = torch.autograd.graph.saved_tensors_hooks(
        lambda value: sizes.update({value.data_ptr(): value.numel()}) or value, lambda value: value
    )
    with hooks:
        layer(torch.randn(T, B, I, dtype=torch.float64))
    return sum(sizes.values())


@pytest.mark.parametrize("every", [1, 7, True, "sqrt"])
@pytest.mark.parametrize("name", LAYERS)
def test_the_numbers_stay_and_less_is_kept(name, every):
    layers = layer_of(name, None), layer_of(name, every)
    x = torch.randn(T, B, I, dtype=torch.float64, requires_grad=True)
    plain, parts = (step(layer, x) for layer in layers)
    for got, want in zip(parts, plain, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)
    if every != 1:
        assert kept(layers[1]) < 0.7 * kept(layers[0])


def test_true_is_the_square_root_and_false_is_nothing():
    assert layer_of("GRU", True).checkpoint_every == layer_of("GRU", "sqrt").checkpoint_every
    assert layer_of("GRU", False).checkpoint_every is None


@pytest.mark.parametrize("every", [0, -3, 2.0, "k"])
@pytest.mark.parametrize("name", ["LSTM", "Recurrent"])
def test_another_value_is_refused(name, every):
    with pytest.raises(ValueError, match=f"{name}: checkpoint_every must be .* got {every!r}"):
        LAYERS[name](checkpoint_every=every)


def test_a_copy_keeps_it_and_a_layer_shows_it():
    layer = layer_of("Recurrent", 7)
    assert copy.deepcopy(layer).checkpoint_every == 7
    assert "checkpoint_every=7" in repr(layer)
    assert "checkpoint_every" not in repr(layer_of("Recurrent", None))
