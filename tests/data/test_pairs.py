import gzip

import pytest

from ostinato.data.pairs import PairError, read_lines, read_pairs

WANTED = [("a man", "ein Mann"), ("two men", "zwei Männer"), ("café\u2028bar", "Kneipe")]


@pytest.fixture
def files(tmp_path):
    for side, name in enumerate(("a.en", "a.de")):
        (tmp_path / name).write_text("".join(f"{pair[side]}\n" for pair in WANTED), "utf-8")
    return tmp_path


def test_two_files_line_by_line_again_and_again(files):
    pairs = read_pairs([files / "a.en", str(files / "a.de")])
    assert list(pairs) == WANTED
    assert list(pairs) == WANTED
    assert len(pairs) == 3
    assert pairs.name == f"{files / 'a.en'} and {files / 'a.de'}"


def test_gz_files_are_known_by_their_content(files):
    for name in ("a.en", "a.de"):
        (files / name).write_bytes(gzip.compress((files / name).read_bytes()))
    assert list(read_pairs((files / "a.en", files / "a.de"))) == WANTED


def test_two_columns_with_line_ends_of_any_kind_and_a_mark_of_order(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_bytes(b"\xef\xbb\xbfa man\tein Mann\r\n\r\ntwo men \t zwei M\xc3\xa4nner")
    assert list(read_pairs(path)) == WANTED[:2]
    assert list(read_pairs(str(path))) == WANTED[:2]


def test_another_encoding(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_bytes("two men\tzwei Männer\n".encode("latin-1"))
    assert list(read_pairs(path, encoding="latin-1")) == WANTED[1:2]
    with pytest.raises(PairError, match=r"pairs.tsv, line 1 is not utf-8 text: byte 0xe4"):
        list(read_pairs(path))
    with pytest.raises(PairError, match="no encoding 'klingon'"):
        list(read_pairs(path, encoding="klingon"))


@pytest.mark.parametrize("longer", [0, 1])
def test_the_first_line_without_a_partner_is_named(tmp_path, longer):
    names = ["a.en", "a.de"]
    for side, name in enumerate(names):
        text = "one\ntwo\nthree\n" if side == longer else "one\n"
        (tmp_path / name).write_text(text)
    short, long = tmp_path / names[1 - longer], tmp_path / names[longer]
    message = f"{short} ends after line 1, and {long} goes on. Line 2 of {long} is the first"
    with pytest.raises(PairError) as caught:
        list(read_pairs([tmp_path / name for name in names]))
    assert str(caught.value).startswith(message)
    assert "'two'" in str(caught.value)


def test_files_are_read_as_they_are_walked(tmp_path):
    (tmp_path / "a.en").write_text("one\ntwo\n")
    (tmp_path / "a.de").write_text("eins\n")
    walk = iter(read_pairs([tmp_path / "a.en", tmp_path / "a.de"]))
    assert next(walk) == ("one", "eins")
    with pytest.raises(PairError):
        next(walk)


def test_pairs_that_are_half_empty_are_named_or_left_out(tmp_path):
    (tmp_path / "a.en").write_text("one\n\n \nfour\n")
    (tmp_path / "a.de").write_text("eins\n\ndrei\n\n")
    files = [tmp_path / "a.en", tmp_path / "a.de"]
    with pytest.raises(PairError, match=r"a.en, line 3 is empty, and its partner is not: 'drei'"):
        list(read_pairs(files))
    assert list(read_pairs(files, skip_empty=True)) == [("one", "eins")]
    with pytest.raises(PairError, match="Pair 1: the target is empty"):
        list(read_pairs([("one", "")]))
    path = tmp_path / "pairs.tsv"
    path.write_text("one\t\n")
    with pytest.raises(PairError, match=r"pairs.tsv, line 1: the target is empty"):
        list(read_pairs(path))


def test_lines_without_two_columns_are_named(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("one\teins\ntwo zwei\n")
    with pytest.raises(
        PairError, match=r"line 2 has 1 column\(s\), and two are needed.*'two zwei'"
    ):
        list(read_pairs(path))
    path.write_text(f"one\teins\t{'x' * 99}\n")
    with pytest.raises(PairError, match=r"line 1 has 3 column\(s\).*x\.\.\.'"):
        list(read_pairs(path))


def test_what_is_no_text_is_refused(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"one\n" * 5000)[:-12])
    with pytest.raises(PairError, match="damaged gz file: after line"):
        list(read_lines(path))
    path.write_bytes(b"one\n\0two\n")
    with pytest.raises(PairError, match="line 2 holds a zero byte"):
        list(read_lines(path))
    with pytest.raises(FileNotFoundError, match=r"none.txt does not exist"):
        list(read_lines(tmp_path / "none.txt"))


def test_sources_that_cannot_be_pairs_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.tsv does not exist"):
        read_pairs(tmp_path / "none.tsv")
    with pytest.raises(FileNotFoundError, match="is a folder"):
        read_pairs(tmp_path)
    (tmp_path / "a").write_text("x\ty\n")
    with pytest.raises(PairError, match="got 3 files"):
        read_pairs([tmp_path / "a"] * 3)
    with pytest.raises(PairError, match="the list is empty"):
        read_pairs([])
    with pytest.raises(PairError, match="Pair 2 must be two texts"):
        read_pairs([("a", "b"), ("a", "b", "c")])
    pairs = read_pairs([("a", "b")])
    assert read_pairs(pairs) is pairs
