"""The table of scores on real data: figures are kept, shown and written into their page."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

PART = """
from figures import Figure

def measure(out, quick):
    out.mkdir(parents=True)
    (out / "model").write_text("quick" if quick else "whole")
    return [Figure("data | model", "ostinato fit x", VALUE, "% right", goal=90.0,
                   beside={"guess": 12.345}, seconds=61.2, note="a note")]
"""


@pytest.fixture
def scores(monkeypatch, tmp_path):
    """The script, with two tasks and a page of its own."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    script = importlib.import_module("scores")
    folder = tmp_path / "parts"
    folder.mkdir()
    for name, value in (("tags", "95.5"), ("labels", "80.0")):
        (folder / f"{name}.py").write_text(PART.replace("VALUE", value))
    page = tmp_path / "page.md"
    page.write_text("above\n<!-- tasks: begin -->\n<!-- tasks: end -->\n")
    monkeypatch.setattr(script, "FOLDER", folder)
    monkeypatch.setattr(script, "KEPT", tmp_path / "kept.json")
    monkeypatch.setattr(script, "PAGE", page)
    return script


def test_figures_are_shown_kept_and_written_into_the_page(scores, tmp_path, capsys):
    assert scores.main(["--only", "tags", "--out", str(tmp_path / "runs")]) == 0
    assert "95.50 % right" in " ".join(capsys.readouterr().out.split())
    assert (tmp_path / "runs" / "tags" / "model").read_text() == "whole"
    page = scores.PAGE.read_text()
    assert "### Tags" in page
    expected = "| data / model | `ostinato fit x` | **95.50** % right | ≥ 90 | guess 12.35 |"
    assert f"{expected} 1 min 1 s, a note |" in page
    assert "python benchmarks/scores.py --only tags" in page


def test_what_is_not_measured_again_stays_as_it_was(scores):
    assert scores.main(["--only", "tags"]) == 0
    # a goal that was missed is told by the exit code, too
    assert scores.main(["--only", "labels"]) == 1
    kept = json.loads(scores.KEPT.read_text())
    assert sorted(kept) == ["labels", "tags"]
    page = scores.PAGE.read_text()
    assert "≥ 90, missed" in page
    assert "**95.50**" in page


def test_a_quick_run_keeps_nothing(scores, tmp_path):
    before = scores.PAGE.read_text()
    assert scores.main(["--quick", "--out", str(tmp_path / "runs")]) == 0
    assert (tmp_path / "runs" / "labels" / "model").read_text() == "quick"
    assert scores.PAGE.read_text() == before
    assert not scores.KEPT.exists()
    assert scores.main(["--only", "tags", "--no-page"]) == 0
    assert not scores.KEPT.exists()


def test_an_unknown_task_is_refused(scores, capsys):
    with pytest.raises(SystemExit):
        scores.main(["--only", "nothing"])
    assert "'nothing' is none of labels, tags" in capsys.readouterr().err


def test_less_may_be_more(scores):
    figures = importlib.import_module("figures")
    low = figures.Figure("w", "c", 8.0, "nats", goal=8.43, more=False)
    assert low.met
    assert "≤ 8.43" in low.cells()
    assert figures.Figure("w", "c", 9.0, "nats", goal=8.43, more=False).met is False
    assert figures.Figure("w", "c", 9.0, "nats").met is None


def test_every_task_has_a_script_that_can_measure(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    figures = importlib.import_module("figures")
    folder = ROOT / "benchmarks" / "scores"
    names = figures.parts_in(folder)
    assert "tagger" in names
    for name in names:
        assert callable(figures.load_part(folder, name).measure), name
