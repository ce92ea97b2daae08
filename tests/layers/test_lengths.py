import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import LAYERS, I, gradients, make, parts, weighted

close = torch.testing.assert_close
NAN = float("nan")


def alone(layer, x, lengths, state=None):
    """Each row of x run on its own, cut to its length, put side by side."""
    outputs, states = [], []
    for b, n in enumerate(lengths):
        row = None if state is None else [part[..., b : b + 1, :] for part in state]
        row = row[0] if row is not None and len(row) == 1 else row
        y, last = layer(x[:n, b : b + 1], row)
        outputs.append(torch.nn.functional.pad(y, (0, 0, 0, 0, 0, len(x) - n)))
        states.append(parts(last))
    return torch.cat(outputs, dim=1), [torch.cat(p, dim=-2) for p in zip(*states, strict=True)]


def padded(x, lengths, filler=NAN):
    mask = torch.arange(len(x))[:, None] >= torch.tensor(lengths)
    return x.masked_fill(mask[:, :, None], filler)


@pytest.mark.parametrize("engine", ["auto", "eager"])
@pytest.mark.parametrize("name", LAYERS)
def test_each_row_is_as_if_alone_and_padding_may_hold_anything(name, engine):
    import ostinato as ost

    layer = make(name)
    lengths = [3, 0, 5, 1, 5]
    x = torch.randn(5, 5, I, dtype=torch.float64)
    given_state = [torch.randn_like(part).requires_grad_() for part in parts(layer(x)[1])]
    state = given_state[0] if len(given_state) == 1 else tuple(given_state)
    holed = padded(x, lengths).requires_grad_()
    whole = x.clone().requires_grad_()
    with ost.engine(engine):
        y, last = layer(holed, state, lengths=torch.tensor(lengths))
        y_alone, last_alone = alone(layer, whole, lengths, given_state)
        close(y, y_alone)
        close(list(parts(last)), last_alone)
        wanted = [*given_state, *layer.parameters()]
        got = gradients(weighted([y, *parts(last)]), [holed, *wanted])
        expected = gradients(weighted([y_alone, *last_alone]), [whole, *wanted])
        close(got, expected)


@pytest.mark.parametrize("name", LAYERS)
def test_states_at_every_step_stop_at_the_length(name):
    layer = make(name)
    x = torch.randn(5, 3, I, dtype=torch.float64)
    lengths = [2, 5, 0]
    states = parts(layer(padded(x, lengths), lengths=lengths, all_states=True)[2])
    for b, n in enumerate(lengths):
        single = parts(layer(x[:n, b : b + 1], all_states=True)[2])
        for part, whole in zip(single, states, strict=True):
            row = whole[..., b : b + 1, :]
            close(row.narrow(-3, 0, n), part)
            assert (row.narrow(-3, n, 5 - n) == 0).all()


@given(
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=4),
    name=st.sampled_from(sorted(LAYERS)),
)
@settings(max_examples=25, deadline=None)
def test_any_lengths(lengths, name):
    layer = make(name)
    x = torch.randn(4, len(lengths), I, dtype=torch.float64)
    y, last = layer(padded(x, lengths), lengths=lengths)
    y_alone, last_alone = alone(layer, x, lengths)
    close(y, y_alone)
    close(list(parts(last)), last_alone)


def test_lengths_come_as_a_list_or_in_any_whole_type_and_batch_first():
    layer, first = make("lstm-2-layers"), make("lstm-2-layers", batch_first=True)
    x = torch.randn(5, 2, I, dtype=torch.float64)
    expected = layer(x, lengths=torch.tensor([2, 4]))
    for lengths in ([2, 4], torch.tensor([2, 4], dtype=torch.int32), (2, 4)):
        close(layer(x, lengths=lengths), expected)
    y, state = first(x.transpose(0, 1), lengths=[2, 4])
    close((y.transpose(0, 1), state), expected)


def test_one_sequence_has_one_length():
    layer = make("gru")
    x = torch.randn(5, I, dtype=torch.float64)
    y, h = layer(x, lengths=3)
    short, h_short = layer(x[:3])
    close(y[:3], short)
    assert (y[3:] == 0).all()
    close(h, h_short)
    close(layer(x, lengths=[3]), (y, h))


def test_residual_leaves_zeros_in_padding():
    layer = make("deep")
    x = torch.randn(4, 2, I, dtype=torch.float64)
    y, _ = layer(padded(x, [4, 2]), lengths=[4, 2])
    assert (y[2:, 1] == 0).all()
