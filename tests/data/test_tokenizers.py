import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.data.subwords import SubwordTokenizer
from ostinato.data.tokenizers import (
    CharTokenizer,
    TokenizerError,
    fit_tokenizer,
    load_tokenizer,
    tokenizer_from_dict,
)
from ostinato.data.words import WordTokenizer

TEXT = "To be, or not to be: that is the question.\nWhether 'tis nobler — in the mind\n"
SUBWORDS = SubwordTokenizer.fit([TEXT * 3, "日本語 😀"], size=300, end=True)


def spelled(tokenizer, ids):
    decoder = tokenizer.decoder()
    return "".join([*(decoder.feed(int(i)) for i in ids), decoder.flush()])


@given(st.text(alphabet=sorted(set(TEXT))))
def test_characters_come_back(text):
    tokenizer = CharTokenizer.fit([TEXT])
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(st.text())
def test_subwords_give_back_any_text_also_token_by_token(text):
    ids = SUBWORDS.encode(text)
    assert SUBWORDS.decode(ids) == text
    assert spelled(SUBWORDS, ids) == text


def test_subwords_are_shorter_than_bytes_and_size_is_obeyed():
    assert SUBWORDS.size == 300
    assert len(SUBWORDS.encode(TEXT)) < len(TEXT.encode())


def test_subword_spelling_equals_the_librarys():
    text = "".join(map(chr, range(1, 0x2000, 7))) + "日本語 😀"
    ids = SUBWORDS.encode(text)
    assert SUBWORDS._inner.decode(ids.tolist()) == SUBWORDS.decode(ids)


def test_end_written_out_in_a_text_is_text():
    ids = SUBWORDS.encode("a <eos> b")
    assert SUBWORDS.end not in ids
    assert SUBWORDS.decode(ids) == "a <eos> b"


def test_incomplete_character_is_held_back_and_flushed():
    ids = SUBWORDS.encode("é")
    decoder = SUBWORDS.decoder()
    assert decoder.feed(int(ids[0])) == ""
    assert decoder.flush() == "\ufffd"


def test_unseen_characters_are_named_with_what_to_do():
    tokenizer = CharTokenizer.fit(["abc"])
    with pytest.raises(TokenizerError, match=r"2 character\(s\).*'x' '😀'.*min_count=2"):
        tokenizer.encode("ax😀xb")


def test_rare_characters_share_the_unknown_token():
    tokenizer = CharTokenizer.fit(["aaabbc"], min_count=2)
    assert tokenizer.symbols == ["a", "b"]
    assert tokenizer.encode("acz").tolist() == [0, 2, 2]
    assert tokenizer.decode([0, 2]) == "a<unk>"


def test_character_vocabulary_is_cut_to_size_with_unknown_and_end():
    tokenizer = CharTokenizer.fit(["aaabbcd"], size=4, end=True)
    assert tokenizer.symbols == ["a", "b"]
    assert (tokenizer.size, tokenizer.unknown, tokenizer.end) == (4, 2, 3)
    assert CharTokenizer.fit(["aaabbcd"], size=5, end=True).unknown is None


def test_words_keep_order_of_frequency_and_limits():
    texts = ["a a a b b c\n"]
    assert WordTokenizer.fit(texts).words == ["<unk>", "<eos>", "a", "b", "c"]
    assert WordTokenizer.fit(texts, size=3).words[2:] == ["a"]
    assert WordTokenizer.fit(texts, min_count=2).words[2:] == ["a", "b"]


def test_words_options_change_the_pieces():
    text = "Don't stop-gap, ok?\n"
    cut = WordTokenizer.fit([text])
    assert sorted(cut.words[2:]) == [",", "?", "Don't", "ok", "stop-gap"]
    assert "don't" in WordTokenizer.fit([text], lower=True).words
    assert "ok?" in WordTokenizer.fit([text], split="blanks").words


def test_words_are_put_back_together_by_rule():
    text = "Come (now), friend: go!\nOr stay.\n"
    tokenizer = WordTokenizer.fit([text])
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert spelled(tokenizer, tokenizer.encode(text)) == text


def test_words_already_cut_keep_their_marks():
    tokenizer = WordTokenizer.fit(["a <unk> b\n"], split="blanks")
    assert tokenizer.words == ["<unk>", "<eos>", "a", "b"]
    assert tokenizer.encode("<unk> a\n").tolist() == [0, 2, 1]


@pytest.mark.parametrize(
    "tokenizer",
    [
        CharTokenizer.fit([TEXT], min_count=2, end=True),
        CharTokenizer("ab"),
        WordTokenizer.fit([TEXT], lower=True, split="blanks"),
        SUBWORDS,
    ],
    ids=lambda tokenizer: tokenizer.kind,
)
def test_saved_tokenizer_is_the_same(tmp_path, tokenizer):
    tokenizer.save(tmp_path / "tokenizer.json")
    again = load_tokenizer(tmp_path / "tokenizer.json")
    assert again == tokenizer
    sample = "be to" if tokenizer.size > 2 else "ab"
    np.testing.assert_array_equal(again.encode(sample), tokenizer.encode(sample))
    assert (again.end, again.unknown) == (tokenizer.end, tokenizer.unknown)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "not a tokenizer"),
        ('{"format": "other"}', "not a tokenizer"),
        ('{"format": "ostinato.tokenizer", "version": 9}', "version 9"),
        ('{"format": "ostinato.tokenizer", "version": 1, "kind": "runes"}', "characters, words"),
        ('{"format": "ostinato.tokenizer", "version": 1, "kind": "characters"}', "damaged"),
        ('{"format": "ostinato.tokenizer", "version": 1, "kind": "subwords", "bpe": 3}', "damaged"),
        ('{"format": "ostinato.tokenizer", "version": 1, "kind": "words", "words": 3}', "damaged"),
    ],
)
def test_damaged_files_are_refused(tmp_path, content, message):
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(TokenizerError, match=message):
        load_tokenizer(path)


def test_subwords_of_another_library_family_are_refused():
    settings = json.loads(json.dumps(SUBWORDS.to_dict()))
    settings["bpe"]["model"]["vocab"] = {"日": 0}
    settings["bpe"]["model"]["merges"] = []
    with pytest.raises(TokenizerError, match="damaged"):
        tokenizer_from_dict(settings)


def test_kinds_and_sizes_are_checked():
    with pytest.raises(TokenizerError, match="characters, words, subwords"):
        fit_tokenizer("bytes", [TEXT])
    with pytest.raises(TokenizerError, match="at least 257"):
        fit_tokenizer("subwords", [TEXT], size=100)
    with pytest.raises(TokenizerError, match="occurs 99 times"):
        fit_tokenizer("words", [TEXT], min_count=99)
    with pytest.raises(TokenizerError, match="min_count"):
        fit_tokenizer("words", [TEXT], min_count=0)
    with pytest.raises(TokenizerError, match="too small"):
        fit_tokenizer("words", [TEXT], size=2)
    with pytest.raises(TokenizerError, match="split"):
        fit_tokenizer("words", [TEXT], split="vowels")
    with pytest.raises(TokenizerError, match="twice"):
        CharTokenizer("aa")
