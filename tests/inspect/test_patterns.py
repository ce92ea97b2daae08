"""Units found by the pattern that they follow, in traces made for it and in a trained network."""

import random

import numpy as np
import pytest
import torch
from torch import nn

import ostinato as ost
from ostinato import Trace
from ostinato.inspect.patterns import find_units, mark, match_span
from ostinato.layers.tracing import Layer, Part


def made(values, labels=None, lengths=None, name="h", kind="state"):
    """A trace that says what it is told: values [T, B, units]."""
    values = np.asarray(values, dtype=np.float64)
    T, B, units = values.shape
    ends = np.array(lengths or [T] * B)
    layer = Layer("0", "Made", 1, ends, np.arange(T), np.arange(B))
    part = Part("0", 0, name, kind, "", values, np.arange(units))
    return Trace([layer], [part], labels)


def test_marks_are_where_the_text_matches():
    trace = made(np.zeros((5, 2, 1)), [["ab", "c(", "de", ")f", "g"], ["x", "(y)"]], [5, 2])
    assert mark(trace, "de").T.tolist() == [[False, False, True, False, False], [False] * 5]
    # the group alone; a token counts if a part of it is inside
    inside = mark(trace, r"\(([^)]*)\)")
    assert inside.T.tolist() == [
        [False, False, True, False, False], [False, True, False, False, False]
    ]  # fmt: skip
    assert mark(trace, r"\([^)]*").sum() == 3
    for pattern, said in (("zz", "nothing matches 'zz'"), ("(", "is no regular expression")):
        with pytest.raises(ValueError, match=said):
            mark(trace, pattern)
    with pytest.raises(ValueError, match="has no labels"):
        mark(made(np.zeros((5, 1, 1))), "a")


def test_units_are_ranked_by_how_well_they_tell():
    rng = np.random.default_rng(0)
    marked = np.zeros((50, 2), dtype=bool)
    marked[10:20, 0] = marked[30:45, 1] = True
    noise = rng.normal(size=(50, 2, 1))
    follows = marked[:, :, None] * 2.0 + rng.normal(size=(50, 2, 1))
    against = -1.0 * marked[:, :, None]
    trace = made(np.concatenate([noise, follows, against], axis=-1))
    found = find_units(trace, marked)
    assert [one.unit for one in found] == [2, 1, 0]
    best, second = found[0], found[1]
    assert (best.auc, best.sign, best.right) == (1.0, -1, 1.0)
    assert best.correlation == pytest.approx(-1)
    assert second.sign == 1
    assert second.correlation == pytest.approx(np.corrcoef(follows.ravel(), marked.ravel())[0, 1])
    np.testing.assert_array_equal(best.on(trace), marked)
    assert best.ranges(trace) == [(0, 10, 20), (1, 30, 45)]
    assert "unit 2 of h (0) is below -1 inside the pattern: right at 100.0%" in best.words()
    assert len(find_units(trace, marked, top=1)) == 1


def test_the_auc_is_the_share_of_pairs_in_the_right_order():
    rng = np.random.default_rng(1)
    values = rng.integers(0, 4, size=(40, 1, 1)).astype(float)
    marked = rng.random((40, 1)) < 0.4
    inside, outside = values[marked][:, 0], values[~marked][:, 0]
    pairs = inside[:, None] - outside[None, :]
    wanted = (pairs > 0).mean() + (pairs == 0).mean() / 2
    found = find_units(made(values), marked)[0]
    assert found.auc == pytest.approx(max(wanted, 1 - wanted))
    # no other threshold does better
    right = [((s * inside >= s * t).mean() + (s * outside < s * t).mean()) / 2
             for t in range(4) for s in (1, -1)]  # fmt: skip
    assert found.right == pytest.approx(max(right))


def test_padding_says_nothing():
    values = np.zeros((6, 2, 1))
    values[:3, 0] = 1
    marked = np.zeros((6, 2), dtype=bool)
    marked[:3, 0] = marked[2:, 1] = True
    found = find_units(made(values, lengths=[6, 2]), marked)[0]
    assert found.auc == 1
    assert not found.on(made(values, lengths=[6, 2]))[:, 1].any()


def test_masks_that_do_not_fit_are_refused():
    trace = made(np.zeros((4, 1, 2)))
    for mask in (np.zeros((3, 1), dtype=bool), np.zeros((4, 1))):
        with pytest.raises(ValueError, match="marked must be bool"):
            find_units(trace, mask)
    with pytest.raises(ValueError, match="both marked and other steps"):
        find_units(trace, np.ones((4, 1), dtype=bool))
    with pytest.raises(ValueError, match="no name 'c'"):
        find_units(trace, np.eye(4, 1, dtype=bool), names=["c"])


def test_a_span_is_matched_by_the_units_that_are_on_in_it():
    values = np.zeros((30, 1, 4))
    for start, stop in ((5, 9), (15, 20), (25, 27)):
        values[start:stop, 0, :2] = 0.9
    values[:, 0, 2] = 0.9  # on everywhere
    values[25:27, 0, 1] = 0.0
    found = match_span(made(values), (0, 5, 9))
    assert found.units.tolist() == [0, 1]
    assert found.matches == ((0, 15, 20),)
    some = match_span(made(values), (0, 5, 9), share=0.5)
    assert some.matches == ((0, 15, 20), (0, 25, 27))
    assert some.shares == (1.0, 0.5)
    everywhere = match_span(made(values), (0, 5, 9), around=False)
    assert everywhere.units.tolist() == [0, 1, 2]
    assert match_span(made(values), (0, 5, 9), threshold=0.5).matches == found.matches
    with pytest.raises(ValueError, match=r"no unit of 'h' is 0.95 or above throughout \(0, 5, 9\)"):
        match_span(made(values), (0, 5, 9), threshold=0.95)
    for span in ((0, 9, 5), (0, 5, 31), (1, 0, 2)):
        with pytest.raises(ValueError, match="is no range of steps"):
            match_span(made(values), span)
    with pytest.raises(ValueError, match="share must be in"):
        match_span(made(values), (0, 5, 9), share=0)


# a network that has learned to know brackets

LETTERS = "abcd()"


def brackets(count, seed):
    """Letters that go round forwards outside brackets and backwards inside, with errors.

    No letter tells by itself whether it is inside, and the letter before it does not for sure.
    """
    rng = random.Random(seed)
    text, at, inside, left = [], 0, False, 8
    for _ in range(count):
        if not left:
            text.append(")" if inside else "(")
            inside, left = not inside, rng.randint(4, 12)
            continue
        left -= 1
        at = rng.randrange(4) if rng.random() < 0.3 else (at + (-1 if inside else 1)) % 4
        text.append(LETTERS[at])
    return "".join(text)


def numbers(text):
    return torch.tensor([LETTERS.index(letter) for letter in text])


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = ost.LSTM(len(LETTERS), 16)
        self.out = nn.Linear(16, len(LETTERS))

    def forward(self, x):
        return self.out(self.lstm(x)[0])


def trained(seed):
    torch.manual_seed(seed)
    model, data = Reader(), numbers(brackets(32 * 400, seed)).view(32, 400).T
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    for step in range(160):
        start = 13 * step % 350
        x, y = data[start : start + 40], data[start + 1 : start + 41]
        loss = nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model


def best_unit(model, text):
    x = numbers(text)[:, None]
    trace = ost.trace(model, x, only="state", labels=[list(text)])
    return find_units(trace, mark(trace, r"\(([^)]*)"), top=1)[0]


def test_an_lstm_that_reads_brackets_has_a_unit_that_is_on_inside_them():
    text = brackets(1500, 100)
    with ost.engine("auto"):
        found = best_unit(trained(1), text)
        fresh = []
        for seed in range(8):
            torch.manual_seed(seed)
            fresh.append(best_unit(Reader(), text))
    assert found.auc > 0.95
    assert found.right > 0.9
    assert abs(found.correlation) > 0.75
    # above what the best of 32 units is by chance, in networks that have learned nothing
    assert max(one.auc for one in fresh) < found.auc - 0.15
    assert max(abs(one.correlation) for one in fresh) < abs(found.correlation) - 0.3
