import json

import pytest

from ostinato.inspect.curves import Curves, draw_curves, read_curves
from ostinato.training.runs import RunError, save_run

LINES = [
    {"step": 20, "epoch": 0, "loss": 2.0, "lr": 0.1},
    {"step": 25, "epoch": 0, "val_loss": 1.5, "val_accuracy": 0.5},
    {"step": 40, "epoch": 1, "loss": 1.0, "lr": 0.1},
    {"step": 50, "epoch": 1, "val_loss": 1.6, "val_accuracy": 0.7},
    {"step": 50, "held_out": {"accuracy": 0.7}},
]


def make(folder, lines, **training):
    settings = {"settings": {"training": training}}
    save_run(folder, task="tagger", settings=settings, weights={})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    # the last line of a run under way
    (folder / "metrics.jsonl").write_text(text + '{"step": 60, "lo')
    return folder


def test_curves_are_read_from_a_run(tmp_path):
    run = make(tmp_path / "a", LINES, monitor="val_accuracy", monitor_mode="max")
    found = read_curves(run)
    assert found == Curves(
        "a",
        [(20, 2.0), (40, 1.0)],
        {"val_loss": [(25, 1.5), (50, 1.6)], "val_accuracy": [(25, 0.5), (50, 0.7)]},
        "val_accuracy",
        "max",
    )
    assert found.best == (50, 0.7)
    assert read_curves(make(tmp_path / "b", LINES)).best == (25, 1.5)
    assert read_curves(make(tmp_path / "c", LINES[:1])).best is None


def test_what_is_no_run_or_has_nothing_to_show_is_refused(tmp_path):
    with pytest.raises(RunError, match="has recorded no training yet"):
        read_curves(make(tmp_path / "a", []))
    with pytest.raises(RunError, match="nowhere"):
        read_curves(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no run to draw"):
        draw_curves([], tmp_path / "a.png")


@pytest.mark.parametrize("kind", [".png", ".svg", ".html"])
def test_each_kind_of_file(tmp_path, kind):
    runs = [read_curves(make(tmp_path / name / "run", LINES)) for name in "ab"]
    runs.append(Curves("other", [(1, -2.0)], {}))
    path = tmp_path / f"curves{kind}"
    draw_curves(runs, path)
    content = path.read_bytes()
    assert len(content) > 1000
    if kind == ".svg":
        text = content.decode()
        for said in (
            "Learning curves of 3 runs",
            "run (1)",
            "run (2)",
            "other",
            "validation accuracy",
        ):
            assert said in text


def test_one_run_has_its_best_in_the_title(tmp_path):
    path = tmp_path / "curves.svg"
    draw_curves([read_curves(make(tmp_path / "a", LINES))], path)
    assert "Learning curves of a: best validation loss 1.5000, step 25" in path.read_text()
