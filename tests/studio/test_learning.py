import dataclasses
import json
import os
import time

import numpy as np
import pytest

from ostinato.studio.figures import CELLS, curves_figure, heat_figure, measures_of
from ostinato.studio.learning import Learning, Progress, differing, smoothed
from ostinato.training.runs import save_run

LINES = [
    {"step": 20, "epoch": 0, "loss": 2.0, "lr": 0.1, "tokens": 640, "seconds": 1.0},
    {"step": 30, "epoch": 0, "val_loss": 1.5, "val_accuracy": 0.5, "seconds": 1.6},
    {"step": 40, "epoch": 1, "loss": 1.0, "lr": 0.05, "tokens": 1280, "seconds": 3.0},
]


def make(folder, lines=LINES, figures=None, **training):
    settings = {"settings": {"model": {"cell": "gru"}, "training": training}}
    save_run(folder, task="tagger", settings={**settings, "figures": figures or {}}, weights={})
    write(folder, lines)
    return folder


def write(folder, lines):
    text = "".join(json.dumps(line) + "\n" for line in lines)
    # the last line of a run that is being written
    (folder / "metrics.jsonl").write_text(text + '{"step": 60, "lo')


def test_a_run_under_way_is_read_and_read_on(tmp_path):
    folder = make(tmp_path / "a", monitor="val_accuracy", monitor_mode="max")
    progress = Progress()
    told = progress.read("a", folder)
    assert (told.status, told.step, told.task) == ("running", 40, "tagger")
    assert told.lines["loss"] == [(20, 2.0), (40, 1.0)]
    assert told.lines["lr"] == [(20, 0.1), (40, 0.05)]
    assert (told.best, told.last_loss) == ((30, 0.5), 1.0)
    assert progress.read("a", folder).lines is told.lines
    write(folder, [*LINES, {"step": 50, "loss": 0.5, "seconds": 4.0}])
    assert progress.read("a", folder).step == 50


def test_a_run_that_has_fallen_silent_is_told_from_one_that_is_over(tmp_path):
    folder = make(tmp_path / "a")
    progress = Progress()
    assert progress.read("a", folder).status == "running"
    old = time.time() - 600
    os.utime(folder / "metrics.jsonl", (old, old))
    assert progress.read("a", folder).status == "silent"
    over = make(tmp_path / "b", figures={"training": {"stopped": "patience", "steps": 40}})
    assert progress.read("b", over).status == "patience"
    # taken up again: further lines than it ended with
    write(over, [*LINES, {"step": 50, "loss": 0.5}])
    assert progress.read("b", over).status == "running"
    assert progress.read("c", make(tmp_path / "c", [])).status == "new"


def test_a_folder_that_cannot_be_read_says_so(tmp_path):
    folder = make(tmp_path / "a")
    (folder / "config.json").write_text("{")
    told = Progress().read("a", folder)
    assert told.status == "unreadable"
    assert "cut short" in told.problem


def test_points_lie_along_each_axis(tmp_path):
    told = Progress().read("a", make(tmp_path / "a"))
    line = told.lines["val_loss"]
    assert told.along(line, "step") == [30.0]
    assert told.along(line, "tokens") == [960.0]
    assert told.along(line, "seconds") == [1.6]
    bare = Progress().read("b", make(tmp_path / "b", [{"step": 1, "loss": 1.0}]))
    assert bare.along(bare.lines["loss"], "tokens") == []


def test_smoothing_is_a_mean_of_what_was():
    line = [(k, float(v)) for k, v in enumerate([3, 1, 4, 1, 5])]
    assert smoothed(line, 0.0) == line
    found = [v for _, v in smoothed(line, 0.6)]
    for t in range(5):
        weights = [0.6 ** (t - k) for k in range(t + 1)]
        mean = sum(w * v for w, (_, v) in zip(weights, line, strict=False)) / sum(weights)
        assert found[t] == pytest.approx(mean)
    for weight in (-0.1, 1.0):
        with pytest.raises(ValueError, match="Smoothing must be"):
            smoothed(line, weight)


def test_settings_that_differ_are_found_also_where_one_run_has_none():
    a = Learning("a", settings={"model.cell": "gru", "data.lower": False})
    b = Learning("b", settings={"model.cell": "gru", "data.lower": True, "data.split": "blanks"})
    assert differing([a, b]) == {"data.lower": [False, True], "data.split": [None, "blanks"]}
    assert differing([a]) == {} == differing([])
    # what another task does not have is no difference
    c = dataclasses.replace(b, task="tagger")
    assert differing([a, c]) == {"data.lower": [False, True]}


RUN = Learning(
    "a",
    lines={"loss": [(1, 4.0), (2, 2.0)], "val_loss": [(2, float("nan"))], "lr": [(1, 0.1)]},
    clocks={"seconds": [(1, 0.5), (2, 1.0)]},
)


def draw(*runs, **options):
    return curves_figure(runs, places={run.key: k for k, run in enumerate(runs)}, **options)


def test_curves_have_a_line_for_training_and_one_for_validation():
    figure = draw(RUN)
    loss, validation = figure["data"]
    assert (loss["x"], loss["y"]) == ([1.0, 2.0], [4.0, 2.0])
    # what is no number is a gap, and can be sent
    assert validation["y"] == [None]
    json.dumps(figure, allow_nan=False)
    assert measures_of([RUN]) == {"loss": "loss", "lr": "learning rate"}


def test_each_option_of_the_curves_changes_them():
    plain = draw(RUN)
    assert draw(RUN, smoothing=0.5)["data"][1]["y"] == [4.0, pytest.approx(8 / 3)]
    assert draw(RUN, axis="seconds")["data"][0]["x"] == [0.5, 1.0]
    assert draw(RUN, axis="tokens")["data"] == []
    assert draw(RUN, logarithmic=True)["layout"]["yaxis"]["type"] == "log"
    both = draw(RUN, measures=["loss", "lr"])
    assert both["layout"]["height"] > plain["layout"]["height"]
    assert both["data"][-1]["yaxis"] == "y2"
    top, bottom = both["layout"]["yaxis"]["domain"], both["layout"]["yaxis2"]["domain"]
    assert bottom[0] == pytest.approx(0)
    assert bottom[1] < top[0] < top[1] == 1
    with pytest.raises(ValueError, match="must be one of step, tokens, seconds, got 'epoch'"):
        draw(RUN, axis="epoch")


def test_runs_are_told_apart_by_colour_and_then_by_dashes():
    runs = [Learning(str(k), lines={"loss": [(1, 1.0)]}) for k in range(9)]
    looks = {(t["line"]["color"], t["line"]["dash"]) for t in draw(*runs)["data"]}
    assert len(looks) == 9
    # hiding one leaves the others their colours
    places = {run.key: k for k, run in enumerate(runs)}
    one = curves_figure(runs[3:4], places=places)["data"][0]
    assert one["line"] == draw(*runs)["data"][3]["line"]


def test_heat_maps_are_thinned_where_they_would_be_slow():
    values = np.linspace(-1, 3, 600 * 500).reshape(600, 500).astype(np.float32)
    tokens = [f"t{k}" for k in range(600)]
    figure = heat_figure(values, tokens, np.arange(500), kind="state", name="h")
    heat = figure["data"][0]
    assert figure["every"] == 3
    assert heat["y"] == list(range(0, 500, 3))
    assert len(heat["y"]) * 600 <= CELLS
    assert (heat["zmin"], heat["zmax"]) == (-heat["zmax"], pytest.approx(3, abs=0.01))
    assert len(figure["layout"]["xaxis"]["ticktext"]) <= 60
    small = heat_figure(values[:4, :5], tokens[:4], np.arange(5), kind="gate", name="f")
    assert small["every"] == 1
    assert (small["data"][0]["zmin"], small["data"][0]["zmax"]) == (0, 1)
    assert small["data"][0]["z"]["shape"] == "5, 4"
