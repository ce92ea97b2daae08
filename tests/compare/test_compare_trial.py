from types import SimpleNamespace

import numpy as np
import pytest

from ostinato.compare.result import Metric
from ostinato.compare.trial import Asked, Candidate, Trial, concluded, evenly, tried


def candidate(name, losses, looks_back=0):
    return Candidate(name, np.asarray(losses, dtype=float), looks_back, 3, 1.5, 0.5)


def trial(*losses, higher=False, **options):
    network, *others = (candidate(f"model {k}", each) for k, each in enumerate(losses))
    units = np.ones(len(losses[0]))
    metric = Metric("accuracy" if higher else "error", higher)
    return Trial("tagger", metric, network, others, units, "row", "some rows", **options)


def test_gains_of_losses_are_in_per_cent_of_the_larger_and_of_shares_in_points():
    found = concluded(trial([1.0, 1.0], [2.0, 2.0]), Asked(resamples=50))
    assert (found.network.score.value, found.guesses[0].gain.value) == (1.0, 50.0)
    wrong = [[0.0, 0, 0, 1], [1.0, 1, 0, 1]]
    found = concluded(trial(*wrong, higher=True), Asked(resamples=50))
    assert (found.network.score.value, found.guesses[0].score.value) == (0.75, 0.25)
    assert found.guesses[0].gain.value == pytest.approx(50.0)
    assert found.network.gain is None


def test_the_best_guess_is_the_first():
    found = concluded(trial([3.0, 3], [5.0, 5], [2.0, 2], [4.0, 4]), Asked(resamples=50))
    assert [one.name for one in found.guesses] == ["model 2", "model 3", "model 1"]


def test_few_blocks_are_said_to_be_rough():
    losses = np.random.default_rng(0).random((2, 60))

    def told(**options):
        return concluded(trial(*losses, **options), Asked(resamples=50)).notes[-1]

    assert "single rows" in told()
    assert "rough" not in told()
    assert "blocks of 6 rows in a row" in told(block=None, least=6)
    assert "rough" not in told(block=None, least=6)
    assert "Fewer than 10 such blocks are rough" in told(block=None, least=7)


def test_what_is_not_confirmed_is_said_first():
    losses = np.ones((2, 5))
    found = concluded(trial(*losses, confirmed=False, notes=["Else."]), Asked(resamples=50))
    assert "does not confirm" in found.notes[0]
    assert found.notes[1] == "Else."
    assert "does not confirm" not in str(concluded(trial(*losses), Asked(resamples=50)))


def model():
    return SimpleNamespace(name="a guess", looks_back=2, parameters=7)


def test_a_model_is_fitted_and_asked_only_if_it_is_wanted():
    one = trial([1.0, 2.0])
    asked = Asked(only=["a guess"])
    assert tried(one, "a guess", model, lambda _: np.zeros(2), asked)
    assert not tried(one, "another", model, lambda _: pytest.fail("asked"), asked)
    (guess,) = one.guesses
    assert (guess.name, guess.looks_back, guess.parameters) == ("a guess", 2, 7)
    assert guess.fit_seconds >= 0
    assert one.notes == []


def test_a_model_that_cannot_be_fitted_is_left_out_and_said():
    def refuses():
        raise ValueError("too few rows")

    one = trial([1.0, 2.0])
    assert not tried(one, "a guess", refuses, lambda _: np.zeros(2), Asked())
    assert one.guesses == []
    assert one.notes == ["Left out: a guess (too few rows)"]


def test_places_are_spread_evenly_and_as_many_as_asked():
    assert evenly(1000, 4).tolist() == [0, 250, 500, 750]
    assert Asked().some_places(10, 5).tolist() == [0, 2, 4, 6, 8]
    assert Asked(places=2).some_places(10, 5).tolist() == [0, 5]
    assert len(Asked(full=True).some_places(10, 5)) == 10
