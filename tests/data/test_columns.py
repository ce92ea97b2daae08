import gzip
import io
import sys

import polars as pl
import pytest

from ostinato.data import columns
from ostinato.data.columns import TableError, read_blocks

TEXT = "date,x\n2020-01-01,1\n2020-01-02,2\n"


def _whole(source):
    return pl.concat([block.frame for block in read_blocks(source)])


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_separator_is_what_the_header_has(tmp_path, mark):
    path = tmp_path / "table.csv"
    path.write_text(TEXT.replace(",", mark))
    assert _whole(path)["x"].to_list() == ["1", "2"]


def test_gz_parquet_frames_mappings_and_standard_input_are_read(tmp_path, monkeypatch):
    packed, parquet = tmp_path / "table.csv.gz", tmp_path / "table.parquet"
    packed.write_bytes(gzip.compress(TEXT.encode()))
    frame = pl.read_csv(io.BytesIO(TEXT.encode()))
    frame.write_parquet(parquet)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    for source in (packed, parquet, frame, frame.to_dict(as_series=False), "-"):
        assert [str(x) for x in _whole(source)["x"].to_list()] == ["1", "2"]


def test_blocks_tell_the_line_that_a_row_stands_on(tmp_path, monkeypatch):
    monkeypatch.setattr(columns, "_BLOCK_BYTES", 20)
    path = tmp_path / "table.csv"
    path.write_text("date,x\n" + "".join(f"2020-01-{k:02d},{k}\n" for k in range(1, 21)))
    blocks = list(read_blocks(path))
    assert len(blocks) > 3
    for block in blocks:
        for row, value in enumerate(block.frame["x"].to_list()):
            assert block.place.where(row) == f"{path}, line {int(value) + 1}"


def test_a_field_over_several_lines_makes_lines_approximate(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text('x,note\n1,"two\nlines"\n2,one\n')
    (block,) = read_blocks(path)
    assert block.frame["x"].to_list() == ["1", "2"]
    assert block.place.unit == "about line"


def test_several_files_are_one_table(tmp_path):
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for path in paths:
        path.write_text(TEXT)
    assert _whole([str(path) for path in paths])["x"].to_list() == ["1", "2"] * 2


def test_a_line_with_too_many_fields_is_named(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("date,x\n2020-01-01,1\n2020-01-02,2,3\n")
    with pytest.raises(TableError, match=r"table.csv, line 3: 3 fields, but the header names 2"):
        list(read_blocks(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\x00\x01\x02\n", "binary file"),
        (b"x,y\n1,2\n3,\xff\n", "line 3: not UTF-8"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content, message):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(TableError, match=message):
        list(read_blocks(path))


def test_a_missing_file_a_folder_and_a_broken_parquet_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*nowhere.csv"):
        list(read_blocks(tmp_path / "nowhere.csv"))
    with pytest.raises(TableError, match="is a folder"):
        list(read_blocks(tmp_path))
    broken = tmp_path / "table.parquet"
    broken.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(TableError, match="no readable Parquet"):
        list(read_blocks(broken))
    with pytest.raises(TableError, match="list of files is empty"):
        list(read_blocks([]))
