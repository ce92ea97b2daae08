import numpy as np
import pytest

from ostinato.compare.bootstrap import block_length, draw_again, widening


def ar1(rho, n, rng):
    x = np.zeros(n)
    for t in range(1, n):
        x[t] = rho * x[t - 1] + rng.normal()
    return x


def covered(block, rho=0.7, n=400, times=200):
    """How often the interval of the mean holds 0."""
    rng = np.random.default_rng(0)
    hits = 0
    for k in range(times):
        score = draw_again(ar1(rho, n, rng), block=block, resamples=300, seed=k).score(0)
        hits += score.low <= 0 <= score.high
    return hits / times


def test_intervals_of_dependent_losses_hold_as_often_as_they_say():
    # of 200, 95 % within three standard deviations, less what blocks of a short series lose
    assert 0.89 <= covered(None) <= 0.995


def test_drawing_single_units_of_dependent_losses_is_far_too_sure():
    assert covered(1) < 0.75


def rows(rng, n=300):
    """Of two models that are wrong of each row as often, one loss a row."""
    return rng.exponential(size=(2, n)), None


def sentences(rng, n=200):
    """Wrong words of sentences, some of which are harder than others for both."""
    words = rng.integers(1, 30, size=n)
    hard = rng.beta(1, 8, size=n)
    return np.stack([rng.binomial(words, hard) for _ in range(2)]).astype(float), words


def series(rng, n=400, rho=0.7):
    return np.stack([ar1(rho, n, rng), ar1(rho, n, rng)]) + 10, None


def forecasts(rng, n=400, horizon=12):
    """Squared errors of forecasts from each row, of which neighbours share nearly all rows."""
    errors = rng.normal(size=(2, n + horizon - 1)) ** 2
    total = np.pad(errors.cumsum(axis=1), ((0, 0), (1, 0)))
    return total[:, horizon:] - total[:, :-horizon], None


def told_apart(made, times=300, **options):
    """How often two models that are equally good are told apart."""
    found = 0
    for k in range(times):
        losses, weights = made(np.random.default_rng((3, k)))
        difference = draw_again(losses, weights, resamples=200, seed=k, **options).difference(0, 1)
        found += difference.low > 0 or difference.high < 0
    return found / times


# of 300, 5 % within three standard deviations of chance: 1.2 to 8.8 %; and, where the dependence is
# guessed from one series of a few dozen blocks, half as much again
@pytest.mark.parametrize(
    ("made", "options", "most"),
    [
        (rows, {"block": 1}, 0.088),
        (sentences, {"block": 1}, 0.088),
        (rows, {}, 0.088),
        (series, {}, 0.12),
        (forecasts, {"least": 36}, 0.12),
    ],
)
def test_equal_models_are_told_apart_as_seldom_as_the_level_says(made, options, most):
    assert 0.012 <= told_apart(made, **options) <= most


def test_a_better_model_is_told_apart():
    def better(rng):
        losses, _ = series(rng)
        return losses - [[0.0], [1.5]], None

    assert told_apart(better, times=50) > 0.9


def test_forecasts_that_overlap_are_told_apart_too_often_without_blocks_of_their_length():
    assert told_apart(forecasts, block=1) > 0.4
    assert told_apart(forecasts, block=12) > told_apart(forecasts, least=36)


def test_blocks_are_at_least_as_long_as_asked_and_at_most_half():
    x = np.random.default_rng(0).normal(size=(2, 100))
    assert draw_again(x).block == 1
    assert draw_again(x, least=7).block == 7
    assert draw_again(x, least=70).block == 50
    assert draw_again(x, block=3, least=70).block == 3
    assert draw_again(x, least=7).blocks == pytest.approx(100 / 7)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_intervals_are_widened_as_known_limits_are(level):
    # of few independent numbers, Student's t with one less: here 9
    known = {0.8: 1.383 / 1.282, 0.95: 2.262 / 1.960, 0.99: 3.250 / 2.576}[level]
    # the bootstrap divides by n, not by n - 1
    assert widening(10, 1, level) == pytest.approx(known * np.sqrt(10 / 9), rel=0.03)


def test_fewer_blocks_make_wider_intervals_and_many_none():
    found = [widening(400, block, 0.95) for block in (1, 10, 40, 100, 200)]
    assert found == sorted(found)
    assert found[0] == 1.0
    assert found[-1] > 1.6
    # limits of Bartlett's kernel are as far out, which weighs as blocks do
    assert widening(400, 40, 0.95) == pytest.approx(1.15, abs=0.04)


def test_scores_of_losses_stay_at_0_or_more_and_shares_within_all():
    losses = np.array([[0.0] * 9 + [1.0], [0.0] * 10])
    draws = draw_again(losses, block=1)
    assert draws.score(0).low == 0.0
    assert draws.share(1, 0).high == 1.0
    assert draw_again(losses - 1, block=1).score(0).low < -1


def test_intervals_of_independent_losses_hold_as_often_as_they_say():
    assert 0.90 <= covered(1, rho=0.0) <= 0.99


def test_the_spread_of_single_draws_is_that_of_a_mean():
    x = np.random.default_rng(0).normal(size=2000)
    draws = draw_again(x, block=1, resamples=4000)
    assert draws.drawn.std() == pytest.approx(x.std() / np.sqrt(2000), rel=0.05)
    assert draws.score(0).value == pytest.approx(x.mean())


def test_the_spread_of_blocks_is_that_of_dependent_means():
    rho, n = 0.6, 20_000
    x = ar1(rho, n, np.random.default_rng(1))
    known = 1 / (1 - rho) / np.sqrt(n)
    assert draw_again(x, resamples=2000).drawn.std() == pytest.approx(known, rel=0.12)


def test_blocks_go_around_and_are_cut_to_the_length_of_the_test_part():
    # every place is drawn as often as any other: the mean of draws is the mean
    x = np.arange(10.0)
    draws = draw_again(x, block=4, resamples=20_000)
    assert draws.drawn.mean() == pytest.approx(4.5, abs=0.05)
    # one block of all: each draw is the whole
    assert np.allclose(draw_again(x, block=10, resamples=50).drawn, 4.5)
    # a block longer than the part is the part
    assert np.allclose(draw_again(x, block=99, resamples=50).drawn, 4.5)


def test_models_are_scored_on_the_same_draws():
    x = np.random.default_rng(0).normal(size=500)
    draws = draw_again(np.stack([x, x + 1]), block=5)
    difference = draws.difference(1, 0)
    assert (difference.low, difference.high) == pytest.approx((1, 1))
    assert draws.score(1).high - draws.score(1).low > 0.1


def test_units_weigh_what_they_hold():
    wrong, words = np.array([1.0, 0.0, 3.0, 1.0]), np.array([2.0, 5.0, 3.0, 10.0])
    draws = draw_again(wrong, words, block=1, resamples=3000)
    assert draws.score(0).value == 5 / 20
    by_hand = []
    rng = np.random.default_rng(5)
    for _ in range(3000):
        some = rng.integers(4, size=4)
        by_hand.append(wrong[some].sum() / words[some].sum())
    assert draws.drawn.mean() == pytest.approx(np.mean(by_hand), abs=0.02)
    assert draws.drawn.std() == pytest.approx(np.std(by_hand), rel=0.1)


def test_blocks_stay_within_a_stretch():
    # drawn within each stretch, both are there in each draw, as often as they are in the part
    losses = np.array([0.0] * 6 + [1.0] * 6)
    apart = draw_again(losses, block=3, lengths=[6, 6], resamples=200)
    assert np.allclose(apart.drawn, 0.5)
    assert draw_again(losses, block=3, resamples=200).drawn.std() > 0.1


def test_short_stretches_are_not_drawn_as_the_same_again_and_again():
    # each of 40 series is as hard at all of its 6 places
    hard = np.repeat(np.random.default_rng(0).normal(size=40), 6)
    draws = draw_again(hard, least=6, lengths=[6] * 40, resamples=2000)
    # as of 40 numbers, if not better known
    assert draws.drawn.std() == pytest.approx(hard.std() / np.sqrt(40), rel=0.2)


def test_a_share_is_of_the_larger():
    draws = draw_again(np.array([[1.0, 2, 3], [2.0, 4, 6], [0.0, 0, 0]]), block=1)
    for pair, known in (
        ((0, 1), 0.5),
        ((1, 0), -0.5),
        ((2, 0), 1.0),
        ((0, 2), -1.0),
        ((2, 2), 0.0),
    ):
        share = draws.share(*pair)
        assert (share.value, share.low, share.high) == pytest.approx((known, known, known))


def test_seed_level_and_resamples_change_the_interval():
    x = np.random.default_rng(0).normal(size=100)
    plain = draw_again(x, block=1).score(0)
    assert draw_again(x, block=1, seed=1).score(0) != plain
    narrow = draw_again(x, block=1, level=0.5).score(0)
    assert plain.low < narrow.low < narrow.high < plain.high
    assert len(draw_again(x, block=1, resamples=17).drawn) == 17


@pytest.mark.parametrize("rho", [0.3, 0.7, 0.9])
def test_the_length_of_blocks_is_that_of_theory(rho):
    # autocovariances r^k / (1 - r^2), summed over all k, and k times them
    n = 100_000
    s = 1 / (1 - rho) ** 2
    g = 2 * rho / (1 - rho) ** 2 / (1 - rho**2)
    known = (2 * g**2 * n / (4 / 3 * s**2)) ** (1 / 3)
    found = block_length(ar1(rho, n, np.random.default_rng(2)))
    assert found == pytest.approx(known, rel=0.15)


def test_short_constant_and_independent_losses_have_no_blocks():
    assert block_length(np.arange(10.0)) == 1
    assert block_length(np.ones(100)) == 1
    assert block_length(np.random.default_rng(0).normal(size=5000)) == 1


def test_a_block_is_no_longer_than_a_third():
    assert block_length(np.cumsum(np.random.default_rng(0).normal(size=60))) <= 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"losses": [1.0]}, "1 unit"),
        ({"losses": [1.0, 2.0], "lengths": [3]}, "add up to 3"),
        ({"losses": [1.0, 2.0], "level": 1.0}, "level must be between"),
        ({"losses": [1.0, 2.0], "resamples": 0}, "resamples must be"),
        ({"losses": [1.0, 2.0], "block": 0}, "block must be"),
    ],
)
def test_what_cannot_be_drawn_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        draw_again(**options)
