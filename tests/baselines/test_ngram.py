import math
import os
from pathlib import Path

import numpy as np
import pytest

from ostinato.baselines.ngram import NGram, uniform_nats

SMOOTHINGS = ["witten-bell", "kneser-ney", "modified-kneser-ney"]


def grams(tokens, length):
    return [tuple(tokens[i : i + length]) for i in range(len(tokens) - length + 1)]


def plain_witten_bell(tokens, V, order, context, word):
    # the equation, one dictionary at a time
    if order == 0:
        return 1 / V
    h = tuple(context[len(context) - order + 1 :]) if order > 1 else ()
    lower = plain_witten_bell(tokens, V, order - 1, context, word)
    following = [g[-1] for g in grams(tokens, order) if g[:-1] == h]
    if not following:
        return lower
    kinds = len(set(following))
    return (following.count(word) + kinds * lower) / (len(following) + kinds)


def plain_kneser_ney(tokens, V, order, context, word, modified, top=True):
    if order == 0:
        return 1 / V
    if top:
        counts = {g: grams(tokens, order).count(g) for g in set(grams(tokens, order))}
    else:
        longer = set(grams(tokens, order + 1))
        counts = {g: sum(long[1:] == g for long in longer) for g in set(grams(tokens, order))}
    n = [sum(c == k for c in counts.values()) for k in range(5)]
    taken = [0.0, 0.5, 1.0, 1.5]
    if n[1] and n[2]:
        y = n[1] / (n[1] + 2 * n[2])
        if not modified:
            taken = [0, y, y, y]
        elif n[3] and n[4]:
            found = [k - (k + 1) * y * n[k + 1] / n[k] for k in (1, 2, 3)]
            if all(0 < d < k for k, d in enumerate(found, 1)):
                taken = [0, *found]
    h = tuple(context[len(context) - order + 1 :]) if order > 1 else ()
    lower = plain_kneser_ney(tokens, V, order - 1, context, word, modified, top=False)
    mine = {g[-1]: c for g, c in counts.items() if g[:-1] == h}
    total = sum(mine.values())
    if not total:
        return lower
    own = mine.get(word, 0) - taken[min(mine.get(word, 0), 3)]
    return (own + sum(taken[min(c, 3)] for c in mine.values()) * lower) / total


def sample(V, N, seed=0):
    # skewed, so that counts of one to four and more all occur
    generator = np.random.default_rng(seed)
    return (V * generator.random(N) ** 2).astype(int).tolist()


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize(("V", "N", "order"), [(3, 40, 3), (30, 300, 2), (2, 9, 4)])
def test_probabilities_equal_the_equations_counted_by_hand(smoothing, V, N, order):
    tokens = sample(V, N)
    model = NGram(tokens, V, order=order, smoothing=smoothing)
    for context in (tokens[: order - 1], tokens[-order + 1 :] if order > 1 else [], [0] * order):
        if smoothing == "witten-bell":
            want = [plain_witten_bell(tokens, V, order, context, w) for w in range(V)]
        else:
            modified = smoothing.startswith("modified")
            want = [plain_kneser_ney(tokens, V, order, context, w, modified) for w in range(V)]
        np.testing.assert_allclose(model.probabilities(context), want, rtol=1e-12)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_probabilities_sum_to_one_after_seen_and_unseen_contexts(smoothing):
    model = NGram(sample(6, 500), 7, order=4, smoothing=smoothing)
    for context in ([], [0], [6], [6, 6, 6], [0, 1, 2], [0, 1, 2, 3, 4, 5]):
        p = model.probabilities(context)
        assert p.min() > 0
        assert p.sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_nats_are_those_of_the_probabilities_along_the_text(smoothing):
    model = NGram(sample(5, 200), 5, order=3, smoothing=smoothing)
    text = sample(5, 30, seed=1)
    want = [-math.log(model.probabilities(text[:i])[text[i]]) for i in range(3, 30)]
    np.testing.assert_allclose(model.nats(text)[3:], want, rtol=1e-12)


def test_first_tokens_of_a_text_use_the_context_there_is():
    tokens = sample(4, 100)
    long, short = NGram(tokens, 4, order=4), NGram(tokens, 4, order=2)
    assert long.nats(tokens[:2]).tolist() == short.nats(tokens[:2]).tolist()


def test_smoothings_differ():
    tokens = sample(8, 400)
    scores = {NGram(tokens, 8, smoothing=s).nats(sample(8, 50, 2)).mean() for s in SMOOTHINGS}
    assert len(scores) == 3


def test_uniform_guess():
    assert uniform_nats(65) == pytest.approx(4.174, abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tokens": []}, "no token"),
        ({"tokens": [0, 5]}, r"0\.\.4"),
        ({"tokens": [0], "order": 0}, "order"),
        ({"tokens": [0], "smoothing": "katz"}, "witten-bell"),
    ],
)
def test_wrong_arguments_say_what_is_needed(arguments, message):
    with pytest.raises(ValueError, match=message):
        NGram(arguments.pop("tokens"), 5, **arguments)


@pytest.mark.data
@pytest.mark.skipif("OSTINATO_DATA" not in os.environ, reason="OSTINATO_DATA is not set")
@pytest.mark.parametrize(
    ("smoothing", "order", "nats"),
    [("witten-bell", 5, 1.669), ("modified-kneser-ney", 7, 1.5165)],
)
def test_tiny_shakespeare_figures(smoothing, order, nats):
    text = (Path(os.environ["OSTINATO_DATA"]) / "tinyshakespeare.txt").read_text(encoding="utf-8")
    symbols = sorted(set(text))
    ids = np.array([symbols.index(s) for s in text])
    cut = int(0.9 * len(ids))
    model = NGram(ids[:cut], len(symbols), order=order, smoothing=smoothing)
    assert model.nats(ids[cut:]).mean() == pytest.approx(nats, abs=5e-4)


def test_the_numbers_kept_are_counted():
    # single tokens: 0, 1 and what stands before any; pairs: 01, 10, with 0 and 1 before them
    model = NGram([0, 1, 0, 1], 3, order=2)
    assert model.parameters == 2 + 1 + 2 + 2
