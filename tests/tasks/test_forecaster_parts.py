import itertools

import numpy as np
import pytest
import torch

from ostinato.tasks.forecaster.calibration import conformal_offset, recent_offsets, scores
from ostinato.tasks.forecaster.level import Level
from ostinato.tasks.forecaster.outputs import make_output

LEVELS = (0.1, 0.5, 0.9)


def _parameters(name, raw_scale=1.0):
    output = make_output(name, LEVELS)
    raw = torch.randn(500, output.raw, generator=torch.Generator().manual_seed(0)) * raw_scale
    return output, output.parameters(raw, torch.full((500,), 3.0), torch.full((500,), 2.0))


# outputs


@pytest.mark.parametrize("name", ["gaussian", "student_t", "quantile"])
def test_quantiles_rise_with_their_level(name):
    output, parameters = _parameters(name)
    values = [output.quantile(parameters, level) for level in (0.1, 0.3, 0.5, 0.8, 0.95)]
    for lower, upper in itertools.pairwise(values):
        assert (lower < upper).all()
    torch.testing.assert_close(values[2], output.middle(parameters))


@pytest.mark.parametrize("name", ["gaussian", "student_t", "quantile"])
def test_draws_lie_below_a_quantile_as_often_as_it_says(name):
    output, parameters = _parameters(name)
    generator = torch.Generator().manual_seed(1)
    many = parameters[:1].expand(40_000, -1)
    drawn = output.sample(many, generator)
    for level in (0.1, 0.5, 0.9):
        share = (drawn < output.quantile(many, level)).float().mean().item()
        assert share == pytest.approx(level, abs=0.01)


def test_losses_are_those_of_torch_distributions():
    target = torch.linspace(0, 6, 500)
    output, parameters = _parameters("gaussian")
    expected = -torch.distributions.Normal(*parameters.unbind(-1)).log_prob(target).mean()
    torch.testing.assert_close(output.loss(parameters, target), expected)
    output, parameters = _parameters("student_t")
    place, width, freedom = parameters.unbind(-1)
    expected = -torch.distributions.StudentT(freedom, place, width).log_prob(target).mean()
    torch.testing.assert_close(output.loss(parameters, target), expected)


def test_students_quantiles_are_those_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    output, parameters = _parameters("student_t", raw_scale=4.0)
    place, width, freedom = (part.numpy() for part in parameters.double().unbind(-1))
    for level in (0.025, 0.1, 0.5, 0.9):
        expected = stats.t.ppf(level, freedom, place, width)
        np.testing.assert_allclose(output.quantile(parameters, level), expected, rtol=1e-4)


def test_the_pinball_loss_is_least_at_the_quantiles():
    output = make_output("quantile", LEVELS)
    target = torch.randn(4000, generator=torch.Generator().manual_seed(0))
    best = target.quantile(torch.tensor(LEVELS)).expand(4000, 3)
    least = output.loss(best, target)
    for place in range(3):
        moved = best.clone()
        moved[:, place] += 0.2
        assert output.loss(moved, target) > least


def test_beta_weighs_by_the_spread_and_leaves_the_score_alone():
    plain, weighted = make_output("gaussian", LEVELS), make_output("gaussian", LEVELS, beta=1.0)
    raw = torch.randn(50, 2, requires_grad=True)
    one = torch.ones(50)
    target = torch.randn(50)
    parameters = weighted.parameters(raw, 0 * one, one)
    assert weighted.loss(parameters, target) == plain.loss(parameters, target)
    (grad,) = torch.autograd.grad(weighted.training_loss(parameters, target), raw)
    (mse,) = torch.autograd.grad(((raw[:, 0] - target) ** 2 / 2).mean(), raw)
    torch.testing.assert_close(grad[:, 0], mse[:, 0])


@pytest.mark.parametrize("name", ["mse", "mae", "huber"])
def test_a_number_alone_has_no_spread(name):
    output, parameters = _parameters(name)
    assert not output.spread
    assert torch.equal(output.quantile(parameters, 0.9), output.middle(parameters))
    assert output.loss(parameters, parameters[:, 0]) == 0


# levels

PAST = torch.tensor([1.0, 4.0, 2.0, 8.0, 3.0, 9.0])[:, None, None]


def _ahead(name, horizon=3, season=2):
    level = Level(name, season, 1)
    location, scale = level.ahead(PAST, level.measure(PAST), horizon)
    return location.detach().flatten().tolist(), scale.detach().flatten().tolist()


def test_a_forecast_is_relative_to_its_level():
    assert _ahead("off") == ([0, 0, 0], [1, 1, 1])
    assert _ahead("last") == ([9, 9, 9], [1, 1, 1])
    assert _ahead("season") == ([3, 9, 3], [1, 1, 1])
    location, scale = _ahead("instance")
    np.testing.assert_allclose(location, [PAST.mean().item()] * 3, rtol=1e-6)
    np.testing.assert_allclose(scale, [PAST.std(correction=0).item()] * 3, rtol=1e-4)


def test_instances_are_put_back_as_they_were():
    level = Level("instance", 1, 1)
    with torch.no_grad():
        level.log_gain.fill_(0.7)
        level.shift.fill_(-0.4)
        measure = level.measure(PAST)
        seen = level.inputs(PAST, measure)
        location, scale = level.ahead(PAST, measure, len(PAST))
        torch.testing.assert_close(seen * scale + location, PAST)


@pytest.mark.parametrize("name", ["off", "last", "season", "instance"])
def test_a_shift_of_the_series_shifts_the_forecast_if_relative(name):
    level = Level(name, 2, 1)
    before, after = PAST, PAST + 100
    same = torch.allclose(
        level.lags(before, level.measure(before), 3), level.lags(after, level.measure(after), 3)
    )
    assert same == (name != "off")


@pytest.mark.parametrize("name", ["off", "last", "season"])
def test_lags_of_many_rows_are_those_of_each(name):
    level = Level(name, 2, 1)
    many = level.lags(PAST, None, 2, count=3)
    for back in range(3):
        rows = PAST[: len(PAST) - back]
        torch.testing.assert_close(many[2 - back], level.lags(rows, None, 2)[0])
    location, _ = level.next(PAST, None, 3)
    for back in range(3):
        one, _ = level.next(PAST[: len(PAST) - back], None)
        torch.testing.assert_close(location[2 - back], one[0])


# calibration


def test_a_score_is_a_share_of_the_width():
    lower, upper = np.float32([0, 0, 0]), np.float32([2, 2, 2])
    np.testing.assert_allclose(scores(lower, upper, np.float32([3, -1, 1])), [0.5, 0.5, -0.5])


def test_offsets_hold_the_share_asked_for():
    errors = np.random.default_rng(0).normal(size=(2000, 1, 1)).astype(np.float32)
    for level in (0.5, 0.8, 0.95):
        assert (errors <= conformal_offset(errors, level)).mean() == pytest.approx(level, abs=0.002)


def test_too_few_outcomes_tell_nothing():
    errors = np.zeros((30, 1, 1), dtype=np.float32)
    errors[19:] = np.nan
    assert np.isnan(conformal_offset(errors, 0.8)).all()


def test_recent_offsets_look_at_what_was_known_when_the_forecast_was_made():
    count, horizon, windows = 80, 3, 25
    errors = np.random.default_rng(0).normal(size=(count, horizon, 1)).astype(np.float32)
    found = recent_offsets(errors, 0.8, windows, first=60)
    for k in (60, 79):
        for step in range(horizon):
            known = errors[k - step - windows : k - step, step]
            np.testing.assert_allclose(found[k - 60, step], conformal_offset(known, 0.8))
    # what comes later changes nothing
    later = errors.copy()
    later[75:] += 100
    np.testing.assert_array_equal(recent_offsets(later, 0.8, windows, 60)[:15], found[:15])
