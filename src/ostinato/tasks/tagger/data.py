"""From sentences to a tagger's batches: numbers for words, letters and tags, rows on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ostinato.data.batches import LengthBatches, pad
from ostinato.data.store import RowStore, RowWriter
from ostinato.data.streams import IGNORED
from ostinato.data.tags import Sentence, TagError
from ostinato.data.vocabulary import Vocabulary
from ostinato.tasks.tagger.network import TagBatch
from ostinato.tasks.tagger.settings import TaggerData

__all__ = ["Coder", "Coded", "TagRows", "fit_coder"]

Longs = NDArray[np.int64]

# words that are counted at a time
_PIECE = 1 << 20


@dataclass(frozen=True)
class Coded:
    """Distinct words as a network reads them.

    Attributes:
        numbers: in the vocabulary, 0 for an unknown one, int64 [N].
        letters: of all words, one after the other, int64.
        offsets: where each word's letters begin, and the end of the last, int64 [N + 1].
    """

    numbers: Longs
    letters: Longs
    offsets: Longs


class Coder:
    """Words, letters and tags to numbers.

    Args:
        words: known words, unknown ones allowed.
        letters: known letters, unknown ones allowed.
        tags: all of them.
        lower: words are looked up in lower case.
        longest_word: letters at most; of a longer word, the middle is left out.
    """

    def __init__(
        self,
        words: Vocabulary,
        letters: Vocabulary,
        tags: Vocabulary,
        *,
        lower: bool = True,
        longest_word: int = 40,
    ) -> None:
        self.words = words
        self.letters = letters
        self.tags = tags
        self.lower = lower
        self.longest_word = longest_word

    def code(self, words: Sequence[str]) -> Coded:
        """Distinct words as the network reads them."""
        cut = [_cut(word, self.longest_word) for word in words]
        letters = self.letters.numbers("".join(cut))
        offsets = np.concatenate([[0], np.cumsum([len(word) for word in cut], dtype=np.int64)])
        return Coded(self._numbers(words), letters, offsets)

    def known(self, words: Sequence[str]) -> NDArray[np.bool_]:
        """Which words have a number of their own, [N]."""
        return self._numbers(words) > 0

    def batch(self, coded: Coded, rows: Sequence[Longs], tags: Sequence[Longs] = ()) -> TagBatch:
        """Sentences side by side.

        Args:
            coded: the distinct words that the rows speak of.
            rows: B sentences, each the numbers of its words in `coded`.
            tags: their tags, likewise; none: all are `IGNORED`.
        """
        lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
        distinct, places = np.unique(np.concatenate(rows), return_inverse=True)
        ends = np.cumsum([len(row) for row in rows])[:-1]
        letters, letter_lengths = _letters(coded, distinct)
        laid, _ = pad(np.split(places.reshape(-1), ends))
        gold = torch.full_like(laid, IGNORED) if not tags else pad(tags, IGNORED)[0].long()
        words = torch.from_numpy(coded.numbers[distinct])
        return TagBatch(laid, lengths, words, letters, letter_lengths, gold)

    def _numbers(self, words: Sequence[str]) -> Longs:
        return self.words.numbers([word.lower() for word in words] if self.lower else words)

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "words": self.words.entries,
            "letters": self.letters.entries,
            "tags": self.tags.entries,
            "lower": self.lower,
            "longest_word": self.longest_word,
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Coder:
        """What `to_dict` gave."""
        return cls(
            Vocabulary(told["words"], unknown=True),
            Vocabulary(told["letters"], unknown=True),
            Vocabulary(told["tags"], unknown=False),
            lower=told["lower"],
            longest_word=told["longest_word"],
        )


class TagRows:
    """Sentences of which words and tags are numbered as they come; the numbers are kept on disk.

    In memory are the distinct words and tags, and where each sentence begins.

    Args:
        parts: sentences, one iterable a part.

    Attributes:
        words: distinct words, in the order of their first occurrence.
        tags: distinct tags, likewise.
        tag_places: where each tag first stands, for messages.
        parts: sentences of each part, as ranges.
        word_rows, tag_rows: each sentence's words and tags, as numbers of the above.
    """

    def __init__(self, *parts: Iterable[Sentence]) -> None:
        numbers: dict[str, int] = {}
        self.tag_places: dict[str, str] = {}
        tags: dict[str, int] = {}
        self.parts: list[range] = []
        with RowWriter(dtype="int32") as words, RowWriter(dtype="int32") as labels:
            for part in parts:
                start = len(self.parts) and self.parts[-1].stop
                size = 0
                for sentence in part:
                    words.add([numbers.setdefault(w, len(numbers)) for w in sentence.words])
                    labels.add([tags.setdefault(tag, len(tags)) for tag in sentence.tags])
                    size += 1
                    if len(tags) > len(self.tag_places):
                        self._place(sentence)
                self.parts.append(range(start, start + size))
        self.words = list(numbers)
        self.tags = list(tags)
        self.word_rows, self.tag_rows = words.store, labels.store

    def _place(self, sentence: Sentence) -> None:
        for k, tag in enumerate(sentence.tags):
            self.tag_places.setdefault(tag, sentence.place(k))

    def fingerprint(self) -> Iterator[bytes]:
        """The data as bytes, for `digest_of`."""
        yield "\n".join([*self.words, "", *self.tags]).encode("utf-8", "surrogatepass")
        for store in (self.word_rows, self.tag_rows):
            yield store.offsets.tobytes()
            for piece in _pieces(store, range(len(store))):
                yield piece.tobytes()

    def pieces(self, part: range) -> Iterator[tuple[Longs, Longs]]:
        """Words and tags of a part, some at a time."""
        words, tags = (_pieces(store, part) for store in (self.word_rows, self.tag_rows))
        return zip(words, tags, strict=True)

    def word_counts(self, part: range) -> Longs:
        """How often each word occurs in a part."""
        return _counts(_pieces(self.word_rows, part), len(self.words))

    def tag_counts(self, part: range) -> Longs:
        """How often each tag occurs in a part."""
        return _counts(_pieces(self.tag_rows, part), len(self.tags))

    def batches(
        self, part: range, coder: Coder, coded: Coded, data: TaggerData, **options: Any
    ) -> LengthBatches[TagBatch]:
        """Batches of a part, sentences of like length together.

        Args:
            part: which sentences.
            coder: settles the numbers of tags.
            coded: `coder.code(self.words)`.
            data: batch_size, max_words.
            options: passed to `LengthBatches`: shuffle, seed.
        """
        known = coder.tags.numbers(self.tags)
        known[known < 0] = IGNORED

        def make(rows: Longs) -> TagBatch:
            chosen = [part[int(row)] for row in rows]
            words = [self.word_rows[row] for row in chosen]
            return coder.batch(coded, words, [known[self.tag_rows[row]] for row in chosen])

        return LengthBatches(
            self.word_rows.lengths[part.start : part.stop],
            make,
            batch_size=data.batch_size,
            max_steps=data.max_words,
            **options,
        )


def fit_coder(rows: TagRows, part: range, data: TaggerData) -> Coder:
    """Settle the numbers, by what occurs in the training part.

    Raises:
        TagError: all its tags are the same.
    """
    counts: Counter[str] = Counter()
    letters: Counter[str] = Counter()
    for word, n in zip(rows.words, rows.word_counts(part).tolist(), strict=True):
        if n:
            counts[word.lower() if data.lower else word] += n
            letters.update(dict.fromkeys(word, n))
    tags = dict(zip(rows.tags, rows.tag_counts(part).tolist(), strict=True))
    found = Vocabulary.fit(tags, unknown=False)
    if found.size < 2:
        raise TagError(
            f"There is nothing to learn: all words have the tag {found.entries[0]!r}. Give "
            "sentences with different tags, or choose another column."
        )
    words = Vocabulary.fit(
        counts, unknown=True, size=data.vocabulary_size, min_count=data.min_count
    )
    return Coder(
        words,
        Vocabulary.fit(letters, unknown=True),
        found,
        lower=data.lower,
        longest_word=data.longest_word,
    )


def _cut(word: str, longest: int) -> str:
    if len(word) <= longest:
        return word
    tail = longest // 2
    return word[: longest - tail] + word[len(word) - tail :]


def _letters(coded: Coded, distinct: Longs) -> tuple[Tensor, Tensor]:
    starts = coded.offsets[distinct]
    lengths = coded.offsets[distinct + 1] - starts
    steps = np.arange(lengths.max(initial=0))[:, None]
    places = np.minimum(starts + steps, max(len(coded.letters) - 1, 0))
    laid = np.where(steps < lengths, coded.letters[places], 0)
    return torch.from_numpy(laid), torch.from_numpy(lengths)


def _pieces(store: RowStore, part: range) -> Iterator[Longs]:
    start, stop = int(store.offsets[part.start]), int(store.offsets[part.stop])
    for k in range(start, stop, _PIECE):
        yield np.asarray(store.values[k : min(k + _PIECE, stop)], dtype=np.int64)


def _counts(pieces: Iterable[Longs], size: int) -> Longs:
    total = np.zeros(size, dtype=np.int64)
    for piece in pieces:
        total += np.bincount(piece, minlength=size)
    return total
