import numpy as np
import pytest

from ostinato.data import scaling
from ostinato.data.scaling import Scaling
from ostinato.data.series import SeriesColumns, read_series

COLUMNS = SeriesColumns(targets=("x",), past=("y",), id="id")


def _store(a, b, name="b"):
    ids = ["a"] * len(a) + [name] * len(b)
    return read_series({"id": ids, "x": [*a, *b], "y": [5.0] * len(ids)}, COLUMNS)


def test_only_the_rows_before_the_stop_are_measured():
    store = _store([0.0, 2.0, 100.0], [10.0, 30.0, 999.0])
    means, spreads = Scaling.of(store, np.array([2, 2])).table(store)
    assert means[:, 0].tolist() == [1, 20]
    assert spreads[:, 0].tolist() == [1, 10]


def test_a_column_that_never_changes_is_left_at_zero():
    store = _store([0.0, 2.0], [1.0, 3.0])
    means, spreads = Scaling.of(store, np.array([2, 2])).table(store)
    assert means[:, 1].tolist() == [5, 5]
    assert spreads[:, 1].tolist() == [1, 1]


def test_one_scale_for_all_and_none_at_all():
    store = _store([0.0, 2.0], [4.0, 6.0])
    stops = np.array([2, 2])
    means, spreads = Scaling.of(store, stops, "all").table(store)
    assert means[:, 0].tolist() == [3, 3]
    np.testing.assert_allclose(spreads[:, 0], np.std([0, 2, 4, 6]))
    assert Scaling.of(store, stops, "off").table(store)[1].tolist() == [[1, 1], [1, 1]]
    with pytest.raises(ValueError, match="one of series, all, off"):
        Scaling.of(store, stops, "best")


def test_a_series_that_was_not_measured_is_by_what_it_has():
    fitted = Scaling.of(_store([0.0, 2.0], [1.0, 3.0]), np.array([2, 2]))
    means, _ = fitted.table(_store([0.0, 9.0], [40.0, 60.0], name="new"))
    assert means[:, 0].tolist() == [1, 50]


def test_blocks_do_not_change_the_measure(monkeypatch):
    values = np.random.default_rng(0).normal(7, 3, size=1000)
    store = read_series({"x": values}, SeriesColumns())
    whole = Scaling.of(store, np.array([1000])).table(store)
    monkeypatch.setattr(scaling, "_BLOCK", 64)
    pieces = Scaling.of(store, np.array([1000])).table(store)
    np.testing.assert_allclose(whole, pieces)
    np.testing.assert_allclose(pieces[1][0, 0], values.std())


def test_a_scaling_is_made_again_from_plain_values():
    store = _store([0.0, 2.0], [1.0, 3.0])
    fitted = Scaling.of(store, np.array([2, 2]))
    again = Scaling.from_dict(fitted.to_dict())
    np.testing.assert_array_equal(again.table(store), fitted.table(store))
