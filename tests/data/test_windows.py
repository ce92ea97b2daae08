import numpy as np
import pytest

from ostinato.data.columns import TableError
from ostinato.data.scaling import Scaling
from ostinato.data.series import SeriesColumns, read_series
from ostinato.data.windows import WindowBatches, WindowReader, WindowShape, split

SHAPE = WindowShape(past=5, history=3, horizon=2)
COLUMNS = SeriesColumns(targets=("x", "z"), past=("y",), known=("k",), id="id")


def _store(rows=20, other=12, future=0):
    ids = ["a"] * rows + ["b"] * other
    x = np.arange(rows + other, dtype=float)
    table = {"id": ids, "x": x, "z": -x, "y": x + 100, "k": x + 200}
    if future:
        for name in ("x", "z", "y"):
            table[name] = [*x[:-future], *[None] * future]
        table["z"] = [None if v is None else -v for v in table["x"]]
    return read_series(table, COLUMNS)


def _reader(store, shape=SHAPE):
    width = store.values.shape[1]
    return WindowReader(store, shape, Scaling("off", {"": np.zeros(width)}, {"": np.ones(width)}))


def test_a_window_holds_the_past_the_horizon_and_what_is_known():
    batch = _reader(_store()).read(np.array([0, 1]), np.array([7, 5]))
    assert batch.past[..., 0].T.tolist() == [[2, 3, 4, 5, 6], [20, 21, 22, 23, 24]]
    assert batch.past[..., 1].T.tolist()[0] == [-2, -3, -4, -5, -6]
    assert batch.target[..., 0].T.tolist() == [[7, 8], [25, 26]]
    assert batch.covariates[..., 0].T.tolist()[0] == [104, 105, 106]
    assert batch.known[..., 0].T.tolist()[0] == [204, 205, 206, 207, 208]
    assert batch.series.tolist() == [0, 1]
    assert len(batch) == 2


def test_the_calendar_stands_behind_what_is_known():
    dates = [f"2020-01-{1 + k // 24:02d} {k % 24:02d}:00" for k in range(40)]
    store = read_series({"date": dates, "x": range(40)}, SeriesColumns(targets=("x",)))
    shape = WindowShape(past=5, history=3, horizon=2, cycles=("day",))
    batch = _reader(store, shape).read(np.array([0]), np.array([7]))
    angles = 2 * np.pi * np.arange(4, 9) / 24
    np.testing.assert_allclose(batch.known[:, 0, 0], np.sin(angles), atol=1e-6)
    # the calendar goes on where the rows end
    ahead = _reader(store, shape).read(np.array([0]), np.array([40]), targets=False)
    assert ahead.target is None
    assert ahead.known.shape == (5, 1, 2)


def test_values_are_standardised():
    store = _store()
    scaling = Scaling.of(store, np.array([20, 12]))
    batch = WindowReader(store, SHAPE, scaling).read(np.array([1]), np.array([5]))
    expected = (np.arange(20, 25) - np.arange(20, 32).mean()) / np.arange(12).std()
    np.testing.assert_allclose(batch.past[:, 0, 0], expected, rtol=1e-6)


def test_what_is_known_in_advance_is_read_beyond_the_targets():
    store = _store(future=2)
    batch = _reader(store).read(np.array([1]), np.array([10]), targets=False)
    assert batch.known[-2:, 0, 0].tolist() == [230, 231]
    with pytest.raises(
        TableError, match=r"series 'b': k must be known for the 2 step\(s\).*only 1"
    ):
        _reader(store).read(np.array([1]), np.array([11]), targets=False)


def test_too_little_history_is_an_error():
    with pytest.raises(TableError, match=r"series 'a': 4 row\(s\) of history.*5 are needed"):
        _reader(_store()).read(np.array([0]), np.array([4]))


def test_what_came_is_not_known_beyond_the_end():
    actual = _reader(_store()).actual(1, np.array([10, 11]))
    assert actual[0, :, 0].tolist() == [30, 31]
    assert actual[1, 0, 0] == 31
    assert np.isnan(actual[1, 1]).all()


# parts


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ((None, 0.1, 0.2), [(0, 70), (70, 80), (80, 100)]),
        ((None, 5, 20), [(0, 75), (75, 80), (80, 100)]),
        ((50, 10, 10), [(0, 50), (50, 60), (60, 70)]),
        ((0.5, 0, 0.1), [(0, 50), (50, 50), (50, 60)]),
        ((None, "60", "90"), [(0, 60), (60, 90), (90, 100)]),
        (("20", 0.1, "90"), [(20, 80), (80, 90), (90, 100)]),
    ],
)
def test_parts_are_shares_numbers_of_rows_or_beginnings(given, parts):
    found = split(read_series({"time": range(100), "x": range(100)}, SeriesColumns()), *given)
    assert [tuple(p[0]) for p in (found.train, found.validation, found.held_out)] == parts


def test_dates_cut_all_series_at_the_same_time():
    table = {
        "id": ["a"] * 4 + ["b"] * 3,
        "date": [f"2020-01-0{k}" for k in (1, 2, 3, 4, 3, 4, 5)],
        "x": range(7),
    }
    store = read_series(table, SeriesColumns(targets=("x",), id="id"))
    assert split(store, None, 0, "2020-01-04").held_out.tolist() == [[3, 4], [1, 3]]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((90, 20, 0), "20 rows|cannot be cut"),
        ((None, "90", "60"), "cannot be cut"),
        ((50, "60", 10), "train is a share or a number"),
        ((None, 0.1, "soon"), "'soon' is no number"),
    ],
)
def test_parts_that_do_not_fit_are_refused(given, message):
    store = read_series({"time": range(100), "x": range(100)}, SeriesColumns())
    with pytest.raises(ValueError, match=message):
        split(store, *given)


# batches

PART = np.array([[0, 20], [0, 12]])


def _origins(batches, number=0):
    found = list(batches.epoch(number))
    return [
        (int(s), float(x)) for b in found for s, x in zip(b.series, b.target[0, :, 0], strict=True)
    ]


def test_every_window_of_a_part_comes_once():
    batches = WindowBatches(_reader(_store()), PART, 4)
    assert batches.windows == 14 + 6
    assert len(batches) == 5
    first = [(0, float(k)) for k in range(5, 19)] + [(1, 20.0 + k) for k in range(5, 11)]
    assert _origins(batches) == first


def test_the_past_may_reach_before_a_part_unless_it_is_to_be_inside():
    part = np.array([[10, 20], [12, 12]])
    reader = _reader(_store())
    assert WindowBatches(reader, part, 4).windows == 9
    assert WindowBatches(reader, part, 4, inside=True).windows == 4


def test_epochs_are_shuffled_each_in_its_own_order():
    batches = WindowBatches(_reader(_store()), PART, 4, shuffle=True, seed=1)
    first, second = _origins(batches, 0), _origins(batches, 1)
    assert first != second
    assert sorted(first) == sorted(second)
    assert first == _origins(batches, 0)
    other = WindowBatches(_reader(_store()), PART, 4, shuffle=True, seed=2)
    assert first != _origins(other, 0)


def test_long_epochs_are_drawn_or_spread():
    reader = _reader(_store())
    drawn = WindowBatches(reader, PART, 4, most=10, shuffle=True)
    assert len(set(_origins(drawn, 0))) == 10
    assert set(_origins(drawn, 0)) != set(_origins(drawn, 1))
    spread = WindowBatches(reader, PART, 4, most=10)
    assert _origins(spread)[0] == (0, 5.0)
    assert _origins(spread)[-1][0] == 1
    assert len(spread) == 3


def test_ranks_share_the_batches():
    whole = WindowBatches(_reader(_store()), PART, 4)
    shares = [whole.shard(rank, 2) for rank in range(2)]
    assert [len(share) for share in shares] == [3, 3]
    both = {one for share in shares for one in _origins(share)}
    assert both == set(_origins(whole))


def test_a_horizon_longer_than_the_history_is_an_error():
    shape = WindowShape(past=5, history=3, horizon=30)
    with pytest.raises(TableError, match=r"part of 20 rows holds no window of 5 rows.*30"):
        WindowBatches(_reader(_store(), shape), PART, 4)
