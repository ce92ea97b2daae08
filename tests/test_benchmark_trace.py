"""The benchmark of traces refuses values that are off; how fast anything is, no test asks."""

import importlib
import sys
from pathlib import Path

import pytest
import torch

import ostinato

FOLDER = Path(__file__).parent.parent / "benchmarks"
TOLD = {"processor": "one", "threads": "1", "load before": "0.1", "date": "today"}


@pytest.fixture
def bench(monkeypatch):
    """The script, of its layers the smallest alone."""
    monkeypatch.syspath_prepend(str(FOLDER))
    # Python has a module of that name, too
    monkeypatch.delitem(sys.modules, "trace", raising=False)
    found = importlib.import_module("trace")
    monkeypatch.delitem(sys.modules, "trace")
    monkeypatch.setattr(found, "_LAYERS", {"RNN": found._LAYERS["RNN"]})
    monkeypatch.setattr(found, "_MORE", {"GRU, lengths": found._MORE["GRU, lengths 1/4 to 1"]})
    return found


def rows(bench):
    pace = importlib.import_module("measure").Pace(1, 1, 0)
    with ostinato.engine("auto"):
        return list(bench.time_rows(bench.QUICK, pace))


def test_every_part_is_timed_beside_the_pass_that_it_looks_into(bench):
    found = rows(bench)
    assert [row.what for row in found] == [
        *(f"RNN, {part}" for part in ("everything", "one name", "states", "gradients")),
        "GRU, lengths, everything",
    ]
    assert not any(row.wrong for row in found)
    assert [row.goal for row in found] == [2, 2, 2, None, 2]
    for row in found:
        part, beside = row.times
        assert row.figure == row.times[part] / row.times[beside]
        assert beside == ("forward and backward" if part == "gradients" else "forward")
    text = bench.page(TOLD, found)
    assert "| times the pass itself | (2,20,8,8) |" in text
    assert text.count(f"{found[0].figure:.2f} {found[0].note}") >= 1


def test_a_gate_that_is_off_has_no_figure(bench, monkeypatch):
    from ostinato.engine import keeping

    right = keeping.walk

    def wrong(*given):
        found = right(*given)
        for label, value in found.values.items():
            if label[0] == "z":
                value += 1e-3
        return found

    monkeypatch.setattr(keeping, "walk", wrong)
    found = rows(bench)
    assert [bool(row.wrong) for row in found] == [False] * 4 + [True]
    assert found[-1].figure is None
    assert found[-1].wrong.startswith("z of '0' is ")
    assert "z of '0' is " in bench.page(TOLD, found)


def test_names_that_are_not_the_references_are_refused(bench, monkeypatch):
    layer = ostinato.RNN(3, 4)
    looked = bench.Looked(layer, layer, "drive")
    first = looked.trace

    def fewer(x, **options):
        return first(
            x, **options, **({} if ostinato.engine._chosen.get() == "eager" else {"only": "h"})
        )

    x = torch.zeros(5, 2, 3)
    with ostinato.engine("auto"):
        assert bench.objection(looked, x) == ""
        object.__setattr__(looked, "trace", fewer)
        assert bench.objection(looked, x) == "its names are not those of the reference"
