import numpy as np
import polars as pl
import pytest

from ostinato.data.sequences import Layout
from ostinato.data.tables import TableError, read_rows

LONG = Layout(values=("x", "y"), id="id", time="t")


def sequences(source, layout, **options):
    rows = list(read_rows(source, layout, **options))
    return [
        (one.tolist(), label)
        for r in rows
        for one, (label,) in zip(r.inputs, r.labels, strict=True)
    ]


@pytest.fixture
def long():
    return pl.DataFrame(
        {
            "id": ["a", "a", "b", "b", "b"],
            "t": [1, 2, 0, 5, 9],
            "x": [1.0, 2, 3, 4, 5],
            "y": [10.0, 20, 30, 40, 50],
            "label": ["up", "up", "down", "down", "down"],
        }
    )


EXPECTED = [
    ([[1, 10], [2, 20]], "up"),
    ([[3, 30], [4, 40], [5, 50]], "down"),
]


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_long_form_is_read_whole_however_it_is_cut_into_blocks(
    kind, rows, long, tmp_path, monkeypatch
):
    monkeypatch.setattr("ostinato.data.columns._BLOCK_BYTES", 8 * rows)
    monkeypatch.setattr("ostinato.data.columns._BLOCK_ROWS", rows)
    monkeypatch.setattr("ostinato.data.tables._BLOCK_LINES", rows)
    path = tmp_path / f"long.{kind}"
    {"csv": long.write_csv, "parquet": long.write_parquet, "jsonl": long.write_ndjson}[kind](path)
    assert sequences(path, LONG) == EXPECTED
    bad = long.with_columns(x=pl.Series([1.0, 2, 3, None, 5]))
    {"csv": bad.write_csv, "parquet": bad.write_parquet, "jsonl": bad.write_ndjson}[kind](path)
    where = {"csv": "line 5", "parquet": "row 3", "jsonl": "line 4"}[kind]
    with pytest.raises(TableError, match=f"{where}: column 'x' holds no finite number"):
        sequences(path, LONG)


def test_a_sequence_ends_with_its_file(long, tmp_path):
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    long[:3].write_csv(paths[0])
    long[3:].with_columns(id=pl.lit("c")).write_csv(paths[1])
    assert [len(values) for values, _ in sequences(paths, LONG)] == [2, 1, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"t": [1, 2, 0, 0, 9]}, "row 3: time 0 comes twice in the same sequence"),
        ({"t": [1, 2, 0, 9, 5]}, "row 4: time 5 comes after 9"),
        ({"t": [1, 2, None, 9, 10]}, "row 2: the time .* is missing"),
        ({"id": ["a", "b", "a", "c", "c"], "label": ["x"] * 5}, "row 2: id 'a' comes back"),
        ({"id": [None, "b", "b", "c", "c"], "label": ["x"] * 5}, "row 0: the id .* is missing"),
        ({"label": ["up", "down", "down", "down", "down"]}, "row 1: label 'down', but the row bef"),
        ({"label": [None, None, "down", "down", "down"]}, "row 0: there is no label"),
        ({"x": ["1", "two", "3", "4", "5"]}, "row 1: 'two' .* is no number"),
        ({"x": [1.0, 2, float("inf"), 4, 5]}, "row 2: column 'x' holds no finite number"),
    ],
)
def test_bad_rows_of_the_long_form_are_named(change, message, long):
    with pytest.raises(TableError, match=message):
        sequences(long.with_columns(**{k: pl.Series(v) for k, v in change.items()}), LONG)


def test_dates_are_in_order_as_text(long):
    dates = pl.Series(["2024-01-31", "2024-02-01", "2023-12-31", "2024-01-01", "2024-01-02"])
    assert sequences(long.with_columns(t=dates), LONG) == EXPECTED
    wrong = pl.Series(["2024-02-02", "2024-02-01", *dates[2:]])
    with pytest.raises(TableError, match="2024-02-01 comes after 2024-02-02"):
        sequences(long.with_columns(t=wrong), LONG)


def test_wide_rows_become_steps_of_some_width():
    frame = pl.DataFrame({**{f"p{k}": [k, -k] for k in range(6)}, "label": [0, 1]})
    rows = sequences(frame, Layout(values=("p*",), width=3))
    assert rows == [([[0, 1, 2], [3, 4, 5]], "0"), ([[0, -1, -2], [-3, -4, -5]], "1")]
    with pytest.raises(TableError, match="6 columns of numbers do not make steps of width 4"):
        sequences(frame, Layout(values=("p*",), width=4))
    with pytest.raises(TableError, match=r"no column like 'q\*'. It has: p0, p1"):
        sequences(frame, Layout(values=("q*",)))
    with pytest.raises(TableError, match="no column 'q'"):
        sequences(frame, Layout(values=("q",)))


def test_a_wide_row_may_end_early():
    frame = pl.DataFrame({"a": [1.0, 2], "b": [3.0, None], "c": [5.0, None], "label": [0, 1]})
    layout = Layout(values=("a", "b", "c"))
    assert sequences(frame, layout)[1] == ([[2]], "1")
    with pytest.raises(TableError, match="row 1: there is no number at all"):
        sequences(frame.with_columns(a=pl.Series([1.0, None])), layout)


@pytest.mark.parametrize(
    ("fill", "expected"), [("zero", [0, 2, 0, 4]), ("forward", [2, 2, 2, 4]), ("no", None)]
)
def test_gaps_can_be_filled(fill, expected):
    frame = pl.DataFrame({"a": [None], "b": [2.0], "c": [None], "d": [4.0], "label": ["x"]})
    layout = Layout(values=("a", "b", "c", "d"), fill=fill)
    if expected is None:
        with pytest.raises(TableError, match=r"row 0: column 'a' holds no finite .* fill=forward"):
            sequences(frame, layout)
    else:
        assert sequences(frame, layout) == [([[one] for one in expected], "x")]


def test_what_is_infinite_is_refused_in_wide_rows_too():
    frame = pl.DataFrame({"a": [1.0], "b": [float("inf")], "label": [0]})
    with pytest.raises(TableError, match="row 0: column 'b' holds no finite number"):
        sequences(frame, Layout(values=("a", "b")))


def test_lists_are_sequences(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"s":[1,2,3],"label":"x"}\n{"s":[4],"label":"y"}\n')
    assert sequences(path, Layout(values=("s",))) == [([[1], [2], [3]], "x"), ([[4]], "y")]
    deep = pl.DataFrame({"s": [[[1.0, 2.0], [3.0, 4.0]]], "label": ["x"]})
    assert sequences(deep, Layout(values=("s",))) == [([[1, 2], [3, 4]], "x")]
    with pytest.raises(TableError, match="no steps of width 2"):
        sequences(path, Layout(values=("s",), width=2))
    with pytest.raises(TableError, match="row 0: there is no number at all"):
        sequences(
            pl.DataFrame({"s": [[]], "label": ["x"]}, schema_overrides={"s": pl.List(pl.Float64)}),
            Layout(values=("s",)),
        )
    path.write_text('{"s":[1,null,3],"label":"x"}\n')
    with pytest.raises(TableError, match=r"line 1: column 's\[1\]'"):
        sequences(path, Layout(values=("s",)))
    assert sequences(path, Layout(values=("s",), fill="forward"))[0][0] == [[1], [1], [3]]


def test_numbers_are_single_precision(long):
    assert next(read_rows(long, LONG)).inputs[0].dtype == np.float32
