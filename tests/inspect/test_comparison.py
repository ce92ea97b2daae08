import numpy as np
import pytest
from matplotlib.figure import Figure

from ostinato.inspect import comparison
from ostinato.inspect.comparison import draw_comparison


def entry(name, score, looks_back=2):
    return {
        "name": name,
        "score": score,
        "score_low": score - 0.01,
        "score_high": score + 0.01,
        "looks_back": looks_back,
    }


def told(higher, history=True):
    scores = [0.95, 0.9, 0.85, 0.1] if higher else [0.03, 0.04, 0.05, 2.0]
    sign = 1 if higher else -1
    falls = [
        {
            "steps": k,
            "score": scores[0] - sign * fall,
            "fall": fall,
            "low": fall / 2,
            "high": fall * 2,
        }
        for k, fall in ((0, 0.02), (1, 0.01), (5, 0.0))
    ]
    past = {"unit": "word", "asked": 10, "full": scores[0], "steps_used": 5}
    return {
        "metric": "accuracy" if higher else "error",
        "higher_is_better": higher,
        "level": 0.95,
        "network": entry("gru", scores[0], None),
        "guesses": [
            entry("ridge", scores[1]),
            entry("chain", scores[2], None),
            entry("far", scores[3]),
        ],
        "history": {**past, "cut": falls, "shuffle": falls} if history else None,
        "verdict": ["Worth having: yes.", "Needs memory: yes."],
    }


@pytest.mark.parametrize("higher", [True, False])
@pytest.mark.parametrize("history", [True, False])
def test_it_is_drawn_for_shares_and_losses_with_a_past_and_without(tmp_path, higher, history):
    for kind in (".png", ".svg", ".html"):
        path = tmp_path / f"found{kind}"
        draw_comparison(told(higher, history), path, title="a run")
        assert path.stat().st_size > 5000
    page = (tmp_path / "found.svg").read_text()
    assert "Worth having: yes." in page
    assert ("What the past is worth" in page) is history


def drawn(values):
    figure = Figure()
    comparison._drawn(figure, values, "", values["verdict"])
    return figure.axes


def test_models_far_off_are_pointed_at():
    axes, _ = drawn(told(True))
    texts = [text.get_text().strip() for text in axes.texts]
    assert texts == ["10.00", "85.00", "90.00", "95.00"]
    low, high = axes.get_xlim()
    assert 60 < low < 85 < 95 < high
    assert [line.get_marker() for line in axes.lines].count("<") == 1
    axes, _ = drawn(told(False))
    assert axes.get_xlim()[1] < 0.2
    assert [line.get_marker() for line in axes.lines].count(">") == 1


def test_the_best_stands_on_top_and_the_network_is_bold():
    axes, _ = drawn(told(False))
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["far", "chain", "ridge", "gru"]
    assert [label.get_fontweight() for label in axes.get_yticklabels()][-1] == "bold"


def test_the_curve_shows_scores_and_the_interval_of_the_fall():
    _, axes = drawn(told(True))
    cut = next(line for line in axes.lines if line.get_label() == "cut beyond k")
    assert np.asarray(cut.get_ydata()) == pytest.approx([93, 94, 95])
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == pytest.approx((91, 95))
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "5"]


@pytest.mark.parametrize("higher", [True, False])
def test_the_page_shows_the_same_interval(higher):
    cut = next(
        trace for trace in comparison._history_traces(told(higher)) if trace.name == "cut beyond k"
    )
    # a fall of 0.02, between 0.01 and 0.04
    known = (1.0, 2.0) if higher else (0.02, 0.01)
    assert (cut.error_y.array[0], cut.error_y.arrayminus[0]) == pytest.approx(known)


def test_a_wrong_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"ends in .png"):
        draw_comparison(told(True), tmp_path / "found.gif")
