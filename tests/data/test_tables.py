import gzip
import json

import numpy as np
import polars as pl
import pytest

from ostinato.data.sequences import Layout
from ostinato.data.tables import TableError, read_rows, rows_of


def everything(source, layout=None, **options):
    parts = list(read_rows(source, layout or Layout(), **options))
    inputs = [one for part in parts for one in part.inputs]
    labels = [one for part in parts for one in (part.labels or [])]
    return inputs, labels


def write(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


TEXTS = ['well, "fine"', "two\nlines", "naïve"]
LABELS = ["yes", "no", "yes"]


@pytest.fixture
def frame():
    return pl.DataFrame({"text": TEXTS, "label": LABELS, "other": [1, 2, 3]})


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "jsonl", "jsonl.gz", "frame", "mapping"])
def test_every_kind_of_table_gives_the_same_rows(kind, frame, tmp_path):
    path = tmp_path / f"rows.{kind}"
    source = path
    if kind == "csv":
        frame.write_csv(path)
    elif kind == "tsv":
        frame.write_csv(path, separator="\t")
    elif kind == "parquet":
        frame.write_parquet(path)
    elif kind == "jsonl":
        frame.write_ndjson(path)
    elif kind == "jsonl.gz":
        lines = "".join(json.dumps(row) + "\n" for row in frame.to_dicts())
        path.write_bytes(gzip.compress(lines.encode()))
    else:
        source = frame if kind == "frame" else frame.to_dict(as_series=False)
    assert everything(source) == (TEXTS, [("yes",), ("no",), ("yes",)])


def test_pairs_are_rows(frame):
    assert everything(iter(zip(TEXTS, LABELS, strict=True))) == everything(frame)


def test_several_files_are_one(frame, tmp_path):
    paths = [tmp_path / "a.csv", tmp_path / "b.jsonl"]
    frame.write_csv(paths[0])
    frame.write_ndjson(paths[1])
    assert everything([str(path) for path in paths])[0] == TEXTS * 2


def test_other_columns_can_be_named(tmp_path):
    path = write(tmp_path, "a.csv", "review,stars\ngood,5\nbad,1\n")
    assert everything(path, Layout(text="review", label="stars")) == (
        ["good", "bad"],
        [("5",), ("1",)],
    )


def test_labels_are_not_needed_to_be_asked(tmp_path):
    path = write(tmp_path, "a.csv", "text\ngood\n")
    assert everything(path, labelled=False) == (["good"], [])


def test_whole_numbers_are_spelled_alike_in_all_files(tmp_path):
    lists = tmp_path / "a.parquet"
    pl.DataFrame({"text": ["a", "b"], "label": [1.0, 0.0]}).write_parquet(lists)
    lines = write(tmp_path, "b.jsonl", '{"text": "a", "label": 1}\n{"text": "b", "label": 0}\n')
    assert everything(lists) == everything(lines) == (["a", "b"], [("1",), ("0",)])


def test_a_row_may_have_several_labels_or_none(tmp_path):
    told = write(tmp_path, "a.csv", "text,label\nx,a|b\ny,\nz,b | a | b\n")
    expected = [("a", "b"), (), ("b", "a")]
    assert everything(told, Layout(separator="|"))[1] == expected
    lines = (
        '{"text":"x","label":["a","b"]}\n{"text":"y","label":[]}\n{"text":"z","label":["b","a"]}\n'
    )
    rows = list(read_rows(write(tmp_path, "b.jsonl", lines), Layout()))
    assert [label for part in rows for label in part.labels] == expected
    assert all(part.several for part in rows)
    assert not next(read_rows({"text": ["x"], "label": ["a|b"]}, Layout())).several


def test_empty_lines_do_not_move_the_numbers_of_lines(tmp_path):
    path = write(tmp_path, "a.jsonl", '{"text":"x","label":1}\n\n{"text":"y","label":2}\n')
    places = [part.where(k) for part in read_rows(path, Layout()) for k in range(len(part.inputs))]
    assert places == [f"{path}, line 1", f"{path}, line 3"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "txt,label\nx,1\n", r"a.csv has no column 'text'. It has: txt, label"),
        ("a.csv", "text,label\nx,1\n ,2\n", r"a.csv, line 3: the text \(column 'text'\) is empty"),
        ("a.csv", "text,label\nx,1\ny,\n", r"a.csv, line 3: there is no label"),
        ("a.csv", "text,label\nx,1\ny,2,3\n", r"a.csv, line 3: 3 fields, but the header names 2"),
        ("a.csv", "", r"a.csv is empty"),
        ("a.jsonl", '{"text": "x"}\n{"text":\n', r"a.jsonl, line 2: not JSON"),
        ("a.jsonl", '{"text":"x","label":1}\n[1]\n', r"a.jsonl, line 2: not a JSON object"),
        ("a.jsonl", "\n\n", r"a.jsonl is empty"),
    ],
)
def test_bad_files_are_refused_by_name_and_line(name, content, message, tmp_path):
    with pytest.raises(TableError, match=message):
        everything(write(tmp_path, name, content))


def test_a_missing_file_is_said_so():
    for name in ("nowhere.csv", "nowhere.jsonl"):
        with pytest.raises(FileNotFoundError, match=f"no file {name}"):
            everything(name)
    with pytest.raises(TableError, match="list of files is empty"):
        everything([])


def test_bad_pairs_are_refused():
    with pytest.raises(TableError, match="row 1: not a pair"):
        everything([("x", "a"), "y"])
    with pytest.raises(TableError, match="row 1: there is no label"):
        everything([("x", "a"), ("y", None)])
    with pytest.raises(TableError, match="name the columns in values"):
        everything([([1.0, 2.0], "a")])
    with pytest.raises(TableError, match="leave out values"):
        everything([("x", "a")], Layout(values=("*",)))


def test_rows_at_hand():
    assert rows_of(["x"]).labels is None
    assert [one.shape for one in rows_of([[1, 2, 3], np.zeros((2, 5))]).inputs] == [(3, 1), (2, 5)]
    for given, message in [
        ([" "], "the text is empty"),
        ([[1.0, float("nan")]], "missing"),
        ([np.zeros((1, 2, 3))], r"\[time, features\]"),
        ([{}], "give a text, or numbers"),
    ]:
        with pytest.raises(TableError, match=message):
            rows_of(given)


def test_a_text_longer_than_a_block_is_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("ostinato.data.columns._BLOCK_BYTES", 40)
    lines = [f'"a text, number {k}",{k % 2}\n' for k in range(20)]
    path = write(tmp_path, "a.csv", "text,label\n" + "".join(lines))
    parts = list(read_rows(path, Layout()))
    assert len(parts) > 5
    assert [one for part in parts for one in part.inputs][19] == "a text, number 19"
    assert parts[-1].where(len(parts[-1].inputs) - 1) == f"{path}, line 21"


def test_line_breaks_in_quotes_do_not_end_a_block(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    texts = [f"a text,\nof {k} lines\n\nor so" for k in range(12)]
    pl.DataFrame({"text": texts, "label": ["x"] * 12}).write_csv(path)
    for size in (10, 11, 12, 13, 60):
        monkeypatch.setattr("ostinato.data.columns._BLOCK_BYTES", size)
        assert everything(path)[0] == texts
