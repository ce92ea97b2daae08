"""The benchmark of the scan runs and refuses wrong results; how fast anything is, no test asks."""

import importlib
import json
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def bench(monkeypatch):
    """Imports a script of the benchmarks."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def test_a_quick_run_measures_what_agrees_and_writes_it_down(bench, tmp_path, capsys):
    path = tmp_path / "figures.json"
    assert bench("scan").main(["--quick", "--threads", "1", "--json", str(path)]) == 0
    rows = json.loads(path.read_text())["rows"]
    assert {row["section"] for row in rows} == {"affine", "newton", "damping"}
    timed = [row for row in rows if row["section"] != "damping"]
    assert all(set(row["times"]) == {"scan", "llvm", "eager"} for row in timed)
    assert all(row["figure"] == row["times"]["llvm"] / row["times"]["scan"] for row in timed)
    assert all("x the loop" in row["note"] for row in timed)
    easy = next(row for row in rows if row["case"] == "T = 100, u in 0..1")
    assert easy["note"].startswith("k = 0: 2 of 2")
    assert "MinGRU training" in capsys.readouterr().out


def test_a_wrong_result_has_no_speed(bench, monkeypatch, capsys):
    from ostinato.engine import scan

    right = scan.walk

    def wrong(call, **options):
        found = right(call, **options)
        return type(found)(found.output * 1.001, found.state, found.states)

    monkeypatch.setattr(scan, "walk", wrong)
    before = torch.get_num_threads()
    assert bench("scan").main(["--quick", "--threads", "1", "--only", "affine"]) == 1
    assert torch.get_num_threads() == before
    assert capsys.readouterr().out.count("WRONG") == 4


def test_an_unknown_section_is_refused(bench, capsys):
    with pytest.raises(SystemExit):
        bench("scan").main(["--only", "affine,zzz"])
    assert "'zzz' is none of affine, newton, damping" in capsys.readouterr().err
