import sys

import numpy as np
import pytest

from ostinato.baselines.lagged import BoostingOnLags, FeedForwardOnLags, PenalisedLags
from ostinato.baselines.tracks import CopyLast, SeasonalNaive, Track, lagged
from ostinato.extras import MissingExtraError

ALL = (PenalisedLags, BoostingOnLags, FeedForwardOnLags)


def steps_up(rows=2500, seed=0):
    """A step of 1 up where what was shown the row before is above 0.25."""
    shown = np.random.default_rng(seed).uniform(-1, 1, rows)
    moves = np.concatenate([[0.0], (shown[:-1] > 0.25).astype(float)])
    return Track(moves.cumsum()[:, None], shown[:, None])


def test_boosting_finds_a_threshold_that_no_line_can():
    track = steps_up()
    test = np.arange(2000, 2400)
    truth = track.targets[test, 0]
    boosted = BoostingOnLags(2).fit([Track(track.targets[:2000], track.covariates[:2000])], 1)
    ridge = PenalisedLags(2).fit([Track(track.targets[:2000], track.covariates[:2000])], 1)
    errors = [((one.predict(track, test)[:, 0, 0] - truth) ** 2).mean() for one in (boosted, ridge)]
    assert errors[0] < 0.01
    assert errors[1] > 0.04
    assert boosted.parameters > 1


@pytest.mark.parametrize("kind", ALL)
def test_a_regression_goes_on_from_the_last_value(kind):
    # moves are what is learned, so that a level that was never seen is no trouble
    x = np.arange(400.0)[:, None] % 5
    guess = kind(5).fit([Track(x)], 2)
    far = guess.predict(Track(x + 100), np.array([200, 203]))
    near = guess.predict(Track(x), np.array([200, 203]))
    assert far == pytest.approx(near + 100)
    assert near.shape == (2, 2, 1)
    assert near[0, :, 0] == pytest.approx([0, 1], abs=0.3)


@pytest.mark.parametrize("kind", ALL)
def test_what_is_known_in_advance_is_read(kind):
    rng = np.random.default_rng(0)
    known = rng.integers(0, 2, (1500, 1)).astype(float)
    track = Track(known.cumsum(axis=0), known=known)
    guess = kind(2).fit([Track(track.targets[:1000], known=known[:1000])], 2)
    blind = kind(2).fit([Track(track.targets[:1000])], 2)
    test = np.arange(1100, 1400)
    truth = track.targets[test[:, None] + np.arange(2)]
    assert ((guess.predict(track, test) - truth) ** 2).mean() < 0.05
    assert ((blind.predict(Track(track.targets), test) - truth) ** 2).mean() > 0.15


def test_more_lags_and_more_windows_change_the_numbers():
    x = np.random.default_rng(0).normal(size=(500, 1)).cumsum(axis=0)
    plain = PenalisedLags(3).fit([Track(x)], 1)
    assert PenalisedLags(6).fit([Track(x)], 1).parameters > plain.parameters
    few = PenalisedLags(3, windows=50).fit([Track(x)], 1)
    some = np.array([400])
    assert few.predict(Track(x), some) != pytest.approx(plain.predict(Track(x), some), abs=1e-9)


def test_a_network_learns_on_few_rows_and_on_many_targets():
    x = np.random.default_rng(0).normal(size=(60, 3))
    guess = FeedForwardOnLags(4).fit([Track(x)], 2)
    assert guess.predict(Track(x), np.array([10, 20])).shape == (2, 2, 3)
    # 3 differences and a bias into 64, these and a bias into 2
    assert guess.parameters == 4 * 64 + 65 * 2


def test_series_without_a_window_are_refused():
    with pytest.raises(ValueError, match="no series has 9 rows"):
        PenalisedLags(9).fit([Track(np.zeros((9, 1)))], 1)
    with pytest.raises(ValueError, match="lags must be at least 1"):
        PenalisedLags(0)


def test_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MissingExtraError, match=r"ostinato\[baselines\]"):
        PenalisedLags(2)


def test_naive_guesses_read_no_more_than_they_say():
    x = Track(np.arange(10.0)[:, None])
    assert CopyLast().fit([], 2).predict(x, np.array([4]))[0, :, 0].tolist() == [3, 3]
    season = SeasonalNaive(3).fit([], 4)
    assert season.predict(x, np.array([6]))[0, :, 0].tolist() == [3, 4, 5, 3]
    assert (season.looks_back, season.parameters) == (3, 0)
    with pytest.raises(ValueError, match="fewer than the 3 rows"):
        lagged(x.targets, np.array([2]), 3)
