import gzip
import io
import sys

import pytest

from ostinato.data.text import Document, TextError, read_documents


def texts(*arguments, **options):
    return [document.text for document in read_documents(*arguments, **options)]


def test_file_by_name_and_by_path(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("été\n", encoding="utf-8")
    assert texts(path) == texts(str(path)) == ["été\n"]


def test_gz_is_known_by_its_content(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(gzip.compress(b"hello\n"))
    assert texts(path) == ["hello\n"]


def test_folder_gives_its_text_files_in_order(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "b.txt").write_text("b\n")
    (tmp_path / "a.md").write_text("a\n")
    (tmp_path / "picture.png").write_bytes(b"\0")
    (tmp_path / ".hidden.txt").write_text("no\n")
    (tmp_path / "sub" / "c.txt.gz").write_bytes(gzip.compress(b"c\n"))
    assert texts(tmp_path) == ["a\n", "b\n", "c\n"]


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"piped\n")))
    assert texts("-") == ["piped\n"]


def test_text_itself_and_mixed_sequences(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("file\n")
    assert texts(["given\n", path, Document("made")]) == ["given\n", "file\n", "made"]


def test_line_ends_and_byte_order_mark_are_normalised(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthree\n")
    assert texts(path) == ["one\ntwo\nthree\n"]


def test_encoding_option_reads_other_bytes(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("é\n".encode("latin-1"))
    assert texts(path, encoding="latin-1") == ["é\n"]
    path.write_bytes("é\n".encode("utf-16"))
    assert texts(path, encoding="utf-16") == ["é\n"]


def test_separator_cuts_documents_and_drops_blank_ones():
    assert texts("one\n%%\n\n%%\ntwo\n", separator="%%\n") == ["one\n", "two\n"]


def test_missing_file_says_so():
    with pytest.raises(FileNotFoundError, match=r"no file or folder nowhere\.txt"):
        read_documents("nowhere.txt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "blanks"),
        (b"abc\xff\xfe", "byte 0xff at position 3"),
        (b"\x89PNG\0\0", "binary"),
        ("wide".encode("utf-16"), "UTF-16"),
        (gzip.compress(b"hello")[:-6], "damaged gz"),
        (gzip.compress(b"hello")[:12] + b"xxxxxxxx", "damaged gz"),
        (gzip.compress(b""), "is empty"),
    ],
)
def test_unusable_files_are_named_with_the_reason(tmp_path, content, message):
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(TextError, match=message) as caught:
        read_documents(path)
    assert str(path) in str(caught.value)


def test_folder_without_text_and_empty_list(tmp_path):
    with pytest.raises(TextError, match="holds no text"):
        read_documents(tmp_path)
    with pytest.raises(TextError, match="list of sources is empty"):
        read_documents([])


def test_unknown_encoding_is_named(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("a\n")
    with pytest.raises(TextError, match="no encoding 'utf-9'"):
        read_documents(path, encoding="utf-9")


@pytest.mark.parametrize("text", ["the cat sat on the mat " * 300, "a\0b"])
def test_text_without_a_line_break_is_not_an_os_error(text):
    with pytest.raises(TextError, match=r"no name of a file.*must hold a line break"):
        read_documents(text)
