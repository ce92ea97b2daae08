"""The table of speed and memory of the tasks."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

PART = """
from report import Row

def rows(quick):
    yield Row("tags", "predict", "default", figure=1234.5 if quick else 2e6, unit="sentences/s")
    yield Row("tags", "padding", "an epoch", figure=PADDING, unit="%", goal=10, more=False)
"""


@pytest.fixture
def tasks(monkeypatch, tmp_path):
    """The script, with one task and a page of its own."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    script = importlib.import_module("tasks")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "tags.py").write_text(PART.replace("PADDING", "6.5"))
    page = tmp_path / "page.md"
    page.write_text("<!-- tasks-speed: begin -->\n<!-- tasks-speed: end -->\n")
    monkeypatch.setattr(script, "FOLDER", tmp_path / "parts")
    monkeypatch.setattr(script, "PAGE", page)
    return script


def test_figures_are_written_down_and_into_the_page(tasks, tmp_path):
    path = tmp_path / "figures.json"
    assert tasks.main(["--quick", "--page", "--json", str(path), "--threads", "1"]) == 0
    found = json.loads(path.read_text())["rows"]
    assert [row["figure"] for row in found] == [1234.5, 6.5]
    page = tasks.PAGE.read_text()
    assert "| tags | predict | default | 1,234 sentences/s |  |  |" in page
    assert "| tags | padding | an epoch | 6.5 % | ≤ 10 |  |" in page


@pytest.mark.parametrize(("load", "told"), [("0.10", False), ("2.34", True)])
def test_a_busy_machine_is_told_on_the_page(tasks, load, told):
    machine = {"processor": "P", "threads": "1", "load before": load, "date": "today"}
    assert ("the least to expect" in tasks.page([], machine)) == told


def test_a_missed_goal_is_told(tasks, tmp_path, capsys):
    (tmp_path / "parts" / "tags.py").write_text(PART.replace("PADDING", "16"))
    assert tasks.main(["--threads", "1"]) == 1
    assert "missed" in capsys.readouterr().out
    assert tasks.PAGE.read_text().count("\n") == 2
    with pytest.raises(SystemExit):
        tasks.main(["--only", "nothing"])


def test_memory_is_that_of_the_work(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    memory = importlib.import_module("memory")
    little, much = (memory.peak_megabytes(f"x = bytes({n}) * 7") for n in (1, 30_000_000))
    assert much - little > 100
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        memory.peak_megabytes("1 / 0")
