"""Echo state networks: fitted, asked, run freely, and what they refuse."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import ostinato
from ostinato import EchoStateNetwork
from ostinato.data.problems import mackey_glass, narma10
from ostinato.reservoirs import LMS, RLS, Force, Gradient, Ridge, SingularRidgeError

WAVE = np.sin(np.arange(1200) / 5)


def small(**options):
    return EchoStateNetwork(60, **{"seed": 0, "washout": 50, **options})


def network(**options):
    """A network that hears itself."""
    return small(**{"feedback": 1.0, "ridge": 1e-8, **options})


def test_the_readout_is_ridge_regression_on_the_states_after_the_washout():
    u, y = narma10(400)
    esn = small(ridge=1e-3).fit(u, y)
    seen = np.concatenate([esn.states(u), u[:, None]], axis=1)
    a, b = seen[50:] - seen[50:].mean(0), y[50:] - y[50:].mean()
    w = np.linalg.solve(a.T @ a + 1e-3 * np.eye(61), a.T @ b)
    expected = (seen - seen[50:].mean(0)) @ w + y[50:].mean()
    np.testing.assert_allclose(esn.predict(u)[:, 0], expected, rtol=1e-7, atol=1e-9)


def test_states_follow_the_equation_with_feedback():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 2)), rng.normal(size=60)
    esn = small(feedback=0.7, leak=0.4, washout=10).fit(x, y)
    cell = esn.reservoir.units[0]
    W, U, b = (p.numpy() for p in (cell.weight_ih, cell.weight_hh, cell.bias))
    assert 0.6 < np.abs(W[:, 2]).max() <= 0.7
    h = np.zeros(60)
    for t in range(60):
        given = np.array([*x[t], y[t - 1] if t else 0.0])
        h = 0.6 * h + 0.4 * np.tanh(W @ given + U @ h + b)
    np.testing.assert_allclose(esn._states[0][0].numpy(), h, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {"units": 61},
        {"layers": 2},
        {"bidirectional": True},
        {"feedback": 0.5},
        {"readout": RLS()},
        {"ridge": 1.0},
        {"washout": 80},
        {"noise": 0.01},
        {"direct": False},
        {"seed": 1},
        {"dtype": torch.float32},
        {"spectral_radius": 0.3},
        {"input_scaling": 0.3},
        {"leak": 0.5},
        {"density": 0.5},
        {"topology": "small_world"},
        {"bias_scaling": 1.0},
        {"input_density": 0.5},
        {"activation": "relu"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_each_option_changes_what_is_learned(options):
    u, y = narma10(300)

    def found(**given):
        return EchoStateNetwork(**{"units": 60, "seed": 0, "washout": 50, **given}).fit(u, y)

    one, other = found().predict(u), found(**options).predict(u)
    assert np.array_equal(one, found().predict(u))
    assert not np.allclose(one, other, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("ridge", [1e-6, "cv"])
@pytest.mark.parametrize("washout", [0, 100, 600])
def test_learning_in_segments_is_learning(ridge, washout, monkeypatch):
    u, y = narma10(5003)
    options = {"ridge": ridge, "washout": washout, "density": 0.1, "spectral_radius": 0.7}
    options["input_scaling"] = 0.5
    monkeypatch.setattr("ostinato.reservoirs.fast.pays", lambda *_, **__: True)
    slow = EchoStateNetwork(70, seed=0, **options).fit(u, y)
    with ostinato.engine("auto"):
        quick = EchoStateNetwork(70, seed=0, **options).fit(u, y)
    assert quick.reservoir.units[0].__dict__["_walker"][0].forgets > 0
    assert "_walker" not in slow.reservoir.units[0].__dict__
    one, other = (e.readout.equations for e in (slow, quick))
    for a, b in zip(one._sums, other._sums, strict=True):
        torch.testing.assert_close(one._whole(a), one._whole(b), rtol=1e-11, atol=1e-9)
    torch.testing.assert_close(quick._states[0], slow._states[0], rtol=0, atol=1e-12)
    if ridge == "cv":
        assert quick.readout.choice.penalty == slow.readout.choice.penalty


def test_the_penalty_is_chosen():
    rng = np.random.default_rng(0)
    u, y = narma10(600)
    noisy = y + 0.1 * rng.normal(size=600)
    esn = small(ridge="cv", input_scaling=0.2).fit(u[:400], noisy[:400])
    worse = small(ridge=1e-12, input_scaling=0.2).fit(u[:400], noisy[:400])
    assert esn.readout.choice.penalty > 1e-6
    assert esn.score(u[400:], y[400:]) > worse.score(u[400:], y[400:])


def test_several_sequences_each_begin_anew():
    u, y = narma10(600)
    esn = small().fit([u[:300], u[300:]], [y[:300], y[300:]])
    one = esn.predict(u[300:])
    both = esn.predict([u[:300], u[300:]])
    assert [len(p) for p in both] == [300, 300]
    np.testing.assert_array_equal(both[1], one)
    assert esn.readout.equations._sums[0][61, 61] == 500


def test_tensors_are_answered_by_tensors():
    u, y = narma10(200)
    esn = small().fit(torch.tensor(u), torch.tensor(y))
    assert isinstance(esn.predict(torch.tensor(u)), torch.Tensor)
    assert isinstance(esn.predict(u), np.ndarray)
    assert esn.predict(list(u)).shape == (200, 1)


def test_it_runs_freely_after_the_data():
    esn = network().fit(None, WAVE[:1000])
    y = esn.generate(200)
    np.testing.assert_allclose(y[:, 0], WAVE[1000:], atol=1e-3)


def test_a_prompt_takes_the_place_of_the_data():
    esn = network().fit(None, WAVE[:1000])
    prompts = np.stack([WAVE[100:300], WAVE[137:337]])[:, :, None]
    both = esn.generate(50, prompt=prompts)
    assert both.shape == (2, 50, 1)
    np.testing.assert_allclose(both[0, :, 0], WAVE[300:350], atol=1e-3)
    np.testing.assert_allclose(both[1], esn.generate(50, prompt=prompts[1]), atol=1e-10)


def test_running_freely_is_predicting_and_hearing_that():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(120, 2))
    y = np.convolve(x[:, 0], [0.5, 0.3, 0.2])[:120]
    esn = small(feedback=0.5, layers=2, washout=10).fit(x[:100], y[:100])
    found = esn.generate(20, x=x[100:])
    states, last = list(esn._states), esn._last
    for t in range(20):
        given = torch.cat([torch.tensor(x[100 + t : 101 + t]), last], dim=1)
        ((_, seen),) = esn._gatherer.chunks(given[None], states)
        last = esn.readout(seen[0])
        np.testing.assert_allclose(found[t], last[0].numpy(), atol=1e-9)


def test_running_freely_is_fused_without_a_warning():
    esn = network().fit(None, WAVE[:500])
    with ostinato.engine("auto"):
        fused = esn.generate(30)
    np.testing.assert_allclose(fused, esn.generate(30), atol=1e-8)


def test_learning_online_is_learning_at_once():
    u, y = narma10(500)
    whole = small(readout=RLS(1e-4)).fit(u, y)
    parts = small(readout=RLS(1e-4))
    for start in range(0, 500, 125):
        parts.partial_fit(u[start : start + 125], y[start : start + 125])
    torch.testing.assert_close(parts.readout.weight, whole.readout.weight, rtol=1e-6, atol=1e-8)


def test_learning_online_hears_the_target_before():
    whole = network(readout=RLS(1e-4)).fit(None, WAVE[:400])
    parts = network(readout=RLS(1e-4)).partial_fit(None, WAVE[:100])
    parts.partial_fit(None, WAVE[100:400])
    torch.testing.assert_close(parts.readout.weight, whole.readout.weight, rtol=1e-5, atol=1e-7)


def test_force_learns_a_pattern_while_it_hears_itself():
    pattern = np.sin(np.arange(1500) / 6)
    options = {"spectral_radius": 1.3, "leak": 0.3, "feedback": 1.0, "direct": False}
    esn = EchoStateNetwork(120, readout=Force(1.0), washout=0, seed=1, **options)
    esn.fit(None, pattern)
    np.testing.assert_allclose(esn.generate(100)[:, 0], np.sin(np.arange(1500, 1600) / 6), atol=0.1)
    other = EchoStateNetwork(120, readout=Force(1.0, every=2), washout=0, seed=1, **options)
    other.fit(None, pattern)
    assert not torch.allclose(esn.readout.weight, other.readout.weight)


def test_lms_and_gradients_learn():
    u = np.random.default_rng(0).normal(size=600)
    y = np.roll(u, 1)
    for readout in (LMS(0.01, epochs=3), Gradient(F.mse_loss, epochs=30)):
        assert small(readout=readout, input_scaling=0.3).fit(u, y).score(u, y) > 0.8


def test_classes_are_learned_step_by_step():
    rng = np.random.default_rng(0)
    x = rng.normal(size=800)
    classes = (np.roll(x, 2) > 0).astype(int)
    readout = Gradient(F.cross_entropy, outputs=2, epochs=60)
    esn = small(readout=readout, washout=20, input_scaling=0.5).fit(x, classes)
    right = esn.predict(x).argmax(1)[20:] == classes[20:]
    assert right.mean() > 0.9


def test_two_directions_see_what_is_to_come():
    rng = np.random.default_rng(0)
    x = rng.normal(size=700)
    ahead = np.roll(x, -3)
    both = small(bidirectional=True, input_scaling=0.1).fit(x, ahead)
    alone = small(input_scaling=0.1).fit(x, ahead)
    assert both.score(x, ahead) > 0.95
    assert alone.score(x, ahead) < 0.5


def test_mackey_glass_runs_freely():
    y = np.tanh(mackey_glass(3200, seed=1) - 1)
    esn = EchoStateNetwork(
        200, feedback=2.0, leak=0.7, density=0.1, washout=200, ridge=1e-9, seed=0
    )
    ahead = esn.fit(None, y[:3100]).generate(84)
    assert abs(ahead[83, 0] - y[3183]) < 0.05


def test_parameters_can_be_asked_for():
    esn = small(leak=0.3)
    again = EchoStateNetwork(**esn.get_params())
    u, y = narma10(200)
    np.testing.assert_array_equal(again.fit(u, y).predict(u), esn.fit(u, y).predict(u))


def test_a_washout_longer_than_the_data_is_refused():
    with pytest.raises(ValueError, match=r"sequence 1 has 40 steps, and a washout of 50"):
        small().fit([np.zeros(60), np.zeros(40)], [np.zeros(60), np.zeros(40)])


def test_a_singular_ridge_is_refused_with_what_is_enough():
    with pytest.raises(SingularRidgeError, match=r"61 features from 150 rows .* is enough"):
        small(ridge=0.0).fit(np.zeros(200), np.zeros(200))


def test_what_cannot_be_is_told():
    u, y = narma10(100)
    with pytest.raises(ValueError, match="learned nothing yet"):
        small().predict(u)
    with pytest.raises(ValueError, match="does not hear its outputs"):
        small().fit(u, y).generate(3)
    with pytest.raises(ValueError, match=r"0 has 100 inputs and 90 targets"):
        small().fit(u, y[:90])
    with pytest.raises(ValueError, match=r"inputs must be \[T, 1\], got \[100, 2\]"):
        small().fit(u, y).predict(np.zeros((100, 2)))
    with pytest.raises(ValueError, match="drawn for 1 input"):
        small().fit(u, y).fit(np.zeros((100, 2)), y)
    with pytest.raises(ValueError, match="cannot hear its outputs"):
        small(bidirectional=True, feedback=1.0)
    with pytest.raises(ValueError, match="Force learns in the loop"):
        small(readout=Force())
    with pytest.raises(ValueError, match="must hear its outputs"):
        small().fit(None, y)
    with pytest.raises(ValueError, match="Ridge needs all data at once"):
        small().partial_fit(u, y)
    with pytest.raises(ValueError, match="washout and noise"):
        small(noise=-1)
    with pytest.raises(ValueError, match="topology 'rnd'"):
        small(topology="rnd")
    with pytest.raises(TypeError, match="densty"):
        small(densty=0.1)
    with pytest.raises(ValueError, match=r"\[T\] or \[T, width\]"):
        small().fit(np.zeros((3, 4, 5)), y)
    with pytest.raises(ValueError, match="2 sequences x and 1 sequences y"):
        small().fit([u, u], [y])
    with pytest.raises(ValueError, match="steps must be at least 1"):
        network().fit(None, y).generate(0)
    with pytest.raises(ValueError, match=r"a prompt must be \[T, 1\]"):
        network().fit(None, y).generate(5, prompt=np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"x must have 5 steps .* got 100"):
        network().fit(u, y).generate(5, x=u)
    with pytest.raises(ValueError, match=r"it has 1 input\(s\). Give x"):
        network().fit(u, y).generate(5)
    with pytest.raises(ValueError, match="empty list"):
        small().fit([], [])
    assert Ridge().penalty == 1e-8


def broken(y):
    return np.where(np.arange(len(y)) == 200, np.nan, y)


@pytest.mark.parametrize("readout", [None, RLS(), Gradient(F.mse_loss, epochs=2)])
def test_rows_that_cannot_be_learned_from_leave_what_was_learned(readout):
    u, y = narma10(400)
    esn = small(readout=readout).fit(u, y)
    before = esn.predict(u[:20])
    bad = broken(y) if readout is None else np.ones((400, 3))
    with pytest.raises(ValueError, match=r"NaN|drawn for"):
        esn.fit(u, bad)
    assert np.array_equal(esn.predict(u[:20]), before)


def test_a_network_whose_fit_failed_does_not_answer_zeros():
    u, y = narma10(400)
    esn = small()
    with pytest.raises(ValueError, match="NaN or infinite"):
        esn.fit(u, broken(y))
    with pytest.raises(ValueError, match="learned nothing yet"):
        esn.predict(u)


def test_a_rate_that_was_too_large_does_not_spoil_what_is_learned_later():
    u, y = narma10(400)
    esn, other = (small(readout=LMS(1e-3)).partial_fit(u, y) for _ in range(2))
    esn.readout.rate = 100.0
    with pytest.raises(ValueError, match="grown without end"):
        esn.partial_fit(u, y)
    esn.readout.rate = 1e-3
    esn.partial_fit(u, y), other.partial_fit(u, y)
    assert np.array_equal(esn.predict(u), other.predict(u))


def test_a_score_of_targets_that_do_not_vary_is_no_division_by_zero():
    u, y = narma10(400)
    assert small().fit(u, y).score(u, np.ones(400)) == 0.0


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (lambda esn, u, y: esn.score(u, np.stack([y, y], 1)), r"targets must be \[T, 1\], got"),
        (lambda esn, u, y: esn.score(np.stack([u, u], 1), y), r"inputs must be \[T, 1\], got"),
        (lambda esn, u, y: small().score(u, y), "learned nothing yet"),
        (lambda esn, u, y: esn.predict(u[:0]), "x has no steps"),
        (lambda esn, u, y: esn.predict("abc"), "must be of numbers, got str"),
        (lambda esn, u, y: esn.states([u, u]), "one sequence x is needed here, got 2"),
        (lambda esn, u, y: small(readout=RLS()).partial_fit([u, u], [y, y]), "one sequence y"),
        (lambda esn, u, y: network().fit(None, y).generate(2.5), "whole, got 2.5"),
        (lambda esn, u, y: small(washout=10.5), "washout whole, got 10.5"),
        (lambda esn, u, y: small(noise=float("nan")), "got 50 and nan"),
        (lambda esn, u, y: small(spectral_radius=float("nan")), "must be finite"),
    ],
)
def test_mistakes_in_use_are_told_in_our_words(asked, said):
    u, y = narma10(400)
    with pytest.raises(ValueError, match=said):
        asked(small().fit(u, y), u, y)
