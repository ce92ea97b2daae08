import torch
from torch import nn

from ostinato.training.average import Average


def test_the_average_follows_its_formula():
    torch.manual_seed(0)
    layer = nn.Linear(2, 2)
    average = Average(layer, 0.5)
    expected = layer.weight.detach().double()
    for k in range(1, 20):
        with torch.no_grad():
            layer.weight.add_(torch.randn(2, 2))
        average.update()
        decay = min(0.5, (1 + k) / (10 + k))
        expected = decay * expected + (1 - decay) * layer.weight.detach().double()
    torch.testing.assert_close(average.tensors["weight"].double(), expected, rtol=1e-5, atol=1e-6)


def test_swapping_twice_gives_the_weights_back_bit_for_bit():
    layer = nn.Linear(2, 2)
    average = Average(layer, 0.9)
    with torch.no_grad():
        layer.weight.add_(1.0)
    own = layer.weight.detach().clone()
    with average.in_place():
        assert torch.equal(layer.weight, average.tensors["weight"])
        assert not torch.equal(layer.weight, own)
        average.swap_in()
    assert torch.equal(layer.weight, own)
