"""`ostinato inspect`, as a person would type it."""

import io
import json

import numpy as np
import pytest

import ostinato as ost
from ostinato.cli.run import run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "bard"
    text = "to be or not to be\n" * 30
    ost.LanguageModel.fit(
        text, hidden_size=4, num_layers=2, max_steps=2, batch_size=2, progress=False, out=path
    )
    return path


def test_page_is_written_and_its_answer_told(folder, tmp_path, capsys):
    out = tmp_path / "page.html"
    assert run(["inspect", str(folder), "to be or", "--out", str(out)]) == 0
    found = capsys.readouterr()
    assert "nats a token" in found.out
    assert f"Written: {out}" in found.out
    assert f"ostinato diagram {folder}" in found.err
    html = out.read_text(encoding="utf-8")
    assert "<h1>bard: what it did</h1>" in html
    assert "c, layer stack.1" in html


def test_options_choose_what_is_shown(folder, tmp_path, capsys):
    out, data = tmp_path / "page.html", tmp_path / "all.npz"
    options = ["--name", "f", "--layer", "stack.1", "--unit", "2", "--max-steps", "5", "--top", "2"]
    options += ["--no-gradients", "--data", str(data), "--json"]
    assert run(["inspect", str(folder), "to be or not", "--out", str(out), *options]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["values"] == ["f, layer stack.1"]
    assert told["steps"] == [5]
    assert told["bytes"] == out.stat().st_size
    assert "12 characters; the first 5 are shown" in told["notes"][0]
    with np.load(data, allow_pickle=False) as saved:
        assert saved["stack.1/0/f"].shape == (5, 4)


def test_text_comes_from_a_file_or_from_standard_input(folder, tmp_path, capsys, monkeypatch):
    file = tmp_path / "some.txt"
    file.write_text("to be or not to be " * 40, encoding="utf-8")
    out = tmp_path / "page.html"
    common = ["--out", str(out), "--max-steps", "4", "--json"]
    assert run(["inspect", str(folder), str(file), *common]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["steps"] == [4]
    assert f"{file} is longer than the 256 characters that were read." in told["notes"]
    monkeypatch.setattr("sys.stdin", io.StringIO("to be"))
    assert run(["inspect", str(folder), "-", *common]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == [4]


def test_run_that_is_being_written_is_shown_as_it_is(folder, tmp_path, capsys):
    model = ost.load(folder)
    half = ost.LanguageModel(model.tokenizer, model.settings)
    half.save(tmp_path / "half")
    out = ["--out", str(tmp_path / "page.html")]
    assert run(["inspect", str(tmp_path / "half"), "to be", *out]) == 0
    assert "has not been trained to its end" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["to be", "--name", "forgte"], "no name 'forgte'"),
        (["to be", "--layer", "stak.1"], "Did you mean 'stack.1'?"),
        (["to be", "--unit", "9"], "no unit 9. There are 0 to 3."),
        (["to be", "--out", "page.pdf"], "must end in .html"),
        (["to be", "--data", "all.csv"], "must end in .npz"),
        (["missing.txt"], "There is no file missing.txt"),
        (["t"], "Give at least two"),
        (["to BE"], "not in the training text"),
    ],
)
def test_what_cannot_be_shown_is_told(folder, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert run(["inspect", str(folder), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_no_run_is_told(tmp_path, capsys):
    assert run(["inspect", str(tmp_path), "to be"]) == 2
    assert "is no run folder" in capsys.readouterr().err
    assert run(["inspect", str(tmp_path / "none"), "to be"]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_run_that_is_cut_short_is_told(folder, tmp_path, capsys):
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    assert run(["inspect", str(broken), "to be"]) == 2
    assert "is cut short" in capsys.readouterr().err


def test_table_that_is_missing_is_told(tmp_path, capsys):
    import polars as pl

    table = pl.DataFrame({"t": range(60), "y": [float(k % 5) for k in range(60)]})
    table.write_csv(tmp_path / "y.csv")
    quick = {"max_steps": 1, "batch_size": 2, "progress": False, "baselines": False}
    model = ost.Forecaster.fit(table, target="y", horizon=2, hidden_size=4, **quick)
    model.save(tmp_path / "run")
    assert run(["inspect", str(tmp_path / "run"), "none.csv"]) == 2
    assert "no file none.csv" in capsys.readouterr().err
    out = ["--out", str(tmp_path / "page.html")]
    assert run(["inspect", str(tmp_path / "run"), str(tmp_path / "y.csv"), *out]) == 0
    assert "the forecast is off by y" in capsys.readouterr().out


def test_vectors_and_music_are_inspected(tmp_path, capsys, monkeypatch):
    from ostinato.data.music import Piece, write_json

    monkeypatch.chdir(tmp_path)
    quick = {"hidden_size": 4, "max_steps": 2, "progress": False}
    ost.Captioner.fit([([0.0, 1.0], "up"), ([1.0, 0.0], "down")] * 9, out="captions", **quick)
    tune = Piece(((60,), (62, 65), ()) * 4)
    ost.Composer.fit([tune] * 3, validation=tune, test=tune, out="music", **quick)
    write_json(tune, "tune.json")
    for folder, source, said in (
        ("captions", "0,1", "Text: "),
        ("music", "tune.json", "nats a step"),
    ):
        assert run(["inspect", folder, source, "--out", f"{folder}.html"]) == 0
        assert said in capsys.readouterr().out
        assert "<h1>" in (tmp_path / f"{folder}.html").read_text(encoding="utf-8")
    for folder, source, message in (
        ("captions", "none.npz", "no file none.npz"),
        ("captions", "0,1,2", "trained on 2"),
        ("music", "none.mid", "none.mid"),
    ):
        assert run(["inspect", folder, source]) == 2
        assert message in capsys.readouterr().err
