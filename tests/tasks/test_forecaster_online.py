import numpy as np
import pytest
import torch

from ostinato.tasks.forecaster.task import Forecaster

OPTIONS = {
    "target": "x",
    "time": "t",
    "hidden_size": 6,
    "history": 8,
    "lags": 8,
    "season": 4,
    "horizon": 2,
    "batch_size": 32,
    "lr": 0.02,
    "epochs": 6,
    "calibration_windows": 30,
    "ema": None,
    "progress": False,
    "baselines": False,
}


def drifting(rows=900, change=400):
    """A wave whose shape turns over at `change`."""
    t = np.arange(rows)
    wave = np.where(np.arange(rows) < change, np.sin(t * np.pi / 2), np.sin(t * np.pi / 3))
    return {"t": t, "x": wave * 3 + np.random.default_rng(0).normal(0, 0.1, rows)}


def part(table, first, stop):
    return {name: values[first:stop] for name, values in table.items()}


def fit(table, **settings):
    return Forecaster.fit(table, **{**OPTIONS, **settings})


@pytest.fixture(scope="module")
def table():
    return drifting()


@pytest.mark.parametrize("mode", ["direct", "decoder", "recursive"])
def test_learning_from_the_stream_helps_when_the_series_drifts(table, mode):
    options = {"held_out": 500, "mode": mode, "update_lr": 0.01, "samples": 10}
    still = fit(table, **options).backtest(table, every=10)
    learning = fit(table, **options).backtest(table, every=10, update=True)
    assert learning.score.windows == still.score.windows
    assert learning.score.mse < 0.5 * still.score.mse


def test_forecasts_after_updates_are_those_of_the_end_of_the_stream(table):
    model = fit(part(table, 0, 300))
    done = model.update(part(table, 300, 340))
    assert done.rows == 40
    assert done.windows == 40
    assert done.loss is not None
    found = model.predict()
    assert found.times.tolist() == [[340, 341]]
    # the same rows from a table; only what the cells start from differs
    again = model.predict(part(table, 0, 340))
    np.testing.assert_allclose(found.values, again.values, atol=0.3)
    assert not np.array_equal(found.values, again.values)


def test_rows_may_come_one_by_one(table):
    model = fit(part(table, 0, 300))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for row in range(300, 310):
        assert model.update(part(table, row, row + 1)).windows == 1
    assert any(not torch.equal(before[k], tensor) for k, tensor in model.state_dict().items())
    assert model.predict().times[0, 0] == 310


def test_the_state_of_the_cells_is_carried(table):
    model = fit(part(table, 0, 300))
    model.update(part(table, 300, 320))
    (stream,) = model._online._streams.values()
    assert stream.state is not None
    relative = fit(part(table, 0, 300), level="instance")
    relative.update(part(table, 300, 320))
    (stream,) = relative._online._streams.values()
    assert stream.state is None


def test_memory_does_not_grow_with_the_stream(table):
    model = fit(part(table, 0, 300))
    sizes = []
    for first in range(300, 900, 150):
        model.update(part(table, first, first + 150))
        (stream,) = model._online._streams.values()
        sizes.append(len(stream.values))
    assert sizes[1:] == [sizes[1]] * 3
    assert sizes[-1] < 150


def test_rows_must_go_on_where_the_stream_stands(table):
    model = fit(part(table, 0, 300))
    with pytest.raises(ValueError, match="goes on at 300, but these rows begin at 310"):
        model.update(part(table, 310, 320))
    model.restart()
    assert model.update(part(table, 310, 320)).windows == 0
    assert model.update(part(table, 320, 330)).windows == 10


def test_a_loaded_model_begins_another_stream(table, tmp_path):
    fit(part(table, 0, 300)).save(tmp_path / "run")
    model = Forecaster.load(tmp_path / "run")
    with pytest.raises(ValueError, match="nothing to go on from"):
        model.predict()
    assert model.update(part(table, 250, 350)).windows == 100 - 9 - 2 + 1
