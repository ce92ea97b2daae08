import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ostinato.data import streams
from ostinato.data.streams import IGNORED, TokenStreams, blocks, encode_documents
from ostinato.data.tokenizers import CharTokenizer
from ostinato.data.words import WordTokenizer

LETTERS = CharTokenizer("abcdefghijklmnopqrstuvwxyz")
ENDED = CharTokenizer("abcdefghijklmnopqrstuvwxyz", end=True)


def marks(chunks):
    rows = []
    for chunk in chunks:
        none = torch.zeros_like(chunk.inputs, dtype=torch.bool)
        rows.append(none if chunk.reset is None else chunk.reset.clone())
        rows[-1][0] |= chunk.first
    return torch.cat(rows)


def corpus(text, tokenizer=LETTERS):
    return encode_documents(tokenizer, [text] if isinstance(text, str) else text)


@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 30), st.booleans())
def test_rows_go_on_from_chunk_to_chunk_and_targets_are_the_next_tokens(B, T, extra, shuffle):
    tokens = np.arange(B * T + 1 + extra) % 26
    streams = TokenStreams(corpus(LETTERS.decode(tokens)), B, T, shuffle=shuffle, seed=3)
    chunks = list(streams.epoch(2))
    assert len(chunks) == len(streams) == (B * T + extra) // B // T
    inputs = torch.cat([chunk.inputs for chunk in chunks])
    targets = torch.cat([chunk.targets for chunk in chunks])
    reset = marks(chunks)
    assert inputs.shape == (len(streams) * T, B)
    assert torch.equal(targets, torch.where(targets >= 0, (inputs + 1) % 26, targets))
    # each step goes on from the one before, except where the text goes around its end
    follows = inputs[1:] == (inputs[:-1] + 1) % 26
    assert (follows | reset[1:]).all()
    assert [chunk.first for chunk in chunks] == [True] + [False] * (len(chunks) - 1)


def test_rows_are_the_pieces_of_the_text():
    (chunk,) = TokenStreams(corpus("abcdefg"), 2, 3).epoch(0)
    assert chunk.inputs.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert chunk.targets.tolist() == [[1, 4], [2, 5], [3, 6]]
    assert chunk.inputs.dtype == torch.int64
    assert chunk.first
    assert chunk.reset is None


def test_documents_reset_and_do_not_predict_each_other():
    (chunk,) = TokenStreams(corpus(["abc", "de"]), 1, 4).epoch(0)
    assert chunk.inputs[:, 0].tolist() == [0, 1, 2, 3]
    assert chunk.targets[:, 0].tolist() == [1, 2, IGNORED, 4]
    assert chunk.reset[:, 0].tolist() == [False, False, False, True]


def test_token_between_documents_starts_and_ends_them():
    (chunk,) = TokenStreams(corpus(["ab", "c"], ENDED), 1, 5).epoch(0)
    end = ENDED.end
    assert chunk.inputs[:, 0].tolist() == [end, 0, 1, end, 2]
    assert chunk.targets[:, 0].tolist() == [0, 1, end, 2, end]
    assert chunk.reset[:, 0].tolist() == [False, False, False, True, False]


def test_last_line_end_of_words_is_not_doubled():
    tokenizer = WordTokenizer.fit(["a b\n"])
    assert encode_documents(tokenizer, ["a b\n"]).tokens.tolist() == [1, 2, 3, 1]
    assert encode_documents(tokenizer, ["a b"]).tokens.tolist() == [1, 2, 3, 1]


def test_epochs_start_elsewhere_when_shuffled_and_are_repeatable():
    text = corpus(LETTERS.decode(np.random.default_rng(0).integers(0, 26, 500)))
    streams = TokenStreams(text, 2, 7, shuffle=True, seed=1)
    first = [streams.epoch(k)[0].inputs for k in (0, 1, 0)]
    assert torch.equal(first[0], first[2])
    assert not torch.equal(first[0], first[1])
    other = TokenStreams(text, 2, 7, shuffle=True, seed=2)
    assert not torch.equal(first[0], other.epoch(0)[0].inputs)
    plain = TokenStreams(text, 2, 7)
    assert torch.equal(plain.epoch(0)[0].inputs, plain.epoch(1)[0].inputs)


def test_devices_share_the_rows_of_one_layout():
    text = corpus(LETTERS.decode(np.arange(60) % 26))
    whole_layout = TokenStreams(text, 4, 5, shuffle=True, seed=1).epoch(3)
    shares = [
        TokenStreams(text, 2, 5, shuffle=True, seed=1).shard(rank, 2).epoch(3) for rank in (0, 1)
    ]
    for k in range(len(whole_layout)):
        joined = torch.cat([share[k].inputs for share in shares], dim=1)
        assert torch.equal(joined, whole_layout[k].inputs)


def test_iterating_walks_the_first_epoch():
    streams = TokenStreams(corpus("abcdefghijklm"), 2, 3)
    assert [c.inputs.tolist() for c in streams] == [c.inputs.tolist() for c in streams.epoch(0)]


def test_corpus_shorter_than_a_chunk_says_what_would_fit():
    with pytest.raises(ValueError, match=r"10 tokens.*at least 25.*batch_size=2\."):
        TokenStreams(corpus("abcdefghij"), 6, 4)
    with pytest.raises(ValueError, match="batch_size=1 and chunk_length=2"):
        TokenStreams(corpus("abc"), 6, 4)
    assert len(TokenStreams(corpus("abcdefghij"), 2, 4)) == 1
    assert len(TokenStreams(corpus("abc"), 1, 2)) == 1


@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize("steps", [1, 3, 99])
def test_blocks_ask_for_every_token_once(rows, steps):
    text = corpus(["abcde", "fgh"], ENDED)
    parts = list(blocks(text, rows, steps))
    inputs, targets = (
        torch.cat([getattr(p, name) for p in parts]) for name in ("inputs", "targets")
    )
    assert inputs.shape == targets.shape == (-(-10 // rows), rows)
    asked = targets.T.flatten()
    assert asked[asked >= 0].tolist() == text.tokens[1:].tolist()
    assert torch.equal(inputs.T.flatten()[1:10], asked[:9])
    marks = torch.cat([p.reset if p.reset is not None else p.inputs < 0 for p in parts])
    # rows begin afresh anyway
    marked = set(marks.T.flatten().nonzero().flatten().tolist())
    assert marked == set(text.starts) - {row * len(inputs) for row in range(rows)}


def test_a_long_text_is_walked_from_a_file_alike(monkeypatch):
    inside = corpus(["abcde", "fghab" * 9], ENDED)
    monkeypatch.setattr(streams, "_IN_MEMORY", 10)
    outside = corpus(["abcde", "fghab" * 9], ENDED)
    assert isinstance(outside.tokens, np.memmap)
    assert outside.tokens.dtype == np.uint8
    assert outside.tokens.tolist() == inside.tokens.tolist()
    assert (outside.starts, outside.characters) == (inside.starts, inside.characters)
    for one, other in zip(
        *(TokenStreams(c, 2, 4, shuffle=True).epoch(3) for c in (inside, outside)), strict=True
    ):
        assert torch.equal(one.inputs, other.inputs)
        assert torch.equal(one.targets, other.targets)


def test_characters_are_those_that_targets_spell():
    assert corpus(["abc", "de"]).characters == 3
    assert corpus(["abc", "de"], ENDED).characters == 5


def test_sizes_below_one_and_chunks_beyond_the_end_are_refused():
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        TokenStreams(corpus("abc"), 0, 1)
    with pytest.raises(IndexError, match="no chunk 2; the epoch has 2"):
        TokenStreams(corpus("abc"), 1, 1).epoch(0)[2]
