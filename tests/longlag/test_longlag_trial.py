"""Trials end when they should, and say what came of them."""

import math
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from ostinato.data.problems import memorisation
from ostinato.longlag import PROBLEMS, REMEDIES, Budget, Outcome, Remedy, run_trial, trial
from ostinato.longlag.problems import Problem


class Scripted:
    """Answers right from some update on; its loss may break."""

    batch, every, scores = 7, 2, True

    def __init__(self, right_from, broken_at=None, lucky_looks=0):
        self.right_from, self.broken_at, self.lucky = right_from, broken_at, lucky_looks
        self.updates, self.looks, self.tests, self.batches = 0, 0, 0, []

    def learn(self, rows):
        self.updates += 1
        self.batches.append(rows.inputs.copy())
        return math.nan if self.updates == self.broken_at else 1.0 / self.updates

    def answer(self, rows):
        looked = rows.mask.shape[1] == 200
        self.looks += looked
        self.tests += not looked
        right = self.updates >= self.right_from or (looked and self.looks <= self.lucky)
        scores = np.eye(rows.outputs, dtype=np.float32)[rows.targets]
        return scores if right else scores[:, :, ::-1].copy()


def scripted(*args, **kwargs):
    learner = Scripted(*args, **kwargs)
    return learner, Remedy("scripted", "as told", "here", lambda problem, lag, rows: learner)


PROBLEM = Problem("memory", memorisation, "steps")


def test_ends_at_the_first_look_that_is_confirmed():
    learner, remedy = scripted(5)
    outcome = run_trial(PROBLEM, remedy, 4, Budget(60), seed=3)
    assert (outcome.solved, outcome.updates, outcome.error) == (True, 6, 0.0)
    assert (outcome.problem, outcome.remedy, outcome.lag, outcome.seed) == (
        "memory",
        "scripted",
        4,
        3,
    )
    assert (learner.looks, learner.tests) == (3, 4)
    assert outcome.seconds >= 0


def test_a_lucky_look_does_not_count():
    learner, remedy = scripted(9, lucky_looks=2)
    outcome = run_trial(PROBLEM, remedy, 4, Budget(60))
    assert outcome.solved
    assert outcome.updates == 10
    # two looks that misled, and the last
    assert learner.tests == 3 * 4


def test_ends_when_the_updates_are_used_up():
    _, remedy = scripted(100)
    outcome = run_trial(PROBLEM, remedy, 4, Budget(60, updates=5))
    assert (outcome.solved, outcome.diverged, outcome.updates, outcome.error) == (
        False,
        False,
        5,
        1.0,
    )


def test_ends_when_time_is_up():
    _, remedy = scripted(10**9)
    outcome = run_trial(PROBLEM, remedy, 4, Budget(1e-6))
    assert (outcome.solved, outcome.updates) == (False, 1)


def test_the_clock_of_the_processor_is_not_that_of_the_wall():
    clocks = {"wall": time.monotonic, "cpu": time.process_time}
    assert clocks == trial._CLOCKS


@pytest.mark.parametrize("clock", ["wall", "cpu"])
def test_seconds_are_those_of_the_clock(monkeypatch, clock):
    ticks = iter(range(10**6))
    monkeypatch.setitem(trial._CLOCKS, clock, lambda: float(next(ticks)))
    _, remedy = scripted(10**9)
    # a tick at the beginning and one at each update; looks without a watch take none
    outcome = run_trial(PROBLEM, remedy, 4, Budget(7.0, clock=clock))
    assert outcome.updates == 7
    assert outcome.seconds == 8


def test_ends_when_the_loss_is_no_number():
    _, remedy = scripted(3, broken_at=3)
    outcome = run_trial(PROBLEM, remedy, 4, Budget(60))
    assert outcome.diverged
    assert outcome.updates == 3
    assert not outcome.solved


def test_each_update_has_rows_of_its_own():
    learner, remedy = scripted(100)
    run_trial(PROBLEM, remedy, 4, Budget(60, updates=6))
    assert len({batch.tobytes() for batch in learner.batches}) == 6
    assert learner.batches[0].shape[1] == 7


def test_looks_are_watched():
    seen = []
    _, remedy = scripted(3)
    run_trial(PROBLEM, remedy, 4, Budget(60), watch=lambda *told: seen.append(told))
    assert [(updates, error) for updates, _, error in seen] == [(2, 1.0), (4, 0.0)]


@pytest.mark.parametrize("remedy", ["clip", "esn", "hf", "indrnn"])
def test_the_same_seed_gives_the_same_outcome(remedy):
    def outcome(seed):
        found = run_trial(
            PROBLEMS["adding"], REMEDIES[remedy], 10, Budget(600, updates=2), seed=seed
        )
        return replace(found, seconds=0.0)

    state = torch.get_rng_state()
    assert outcome(1) == outcome(1)
    assert outcome(1).loss != outcome(2).loss
    # whoever calls keeps the generator as it was
    assert torch.equal(torch.get_rng_state(), state)


def test_a_gated_network_solves_what_is_easy():
    outcome = run_trial(PROBLEMS["anbn"], REMEDIES["gru"], 3, Budget(600, updates=1500))
    assert outcome.solved
    assert outcome.error == 0
    assert outcome.loss < 0.3


def test_plain_descent_does_not_solve_what_is_long_in_a_few_steps():
    outcome = run_trial(PROBLEMS["xor"], REMEDIES["sgd"], 50, Budget(600, updates=50))
    assert not outcome.solved
    assert outcome.error > 0.3


def test_the_loss_of_a_reservoir_is_told_of_numbers_only():
    for problem, told in (("adding", True), ("memorisation-5", False)):
        outcome = run_trial(PROBLEMS[problem], REMEDIES["esn"], 10, Budget(600, updates=2))
        assert (outcome.loss is not None) is told


def test_outcomes_go_through_plain_values():
    _, remedy = scripted(1)
    outcome = run_trial(PROBLEM, remedy, 4, Budget(60))
    assert Outcome.from_dict(outcome.to_dict()) == outcome
    told = {**outcome.to_dict(), "speed": 1}
    del told["lag"]
    with pytest.raises(ValueError, match="missing or unknown: lag, speed"):
        Outcome.from_dict(told)


def test_budgets_out_of_range_are_refused():
    with pytest.raises(ValueError, match="seconds must be positive, got 0"):
        Budget(0)
    with pytest.raises(ValueError, match="updates must be at least 1, got 0"):
        Budget(1, updates=0)
    with pytest.raises(ValueError, match="clock must be wall or cpu, got 'sun'"):
        Budget(1, clock="sun")
