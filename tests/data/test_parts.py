import pytest

from ostinato.data.parts import split_at, split_documents
from ostinato.data.text import Document


def texts(part):
    return [document.text for document in part]


@pytest.mark.parametrize("position", range(9))
def test_split_loses_nothing(position):
    documents = [Document("abc", "x"), Document("de", "y"), Document("fgh", "z")]
    first, rest = split_at(documents, position)
    joined = ["".join(d.text for d in side) for side in (first, rest)]
    assert joined == ["abcdefgh"[:position], "abcdefgh"[position:]]


def test_shares_are_of_the_whole_text_across_documents():
    documents = [Document("a" * 70), Document("b" * 30)]
    train, validation, held_out = split_documents(documents, (0.05, 0.1))
    assert [len("".join(texts(part))) for part in (train, validation, held_out)] == [85, 5, 10]
    assert texts(train) == ["a" * 65, "b" * 20]
    assert texts(held_out) == ["b" * 10]


def test_training_part_leads_up_to_the_held_out_part():
    text = "".join(map(chr, range(200)))
    train, validation, held_out = split_documents([Document(text)], (0.1, 0.1))
    assert texts(validation + train + held_out) == [text[:20], text[20:180], text[180:]]


def test_nothing_held_out_gives_empty_parts():
    train, validation, held_out = split_documents([Document("abc")], (0.0, 0.0))
    assert (texts(train), validation, held_out) == (["abc"], [], [])


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("one two\nthree four\nfive", "one two\nthree four\n"),
        ("one two three four", "one two three "),
        ("abcdefghijkl", "abcdef"),
        ("abcde\nghijkl", "abcde\n"),
    ],
)
def test_cuts_move_to_the_end_of_a_line_or_word(text, cut):
    train, _, held_out = split_documents([Document(text)], (0.0, 0.5), whole=True)
    assert "".join(texts(train)) == cut
    assert "".join(texts(train + held_out)) == text
