import json

import numpy as np
import polars as pl
import pytest

from ostinato.cli.run import run

FIT = ["--target", "x", "--horizon", "4", "--set", "training.max_steps=4"]
SMALL = ["--set", "model.hidden_size=4", "--set", "model.calibration_windows=30"]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("series") / "load.csv"
    t = np.arange(300)
    dates = [f"2024-{1 + k // 672:02d}-{1 + k // 24 % 28:02d} {k % 24:02d}:00" for k in t]
    pl.DataFrame({"date": dates, "x": np.sin(t * np.pi / 12), "y": t % 3}).write_csv(path)
    return path


@pytest.fixture(scope="module")
def fitted(table, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "load"
    assert run(["fit", "series", str(table), *FIT, *SMALL, "--out", str(out)]) == 0
    return out


def test_fit_says_how_good_the_forecasts_are(table, tmp_path, capsys):
    out = tmp_path / "run"
    assert run(["fit", "series", str(table), *FIT, *SMALL, "--out", str(out)]) == 0
    said = capsys.readouterr()
    for word in ("Held-out part", "copy last", "this model", "80% interval: held"):
        assert word in said.out
    assert f"ostinato forecast {out} {table}" in said.err


def test_a_forecast_is_a_table_a_file_and_a_picture(fitted, table, tmp_path, capsys):
    csv, plot = tmp_path / "ahead.csv", tmp_path / "ahead.svg"
    arguments = ["--csv", str(csv), "--plot", str(plot)]
    assert run(["forecast", str(fitted), str(table), *arguments]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[0].split() == [
        *("time", "forecast", "lower_80", "upper_80", "lower_95", "upper_95")
    ]
    assert len(said.out.splitlines()) == 5
    assert pl.read_csv(csv).height == 4
    assert "Forecast of 4 step(s) of 1h" in plot.read_text()
    assert f"Wrote {plot}" in said.err


def test_a_forecast_is_json_if_asked(fitted, table, capsys):
    asked = ["--json", "--horizon", "2", "--interval", "0.5"]
    assert run(["forecast", str(fitted), str(table), *asked]) == 0
    (series,) = json.loads(capsys.readouterr().out)["series"]
    assert len(series["times"]) == 2
    assert list(series["targets"]["x"]["intervals"]) == ["0.5"]


def test_a_backtest_scores_forecasts_made_as_time_goes_by(fitted, table, tmp_path, capsys):
    csv = tmp_path / "test.csv"
    asked = ["--part", "validation", "--every", "9", "--csv", str(csv), "--json"]
    assert run(["backtest", str(fitted), str(table), *asked]) == 0
    assert json.loads(capsys.readouterr().out)["windows"] == 3
    assert pl.read_csv(csv).height == 12
    assert run(["backtest", str(fitted), str(table), "--update"]) == 0
    assert "forecasts: mean squared error" in capsys.readouterr().out


def test_parts_columns_and_outputs_are_options(table, tmp_path):
    out = tmp_path / "run"
    asked = ["--past", "y", "--mode", "decoder", "--output", "quantile", "--fill", "linear"]
    parts = ["--train", "0.6", "--validation", "40", "--held-out", "30", "--time", "date"]
    assert run(["fit", "series", str(table), *FIT, *SMALL, *asked, *parts, "--out", str(out)]) == 0
    settings = json.loads((out / "config.json").read_text())["settings"]["settings"]
    data, model = settings["data"], settings["model"]
    assert (data["past"], data["fill"], data["time"]) == (["y"], "linear", "date")
    assert (data["train"], data["validation"], data["held_out"]) == (0.6, 40, 30)
    assert (model["mode"], model["output"]) == ("decoder", "quantile")


def test_a_preset_is_named_by_config(capsys):
    asked = ["--config", "hourly", "--held-out", "2024-05-01", "--print-config", "--json"]
    assert run(["fit", "series", *asked]) == 0
    settings = json.loads(capsys.readouterr().out)
    assert settings["model"]["level"] == "instance"
    assert settings["data"]["held_out"] == "2024-05-01"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "z"], "has no column 'z'. It has: date, x, y"),
        (["--target", "x", "--horizon", "999"], "holds no window"),
        (["--target", "x", "--mode", "sideways"], "mode must be one of direct, decoder"),
        ([], "name the column(s) to forecast"),
    ],
)
def test_what_cannot_be_fitted_is_told_in_a_line(table, tmp_path, capsys, arguments, message):
    asked = ["fit", "series", str(table), *arguments, "--out", str(tmp_path / "run")]
    assert run(asked) == 2
    assert message in capsys.readouterr().err


def test_what_cannot_be_forecast_is_told_in_a_line(fitted, table, tmp_path, capsys):
    assert run(["forecast", str(fitted), str(table), "--plot", "a.gif"]) == 2
    assert ".png, .svg or .html" in capsys.readouterr().err
    broken = tmp_path / "broken.csv"
    broken.write_text(table.read_text().replace("2024-01-02 03:00", "2024-01-02 02:00"))
    assert run(["forecast", str(fitted), str(broken)]) == 2
    assert "broken.csv, line 29: 2024-01-02 02:00:00 stands there twice" in capsys.readouterr().err
