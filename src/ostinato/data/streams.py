"""A long text laid out as parallel streams and walked in chunks, the state carried across."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ostinato.data.tokenizers import Ids, Tokenizer

__all__ = ["IGNORED", "Chunk", "Corpus", "TokenStreams", "encode_documents", "whole"]

# the target that asks for nothing, as in torch.nn.functional.cross_entropy
IGNORED = -100


@dataclass(frozen=True)
class Corpus:
    """Documents as one row of tokens.

    Attributes:
        tokens: int32 [N], all documents one after the other; where the tokenizer has a token
            between documents, it stands before each of them and once more at the end.
        starts: positions in `tokens` where a document starts (with the token before it).
        characters: how long the text is that the targets spell.
        joined: there is a token between documents; otherwise the last token of a document has
            nothing to predict.
    """

    tokens: Ids
    starts: tuple[int, ...]
    characters: int
    joined: bool

    def __len__(self) -> int:
        return len(self.tokens)


# not frozen: Lightning makes copies of batches field by field
@dataclass
class Chunk:
    """A few steps of all streams.

    Attributes:
        inputs: tokens, int64 [T, B].
        targets: the tokens that follow, int64 [T, B]; `IGNORED` where nothing follows.
        reset: bool [T, B], set where the row starts afresh before that step; None: nowhere.
        first: all rows start afresh with this chunk.
    """

    inputs: Tensor
    targets: Tensor
    reset: Tensor | None = None
    first: bool = False

    def to(self, device: torch.device | str) -> Chunk:
        """The same chunk on another device."""
        reset = None if self.reset is None else self.reset.to(device)
        return Chunk(self.inputs.to(device), self.targets.to(device), reset, self.first)


def encode_documents(tokenizer: Tokenizer, texts: Sequence[str]) -> Corpus:
    """Lay texts out as one row of tokens.

    Example:
        >>> from ostinato.data.tokenizers import CharTokenizer
        >>> corpus = encode_documents(CharTokenizer("ab", end=True), ["ab", "b"])
        >>> corpus.tokens, corpus.starts
        (array([2, 0, 1, 2, 1, 2], dtype=int32), (0, 3))
    """
    end = tokenizer.end
    mark = np.array([] if end is None else [end], dtype=np.int32)
    parts: list[Ids] = [mark]
    starts = []
    position = characters = 0
    for text in texts:
        ids = tokenizer.encode(text)
        starts.append(position)
        # the <eos> of a last line is the mark already
        if end is not None and (not len(ids) or ids[-1] != end):
            ids = np.append(ids, mark)
        parts.append(ids)
        position += len(ids)
        # with no token before it, nothing asks for the first
        characters += len(text) - (len(tokenizer.decode(ids[:1])) if end is None else 0)
    return Corpus(np.concatenate(parts), tuple(starts), characters, end is not None)


def whole(corpus: Corpus, rows: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """All of a corpus as (inputs, targets, reset), each [T, rows], for scoring it.

    The rows are consecutive pieces; what is missing at the end of the last asks for nothing.
    """
    inputs, targets, reset = _pairs(corpus, 0)
    T = -(-len(inputs) // rows)
    space = rows * T - len(inputs)
    columns = (
        np.pad(values, (0, space), constant_values=fill).reshape(rows, T).T.copy()
        for values, fill in ((inputs, 0), (targets, IGNORED), (reset, False))
    )
    first, second, third = (torch.from_numpy(column) for column in columns)
    return first.long(), second.long(), third


class TokenStreams:
    """B streams of one corpus, walked T steps at a time; `epoch(k)[i]` is a chunk.

    The text is cut into B pieces of equal length that run side by side, so that chunk i + 1 goes on
    where chunk i ended, row by row. What is left over at the end (fewer than B (T + 1) tokens) is
    not used in that epoch.

    Args:
        corpus: what to walk.
        batch_size: B.
        chunk_length: T.
        shuffle: let each epoch start at another place of the text, drawn from `seed`, and go
            around; otherwise all start at its beginning.
        seed: of the places.
        share: (rank, world_size): of world_size times B streams, those B that belong to one of
            several devices.

    Raises:
        ValueError: the corpus is too short for a single chunk.
    """

    def __init__(
        self,
        corpus: Corpus,
        batch_size: int,
        chunk_length: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        for name, value in (("batch_size", batch_size), ("chunk_length", chunk_length)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}.")
        self.corpus = corpus
        self.batch_size = batch_size
        self.chunk_length = chunk_length
        self.shuffle = shuffle
        self.seed = seed
        self.share = share
        all_rows = batch_size * share[1]
        self.length = (len(corpus) - 1) // all_rows
        if self.length < chunk_length:
            raise ValueError(_too_short(len(corpus), all_rows, chunk_length))

    def __len__(self) -> int:
        """Chunks in an epoch."""
        return self.length // self.chunk_length

    def __iter__(self) -> Iterator[Chunk]:
        return iter(self.epoch(0))

    def shard(self, rank: int, world_size: int) -> TokenStreams:
        """The streams of one of several devices, each of which has B."""
        return TokenStreams(
            self.corpus,
            self.batch_size,
            self.chunk_length,
            shuffle=self.shuffle,
            seed=self.seed,
            share=(rank, world_size),
        )

    def epoch(self, number: int) -> Epoch:
        """The chunks of one pass; equal numbers give equal passes."""
        offset = 0
        if self.shuffle:
            generator = np.random.default_rng((self.seed, number))
            offset = int(generator.integers(len(self.corpus) - 1))
        return Epoch(self, offset)


class Epoch:
    """One pass over the streams, starting `offset` tokens into the corpus."""

    def __init__(self, streams: TokenStreams, offset: int) -> None:
        self._count = len(streams)
        self._steps = streams.chunk_length
        inputs, targets, reset = _pairs(streams.corpus, offset)
        B, L = streams.batch_size, streams.length
        mine = slice(streams.share[0] * B * L, (streams.share[0] + 1) * B * L)
        self._inputs = inputs[mine].reshape(B, L)
        self._targets = targets[mine].reshape(B, L)
        self._reset = reset[mine].reshape(B, L)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Chunk:
        if not -self._count <= index < self._count:
            raise IndexError(f"There is no chunk {index}; the epoch has {self._count}.")
        first = (index % self._count) * self._steps
        steps = slice(first, first + self._steps)
        marks = self._reset[:, steps].T.copy()
        if first == 0:
            # all rows start afresh here, whether a document starts or not
            marks[0] = False
        reset = torch.from_numpy(marks) if marks.any() else None
        inputs, targets = _column(self._inputs, steps), _column(self._targets, steps)
        return Chunk(inputs, targets, reset, first == 0)

    def __iter__(self) -> Iterator[Chunk]:
        return (self[k] for k in range(len(self)))


def _pairs(corpus: Corpus, offset: int) -> tuple[Ids, Ids, NDArray[np.bool_]]:
    tokens = corpus.tokens
    targets = tokens[1:].copy()
    reset = np.zeros(len(tokens) - 1, dtype=np.bool_)
    starts = np.array([start for start in corpus.starts if start < len(reset)])
    reset[starts] = True
    if not corpus.joined:
        # nothing at the end of a document tells how the next one starts
        targets[starts[starts > 0] - 1] = IGNORED
    return np.roll(tokens[:-1], -offset), np.roll(targets, -offset), np.roll(reset, -offset)


def _column(values: Ids, steps: slice) -> Tensor:
    return torch.from_numpy(values[:, steps].T.astype(np.int64))


def _too_short(tokens: int, batch_size: int, chunk_length: int) -> str:
    rows = (tokens - 1) // chunk_length
    if rows >= 1:
        advice = f"Give more text, or batch_size={rows}."
    else:
        advice = f"Give more text, or batch_size=1 and chunk_length={max(tokens - 1, 1)}."
    return (
        f"The text gives {tokens} tokens to train on; batch_size {batch_size} x chunk_length "
        f"{chunk_length} needs at least {batch_size * chunk_length + 1}. {advice}"
    )
