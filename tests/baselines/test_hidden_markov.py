import itertools
import sys

import numpy as np
import pytest

from ostinato.baselines.hidden_markov import HiddenMarkovSeries, HiddenMarkovText, filtered
from ostinato.baselines.labels import HiddenMarkovLabels
from ostinato.baselines.ngram import NGram
from ostinato.baselines.tracks import Track
from ostinato.extras import MissingExtraError

STAY = np.array([[0.95, 0.05], [0.1, 0.9]])


def chain(rows, seed=0):
    rng = np.random.default_rng(seed)
    states = [0]
    for _ in range(rows - 1):
        states.append(int(rng.random() > STAY[states[-1], 0]))
    return np.array(states), rng


def test_filtering_is_bayes_rule_over_all_paths():
    rng = np.random.default_rng(0)
    start, seen = np.array([0.3, 0.7]), rng.random((5, 2))
    for t in range(5):
        paths = np.array(np.meshgrid(*[[0, 1]] * (t + 1))).reshape(t + 1, -1).T
        weights = np.array(
            [
                start[p[0]]
                * np.prod([STAY[a, b] for a, b in itertools.pairwise(p)])
                * np.prod([seen[k, s] for k, s in enumerate(p)])
                for p in paths
            ]
        )
        known = [weights[paths[:, -1] == s].sum() / weights.sum() for s in (0, 1)]
        assert filtered(start, STAY, seen)[t] == pytest.approx(known)


def test_what_no_state_explains_tells_nothing():
    found = filtered(np.array([0.5, 0.5]), STAY, np.array([[1.0, 0.0], [0.0, 0.0]]))
    assert found[1] == pytest.approx(STAY[0])


def test_a_chain_of_two_states_is_found_in_a_series():
    states, rng = chain(4000)
    x = (np.array([-1.0, 2.0])[states] + 0.3 * rng.normal(size=4000))[:, None]
    guess = HiddenMarkovSeries(2).fit([Track(x)], 2)
    order = np.argsort(guess.model.means_[:, 0])
    assert guess.model.means_[order, 0] == pytest.approx([-1, 2], abs=0.05)
    assert guess.model.transmat_[order][:, order] == pytest.approx(STAY, abs=0.02)
    last = int(np.flatnonzero(states[:100] == 1)[-1])
    one = 0.1 * -1 + 0.9 * 2
    two = (STAY @ STAY)[1] @ [-1, 2]
    ahead = guess.predict(Track(x), np.array([last + 1]))[0, :, 0]
    assert ahead == pytest.approx([one, two], abs=0.15)
    assert guess.parameters == 1 + 2 + 4


def test_a_forecast_does_not_know_what_comes_after():
    states, rng = chain(300)
    x = (states + 0.1 * rng.normal(size=300))[:, None]
    guess = HiddenMarkovSeries(2).fit([Track(x)], 1)
    other = x.copy()
    other[150:] = 1 - other[150:]
    before = guess.predict(Track(x), np.array([150]))
    assert np.array_equal(before, guess.predict(Track(other), np.array([150])))


def test_each_option_of_a_series_changes_what_is_found():
    x = np.random.default_rng(0).normal(size=(600, 1)).cumsum(axis=0)

    def told(**options):
        guess = HiddenMarkovSeries(**{"states": 3, **options}).fit([Track(x)], 1)
        return guess.predict(Track(x), np.array([300]))[0, 0, 0]

    plain = told()
    for options in ({"states": 5}, {"rows": 200}, {"iterations": 1}):
        assert told(**options) != plain
    with pytest.raises(ValueError, match="at least 1"):
        HiddenMarkovSeries(0)


def test_text_of_a_chain_costs_what_the_chain_does():
    states, rng = chain(12_000, seed=3)
    shows = np.array([[0.9, 0.1, 0.0], [0.0, 0.2, 0.8]])
    tokens = np.array([rng.choice(3, p=shows[s]) for s in states])
    model = HiddenMarkovText(tokens[:9000], 3, states=2)
    test = tokens[9000:]
    # the first start of these finds no chain
    poor = HiddenMarkovText(tokens[:9000], 3, states=2, starts=1)
    assert poor.nats(test)[1:].mean() > model.nats(test)[1:].mean() + 0.2
    state = filtered(np.array([2 / 3, 1 / 3]), STAY, shows[:, test].T)
    known = -np.log(((state[:-1] @ STAY) * shows[:, test[1:]].T).sum(axis=1))
    found = model.nats(test)[1:]
    assert found.mean() == pytest.approx(known.mean(), abs=0.01)
    # what a gram of two tokens cannot know
    assert found.mean() < NGram(tokens[:9000], 3, order=2).nats(test)[1:].mean() - 0.01
    assert model.parameters == 1 + 2 + 4


def test_each_option_of_a_text_changes_what_is_found():
    tokens = np.random.default_rng(0).integers(0, 4, 600).cumsum() % 4

    def told(**options):
        model = HiddenMarkovText(tokens, 4, **{"states": 3, "starts": 1, **options})
        return model.nats(tokens[:50]).sum()

    for options in ({"states": 2}, {"most": 100}, {"iterations": 1}, {"prior": 1.0}, {"seed": 1}):
        assert told(**options) != told()


def test_a_token_that_was_never_seen_is_improbable_not_impossible():
    model = HiddenMarkovText(np.array([0, 1] * 100), 3, states=2)
    assert 4 < model.nats(np.array([0, 2]))[1] < 30
    fewer = HiddenMarkovText(np.array([0, 1] * 100), 3, states=2, prior=1.0)
    assert fewer.nats(np.array([0, 2]))[1] < model.nats(np.array([0, 2]))[1]


def test_a_model_for_each_label_tells_orders_apart_that_means_cannot():
    rng = np.random.default_rng(0)
    up, down = np.repeat([0.0, 3.0], 6)[:, None], np.repeat([3.0, 0.0], 6)[:, None]
    rows = [(up, down)[k % 2] + 0.3 * rng.normal(size=(12, 1)) for k in range(60)]
    targets = np.eye(2, dtype=np.int64)[[0, 1] * 30]
    guess = HiddenMarkovLabels(2).fit(rows[:40], targets[:40])
    assert np.array_equal(guess.predict(rows[40:]), targets[40:].astype(bool))


def test_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "hmmlearn", None)
    monkeypatch.setitem(sys.modules, "hmmlearn.hmm", None)
    with pytest.raises(MissingExtraError, match=r"ostinato\[baselines\]"):
        HiddenMarkovText(np.array([0, 1]), 2)
