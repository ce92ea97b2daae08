"""A long text laid out as parallel streams and walked in chunks, the state carried across."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ostinato.data.tokenizers import Ids, Tokenizer

__all__ = ["IGNORED", "Chunk", "Corpus", "TokenStreams", "encode_documents"]

# the target that asks for nothing, as in torch.nn.functional.cross_entropy
IGNORED = -100


@dataclass(frozen=True)
class Corpus:
    """Documents as one row of tokens.

    Attributes:
        tokens: int32 [N], all documents one after the other; where the tokenizer has a token
            between documents, it stands before each of them and once more at the end.
        starts: positions in `tokens` where a document starts (with the token before it).
        characters: how long the text was.
        joined: there is a token between documents; otherwise the last token of a document has
            nothing to predict.
    """

    tokens: Ids
    starts: tuple[int, ...]
    characters: int
    joined: bool

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class Chunk:
    """A few steps of all streams.

    Attributes:
        inputs: tokens, int64 [T, B].
        targets: the tokens that follow, int64 [T, B]; `IGNORED` where nothing follows.
        reset: bool [T, B], set where the row starts afresh before that step.
    """

    inputs: Tensor
    targets: Tensor
    reset: Tensor

    def to(self, device: torch.device | str) -> Chunk:
        """The same chunk on another device."""
        return Chunk(self.inputs.to(device), self.targets.to(device), self.reset.to(device))


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
    position = 0
    for text in texts:
        ids = tokenizer.encode(text)
        starts.append(position)
        # the <eos> of a last line is the mark already
        if end is not None and (not len(ids) or ids[-1] != end):
            ids = np.append(ids, mark)
        parts.append(ids)
        position += len(ids)
    return Corpus(np.concatenate(parts), tuple(starts), sum(map(len, texts)), end is not None)


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
    ) -> None:
        for name, value in (("batch_size", batch_size), ("chunk_length", chunk_length)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}.")
        self.corpus = corpus
        self.batch_size = batch_size
        self.chunk_length = chunk_length
        self.shuffle = shuffle
        self.seed = seed
        self.length = (len(corpus) - 1) // batch_size
        if self.length < chunk_length:
            raise ValueError(_too_short(len(corpus), batch_size, chunk_length))

    def __len__(self) -> int:
        """Chunks in an epoch."""
        return self.length // self.chunk_length

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
        shape = (B, L)
        self._inputs = inputs[: B * L].reshape(shape)
        self._targets = targets[: B * L].reshape(shape)
        self._reset = reset[: B * L].reshape(shape)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Chunk:
        if not -self._count <= index < self._count:
            raise IndexError(f"There is no chunk {index}; the epoch has {self._count}.")
        first = (index % self._count) * self._steps
        steps = slice(first, first + self._steps)
        reset = torch.from_numpy(self._reset[:, steps].T.copy())
        if first == 0:
            reset[0] = True
        return Chunk(_column(self._inputs, steps), _column(self._targets, steps), reset)

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
