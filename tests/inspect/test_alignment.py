import numpy as np
import pytest

from ostinato.inspect.alignment import draw_alignment

WEIGHTS = [[0.9, 0.1, 0.0], [0.25, 0.5, 0.25]]
SOURCE, TARGET = ["a", " man", "end"], ["ein", " Mann"]


@pytest.mark.parametrize("kind", [".png", ".svg", ".html"])
def test_each_kind_of_file(tmp_path, kind):
    path = tmp_path / f"picture{kind}"
    draw_alignment(WEIGHTS, SOURCE, TARGET, path, title="ein Mann")
    content = path.read_bytes()
    assert len(content) > 1000
    if kind == ".svg":
        text = content.decode()
        for said in ("ein Mann", "␣man", "␣Mann", "written, from top to bottom", "weight"):
            assert said in text


def test_a_row_stands_for_each_piece_that_was_written(tmp_path, monkeypatch):
    import plotly.graph_objects as go

    drawn = []
    monkeypatch.setattr(go, "Heatmap", lambda **told: drawn.append(told) or go.Scatter())
    draw_alignment(WEIGHTS, SOURCE, TARGET, tmp_path / "a.html")
    (told,) = drawn
    np.testing.assert_array_equal(told["z"], WEIGHTS)
    assert told["customdata"][1] == [("␣Mann", "a"), ("␣Mann", "␣man"), ("␣Mann", "end")]


@pytest.mark.parametrize(("weights", "target"), [(WEIGHTS, ["ein"]), ([], []), ([[1.0]], ["x"])])
def test_weights_that_do_not_fit_are_refused(tmp_path, weights, target):
    with pytest.raises(ValueError, match="need weights"):
        draw_alignment(weights, SOURCE, target, tmp_path / "a.png")
