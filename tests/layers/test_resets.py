from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import LAYERS, I, gradients, make, parts, weighted

close = torch.testing.assert_close


def pieces(layer, x, marks, length, state=None):
    """One row [T, 1, I] cut where marked, each piece run on its own from the layer's start.

    What a given state starts is the first piece for a forward walk, the last for a backward one.
    """
    cuts = [0, *(t for t in range(1, length) if marks[t]), length]
    runs = []
    for i, (start, end) in enumerate(pairwise(cuts)):
        first = i == 0 and not (length and marks[0])
        last = i == len(cuts) - 2
        runs.append(layer(x[start:end], _start(layer, state, first, last)))
    y = torch.cat([run[0] for run in runs])
    ends = [parts(run[1]) for run in runs]
    if not layer.bidirectional:
        return y, ends[-1]
    # the forward walks end in the last piece, the backward ones in the first
    mixed = []
    for there, back in zip(ends[-1], ends[0], strict=True):
        part = there.clone()
        part[1::2] = back[1::2]
        mixed.append(part)
    return y, tuple(mixed)


def _start(layer, state, first, last):
    if state is None:
        return None
    fresh = parts(layer(torch.zeros(0, 1, I, dtype=torch.float64))[1])
    mixed = []
    for given_part, own in zip(parts(state), fresh, strict=True):
        if not layer.bidirectional:
            mixed.append(given_part if first else own)
            continue
        part = own.clone()
        if first:
            part[0::2] = given_part[0::2]
        if last:
            part[1::2] = given_part[1::2]
        mixed.append(part)
    return mixed[0] if len(mixed) == 1 else tuple(mixed)


@pytest.mark.parametrize("start", [None, "learned", 0.3])
@pytest.mark.parametrize("name", LAYERS)
def test_a_reset_starts_anew_in_the_middle_of_a_row(name, start):
    layer = make(name, initial_state=start)
    marks = torch.tensor(
        [[0, 0, 1, 0, 1, 1], [1, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0]], dtype=torch.bool
    )
    x = torch.randn(6, 3, I, dtype=torch.float64, requires_grad=True)
    state = [torch.randn_like(part).requires_grad_() for part in parts(layer(x)[1])]
    whole = state[0] if len(state) == 1 else tuple(state)
    y, last = layer(x, whole, reset=marks.T)
    rows = [
        pieces(layer, x[:, b : b + 1], marks[b], 6, [part[..., b : b + 1, :] for part in state])
        for b in range(3)
    ]
    y_pieces = torch.cat([row[0] for row in rows], dim=1)
    last_pieces = [torch.cat(p, dim=-2) for p in zip(*(row[1] for row in rows), strict=True)]
    close(y, y_pieces)
    close(list(parts(last)), last_pieces)
    wanted = [x, *state, *layer.parameters()]
    close(
        gradients(weighted([y, *parts(last)]), wanted),
        gradients(weighted([y_pieces, *last_pieces]), wanted),
    )


@given(
    marks=st.lists(st.booleans(), min_size=5, max_size=5),
    length=st.integers(0, 5),
    name=st.sampled_from(sorted(LAYERS)),
)
@settings(max_examples=30, deadline=None)
def test_any_resets_with_any_length(marks, length, name):
    layer = make(name)
    x = torch.randn(5, 2, I, dtype=torch.float64)
    holed = x.clone()
    holed[length:, 1] = float("nan")
    reset = torch.tensor(marks)[:, None].expand(5, 2)
    y, last = layer(holed, lengths=[5, length], reset=reset)
    for b, n in ((0, 5), (1, length)):
        y_row, last_row = pieces(layer, x[:, b : b + 1], marks, n)
        close(y[:n, b : b + 1], y_row)
        close([part[..., b : b + 1, :] for part in parts(last)], list(last_row))


def test_the_mask_is_laid_out_as_the_input():
    layer, first = make("gru"), make("gru", batch_first=True)
    x = torch.randn(4, 2, I, dtype=torch.float64)
    reset = torch.tensor([[0, 0], [0, 1], [1, 0], [0, 0]], dtype=torch.bool)
    y, h = layer(x, reset=reset)
    y_first, h_first = first(x.transpose(0, 1), reset=reset.T)
    close((y_first.transpose(0, 1), h_first), (y, h))
    close(layer(x[:, 1], reset=reset[:, 1])[0], y[:, 1])


def test_no_gradient_crosses_a_reset():
    layer = make("lstm-2-layers")
    x = torch.randn(4, 1, I, dtype=torch.float64, requires_grad=True)
    reset = torch.tensor([False, False, True, False])[:, None]
    y, _ = layer(x, reset=reset)
    (gradient,) = gradients(y[2:].sum(), [x])
    assert (gradient[:2] == 0).all()
    assert (gradient[2:] != 0).all()
