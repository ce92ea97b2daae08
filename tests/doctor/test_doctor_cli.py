import json

import pytest

import ostinato
from ostinato.cli import run as command
from ostinato.doctor.checks import CHECKS


@pytest.fixture
def files(healthy, run, tmp_path):
    """A healthy tagger's run folder, its file, and another file."""
    model, rows = healthy("tagger")
    path = tmp_path / "train.tsv"
    path.write_text("\n".join("".join(f"{w}\t{t}\n" for w, t in row) for row in rows))
    return run(model), path


def test_a_run_alone_is_looked_over(files, capsys):
    folder, _ = files
    assert command(["doctor", str(folder), "--skip", "warmup"]) == 0
    told = capsys.readouterr()
    assert "tagger, lstm, 1 layer of 8 units" in told.out
    assert "no data were given" in told.out
    assert f"ostinato doctor {folder} DATA" in told.err


def test_a_run_with_its_data_is_looked_over(files, capsys):
    folder, path = files
    assert command(["doctor", str(folder), str(path), "--json", "--skip", "duplicates"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {"padding", "batch_axis", "gap", "vanishing"} <= set(told["healthy"])
    assert told["severe"] is False
    assert told["data"] == [str(path)]


def test_anything_severe_is_told_by_the_exit_code(files, capsys):
    folder, path = files
    model = ostinato.load(folder)
    model.network.readout.bias.data[1] = 1000.0
    model.save(folder)
    assert command(["doctor", str(folder), str(path), "--only", "one_answer"]) == 1
    assert "SEVERE  It gives one answer to everything  [one_answer]" in capsys.readouterr().out
    arguments = ["doctor", str(folder), str(path), "--only", "one_answer", "--json"]
    assert command(arguments) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["findings"][0]["severity"] == "severe"
    assert command(["doctor", str(folder), str(path), "--skip", "one_answer"]) == 0


def test_other_data_are_compared_with_what_was_trained_on(files, make, tmp_path, capsys):
    folder, path = files
    other = tmp_path / "other.tsv"
    rows = make["sentences"](30, seed=9)
    other.write_text("\n".join("".join(f"{w}\t{t}\n" for w, t in row) for row in rows))
    only = ["--only", "duplicates", "--json"]
    assert command(["doctor", str(folder), str(other), *only]) == 0
    assert "--train" in json.loads(capsys.readouterr().out)["skipped"]["duplicates"]
    assert command(["doctor", str(folder), str(other), "--train", str(path), *only]) == 0
    assert json.loads(capsys.readouterr().out)["healthy"] == ["duplicates"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name the folder of a run"),
        (["{missing}"], "does not exist"),
        (["{file}"], "is a file, not a folder"),
        (["{empty}"], "is no run folder"),
        (["{run}", "{missing}"], "missing"),
        (["{run}", "{image}"], "image.png"),
        (["{run}", "-"], "standard input"),
        (["{run}", "--only", "padings"], "Did you mean padding?"),
        (["{run}", "--skip", "nothing"], "there is no check 'nothing'"),
        (["{run}", "--device", "moon"], "--device moon"),
    ],
)
def test_bad_usage_ends_with_2_and_says_what_to_do(arguments, told, files, tmp_path, capsys):
    folder, path = files
    (tmp_path / "empty").mkdir()
    (tmp_path / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff\xfe")
    names = {"run": folder, "file": path, "empty": tmp_path / "empty"}
    names |= {"missing": tmp_path / "missing", "image": tmp_path / "image.png"}
    assert command(["doctor", *(each.format(**names) for each in arguments)]) == 2
    assert told in capsys.readouterr().err


def test_checks_are_listed(capsys):
    assert command(["doctor", "--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(CHECKS)
    assert command(["doctor", "--list", "--json", "--only", "padding"]) == 0
    assert json.loads(capsys.readouterr().out) == {"checks": {"padding": "padding that is heard"}}


def test_a_terminal_sees_marks_and_a_bar(files, monkeypatch, capsys):
    folder, path = files
    model = ostinato.load(folder)
    model.network.readout.bias.data[1] = 1000.0
    model.save(folder)
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(f"sys.{stream}.isatty", lambda: True)
    assert command(["doctor", str(folder), str(path), "--only", "one_answer"]) == 1
    told = capsys.readouterr()
    assert "✗ SEVERE" in told.out
    assert "→ " in told.out
