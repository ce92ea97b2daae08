"""From labelled rows to a classifier's batches: numbers for tokens and labels, rows on disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ostinato.config import nearest
from ostinato.data.batches import pad
from ostinato.data.columns import TableError
from ostinato.data.sequences import Values
from ostinato.data.store import RowStore, RowWriter
from ostinato.data.streams import IGNORED
from ostinato.data.tables import Labels, Rows
from ostinato.data.tokenizers import END, Tokenizer, tokenizer_from_dict
from ostinato.data.vocabulary import Vocabulary
from ostinato.data.words import WordTokenizer
from ostinato.layers.ngrams import ngram_buckets
from ostinato.tasks.classifier.network import Inputs, LabelBatch

__all__ = ["LabelCoder", "LabelledRows", "Words", "pieces"]

Longs = NDArray[np.int64]

_NONE = np.zeros(0, dtype=np.int64)

# steps that are counted at a time
_PIECE = 1 << 20


class LabelCoder:
    """Rows and labels to numbers.

    Args:
        labels: all of them, in order.
        inputs: what enters the network.
        tokenizer: of texts; None: rows are of numbers.
        several: a row may have any number of labels.
        ngrams: how many n-grams of words are told apart; 0: none are looked at.
    """

    def __init__(
        self,
        labels: Vocabulary,
        inputs: Inputs,
        tokenizer: Tokenizer | None = None,
        *,
        several: bool = False,
        ngrams: int = 0,
    ) -> None:
        self.labels = labels
        self.inputs = inputs
        self.tokenizer = tokenizer
        self.several = several
        self.ngrams = ngrams

    def words(self) -> Words | None:
        """A collector of distinct words; None where there is no need of one."""
        assert self.ngrams == 0 or isinstance(self.tokenizer, WordTokenizer)
        return Words(self.tokenizer, self.ngrams) if self.ngrams else None  # type: ignore[arg-type]

    def encode(self, text: str, words: Words | None = None) -> Longs:
        """The tokens of a text, or its words' places among `words`, int64 [T]."""
        if words is not None:
            return words.places(text)
        assert self.tokenizer is not None
        return self.tokenizer.encode(text).astype(np.int64)

    def targets(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Numbers of labels as a batch has them: [B], or [B, K] where there may be several."""
        if not self.several:
            return torch.tensor([row[0] for row in rows], dtype=torch.int64)
        targets = torch.zeros(len(rows), self.labels.size)
        for b, row in enumerate(rows):
            targets[b, list(row)] = 1
        return targets

    def numbers(self, labels: Labels, where: str) -> list[int]:
        """The numbers of a row's labels.

        Raises:
            TableError: training had no such label.
        """
        for label in labels:
            if label not in self.labels:
                raise TableError(
                    f"{where}: the training part had no label {label!r}"
                    f"{nearest(label, self.labels.entries)} Mend it, or train on rows that have it."
                )
        numbers: list[int] = self.labels.numbers(labels).tolist()
        return numbers

    def batch(
        self, rows: Sequence[Any], labels: Sequence[Sequence[int]] = (), words: Words | None = None
    ) -> LabelBatch:
        """Rows side by side.

        Args:
            rows: B rows: tokens [T], numbers [T, I], or places among `words`.
            labels: their numbers; none: unknown.
            words: the distinct words.
        """
        laid, lengths = pad(rows)
        told = self.targets(labels) if labels else torch.full((len(rows),), IGNORED)
        if words is None:
            none = torch.from_numpy(_NONE)
            x = laid if self.inputs.tokens else laid.float()
            return LabelBatch(
                x.long() if self.inputs.tokens else x, lengths, told, none, none, none
            )
        distinct, places = np.unique(laid.numpy(), return_inverse=True)
        tokens, grams, offsets = words.coded(distinct)
        return LabelBatch(
            torch.from_numpy(places.reshape(laid.shape)), lengths, told, tokens, grams, offsets
        )

    def check_numbers(self, rows: Rows) -> None:
        """See that rows of numbers have the form that the network reads.

        Raises:
            TableError: one has another width, or another length where that matters.
        """
        for k, row in enumerate(rows.inputs):
            if isinstance(row, str) != bool(self.inputs.tokens):
                need = "a text" if self.inputs.tokens else "numbers"
                raise TableError(f"{rows.where(k)}: the model reads {need}.")
            if isinstance(row, str):
                continue
            if row.shape[1] != self.inputs.width:
                raise TableError(
                    f"{rows.where(k)}: {row.shape[1]} number(s) to a step, but the model was "
                    f"trained on {self.inputs.width}."
                )
            if self.inputs.steps is not None and len(row) != self.inputs.steps:
                raise TableError(
                    f"{rows.where(k)}: {len(row)} steps, but a network without a cell reads rows "
                    f"of {self.inputs.steps}, as in training. Choose a cell."
                )

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "labels": self.labels.entries,
            "several": self.several,
            "ngrams": self.ngrams,
            "inputs": {"width": self.inputs.width, "steps": self.inputs.steps},
            "tokenizer": None if self.tokenizer is None else self.tokenizer.to_dict(),
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> LabelCoder:
        """What `to_dict` gave."""
        tokenizer = None if told["tokenizer"] is None else tokenizer_from_dict(told["tokenizer"])
        size = 0 if tokenizer is None else tokenizer.size
        return cls(
            Vocabulary(told["labels"], unknown=False),
            Inputs(size, told["inputs"]["width"], told["inputs"]["steps"]),
            tokenizer,
            several=told["several"],
            ngrams=told["ngrams"],
        )


class Words:
    """Distinct words as they are met, with their tokens and n-grams.

    Args:
        tokenizer: which words are known.
        buckets: how many n-grams are told apart.
    """

    def __init__(self, tokenizer: WordTokenizer, buckets: int) -> None:
        self.tokenizer = tokenizer
        self.buckets = buckets
        self._numbers: dict[str, int] = {}
        self._coded: tuple[Longs, Longs, Longs] | None = None

    def places(self, text: str) -> Longs:
        """Which of the distinct words stand in a text, int64 [T]."""
        numbers = self._numbers
        pieces = self.tokenizer.pieces(text)
        return np.array([numbers.setdefault(p, len(numbers)) for p in pieces], dtype=np.int64)

    def coded(self, distinct: Longs) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens, n-grams and their offsets of some words."""
        if self._coded is None or len(self._coded[0]) < len(self._numbers):
            self._coded = self._code()
        tokens, grams, offsets = self._coded
        starts, stops = offsets[distinct], offsets[distinct + 1]
        parts = [grams[a:b] for a, b in zip(starts, stops, strict=True)]
        joined = np.concatenate(parts) if parts else _NONE
        ends = np.concatenate([[0], np.cumsum(stops - starts)]).astype(np.int64)
        return (
            torch.from_numpy(tokens[distinct]),
            torch.from_numpy(joined),
            torch.from_numpy(ends),
        )

    def _code(self) -> tuple[Longs, Longs, Longs]:
        words = list(self._numbers)
        encode = self.tokenizer.encode
        tokens = [encode("\n" if word == END else word)[0] for word in words]
        grams, offsets = ngram_buckets(words, self.buckets)
        return np.array(tokens, dtype=np.int64), grams, offsets.numpy()


class LabelledRows:
    """Rows that are read once and kept on disk; labels are numbered as they come.

    In memory are the distinct labels, and where each row begins.

    Args:
        parts: rows, one iterable a part.

    Attributes:
        labels: distinct labels, in the order of their first occurrence.
        label_places: where each label first stands, for messages.
        several: a row may have any number of labels.
        parts: numbers of each part's rows.
        width: numbers to a step; 0: rows are texts.
        inputs: texts as UTF-8, uint8 [T]; or numbers, float32 [T, I].
        label_rows: numbers of each row's labels.
    """

    def __init__(self, *parts: Iterable[Rows]) -> None:
        self.label_places: dict[str, str] = {}
        self.several = False
        self.width = 0
        self.parts: list[range] = []
        self._numbers: dict[str, int] = {}
        store: RowWriter | None = None
        count = 0
        with RowWriter(dtype="int32") as labels:
            try:
                for part in parts:
                    first = count
                    for rows in part:
                        store = store or self._open(rows)
                        self._add(rows, store, labels)
                        count += len(rows.inputs)
                    self.parts.append(range(first, count))
            except BaseException as error:
                if store is not None:
                    store.__exit__(type(error), error, None)
                raise
        if store is None:
            raise TableError("There are no rows. Give a table with rows in it.")
        store.__exit__(None, None, None)
        self.inputs: RowStore = store.store
        self.label_rows: RowStore = labels.store
        self.labels = list(self._numbers)

    def _open(self, rows: Rows) -> RowWriter:
        first = rows.inputs[0]
        if isinstance(first, str):
            return RowWriter(dtype="uint8")
        self.width = first.shape[1]
        return RowWriter(dtype="float32", tail=(self.width,))

    def _add(self, rows: Rows, store: RowWriter, labels: RowWriter) -> None:
        assert rows.labels is not None
        self.several = self.several or rows.several
        numbers = self._numbers
        for k, (one, told) in enumerate(zip(rows.inputs, rows.labels, strict=True)):
            if not isinstance(one, str) and one.shape[1] != self.width:
                raise TableError(
                    f"{rows.where(k)}: {one.shape[1]} number(s) to a step, but rows before it have "
                    f"{self.width}."
                )
            store.add(_bytes(one) if isinstance(one, str) else one)
            for label in told:
                if label not in numbers:
                    numbers[label] = len(numbers)
                    self.label_places[label] = rows.where(k)
            labels.add([numbers[label] for label in told])

    def __len__(self) -> int:
        return len(self.inputs)

    def text(self, row: int) -> str:
        """The text of a row."""
        return self.inputs[row].tobytes().decode("utf-8", "surrogatepass")

    def values(self, row: int) -> Values:
        """The numbers of a row."""
        values: Values = self.inputs[row]
        return values

    def first_labels(self) -> Longs:
        """The first label of each row, -1 of a row without one, int64 [N]."""
        offsets = self.label_rows.offsets
        found = np.full(len(self), -1, dtype=np.int64)
        there = np.flatnonzero(np.diff(offsets))
        found[there] = self.label_rows.values[offsets[:-1][there]]
        return found

    def label_counts(self, rows: Longs) -> Longs:
        """In how many of the rows each label stands, [K]."""
        counts = np.zeros(len(self.labels), dtype=np.int64)
        for some in pieces(self.label_rows, rows):
            counts += np.bincount(some, minlength=len(self.labels))
        return counts

    def fingerprint(self) -> Iterator[bytes]:
        """The data as bytes, for `digest_of`."""
        yield "\n".join(self.labels).encode("utf-8", "surrogatepass")
        for store in (self.inputs, self.label_rows):
            yield store.offsets.tobytes()
            for k in range(0, len(store.values), 1 << 20):
                yield store.values[k : k + (1 << 20)].tobytes()


def pieces(store: RowStore, rows: Longs) -> Iterator[NDArray[Any]]:
    """The steps of some rows, one row after the other, many at a time."""
    wanted = np.zeros(len(store), dtype=bool)
    wanted[rows] = True
    offsets = store.offsets
    first = 0
    while first < len(store):
        # at least a row, and about so many steps
        last = int(np.searchsorted(offsets, offsets[first] + _PIECE))
        last = min(max(last, first + 1), len(store))
        kept = np.repeat(wanted[first:last], np.diff(offsets[first : last + 1]))
        if kept.any():
            yield store.values[offsets[first] : offsets[last]][kept]
        first = last


def _bytes(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8)
