"""A long text laid out as parallel streams and walked in chunks, the state carried across."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ostinato.data.store import RowStore
from ostinato.data.text import Document
from ostinato.data.tokenizers import Ids, Tokenizer

__all__ = ["IGNORED", "Chunk", "Corpus", "TokenStreams", "blocks", "encode_documents"]

# the target that asks for nothing, as in torch.nn.functional.cross_entropy
IGNORED = -100

# characters of a text whose tokens are held in memory
_IN_MEMORY = 1 << 26


@dataclass(frozen=True)
class Corpus:
    """Documents as one row of tokens.

    Attributes:
        tokens: whole numbers [N], all documents one after the other; where the tokenizer has a
            token between documents, it stands before each of them and once more at the end.
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


def encode_documents(tokenizer: Tokenizer, documents: Sequence[str | Document]) -> Corpus:
    """Lay documents out as one row of tokens; of a long text, in a temporary file.

    Example:
        >>> from ostinato.data.tokenizers import CharTokenizer
        >>> corpus = encode_documents(CharTokenizer("ab", end=True), ["ab", "b"])
        >>> corpus.tokens, corpus.starts
        (array([2, 0, 1, 2, 1, 2], dtype=int32), (0, 3))
    """
    told = [Document(each) if isinstance(each, str) else each for each in documents]
    starts: list[int] = []
    characters = [0]
    parts = _encoded(tokenizer, told, starts, characters)
    if sum(len(document) for document in told) <= _IN_MEMORY:
        tokens = np.concatenate(list(parts))
    else:
        # as narrow as the vocabulary allows, since all of the text is there
        kind = np.min_scalar_type(tokenizer.size - 1)
        tokens = RowStore.of(parts, dtype=kind).values
    return Corpus(tokens, tuple(starts), characters[0], tokenizer.end is not None)


def _encoded(
    tokenizer: Tokenizer, documents: Sequence[Document], starts: list[int], characters: list[int]
) -> Iterator[Ids]:
    end = tokenizer.end
    mark = np.array([] if end is None else [end], dtype=np.int32)
    yield mark
    position = 0
    for document in documents:
        starts.append(position)
        characters[0] += len(document)
        last = first = None
        for piece in document.pieces():
            ids = tokenizer.encode(piece)
            if len(ids):
                first = ids[:1] if first is None else first
                last = ids[-1]
            position += len(ids)
            yield ids
        # the <eos> of a last line is the mark already
        if end is not None and last != end:
            position += 1
            yield mark
        if end is None and first is not None:
            # with no token before it, nothing asks for the first
            characters[0] -= len(tokenizer.decode(first))


def blocks(corpus: Corpus, rows: int, steps: int) -> Iterator[Chunk]:
    """All of a corpus in blocks of `steps` of `rows` consecutive pieces, for scoring it.

    What is missing at the end of the last piece asks for nothing.
    """
    length = -(-(len(corpus) - 1) // rows)
    for first in range(0, length, steps):
        last = min(first + steps, length)
        chunk = _take(corpus, np.arange(rows) * length, first, last, len(corpus) - 1, around=False)
        if first == 0 and chunk.reset is not None:
            # all begin afresh here, whether a document starts or not
            chunk.reset[0] = False
        yield chunk


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
        self._corpus = streams.corpus
        rank, B = streams.share[0], streams.batch_size
        self._starts = (rank * B + np.arange(B)) * streams.length + offset

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Chunk:
        if not -self._count <= index < self._count:
            raise IndexError(f"There is no chunk {index}; the epoch has {self._count}.")
        first = (index % self._count) * self._steps
        last = first + self._steps
        corpus = self._corpus
        chunk = _take(corpus, self._starts, first, last, len(corpus) - 1, around=True)
        chunk.first = first == 0
        if chunk.first and chunk.reset is not None:
            # all rows start afresh here, whether a document starts or not
            chunk.reset[0] = False
            chunk.reset = chunk.reset if chunk.reset.any() else None
        return chunk

    def __iter__(self) -> Iterator[Chunk]:
        return (self[k] for k in range(len(self)))


def _take(
    corpus: Corpus, starts: NDArray[np.int64], first: int, last: int, size: int, *, around: bool
) -> Chunk:
    # steps first..last of the rows that begin at `starts`; beyond `size` around again, or nothing
    places = starts[None, :] + np.arange(first, last)[:, None]
    beyond = None
    if around:
        places %= size
    elif places[-1, -1] >= size:
        beyond = places >= size
        places[beyond] = 0
    inputs = corpus.tokens[places].astype(np.int64)
    targets = corpus.tokens[places + 1].astype(np.int64)
    reset = _is_start(corpus, places)
    if not corpus.joined:
        # nothing at the end of a document tells how the next one starts
        targets[_is_start(corpus, places + 1)] = IGNORED
    if beyond is not None:
        targets[beyond] = IGNORED
        reset[beyond] = False
    marks = torch.from_numpy(reset) if reset.any() else None
    return Chunk(torch.from_numpy(inputs), torch.from_numpy(targets), marks)


def _is_start(corpus: Corpus, places: NDArray[np.int64]) -> NDArray[np.bool_]:
    starts = np.asarray(corpus.starts, np.int64)
    at = np.minimum(np.searchsorted(starts, places), len(starts) - 1)
    found: NDArray[np.bool_] = starts[at] == places
    return found


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
