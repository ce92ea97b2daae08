"""`ostinato diagram`, as a person would type it."""

import pytest

import ostinato as ost
from ostinato.cli.run import run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    text = "to be or not to be\n" * 30
    model = ost.LanguageModel.fit(
        text, hidden_size=4, num_layers=2, max_steps=1, batch_size=2, progress=False
    )
    model.save(path)
    return path


def test_cell_by_name_prints_mermaid(capsys):
    assert run(["diagram", "gru"]) == 0
    found = capsys.readouterr()
    assert found.out.startswith("---\ntitle: 'GRU: one step'")
    assert "--out FILE.svg" in found.err


def test_run_is_drawn_into_a_file(folder, tmp_path, capsys):
    out = tmp_path / "net.svg"
    options = ["--kind", "unrolled", "--steps", "2", "--no-losses", "--no-backward"]
    assert run(["diagram", str(folder), *options, "--out", str(out)]) == 0
    drawn = out.read_text(encoding="utf-8")
    assert "x[2]" in drawn
    assert "x[3]" not in drawn
    assert "loss" not in drawn
    assert str(out) in capsys.readouterr().out


def test_layer_of_a_run_is_chosen(folder, capsys):
    assert run(["diagram", str(folder), "--layer", "1"]) == 0
    assert run(["diagram", str(folder), "--layer", "7"]) == 2
    assert "layers 0 to 1, got 7" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lstn"], "Did you mean 'lstm'?"),
        (["runs/none"], "does not exist"),
        (["lstm", "--out", "x.png"], ".svg, .mmd or .md"),
        (["lstm", "--kind", "flat"], "'cell', 'folded', 'unrolled'"),
    ],
)
def test_what_cannot_be_drawn_is_told(arguments, message, capsys):
    assert run(["diagram", *arguments]) == 2
    assert message in capsys.readouterr().err
