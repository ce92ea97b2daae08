import threading
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ostinato.data import series as module
from ostinato.data.clock import clock_of
from ostinato.data.columns import TableError
from ostinato.data.series import SeriesColumns, read_series

X = SeriesColumns(targets=("x",))
LONG = SeriesColumns(targets=("x",), id="id")


def hours(*numbers):
    return [f"2020-01-{1 + n // 24:02d} {n % 24:02d}:00" for n in numbers]


def write(tmp_path, table):
    path = tmp_path / "table.csv"
    pl.DataFrame(table).write_csv(path)
    return path


def test_a_wide_table_is_one_series_of_several_values(tmp_path):
    table = {"date": hours(0, 1, 2), "x": [1, 2, 3], "y": [4, 5, 6], "z": [7, 8, 9]}
    columns = SeriesColumns(targets=("y", "x"), known=("z",))
    store = read_series(write(tmp_path, table), columns)
    assert store.ids == ("",)
    assert store.columns.time == "date"
    assert str(store.clock) == "1h"
    assert store.series(0).tolist() == [[4, 1, 7], [5, 2, 8], [6, 3, 9]]


def test_series_of_a_long_table_may_be_mixed(tmp_path):
    table = {"id": list("abab"), "date": hours(0, 5, 1, 6), "x": [1, 10, 2, 20]}
    store = read_series(write(tmp_path, table), LONG)
    assert store.ids == ("a", "b")
    assert store.series(0)[:, 0].tolist() == [1, 2]
    assert store.series(1)[:, 0].tolist() == [10, 20]
    assert store.clock.spell(store.times(1, np.array([0, 2]))) == [
        "2020-01-01 05:00:00",
        "2020-01-01 07:00:00",
    ]


def test_each_target_can_be_a_series_of_its_own():
    table = {"x": [1, 2], "y": [3, 4], "z": [5, 6]}
    store = read_series(table, SeriesColumns(targets=("x", "y"), past=("z",)), separate=True)
    assert store.ids == ("x", "y")
    assert store.series(1).tolist() == [[3, 5], [4, 6]]


def test_the_only_column_left_is_the_target():
    assert read_series({"date": hours(0, 1), "y": [1, 2]}, SeriesColumns()).columns.targets == (
        "y",
    )
    with pytest.raises(TableError, match=r"name the column.*It has: date, y, z"):
        read_series({"date": hours(0, 1), "y": [1, 2], "z": [1, 2]}, SeriesColumns())


def test_rows_are_counted_where_there_are_no_times():
    store = read_series({"id": list("aab"), "x": [1, 2, 3]}, LONG)
    assert store.clock.kind == "index"
    assert store.lengths.tolist() == [2, 1]


def test_rows_behind_the_last_target_tell_what_is_known_in_advance():
    table = {"x": [1.0, 2.0, None, None], "plan": [1.0, 0.0, 1.0, 1.0]}
    store = read_series(table, SeriesColumns(targets=("x",), known=("plan",)))
    assert store.observed.tolist() == [2]
    assert store.lengths.tolist() == [4]


@pytest.mark.parametrize(
    ("fill", "filled"),
    [
        ("forward", [1, 2, 2, 2, 5, 5]),
        ("linear", [1, 2, 3, 4, 5, 6]),
        ("zero", [1, 2, 0, 0, 5, 0]),
        ("seasonal", [1, 2, 2, 2, 5, 5]),
    ],
)
def test_missing_rows_and_values_are_filled_if_asked(tmp_path, fill, filled):
    table = {"date": hours(0, 1, 4, 5, 6), "x": [1, 2, 5, None, 7]}
    store = read_series(write(tmp_path, table), X, fill=fill)
    assert store.series(0)[:6, 0].tolist() == filled
    assert store.filled == 3


def test_a_frequency_makes_gaps_of_what_is_between(tmp_path):
    path = write(tmp_path, {"date": hours(0, 2, 4), "x": [1, 3, 5]})
    assert len(read_series(path, X).series(0)) == 3
    store = read_series(path, X, frequency="1h", fill="linear")
    assert store.series(0)[:, 0].tolist() == [1, 2, 3, 4, 5]


def test_a_finer_step_than_that_of_the_rows_asks_for_what_is_between():
    table = {"date": hours(0, 1, 2), "x": [1, 3, 5]}
    with pytest.raises(TableError, match=r"1 row\(s\) are missing between .*filled \(fill"):
        read_series(table, X, frequency="30m")
    store = read_series(table, X, frequency="30m", fill="linear")
    assert store.series(0)[:, 0].tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("spelled", ["%d.%m.%Y %H", "%H, %d.%m.%Y", "%Y-%m"])
def test_hours_and_months_alone_stand_for_their_beginning(spelled):
    times = [datetime(2020, 1 + k, 1, 4 if "%H" in spelled else 0) for k in range(4)]
    table = {"date": [time.strftime(spelled) for time in times], "x": [1, 2, 3, 4]}
    columns = SeriesColumns(targets=("x",), time_format=spelled)
    store = read_series(table, columns, fill="linear")
    first = store.clock.spell(store.times(0, np.array([0])))[0]
    assert first.startswith(times[0].strftime("%Y-%m"))
    assert ("04:00" in first) == ("%H" in spelled)


def test_a_format_that_is_none_is_told():
    columns = SeriesColumns(targets=("x",), time_format="%d.%m.%Y %I")
    with pytest.raises(TableError, match=r"time_format='%d.%m.%Y %I' cannot be read.*Write it"):
        read_series({"date": ["01.02.2020 03"], "x": [1]}, columns)


def test_a_fitted_model_reads_one_row_on_its_own_clock():
    store = read_series({"date": hours(5), "x": [1]}, X, clock=clock_of("1h", 0))
    assert store.clock.spell(store.times(0, np.array([1]))) == ["2020-01-01 06:00:00"]
    with pytest.raises(TableError, match="are not dates"):
        read_series({"x": [1]}, X, clock=clock_of("1h", 0))


@pytest.mark.parametrize(
    ("table", "columns", "message"),
    [
        ({"date": hours(0, 1), "y": [1, 2]}, X, r"no column 'x'. It has: date, y"),
        ({"date": hours(0, 1, 4, 5), "x": [1] * 4}, X, r"line 4: 2 row\(s\) are missing between"),
        ({"date": hours(0, 1, 1), "x": [1] * 3}, X, r"line 4: .*01:00:00 stands there twice.*id"),
        (
            {"date": hours(0, 1, 3, 2), "x": [1] * 4},
            X,
            r"line 5: .*02:00:00 comes after .*03:00:00",
        ),
        ({"date": hours(0, 1, 2), "x": [1, None, 3]}, X, r"line 3: x is missing \(1 value"),
        ({"date": hours(0, 1), "x": ["1", "many"]}, X, r"line 3: x is 'many', which is no number"),
        ({"date": hours(0, 1), "x": ["1", "inf"]}, X, r"line 3: x is 'inf', which is no number"),
        ({"date": ["2020-01-01", "soon"], "x": [1, 2]}, X, r"line 3: date is 'soon'.*time_format"),
        (
            {"date": [*hours(0, 1, 2), "2020-01-01 02:30"], "x": [1] * 4},
            X,
            r"line 5: 2020-01-01 02:30:00 is not a whole number of steps \(1h\)",
        ),
        (
            {"id": list("aaabb"), "date": hours(0, 1, 2, 0, 24), "x": [1] * 5},
            LONG,
            r"line 6: mixed frequencies: the rows of series 'b' are 1d apart, others 1h",
        ),
        ({"id": ["a", None], "date": hours(0, 1), "x": [1, 2]}, LONG, "line 3: id is empty"),
        ({"date": hours(0), "x": [1]}, X, "no step can be found"),
        ({"date": [], "x": []}, X, "no rows"),
        ({"date": hours(0, 1), "x": [None, None]}, X, "no value to learn from"),
    ],
)
def test_bad_rows_are_named_with_their_line(tmp_path, table, columns, message):
    with pytest.raises(TableError, match=message):
        read_series(write(tmp_path, table), columns)


def test_a_column_without_any_value_cannot_be_filled():
    columns = SeriesColumns(targets=("x",), past=("y",))
    with pytest.raises(TableError, match="y has no value at all"):
        read_series({"x": [1.0, 2.0], "y": [None, None]}, columns, fill="zero")


def test_a_column_means_one_thing_only():
    with pytest.raises(TableError, match="'x' is named for two things"):
        read_series({"x": [1, 2]}, SeriesColumns(targets=("x",), past=("x",)))


def test_order_is_checked_across_blocks(monkeypatch, tmp_path):
    table = {"id": list("abababab"), "date": hours(0, 0, 1, 1, 2, 2, 3, 5), "x": range(8)}
    rows = module.RawRows.blocks
    monkeypatch.setattr(module.RawRows, "blocks", lambda raw, size=3: rows(raw, size))
    with pytest.raises(TableError, match=r"line 9: 2 row.*of series 'b' are missing"):
        read_series(write(tmp_path, table), LONG)
    store = read_series(write(tmp_path, table), LONG, fill="linear")
    assert store.series(1)[:, 0].tolist() == [1, 3, 5, 5 + 2 / 3, 5 + 4 / 3, 7]


def test_a_large_file_is_read_in_little_memory(tmp_path):
    # 72 MB as numbers, 140 MB as text
    rows = 3_000_000
    path = tmp_path / "large.csv"
    pl.DataFrame(
        {
            "time": np.arange(rows),
            "x": np.random.default_rng(0).normal(size=rows),
            "y": np.random.default_rng(1).normal(size=rows),
        }
    ).write_csv(path)
    columns = SeriesColumns(targets=("x",), past=("y",), time="time")
    # polars and its threads take what they take, once
    read_series(path.with_name("small.csv") if _small(path) else path, columns)
    before = _anonymous()
    peak, stop = [before], threading.Event()

    def watch():
        while not stop.is_set():
            peak[0] = max(peak[0], _anonymous())
            time.sleep(0.002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    store = read_series(path, columns)
    stop.set()
    watcher.join()
    assert store.values.shape == (rows, 2)
    assert peak[0] - before < 0.8 * path.stat().st_size


def _small(path):
    with path.open() as file:
        path.with_name("small.csv").write_text("".join(next(file) for _ in range(200_000)))
    return True


def _anonymous():
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) * 1024
