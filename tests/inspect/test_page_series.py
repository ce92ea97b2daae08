"""Numbers on a page: the window that a forecaster read, what came, what is said to come."""

import re

import numpy as np
import polars as pl
import pytest

import ostinato as ost
from ostinato.inspect.page import page_of_model
from ostinato.inspect.page.data import page_data
from ostinato.inspect.page.series import ticks_of

QUICK = {"max_steps": 2, "batch_size": 2, "progress": False, "baselines": False}


def table(rows=80, targets=1):
    times = np.datetime64("2026-01-01T00", "ms") + np.arange(rows) * np.timedelta64(1, "h")
    waves = {f"y{k}": [float((t + k) % 7) for t in range(rows)] for k in range(targets)}
    return pl.DataFrame({"t": times, **waves})


@pytest.fixture(scope="module")
def model():
    return ost.Forecaster.fit(
        table(), target="y0", time="t", horizon=4, history=30, hidden_size=4, **QUICK
    )


@pytest.fixture(scope="module")
def page(model):
    return page_of_model(model, table())


def lines_of(chart):
    return {line.name: line for line in chart.lines}


def test_window_holds_what_was_read_and_what_came(page):
    (axis,) = page.material.axes
    found = lines_of(axis.chart)
    values = table()["y0"].to_list()
    assert found["y0, read"].values == tuple(values[46:76])
    assert found["y0, came"].values == tuple(values[76:])
    assert found["y0, came"].start == found["y0, forecast"].start == len(axis.labels) == 30


def test_forecast_of_the_window_is_what_the_model_says_of_it(model, page):
    said = lines_of(page.material.axes[0].chart)["y0, forecast"].values
    told = model.predict(table()[:76]).values[0, :, 0]
    assert said == pytest.approx(told, rel=1e-5)
    off = np.abs(told - table()["y0"].to_numpy()[76:]).mean()
    assert f"off by y0 {off:.3g} in the mean" in page.material.whole[0]


def test_what_is_said_to_come_follows_the_table(model, page):
    (chart,) = page.material.charts
    forecast = model.predict(table())
    assert lines_of(chart)["y0, forecast"].values == pytest.approx(forecast.values[0, :, 0])
    assert chart.title == "After 2026-01-04 07:00:00"
    levels = sorted(forecast.intervals, reverse=True)
    assert [band.name for band in chart.bands] == [f"y0, {level:.0%}" for level in levels]
    for band, level in zip(chart.bands, levels, strict=True):
        assert band.low == pytest.approx(forecast.intervals[level][0][0, :, 0])
        assert band.start == lines_of(chart)["y0, forecast"].start


def test_several_targets_have_lines_of_their_own():
    many = table(targets=4)
    model = ost.Forecaster.fit(
        many,
        target=["y0", "y1", "y2", "y3"],
        time="t",
        horizon=2,
        history=20,
        hidden_size=4,
        **QUICK,
    )
    chart = page_of_model(model, many).material.axes[0].chart
    # no more than can be told apart
    assert [line.name for line in chart.lines if line.kind == "past"] == [
        f"y{k}, read" for k in range(3)
    ]


def test_charts_are_data_of_the_page(page):
    data, _ = page_data(page.material)
    assert data["axes"][0]["chart"]["lines"][0]["name"] == "y0, read"
    assert data["charts"][0]["ticks"]
    assert 'id="comes"' in page.html


@pytest.mark.parametrize(
    ("labels", "ticks"),
    [
        (["2026-01-01", "2026-01-02", "2026-01-03"], ["01-01", "01-02", "01-03"]),
        (["2025-12-31", "2026-01-01"], ["2025-12-31", "2026-01-01"]),
        ([f"2026-01-01 {k:02}:00" for k in range(4)], ["00:00", "01:00", "02:00", "03:00"]),
        (
            [f"2026-01-0{1 + k // 24} {k % 24:02}:00" for k in range(96)],
            ["01-02", "01-03", "01-04"],
        ),
        ([str(k) for k in range(100)], ["0", "20", "40", "60", "80"]),
        ([str(k) for k in range(1, 61)], ["10", "20", "30", "40", "50", "60"]),
        (["1000000", "1000001"], ["1000000", "1000001"]),
        (["-2", "-1", "0"], ["-2", "-1", "0"]),
        ([*"abcdefghij"], [*"acegi"]),
        ([], []),
    ],
)
def test_ticks_name_days_where_they_change_and_hours_within_one(labels, ticks):
    assert [words for _, words in ticks_of(labels)] == ticks


def test_ticks_stand_where_their_times_are():
    labels = [f"2026-01-0{1 + k // 24} {k % 24:02}:00" for k in range(96)]
    assert [place for place, _ in ticks_of(labels)] == [24, 48, 72]


# in a browser


@pytest.fixture
def shown(browser, page, tmp_path):
    page.save(tmp_path / "page.html")
    browser.open(tmp_path / "page.html")
    yield browser
    assert browser.complaints() == []


RECTANGLES = "document.querySelectorAll('#tokens rect[data-t]')"


def test_series_is_drawn_with_a_strip_for_each_step(shown):
    assert shown.run(f"{RECTANGLES}.length") == 30
    assert shown.run("document.querySelectorAll('#comes-picture svg.chart').length") == 1
    words = shown.run("document.querySelector('#tokens svg').getAttribute('aria-label')")
    assert words.startswith("30 rows were read, 2026-01-02 22:00:00 to 2026-01-04 03:00:00")
    key = shown.run("document.querySelector('#tokens .key').textContent")
    assert re.findall(r"y0, \w+", key) == ["y0, read", "y0, came", "y0, forecast"]


def test_strips_are_coloured_by_the_unit_and_chosen_by_a_click(shown):
    fill = f"getComputedStyle({RECTANGLES}[{{}}]).fill"
    before = shown.run(fill.format(29))
    shown.choose("unit", "1" if shown.run("document.getElementById('unit').value") == "0" else "0")
    assert shown.run(fill.format(29)) != before
    shown.click(f"{RECTANGLES}[3]")
    assert shown.text("told").startswith("Step 4 of 30, “2026-01-03␣01:00:00”, y0, read 0.00:")
    shown.mouse("mousePressed", f"{RECTANGLES}[5]")
    shown.mouse("mouseReleased", f"{RECTANGLES}[8]")
    assert shown.run("document.querySelectorAll('#tokens rect.mark').length") == 4


def test_series_fits_a_telephone(browser, page, tmp_path):
    page.save(tmp_path / "page.html")
    browser.open(tmp_path / "page.html", width=360)
    assert browser.run("document.documentElement.scrollWidth") <= 360
    # letters are not shrunk with the picture
    assert browser.run("document.querySelector('#tokens svg').viewBox.baseVal.width") < 360
    assert browser.complaints() == []
