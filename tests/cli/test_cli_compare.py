"""`compare` on a tiny run of each task."""

import json

import numpy as np
import polars as pl
import pytest

import ostinato as ost
from ostinato.cli import run

SMALL = {"max_steps": 2, "progress": False, "baselines": False, "overwrite": True}
QUICK = ["--resamples", "50", "--places", "20", "--steps", "0,2"]


def text(folder):
    file = folder / "text.txt"
    file.write_text("to be, or not to be: that is the question.\n" * 40)
    ost.LanguageModel.fit(
        file,
        out=folder / "run",
        hidden_size=4,
        num_layers=1,
        batch_size=2,
        chunk_length=16,
        **SMALL,
    )
    return file


def tags(folder):
    file = folder / "tags.tsv"
    file.write_text("the\tDET\ncat\tNOUN\nsat\tVERB\n\nit\tPRON\nsat\tVERB\n\n" * 30)
    ost.Tagger.fit(file, out=folder / "run", hidden_size=4, **SMALL)
    return file


def labels(folder):
    file = folder / "labels.csv"
    rows = ["a fine day,good", "a foul day,bad", "fine and well,good", "bad and sad,bad"] * 20
    file.write_text("text,label\n" + "\n".join(rows) + "\n")
    ost.Classifier.fit(file, out=folder / "run", hidden_size=4, **SMALL)
    return file


def series(folder):
    file = folder / "series.csv"
    t = np.arange(250)
    pl.DataFrame({"t": t, "x": np.sin(t / 3) + t % 5}).write_csv(file)
    ost.Forecaster.fit(
        file, target="x", time="t", horizon=2, season=5, out=folder / "run", hidden_size=4, **SMALL
    )
    return file


KINDS = {"language_model": text, "tagger": tags, "classifier": labels, "forecaster": series}


@pytest.mark.parametrize("task", KINDS)
def test_each_task_is_compared_from_one_command(task, tmp_path, capsys):
    data = KINDS[task](tmp_path)
    picture = tmp_path / "found.png"
    asked = ["compare", str(tmp_path / "run"), str(data), *QUICK, "--plot", str(picture)]
    assert run(asked) == 0
    said, beside = capsys.readouterr()
    assert "(the network)" in said
    assert "Worth having: " in said
    assert "Needs memory: " in said
    assert f"Drawn in {picture}" in said
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "Next: ostinato eval" in beside
    assert run([*asked[:3], *QUICK, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["task"] == task
    assert told["confirmed"]
    assert [one["steps"] for one in told["history"]["cut"]] == [0, 2]
    assert told["verdict"][0].startswith("Worth having: ")
    assert {"name", "score", "score_low", "gain", "parameters", "fit_seconds"} <= set(
        told["guesses"][0]
    )


def test_history_may_be_left_out_and_draws_be_chosen(tmp_path, capsys):
    data = tags(tmp_path)
    asked = ["compare", str(tmp_path / "run"), str(data), "--json"]

    def told(*options):
        assert run([*asked, "--no-history", *options]) == 0
        return json.loads(capsys.readouterr().out)

    plain = told()
    assert plain["history"] is None
    assert told("--level", "0.5")["level"] == 0.5
    assert told("--seed", "3")["guesses"][-1] != plain["guesses"][-1]


def test_full_and_places_and_draws_change_what_is_asked(tmp_path, capsys, monkeypatch):
    data = tags(tmp_path)
    monkeypatch.setattr("ostinato.compare.tagger._PLACES", 5)
    asked = ["compare", str(tmp_path / "run"), str(data), "--json", "--steps", "0"]

    def told(*options):
        assert run([*asked, *options]) == 0
        return json.loads(capsys.readouterr().out)

    few = told("--resamples", "40")
    assert few["history"]["asked"] == 5
    assert told("--resamples", "40", "--places", "7")["history"]["asked"] == 7
    assert told("--resamples", "40", "--full")["history"]["asked"] > 7
    assert any("by 40 draws" in note for note in few["notes"])
    assert any("by 41 draws" in note for note in told("--resamples", "41")["notes"])


def test_data_that_have_moved_are_asked_for_by_the_command_that_named_them(tmp_path, capsys):
    data = tags(tmp_path)
    data.rename(tmp_path / "moved.tsv")
    starts = {"starts": [{"command": ["ostinato", "fit", "tags", "tags.tsv"]}]}
    (tmp_path / "run" / "environment.json").write_text(json.dumps(starts))
    assert run(["compare", str(tmp_path / "run"), str(data), "--no-history"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert f"There is no file {data}" in told
    assert "begun by `ostinato fit tags tags.tsv`" in told
    assert run(["compare", str(tmp_path / "run"), str(tmp_path / "moved.tsv"), "--no-history"]) == 0


def test_training_data_may_be_named_beside_others(tmp_path, capsys):
    data = tags(tmp_path)
    other = tmp_path / "other.tsv"
    other.write_text("the\tDET\ndog\tNOUN\n\n" * 5)
    asked = ["compare", str(tmp_path / "run"), str(other), "--no-history"]
    assert run([*asked, "--train", str(data)]) == 0
    assert "10 words of 5 sentences" in capsys.readouterr().out
    assert run([*asked, "--train", str(data), "--validation", str(data)]) == 0
    assert "does not confirm" in capsys.readouterr().out
    assert run(asked) == 2
    assert "not the data that the run was fitted on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--steps", "a,b"], "whole numbers with commas"),
        (["--steps", "3,1"], "steps must rise"),
        (["--plot", "found.gif"], "ends in .png"),
        (["--places", "1"], "--places"),
        (["--level", "2"], "level must be between 0 and 1"),
    ],
)
def test_what_cannot_be_asked_is_refused(options, message, tmp_path, capsys):
    data = tags(tmp_path)
    assert run(["compare", str(tmp_path / "run"), str(data), *options]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_folder_that_is_no_run_and_another_task_are_refused(tmp_path, capsys):
    assert run(["compare", str(tmp_path), "x.txt"]) == 2
    assert capsys.readouterr().err.startswith("Error: ")
    rng = np.random.default_rng(0)
    rows = [(rng.normal(size=3).astype("float32"), "a text") for _ in range(12)]
    ost.Captioner.fit(rows, out=tmp_path / "run", hidden_size=4, **SMALL)
    assert run(["compare", str(tmp_path / "run"), "x.txt"]) == 2
    assert "no simple models beside a captioner" in capsys.readouterr().err
