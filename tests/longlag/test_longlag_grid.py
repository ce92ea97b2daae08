"""A grid keeps what it has done, and goes on from there."""

import json
from dataclasses import replace

import pytest

from ostinato.longlag import PROBLEMS, REMEDIES, Budget, Grid, GridError, Outcome, run_grid
from ostinato.longlag import grid as module
from ostinato.longlag.problems import Problem

PAIR = (PROBLEMS["adding"], PROBLEMS["digits"])
BOTH = (REMEDIES["lstm"], REMEDIES["esn"])


@pytest.fixture
def ran(monkeypatch):
    """Trials that are only noted; those in `stop` are killed, those in `fails` not solved."""

    class Ran(list):
        stop = None
        fails = ()

    ran = Ran()

    def run_trial(problem, remedy, lag, budget, *, seed=0, watch=None):
        key = (problem.name, remedy.name, lag)
        if key == ran.stop:
            raise KeyboardInterrupt
        ran.append(key)
        solved = key not in ran.fails
        return Outcome(
            *key, seed, solved, False, 0.0 if solved else 1.0, "rows wrong", 0.01, 0.5, 9, 1.5
        )

    monkeypatch.setattr(module, "run_trial", run_trial)
    return ran


def grid(**changed):
    told = Grid(PAIR, BOTH, (40, 20), Budget(5.0))
    return replace(told, **changed)


def test_every_remedy_meets_every_problem_at_every_lag(ran):
    outcomes = run_grid(grid())
    wanted = [
        ("adding", "lstm", 20),
        ("adding", "lstm", 40),
        ("adding", "esn", 20),
        ("adding", "esn", 40),
        ("digits", "lstm", 64),
        ("digits", "esn", 64),
    ]
    assert list(ran) == wanted
    assert [(one.problem, one.remedy, one.lag) for one in outcomes] == wanted
    assert grid().most_seconds == 30


def test_a_killed_run_goes_on_where_it_was(ran, tmp_path):
    ran.stop = ("adding", "esn", 40)
    with pytest.raises(KeyboardInterrupt):
        run_grid(grid(), tmp_path)
    assert len(ran) == 3
    ran.stop = None
    began = []
    outcomes = run_grid(
        grid(), tmp_path, resume=True, began=lambda cell, before: began.append(before)
    )
    assert len(outcomes) == len(set(ran)) == len(ran) == 6
    assert began == [0, 1, 2, 3, 4, 5]
    # and once more, from the folder alone
    assert run_grid(grid(), tmp_path, resume=True) == outcomes
    assert len(ran) == 6


def test_a_folder_may_get_more_lags_and_remedies(ran, tmp_path):
    run_grid(grid(remedies=BOTH[:1], lags=(20,)), tmp_path)
    run_grid(grid(), tmp_path, resume=True)
    assert len(ran) == len(set(ran)) == 6


def test_climbing_leaves_out_longer_lags_once_one_fails(ran):
    ran.fails = {("adding", "lstm", 20)}
    outcomes = run_grid(grid(climb=True))
    assert ("adding", "lstm", 40) not in ran
    assert ("adding", "esn", 40) in ran
    assert len(outcomes) == 5


def test_trials_are_not_mixed_or_overwritten(ran, tmp_path):
    run_grid(grid(), tmp_path)
    with pytest.raises(GridError, match=r"holds trials\. Go on with them by --resume"):
        run_grid(grid(), tmp_path)
    for changed in (
        {"seed": 1},
        {"budget": Budget(6.0)},
        {"budget": Budget(5.0, 10)},
        {"budget": Budget(5.0, clock="cpu")},
    ):
        with pytest.raises(GridError, match="Take the same budget and seed, or another folder"):
            run_grid(grid(**changed), tmp_path, resume=True)


@pytest.mark.parametrize("text", ["{", '{"lag": 3}', "[]"])
def test_a_broken_file_is_named(ran, tmp_path, text):
    run_grid(grid(), tmp_path)
    path = tmp_path / "trials" / "adding--lstm--20.json"
    path.write_text(text)
    with pytest.raises(
        GridError, match=r"adding--lstm--20\.json.*Delete the file to run its trial"
    ):
        run_grid(grid(), tmp_path, resume=True)


def test_what_is_kept_is_plain_json(ran, tmp_path):
    (first, *_) = run_grid(grid(), tmp_path)
    told = json.loads((tmp_path / "trials" / "adding--lstm--20.json").read_text())
    assert told == first.to_dict()
    assert json.loads((tmp_path / "grid.json").read_text()) == {
        "seconds": 5.0,
        "updates": None,
        "clock": "wall",
        "seed": 0,
    }


def test_a_generator_that_fails_does_so_before_the_first_trial(ran, tmp_path):
    def missing(rows, steps, *, seed=0):
        raise ModuleNotFoundError("Digits need sklearn")

    last = Problem("broken", missing, "steps")
    with pytest.raises(ModuleNotFoundError, match="Digits need sklearn"):
        run_grid(grid(problems=(*PAIR, last)), tmp_path / "out")
    assert not ran
    assert not (tmp_path / "out").exists()


def test_a_real_trial_is_run_and_watched(tmp_path):
    seen = []
    small = Grid((PROBLEMS["anbn"],), (REMEDIES["esn"],), (2,), Budget(60.0, 10))
    (outcome,) = run_grid(small, tmp_path, watch=lambda *told: seen.append(told))
    assert outcome.solved
    assert seen[0][0] == 10


def test_grids_of_nothing_are_refused():
    with pytest.raises(
        ValueError, match=r"no trial can be made\. The least lag of these problems is 10"
    ):
        Grid(PAIR[:1], BOTH, (5,), Budget(1))
    with pytest.raises(ValueError, match="lags must be at least 1, got 0"):
        grid(lags=(0, 5))
    with pytest.raises(ValueError, match="seed must not be negative, got -1"):
        grid(seed=-1)
