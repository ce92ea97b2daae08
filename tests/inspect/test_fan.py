import numpy as np
import pytest

from ostinato.inspect.fan import Fan, draw_fans

pytest.importorskip("matplotlib")
pytest.importorskip("plotly")


def _fan(name="load", actual=True, dates=False):
    past, ahead = np.arange(20), np.arange(20, 26)
    if dates:
        past, ahead = (part.astype("datetime64[h]") for part in (past, ahead))
    middle = np.linspace(20, 25, 6)
    intervals = {level: (middle - level, middle + level) for level in (0.8, 0.95)}
    came = middle + 0.3 if actual else None
    return Fan(name, past, np.arange(20.0), ahead, middle, intervals, came)


@pytest.mark.parametrize("kind", [".png", ".svg", ".html"])
@pytest.mark.parametrize("dates", [False, True])
def test_a_forecast_is_drawn_in_every_kind(tmp_path, kind, dates):
    path = tmp_path / f"fan{kind}"
    draw_fans([_fan(dates=dates)], path, title="Six hours")
    content = path.read_bytes()
    assert len(content) > 5000
    if kind != ".png":
        for word in (b"Six hours", b"load", b"observed", b"80% interval", b"what came"):
            assert word in content


def test_only_the_first_panels_are_drawn_and_that_is_said(tmp_path):
    path = tmp_path / "fan.svg"
    draw_fans([_fan(f"series {k}") for k in range(8)], path)
    text = path.read_text()
    assert "the first 6 of 8" in text
    assert "series 5" in text
    assert "series 6" not in text


def test_nothing_to_draw_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no forecast to draw"):
        draw_fans([], tmp_path / "fan.png")
    with pytest.raises(ValueError, match=r"ends in \.png, \.svg or \.html"):
        draw_fans([_fan()], tmp_path / "fan.gif")
