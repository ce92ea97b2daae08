import gzip
import io
import sys

import pytest

from ostinato.data.tags import Sentence, TagError, conllu_lines, read_sentences

WORD = "{0}\t{1}\t{1}\t{2}\tX\t_\t0\troot\t_\t_\n"
CONLLU = (
    "# sent_id = 1\n# text = vámonos al mar\n"
    "1-2\tvámonos\t_\t_\t_\t_\t_\t_\t_\t_\n"
    + WORD.format(1, "vamos", "VERB")
    + WORD.format(2, "nos", "PRON")
    + "2.1\tya\tya\tADV\t_\t_\t_\t_\t2:advmod\t_\n"
    + "3-4\tal\t_\t_\t_\t_\t_\t_\t_\t_\n"
    + WORD.format(3, "a", "ADP")
    + WORD.format(4, "el", "DET")
    + WORD.format(5, "mar", "NOUN")
    + "\n# sent_id = 2\n"
    + WORD.format(1, "sí", "INTJ")
)


def write(tmp_path, text, name="file.conllu"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(*arguments, **options):
    return list(read_sentences(*arguments, **options))


def test_words_are_kept_and_multiword_tokens_and_empty_nodes_passed_over(tmp_path):
    first, second = read(write(tmp_path, CONLLU))
    assert first.words == ("vamos", "nos", "a", "el", "mar")
    assert first.tags == ("VERB", "PRON", "ADP", "DET", "NOUN")
    assert first.lines == (4, 5, 8, 9, 10)
    assert second.words == ("sí",)
    assert second.place(0).endswith("file.conllu, line 13")


def test_gz_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path):
    odd = gzip.compress(b"\xef\xbb\xbf" + CONLLU.replace("\n", "\r\n").encode())
    plain = read(write(tmp_path, CONLLU))
    again = read(str(write(tmp_path, odd, "odd.gz")))
    assert [(s.words, s.tags, s.lines) for s in plain] == [
        (s.words, s.tags, s.lines) for s in again
    ]


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\tX\n")))
    assert read("-")[0] == Sentence(("a",), ("X",), "standard input", (1,))


def test_another_column(tmp_path):
    path = write(tmp_path, CONLLU)
    assert read(path, column="deprel")[0].tags == ("root",) * 5
    # of features, an underscore is a value: there are none
    assert read(path, column="feats")[0].tags == ("_",) * 5
    with pytest.raises(TagError, match=r"no column 'upo'. Did you mean upos"):
        read(path, column="upo")


def test_two_columns_where_a_word_may_begin_with_the_sign_of_comments(tmp_path):
    path = write(tmp_path, "#\tSYM\n1\tNUM\n\n\n# a remark\n#tag\tX\n", "a.tsv")
    assert [(s.words, s.tags) for s in read(path)] == [
        (("#", "1"), ("SYM", "NUM")),
        (("#tag",), ("X",)),
    ]


def test_tags_may_be_missing_where_none_are_needed(tmp_path):
    path = write(tmp_path, WORD.format(1, "w", "_"))
    found = read(path, tagged=False)[0]
    assert (found.words, found.tags) == (("w",), ())
    with pytest.raises(TagError, match="has no upos"):
        read(path)


def test_tags_are_written_into_their_column_and_all_else_stays(tmp_path):
    first = read(write(tmp_path, CONLLU), keep=True)[0]
    written = conllu_lines(first, ["A", "B", "C", "D", "E"], column="xpos")
    again = read(write(tmp_path, "\n".join(written)), column="xpos")[0]
    assert (again.words, again.tags) == (first.words, ("A", "B", "C", "D", "E"))
    assert [line.split("\t")[:4] for line in written] == [
        line.split("\t")[:4] for line in first.text
    ]
    assert written[2] == first.text[2]
    assert conllu_lines(Sentence(("sí",)), ["X"]) == ["1\tsí\t_\tX" + "\t_" * 6]


def test_a_file_of_neither_kind_is_refused(tmp_path):
    with pytest.raises(TagError, match=r"words.txt, line 1: 1 field"):
        read(write(tmp_path, "Time\nflies\n", "words.txt"))


def test_lines_are_kept_on_request(tmp_path):
    path = write(tmp_path, CONLLU)
    sentences = read(path, keep=True)
    assert "\n\n".join("\n".join(s.text) for s in sentences) + "\n" == CONLLU
    assert read(path)[0].text == ()


def test_several_sources_and_rows_that_are_there_already(tmp_path):
    path = write(tmp_path, CONLLU)
    own = Sentence(("a",), ("X",))
    found = read([path, own, [("b", "Y")]])
    assert [s.words for s in found] == [
        ("vamos", "nos", "a", "el", "mar"),
        ("sí",),
        ("a",),
        ("b",),
    ]
    assert found[3].place(0) == "sentence, word 1"


def test_reading_is_lazy(tmp_path):
    path = write(tmp_path, "a\tX\n\n" * 3 + "broken\n", "a.tsv")
    sentences = read_sentences(path)
    assert [next(sentences).words for _ in range(3)] == [("a",)] * 3
    with pytest.raises(TagError, match=r"a.tsv, line 7: 1 field\(s\), and a line of this file"):
        next(sentences)


def test_the_line_that_is_ragged_is_named(tmp_path):
    broken = CONLLU.replace("3\ta\ta\tADP\tX\t_", "3\ta\ta\tADP\tX")
    with pytest.raises(TagError, match=r"line 8: 9 field\(s\), and a line of CoNLL-U has 10"):
        read(write(tmp_path, broken))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (WORD.format(3, "x", "X"), "line 2: a word numbered '3' stands where 2 is due"),
        (WORD.format("2a", "x", "X"), "line 2: a word numbered '2a'"),
        (WORD.format(2, "x", ""), "line 2: field 4 is empty"),
        (WORD.format(2, "x", "_"), r"'x' has no upos.*filled here: lemma, xpos, deprel"),
    ],
)
def test_what_does_not_fit_is_named_with_its_line(tmp_path, line, message):
    with pytest.raises(TagError, match=message):
        read(write(tmp_path, WORD.format(1, "w", "X") + line))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError, match="Check the name"):
        read(tmp_path / "no.conllu")
    with pytest.raises(TagError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(TagError, match="line 2: byte 0xff is not UTF-8"):
        read(write(tmp_path, b"a\tX\n\xff\tY\n"))
    with pytest.raises(TagError, match="damaged gz"):
        read(write(tmp_path, gzip.compress((CONLLU + "\n").encode() * 99)[:-20]))
    with pytest.raises(TagError, match="holds no sentence"):
        read(write(tmp_path, "# nothing\n\n"))
    with pytest.raises(TagError, match="the source is empty"):
        read([])


def test_rows_that_are_no_pairs_are_refused():
    with pytest.raises(TagError, match="Give pairs"):
        read([["Time", "flies"]])
    with pytest.raises(TagError, match="has no words"):
        read([[]])
