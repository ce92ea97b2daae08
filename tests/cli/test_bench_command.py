"""`ostinato bench memory`, as a person would type it."""

import json
import logging

import pytest

from ostinato.cli.run import run

SMALL = ["--problems", "anbn,memorisation-5", "--remedies", "esn,sgd", "--lags", "2,3"]
QUICK = [*SMALL, "--updates", "10", "--budget", "60"]


def bench(*options):
    return run(["bench", "memory", *options])


def test_table_says_what_is_solved_at_which_lag(capsys):
    assert bench(*QUICK) == 0
    found = capsys.readouterr()
    lines = found.out.splitlines()
    assert lines[1].split() == ["problem", "esn", "sgd"]
    assert lines[2].split() == ["anbn", "3", "-"]
    assert lines[3].split() == ["memorisation-5", "3", "-"]
    heads = "problem remedy lag solved error loss updates seconds"
    assert heads.split() in [line.split() for line in lines]
    assert "8 trials of at most 60 s: up to 8.0 min" in found.err
    again = "--problems anbn --remedies sgd --lags 2 --budget 600 "
    assert f"Next: ostinato bench memory {again}" in found.err


def test_results_are_kept_written_and_drawn(tmp_path, capsys):
    out, file, plot = tmp_path / "kept", tmp_path / "all.json", tmp_path / "map.svg"
    options = ["--out", str(out), "--json", str(file), "--plot", str(plot)]
    assert bench(*QUICK, *options) == 0
    told = json.loads(file.read_text())
    assert told["longest"]["anbn"] == {"esn": 3, "sgd": None}
    assert (told["seed"], told["updates"], told["seconds"]) == (0, 10, 60.0)
    assert len(told["trials"]) == len(list((out / "trials").iterdir())) == 8
    assert ">anbn<" in plot.read_text()
    capsys.readouterr()

    assert bench(*QUICK, "--out", str(out)) == 2
    assert "holds trials. Go on with them by --resume" in capsys.readouterr().err
    # nothing is run again: the seconds are those that were kept
    assert bench(*QUICK, "--out", str(out), "--resume", "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["trials"] == told["trials"]


def test_climbing_and_the_seed_change_what_is_tried(capsys):
    assert bench(*QUICK, "--climb", "--seed", "5", "--clock", "cpu", "--json", "-") == 0
    found = capsys.readouterr()
    told = json.loads(found.out)
    assert "--budget 600 --clock cpu" in found.err
    assert (told["seed"], told["clock"]) == (5, "cpu")
    tried = [(one["problem"], one["remedy"], one["lag"]) for one in told["trials"]]
    assert ("anbn", "sgd", 3) not in tried
    assert ("anbn", "esn", 3) in tried


def test_problems_and_remedies_are_listed(capsys):
    assert bench("--list") == 0
    found = capsys.readouterr().out
    for said in ("temporal-order-3", "64 only", "indrnn", "Hessian-free"):
        assert said in found


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--problems", "ading"], "Did you mean 'adding'?"),
        (["--remedies", "hessian"], "--remedies: 'hessian' is none of sgd, clip"),
        (["--lags", "ten"], "--lags: 'ten' is no whole number. Give e.g. 25,50,100."),
        (["--lags", "5", "--problems", "adding"], "The least lag of these problems is 10."),
        (["--budget", "0"], "budget: seconds must be positive, got 0.0."),
        (["--clock", "sun"], "budget: clock must be wall or cpu, got 'sun'."),
        (["--resume"], "--resume needs the folder to go on with: give --out DIR."),
        (["--json", "no/such/folder/lags.json"], "--json: there is no folder no/such/folder."),
        (["--plot", "map.gif"], "A picture's name ends in .png, .svg or .html, got 'map.gif'."),
    ],
)
def test_mistakes_are_told_before_anything_runs(capsys, options, said):
    assert bench(*options) == 2
    assert said in capsys.readouterr().err


def test_steps_that_are_refused_are_no_news_while_it_runs_and_are_afterwards(monkeypatch):
    from ostinato import longlag

    logger, grid, seen = logging.getLogger("ostinato.training.hessian_free"), longlag.run_grid, []

    def watched(*args, **options):
        seen.append(logger.isEnabledFor(logging.WARNING))
        return grid(*args, **options)

    monkeypatch.setattr(longlag, "run_grid", watched)
    assert bench("--problems", "anbn", "--remedies", "hf", "--lags", "2", "--updates", "1") == 0
    assert seen == [False]
    assert logger.isEnabledFor(logging.WARNING)
