import sys

import pytest

from ostinato.extras import MissingExtraError
from ostinato.inspect.pictures import save_picture


def draw(figure):
    figure.subplots().plot([1, 3, 2])


def page():
    from plotly.graph_objects import Figure, Scatter

    return Figure(Scatter(y=[1, 3, 2]))


@pytest.mark.parametrize(
    ("name", "beginning"),
    [("a.png", b"\x89PNG"), ("a.SVG", b"<?xml"), ("a.html", b"<!doctype html>")],
)
def test_the_name_chooses_what_is_written(tmp_path, name, beginning):
    path = tmp_path / "new" / name
    save_picture(path, matplotlib=draw, plotly=page)
    assert path.read_bytes().startswith(beginning)


def test_a_page_needs_no_network(tmp_path):
    save_picture(tmp_path / "a.html", matplotlib=draw, plotly=page)
    text = (tmp_path / "a.html").read_text("utf-8")
    assert "cdn.plot.ly" not in text.replace("https://cdn.plot.ly/un/", "")
    assert "<script src" not in text


def test_another_ending_is_refused_before_anything_is_drawn(tmp_path):
    with pytest.raises(ValueError, match=r"\.png, \.svg or \.html, got '.*a\.gif'"):
        save_picture(tmp_path / "a.gif", matplotlib=pytest.fail, plotly=pytest.fail)


@pytest.mark.parametrize(("name", "library"), [("a.png", "matplotlib"), ("a.html", "plotly")])
def test_a_missing_library_is_named_with_what_to_install(tmp_path, monkeypatch, name, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=r'pip install "ostinato\[plot\]"'):
        save_picture(tmp_path / name, matplotlib=draw, plotly=page)
