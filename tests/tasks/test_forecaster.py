import numpy as np
import polars as pl
import pytest
import torch

import ostinato
from ostinato.tasks.forecaster.task import Forecaster
from ostinato.training import RunError

SMALL = {
    "hidden_size": 4,
    "history": 6,
    "lags": 8,
    "season": 4,
    "horizon": 3,
    "batch_size": 32,
    "calibration_windows": 30,
    "progress": False,
    "samples": 20,
}


def wave(rows=300, level=10.0, seed=0):
    draws = np.random.default_rng(seed)
    return level + np.sin(np.arange(rows) * np.pi / 2) * 3 + draws.normal(0, 0.3, rows)


def hourly(rows=300):
    dates = pl.datetime_range(
        pl.datetime(2020, 1, 1), pl.datetime(2021, 1, 1), "1h", eager=True
    ).head(rows)
    return pl.DataFrame({"date": dates, "x": wave(rows), "plan": np.arange(rows) % 2})


def fit(table, **settings):
    return Forecaster.fit(table, **{**SMALL, "epochs": 3, **settings})


@pytest.fixture(scope="module")
def model():
    with ostinato.engine("eager"):
        return fit(hourly(), target="x", epochs=20, lr=0.02, ema=None)


def test_it_beats_simple_guesses_on_what_it_has_not_seen(model):
    found = model.figures["held_out"]
    assert found["mse"] < 0.1 * model.figures["baselines"]["copy last"]
    assert "ridge on 8 lags" in model.figures["baselines"]


def test_intervals_hold_about_what_they_promise(model):
    coverage = model.evaluate(hourly(), part="all").coverage
    assert coverage[0.8] == pytest.approx(0.8, abs=0.06)
    assert coverage[0.95] == pytest.approx(0.95, abs=0.04)


def test_a_forecast_goes_on_where_the_table_ends(model):
    found = model.predict(hourly())
    frame = found.to_frame()
    assert frame.columns == ["time", "forecast", "lower_80", "upper_80", "lower_95", "upper_95"]
    assert str(frame["time"][0]) == "2020-01-13 12:00:00"
    np.testing.assert_allclose(frame["forecast"], wave(400)[300:303], atol=1.5)
    assert (frame["lower_95"] <= frame["lower_80"]).all()
    assert (frame["lower_80"] <= frame["forecast"]).all()
    assert found.to_dict()["series"][0]["times"][0] == "2020-01-13 12:00:00"


def test_a_shorter_horizon_is_the_beginning_of_the_whole(model):
    whole, short = model.predict(hourly()), model.predict(hourly(), horizon=2)
    np.testing.assert_allclose(short.values, whole.values[:, :2])
    with pytest.raises(ValueError, match=r"horizon must be 1\.\.3, got 4"):
        model.predict(hourly(), horizon=4)


def test_a_saved_model_forecasts_the_same(model, tmp_path):
    model.save(tmp_path / "run")
    again = ostinato.load(tmp_path / "run")
    assert isinstance(again, Forecaster)
    first, second = model.predict(hourly()), again.predict(hourly())
    np.testing.assert_array_equal(first.values, second.values)
    np.testing.assert_array_equal(first.intervals[0.8][0], second.intervals[0.8][0])
    assert again.offsets == model.offsets


def test_a_backtest_compares_with_what_came(model, tmp_path):
    found = model.backtest(hourly(), every=5)
    assert found.score.windows == 6
    frame = found.frame
    assert frame["origin"].n_unique() == 6
    rows = frame.filter(pl.col("origin") == frame["origin"][0])
    np.testing.assert_allclose(rows["actual"], wave()[270:273], rtol=1e-6)
    error = ((frame["actual"] - frame["forecast"]) ** 2).mean() ** 0.5
    assert error == pytest.approx(found.score.rmse["x"], rel=1e-5)
    found.to_csv(tmp_path / "backtest.csv")
    assert pl.read_csv(tmp_path / "backtest.csv").height == 18


def test_scores_of_parts_are_those_that_fit_measured(model):
    assert model.evaluate(hourly(), part="held_out").to_dict() == model.figures["held_out"]
    assert model.evaluate(hourly(), part="validation").to_dict() == model.figures["validation"]
    with pytest.raises(ValueError, match="part must be"):
        model.evaluate(hourly(), part="test")


@pytest.mark.parametrize("mode", ["direct", "decoder", "recursive"])
@pytest.mark.parametrize("output", ["gaussian", "student_t", "quantile", "huber"])
def test_every_way_to_the_horizon_learns_with_every_output(mode, output):
    table = {"t": range(160), "x": wave(160)}
    found = fit(table, target="x", time="t", mode=mode, output=output, epochs=4, lr=0.02)
    assert found.figures["held_out"]["mse"] < found.figures["baselines"]["copy last"]
    values = found.predict(table)
    assert values.values.shape == (1, 3, 1)
    lower, upper = values.intervals[0.8]
    assert (lower < upper).all()


@pytest.mark.parametrize("level", ["off", "last", "season", "instance"])
@pytest.mark.parametrize("mode", ["direct", "recursive"])
def test_every_level_learns(level, mode):
    table = {"t": range(160), "x": wave(160)}
    found = fit(table, target="x", time="t", level=level, mode=mode, epochs=6, lr=0.02)
    assert found.figures["held_out"]["mse"] < found.figures["baselines"]["copy last"]


def test_what_is_known_in_advance_is_used():
    draws = np.random.default_rng(0)
    plan = draws.integers(0, 2, 400).astype(float)
    table = pl.DataFrame({"x": 5 * plan + draws.normal(0, 0.1, 400), "plan": plan})
    options = {"target": "x", "epochs": 12, "lr": 0.03, "level": "off", "baselines": False}
    without = fit(table.select("x"), **options).figures["held_out"]["mse"]
    for mode in ("direct", "decoder", "recursive"):
        found = fit(table, known="plan", mode=mode, **options)
        assert found.figures["held_out"]["mse"] < 0.3 * without, mode
    future = pl.concat([table, pl.DataFrame({"x": [None] * 3, "plan": [1.0, 0.0, 1.0]})])
    values = found.predict(future).values[0, :, 0]
    assert values[0] > 3 > values[1]
    with pytest.raises(ValueError, match=r"plan must be known for the 3 step\(s\)"):
        found.predict(table)


def test_what_is_known_of_the_past_is_used():
    draws = np.random.default_rng(0)
    sign = draws.normal(0, 1, 400)
    table = {"x": np.concatenate([[0], sign[:-1]]), "sign": sign}
    options = {"target": "x", "horizon": 1, "epochs": 12, "lr": 0.03, "level": "off"}
    without = fit({"x": table["x"]}, **options).figures["held_out"]["mse"]
    found = fit(table, past="sign", **options)
    assert found.figures["held_out"]["mse"] < 0.3 * without
    with pytest.raises(ValueError, match="sign would have to be forecast"):
        fit(table, past="sign", mode="recursive", **options)


def test_several_series_and_several_targets_at_once():
    ids = ["a"] * 150 + ["b"] * 150
    table = {"id": ids, "x": [*wave(150), *wave(150, 500)], "y": [*wave(150, 3), *wave(150, 2)]}
    found = fit(table, target=["x", "y"], id="id", series_embedding=2)
    forecast = found.predict(table)
    assert forecast.ids == ("a", "b")
    assert forecast.values.shape == (2, 3, 2)
    assert abs(forecast.values[1, :, 0].mean() - 500) < 5
    frame = forecast.to_frame()
    assert frame.height == 12
    assert frame["id"].unique().sort().to_list() == ["a", "b"]
    # one that was not trained on
    other = {"id": ["new"] * 60, "x": wave(60, -70), "y": wave(60)}
    assert abs(found.predict(other).values[0, :, 0].mean() + 70) < 5


def test_separate_targets_are_series_of_their_own():
    found = fit({"x": wave(150), "y": wave(150, 3)}, target=["x", "y"], separate=True)
    assert found.predict({"x": wave(60), "y": wave(60, 3)}).ids == ("x", "y")
    assert found.context.sizes.targets == 1


def test_a_recursive_model_goes_on_and_on_and_its_paths_spread():
    table = {"x": wave(160)}
    found = fit(table, target="x", mode="recursive")
    forecast = found.predict(table, horizon=10, paths=True, samples=50)
    assert forecast.values.shape == (1, 10, 1)
    assert forecast.samples.shape == (50, 1, 10, 1)
    again = found.predict(table, horizon=10, paths=True, samples=50)
    np.testing.assert_array_equal(forecast.samples, again.samples)
    other = found.predict(table, horizon=10, paths=True, samples=50, seed=1)
    assert (forecast.samples != other.samples).any()


def test_gaps_can_be_filled_when_asking():
    found = fit(hourly(200), target="x")
    holed = hourly(100).filter(pl.col("date").dt.hour() != 5)
    with pytest.raises(ValueError, match=r"1 row\(s\) are missing"):
        found.predict(holed)
    assert found.predict(holed, fill="linear").values.shape == (1, 3, 1)


def test_parts_can_be_dates():
    found = fit(hourly(), target="x", validation="2020-01-10", held_out="2020-01-12")
    assert found.figures["validation"]["windows"] == 46
    assert found.figures["held_out"]["windows"] == 34
    with pytest.raises(ValueError, match="are parts of the series here"):
        Forecaster.fit(hourly(), target="x", test=hourly())


def test_a_calibration_changes_the_intervals():
    table = hourly(240)
    widths = {}
    for calibration in ("off", "validation", "recent"):
        found = fit(table, target="x", calibration=calibration)
        widths[calibration] = found.predict(table).intervals[0.8]
    assert not np.allclose(widths["off"], widths["validation"])
    assert not np.allclose(widths["recent"], widths["validation"])
    with pytest.raises(ValueError, match="needs 20 windows or more"):
        fit(table, target="x", calibration="validation", validation=10)
    with pytest.raises(ValueError, match=r"intervals: 0\.5 was not calibrated"):
        fit(table, target="x", calibration="validation").predict(table, intervals=[0.5])
    with pytest.raises(ValueError, match="between 0 and 1"):
        found.predict(table, intervals=[80])


def test_settings_that_change_training_change_the_model():
    table = {"x": wave(160)}
    options = {"target": "x", "lr": 0.02, "warmup_steps": 0, "baselines": False}
    base = fit(table, **options).predict(table).values
    for change in (
        {"beta": 0.5},
        {"lags": 0},
        {"history": 3},
        {"cell": "elman"},
        {"scale": "off"},
        {"output_dropout": 0.5},
        {"seed": 1},
        {"epoch_windows": 32},
        {"shuffle": False},
    ):
        assert not np.allclose(fit(table, **options, **change).predict(table).values, base), change


def test_a_run_is_resumed_bit_for_bit_and_only_on_its_own_data(tmp_path):
    table = {"x": wave(160)}
    whole = fit(table, target="x", out=tmp_path / "whole", epochs=4, schedule="constant")
    fit(table, target="x", out=tmp_path / "run", epochs=2, schedule="constant")
    again = Forecaster.fit(
        table, out=tmp_path / "run", resume=True, epochs=4, progress=False, keep_best=True
    )
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    with pytest.raises(RunError, match="begun on other data"):
        Forecaster.fit({"x": wave(161)}, out=tmp_path / "run", resume=True, progress=False)


def test_too_short_a_series_is_told():
    with pytest.raises(
        ValueError, match=r"holds no window of 8 rows of history and 30 to forecast"
    ):
        fit({"x": wave(40)}, target="x", horizon=30)
    found = fit({"x": wave(160)}, target="x")
    with pytest.raises(ValueError, match=r"5 row\(s\) of history are there, but 8 are needed"):
        found.predict({"x": wave(5)})


def test_the_calendar_is_read_beside_the_values():
    known = {
        name: fit(hourly(), target="x", max_steps=1, calendar=cycles).context.sizes.known
        for name, cycles in (("none", ()), ("day", ("day",)), ("both", ("day", "week")))
    }
    assert known["none"] == 0
    assert 0 < known["day"] < known["both"]


def test_quantiles_are_as_many_as_asked():
    parts = {
        levels: fit(hourly(), target="x", max_steps=1, output="quantile", quantiles=levels)
        for levels in ((0.1, 0.5, 0.9), (0.05, 0.25, 0.5, 0.75, 0.95))
    }
    for levels, model in parts.items():
        assert model.network.output.raw == len(levels)


def test_times_are_read_as_they_are_spelled_and_stepped():
    spelled = hourly(200).with_columns(pl.col("date").dt.strftime("%d.%m.%Y, %H-%M"))
    options = {"target": "x", "max_steps": 1, "time_format": "%d.%m.%Y, %H-%M"}
    found = fit(spelled, **options).predict(spelled).to_frame()
    assert str(found["time"][0]) == "2020-01-09 08:00:00"
    with pytest.raises(ValueError, match="date"):
        fit(spelled, **{**options, "time_format": "%Y-%m-%d %H"})


def test_a_finer_step_makes_gaps_that_are_filled():
    half = fit(hourly(200), target="x", max_steps=1, frequency="30m", fill="linear")
    times = half.predict(hourly(200)).to_frame()["time"]
    assert str(times[1] - times[0]) == "0:30:00"
    with pytest.raises(ValueError, match="fill"):
        fit(hourly(200), target="x", max_steps=1, frequency="30m")
