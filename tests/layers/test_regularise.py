import torch

import ostinato as ost
from ostinato.layers import activation_penalty, slowness_penalty

close = torch.testing.assert_close


def test_penalties_are_mean_squares_of_outputs_and_of_their_changes():
    y = torch.randn(5, 2, 3)
    close(activation_penalty(y), y.pow(2).mean())
    close(slowness_penalty(y), (y[1:] - y[:-1]).pow(2).mean())
    first = y.transpose(0, 1)
    close(activation_penalty(first, batch_first=True), activation_penalty(y))
    close(slowness_penalty(first, batch_first=True), slowness_penalty(y))


def test_padding_does_not_count():
    lengths = torch.tensor([5, 2, 0, 1])
    y = torch.randn(5, 4, 3)
    rows = [y[:n, b] for b, n in enumerate(lengths.tolist())]
    values = torch.cat(rows).square()
    changes = torch.cat([(row[1:] - row[:-1]).square() for row in rows])
    close(activation_penalty(y, lengths), values.mean())
    close(slowness_penalty(y, lengths), changes.mean())


def test_nothing_to_count_is_zero():
    none = torch.zeros(2, dtype=torch.int64)
    y = torch.randn(5, 2, 3)
    for penalty in (activation_penalty, slowness_penalty):
        assert penalty(y, none) == 0
        assert penalty(y[:0]) == 0
    assert slowness_penalty(y[:1]) == 0


def test_penalties_change_the_gradient():
    layer = ost.GRU(3, 4)
    y, _ = layer(torch.randn(5, 2, 3))
    for penalty in (activation_penalty, slowness_penalty):
        (grad,) = torch.autograd.grad(penalty(y), [layer.weight_hh_l0], retain_graph=True)
        assert grad.abs().sum() > 0
