"""The comparison with reservoirpy runs; with the same matrices both have the same errors."""

import importlib
import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("reservoirs")


# reservoirpy's own use of what its dependencies are about to drop is not ours to mend
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_quick_run_finds_the_errors_of_both(script, tmp_path, capsys):
    path = tmp_path / "figures.json"
    script.main(["--quick", "--only", "mackey,narma", "--json", str(path)])
    rows = {row["what"]: row for row in json.loads(path.read_text())["rows"]}
    assert len(rows) == 4
    for what, row in rows.items():
        if "over reservoirpy" in what:
            assert row["figure"] == pytest.approx(1, abs=1e-3)
    assert "reservoirpy" in capsys.readouterr().out
