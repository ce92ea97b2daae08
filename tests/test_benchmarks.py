"""The benchmarks run and refuse wrong results; how fast anything is, no test asks."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import ostinato

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "benchmarks"


@pytest.fixture
def bench(monkeypatch):
    """Imports a script of the benchmarks."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def run(*words):
    command = [sys.executable, str(FOLDER / "cells.py"), "--quick", "--threads", "1", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_a_quick_run_measures_what_agrees_and_writes_it_down(tmp_path, bench):
    path = tmp_path / "figures.json"
    only = "lstm,own,lengths,stream,busy"
    done = run("--shape", "3,6,5,4", "--only", only, "--json", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(path.read_text())
    assert {"processor", "torch", "llvmlite", "peak"} <= set(found["machine"])
    rows = found["rows"]
    named = {row["section"] for row in rows}
    assert {"whole sequences", "variable length", "a streaming step"} <= named
    assert "all cores busy elsewhere" in named
    whole = {row["what"]: row for row in rows if row["section"] == "whole sequences"}
    assert set(whole) == {
        f"{cell} {deed}" for cell in ("LSTM", "own nn.Module") for deed in ("inference", "training")
    }
    assert all(row["figure"] > 0 and not row["wrong"] for row in rows)
    training = whole["LSTM training"]
    times = training["times"]
    assert training["figure"] == pytest.approx(times["torch.nn"] / times["ostinato"])
    pages = bench("pages")
    assert "| LSTM over torch.nn |" in pages.short_page(found)
    assert "### A streaming step" in pages.long_page(found)


def test_a_wrong_result_has_no_speed(bench, monkeypatch, capsys):
    subjects, cells = bench("subjects"), bench("cells")
    lstm = subjects.SUBJECTS[0]

    def build(inputs, width):
        ours, *others = lstm.build(inputs, width)
        wrong = subjects.Side(ours.name, ours.module, lambda net, x: net(x)[0] * 1.001)
        return (wrong, *others)

    broken = subjects.Subject(lstm.name, lstm.title, build, lstm.cell, lstm.over)
    monkeypatch.setattr(cells, "SUBJECTS", (broken,))
    before = torch.get_num_threads()
    words = ["--quick", "--threads", "1", "--shape", "3,6,5,4", "--only", "lstm"]
    assert cells.main(words) == 1
    assert torch.get_num_threads() == before
    told = capsys.readouterr().out
    assert told.count("WRONG") == 2
    assert "0 of 0 goals met, 2 wrong" in told


def test_segments_are_held_to_the_whole_walk_in_time_and_memory(bench, monkeypatch):
    segments, subjects, measure = bench("segments"), bench("subjects"), bench("measure")
    pace = measure.Pace(2, 1, 0.001)
    with ostinato.engine("auto"):
        row = segments._time("LSTM", subjects.Shape(3, 9, 4, 5), pace)
    assert not row.wrong
    assert row.figure == pytest.approx(row.times["segments"] / row.times["whole"])
    kept = 4 * 2 * 2 * 3

    def child(deed, kind, whose, B, T, I, H):  # noqa: E741
        # of ten steps, another gradient in segments than of the whole
        check = 2.0 if (whose, T) == ("segments", 10) else 1.0
        return {"bytes": (2e6 if whose == "segments" else 9e6) + kept * T, "check": check}

    monkeypatch.setattr(segments, "in_child", child)
    rows = [segments._memory("LSTM", subjects.Shape(2, steps, 3, 3)) for steps in (4, 10)]
    assert (rows[0].figure, rows[0].wrong) == (pytest.approx(2.0), "")
    assert rows[0].note.startswith("of 9 MB")
    assert "differ" in rows[1].wrong


def test_products_are_held_to_the_reference_before_they_are_timed(bench, monkeypatch):
    products, measure = bench("products"), bench("measure")
    pace = measure.Pace(2, 1, 0.001)
    with ostinato.engine("auto"):
        rows = list(products.product_rows(pace, quick=True))
    assert {row.what for row in rows} == {
        f"{kind}, {deed}" for kind in ("RNN", "LSTM") for deed in ("product", "product alone")
    }
    for row in rows:
        assert not row.wrong
        assert row.figure == row.times[row.what.split(", ")[1]] / row.times["gradient"]
    product = products.Problem.product
    monkeypatch.setattr(
        products.Problem, "product", lambda self: [2 * part for part in product(self)]
    )
    with ostinato.engine("auto"):
        rows = list(products.product_rows(pace, quick=True))
    assert [row.figure for row in rows] == [None, None]
    assert all(row.wrong.startswith("product: ") for row in rows)


def test_what_silently_became_the_slow_path_has_no_speed(bench):
    subjects, whole = bench("subjects"), bench("whole")

    class Deciding(torch.nn.Module):
        input_size = 3

        def forward(self, x, h):
            return torch.tanh(h + x) if x.sum() > 0 else h

    side = subjects.Side(
        "ours", ostinato.Recurrent(Deciding(), state_sizes=[3]), lambda net, x: net(x)[0]
    )
    batch = subjects.Batch(subjects.Shape(1, 2, 3, 3))
    judge = whole.Judge(side, batch, train=False)
    ours = subjects.contest(side, batch, train=False)
    assert judge.objection(ours) == ""
    with ostinato.engine("llvm"):
        assert judge.objection(ours).startswith("not fused")


def test_difference_counts_nan_shape_and_scale(bench):
    difference = bench("measure").difference
    one = torch.tensor([1.0, 100.0])
    assert difference([one], [one]) == 0
    assert difference([one + torch.tensor([1.0, 0.0])], [one]) == pytest.approx(0.01)
    assert difference([one * float("nan")], [one]) == float("inf")
    assert difference([one[:1]], [one]) == float("inf")
    with pytest.raises(ValueError, match="1 results cannot be held against 2"):
        difference([one], [one, one])


def test_the_blocks_of_contestants_alternate_and_drop_their_first_call(bench):
    measure = bench("measure")
    seen = []
    field = [measure.Contestant(n, lambda n=n: seen.append(n)) for n in "ab"]
    timings = measure.alternate(field, measure.Pace(rounds=2, calls=3, seconds=0))
    assert "".join(seen) == "aaaabbbb" * 2
    assert {name: len(timing.calls) for name, timing in timings.items()} == {"a": 6, "b": 6}


def test_the_micro_kernel_does_the_operations_that_it_counts(bench):
    made = bench("peak").Peak(threads=2, sweeps=3)
    made.run()
    lanes, rows = made.lanes, made.rows
    assert made.operations == 2 * 2 * 3 * 128 * rows * 4 * lanes
    assert made.sums() == [3 * 128.0] * 2


def test_a_step_is_told_apart_into_the_entries_of_its_kernel(bench):
    subjects, tool = bench("subjects"), bench("profile_walk")
    side = subjects.SUBJECTS[0].build(4, 4)[0]
    ours = subjects.contest(side, subjects.Batch(subjects.Shape(2, 3, 4, 4)), train=True)
    with ostinato.engine("llvm"):
        ours.run()
        times = tool.profile(ours.run, steps=3)
        again = tool.profile(ours.run, steps=3)
    assert {"forward", "backward", "weights", "whole step"} <= set(times)
    assert set(times) == set(again)
    parts = [seconds for name, seconds in times.items() if name != "whole step"]
    assert all(seconds > 0 for seconds in parts)
    assert max(parts) < times["whole step"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--only", "lstm,tanh"], "'tanh' is none of lstm, gru"),
        (["--shape", "1,2,3"], "four numbers B,T,I,H are needed, got '1,2,3'"),
        (["--shape", "1,0,3,4"], "each number must be at least 1"),
        (["--threads", "0"], "at least 1 is needed, got 0"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(bench, capsys, words, told):
    with pytest.raises(SystemExit):
        bench("cells").main(words)
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("mark", ["speed", "tasks"])
def test_figures_stand_between_the_marks_of_a_page(bench, tmp_path, mark):
    pages, page = bench("pages"), tmp_path / "page.md"
    text = "<!-- other: begin -->\n<!-- MARK: begin -->\nold\n<!-- MARK: end -->\nbelow\n"
    page.write_text(text.replace("MARK", mark))
    pages.fill(page, "new", mark=mark)
    assert page.read_text() == text.replace("MARK", mark).replace("old", "new")


def test_a_page_without_marks_is_left_alone(bench, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("no marks")
    with pytest.raises(ValueError, match="Put them in"):
        bench("pages").fill(page, "figures")
    assert page.read_text() == "no marks"
