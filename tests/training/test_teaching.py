"""Each way to teach changes the loss, and its gradient, exactly where it should."""

import pytest
import torch
from torch.nn import functional as F

from ostinato.training import TeachingSignal, sequence_loss

T, B, H = 5, 3, 4


def outputs():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(T, B, H, generator=generator, dtype=torch.float64, requires_grad=True)


def values():
    return torch.randn(T, B, H, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def classes():
    return torch.randint(0, H, (T, B), generator=torch.Generator().manual_seed(2))


def where_taught(output, loss):
    (gradient,) = torch.autograd.grad(loss, output)
    assert gradient.isfinite().all()
    return gradient != 0


def steps(*taught):
    where = torch.zeros(T, B, H, dtype=torch.bool)
    where[list(taught)] = True
    return where


MASK = torch.rand(T, B, generator=torch.Generator().manual_seed(3)) < 0.4

WHEN = {
    "every": ("every", steps(*range(T))),
    "last": ("last", steps(T - 1)),
    "last 2": (2, steps(T - 2, T - 1)),
    "more than there are": (99, steps(*range(T))),
    "mask": (MASK, MASK.unsqueeze(-1).expand(T, B, H)),
}


@pytest.mark.parametrize("name", WHEN)
def test_values_are_taught_at_these_steps_only(name):
    when, expected = WHEN[name]
    output, target = outputs(), values()
    loss = sequence_loss(output, target, loss="mse", when=when)
    assert torch.equal(where_taught(output, loss), expected)
    torch.testing.assert_close(loss, (output - target)[expected].square().mean())


@pytest.mark.parametrize("name", WHEN)
def test_classes_are_taught_at_these_steps_only(name):
    when, expected = WHEN[name]
    output, target = outputs(), classes()
    loss = sequence_loss(output, target, when=when)
    assert torch.equal(where_taught(output, loss), expected)
    at = expected[..., 0]
    torch.testing.assert_close(loss, F.cross_entropy(output[at], target[at]))


def test_some_units_are_taught_and_the_others_left_free():
    output, target = outputs(), values()
    loss = sequence_loss(output, target[..., :2], loss="mse", units=[3, 1])
    taught = where_taught(output, loss)
    assert taught[..., [1, 3]].all()
    assert not taught[..., [0, 2]].any()
    torch.testing.assert_close(loss, F.mse_loss(output[..., [3, 1]], target[..., :2]))


def test_classes_among_some_units_count_within_them():
    output = outputs()
    target = classes() % 2
    loss = sequence_loss(output, target, units=[1, 2])
    assert not where_taught(output, loss)[..., [0, 3]].any()
    torch.testing.assert_close(
        loss, F.cross_entropy(output[..., 1:3].flatten(0, 1), target.flatten())
    )


@pytest.mark.parametrize("when", ["every", "last", 2])
def test_lengths_move_the_end_of_each_row(when):
    output, target = outputs(), values()
    lengths = torch.tensor([5, 2, 0])
    expected = torch.zeros(T, B, H, dtype=torch.bool)
    count = {"every": T, "last": 1, 2: 2}[when]
    for row, length in enumerate(lengths.tolist()):
        expected[max(length - count, 0) : length, row] = True
    loss = sequence_loss(output, target, loss="mse", when=when, lengths=lengths)
    assert torch.equal(where_taught(output, loss), expected)


def test_nan_is_no_signal_even_where_the_output_is_not_finite():
    raw = outputs().detach()
    raw[0, 0, 0] = torch.inf
    raw[1, 1, 1] = torch.nan
    output = raw.requires_grad_()
    target = values()
    target[0, 0, 0] = target[1, 1, 1] = torch.nan
    loss = sequence_loss(output, target, loss="mse")
    taught = where_taught(output, loss)
    assert torch.equal(taught, ~target.isnan())
    torch.testing.assert_close(loss, (output - target)[taught].square().mean())


def test_a_class_may_be_missing_as_nan_or_by_number():
    output, target = outputs(), classes()
    at = torch.ones(T, B, dtype=torch.bool)
    at[2, 1] = False
    expected = F.cross_entropy(output[at], target[at])
    numbered = target.masked_fill(~at, -7)
    torch.testing.assert_close(sequence_loss(output, numbered, ignore_index=-7), expected)
    missing = target.double().masked_fill(~at, torch.nan)
    loss = sequence_loss(output, missing)
    torch.testing.assert_close(loss, expected)
    assert torch.equal(where_taught(output, loss)[..., 0], at)


def test_no_signal_at_all_is_no_loss_and_no_gradient():
    output = outputs()
    loss = sequence_loss(output, torch.full((T, B, H), torch.nan), loss="mse")
    assert loss.item() == 0
    assert not where_taught(output, loss).any()


def test_one_target_may_hold_for_all_taught_steps():
    output, label = outputs(), torch.tensor([1, 0, 3])
    torch.testing.assert_close(
        sequence_loss(output, label, when="last"), F.cross_entropy(output[-1], label)
    )
    point = values()[0]
    torch.testing.assert_close(
        sequence_loss(output, point, loss="mse"), F.mse_loss(output, point.expand(T, B, H))
    )


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("mse", F.mse_loss),
        ("l1", F.l1_loss),
        ("huber", F.huber_loss),
        ("bce", F.binary_cross_entropy_with_logits),
    ],
)
def test_each_loss_is_torchs(name, function):
    output, target = outputs(), values().sigmoid()
    torch.testing.assert_close(sequence_loss(output, target, loss=name), function(output, target))


def test_a_loss_of_ones_own():
    output, target = outputs(), values()
    loss = sequence_loss(output, target, loss=lambda y, t: (y - t) ** 4, when="last")
    torch.testing.assert_close(loss, (output[-1] - target[-1]).pow(4).mean())
    with pytest.raises(ValueError, match=r"one loss an entry, \[5, 3, 4\], got \[\]"):
        sequence_loss(output, target, loss=F.mse_loss)


def test_reductions_agree():
    output, target = outputs(), values()
    target[1, 1, 1] = torch.nan
    each = sequence_loss(output, target, loss="mse", when=2, reduction="none")
    assert each.shape == (T, B, H)
    total = sequence_loss(output, target, loss="mse", when=2, reduction="sum")
    mean = sequence_loss(output, target, loss="mse", when=2)
    torch.testing.assert_close(each.sum(), total)
    torch.testing.assert_close(mean, total / (2 * B * H))
    assert sequence_loss(output, classes(), reduction="none").shape == (T, B)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "msee"}, "loss 'msee' is none of cross_entropy"),
        ({"when": "first"}, "when must be"),
        ({"when": 0}, "when must be"),
        ({"when": True}, "when must be"),
        ({"when": torch.ones(T, B)}, "when must be"),
        ({"reduction": "max"}, "reduction must be"),
    ],
)
def test_wrong_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        TeachingSignal(**options)


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"target must be \[5, 3\] \(steps, batch\).*got \[3, 5\]"):
        sequence_loss(outputs(), classes().T)
    with pytest.raises(ValueError, match=r"target must be \[5, 3, 1\]"):
        sequence_loss(outputs(), values(), loss="mse", units=[2])
    with pytest.raises(ValueError, match=r"mask must be \[5, 3\]"):
        sequence_loss(outputs(), classes(), when=MASK.T)
