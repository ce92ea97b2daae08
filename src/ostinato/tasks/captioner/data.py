"""From vectors with texts to a captioner's batches: rows on disk, texts as tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ostinato.data.batches import pad
from ostinato.data.captions import Captioned, Vector
from ostinato.data.columns import TableError
from ostinato.data.sequences import Layout
from ostinato.data.store import RowStore, RowWriter
from ostinato.data.streams import IGNORED
from ostinato.data.tokenizers import Tokenizer, tokenizer_from_dict
from ostinato.tasks.captioner.network import CaptionBatch
from ostinato.tasks.captioner.settings import CaptionerData

__all__ = ["CaptionCoder", "CaptionRows", "layout_of"]

Longs = NDArray[np.int64]


def layout_of(data: CaptionerData) -> Layout:
    """Which columns hold what."""
    return Layout(values=tuple(data.values), label=data.text, fill=data.fill)


class CaptionCoder:
    """Texts to tokens and back, and the width of the vectors.

    Args:
        tokenizer: with a token that ends a text.
        width: F.
        longest: tokens of the longest text of the training data, the end not counted.

    Raises:
        ValueError: nothing ends a text.
    """

    def __init__(self, tokenizer: Tokenizer, width: int, longest: int) -> None:
        if tokenizer.end is None:
            raise ValueError("CaptionCoder: the tokenizer has no token that ends a text.")
        self.tokenizer = tokenizer
        self.width = width
        self.longest = longest
        self.end: int = tokenizer.end

    def encode(self, text: str) -> Longs:
        """The tokens of a text, without the end; line ends count as blanks."""
        return self.tokenizer.encode(" ".join(text.split())).astype(np.int64)

    def decode(self, tokens: Iterable[int]) -> str:
        """The text that tokens spell."""
        return self.tokenizer.decode(tokens)

    def check(self, one: Captioned) -> None:
        """See that a vector is as wide as those of training.

        Raises:
            TableError: it is not.
        """
        if len(one.vector) != self.width:
            raise TableError(
                f"{one.where}: the vector has {len(one.vector)} entries, but the model was trained "
                f"on {self.width}."
            )

    def batch(self, vectors: Sequence[Vector], texts: Sequence[Any]) -> CaptionBatch:
        """Rows side by side; texts are tokens [T] each."""
        ended = [np.append(text, self.end) for text in texts]
        begun = [np.insert(text, 0, self.end) for text in texts]
        targets, lengths = pad(ended, IGNORED)
        inputs, _ = pad(begun, self.end)
        stacked = torch.from_numpy(np.stack(vectors))
        return CaptionBatch(stacked, inputs.long(), targets.long(), lengths)

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "tokenizer": self.tokenizer.to_dict(),
            "width": self.width,
            "longest": self.longest,
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> CaptionCoder:
        """What `to_dict` gave."""
        return cls(tokenizer_from_dict(told["tokenizer"]), told["width"], told["longest"])


class CaptionRows:
    """Vectors and texts that are read once and kept on disk.

    Args:
        parts: rows, one iterable a part.

    Attributes:
        vectors: float32 [F] each.
        texts: UTF-8, uint8 each.
        parts: numbers of each part's rows.
        width: F.
    """

    def __init__(self, *parts: Iterable[Captioned]) -> None:
        self.width = 0
        self.parts: list[range] = []
        count = 0
        with RowWriter(dtype="float32") as vectors, RowWriter(dtype="uint8") as texts:
            for part in parts:
                first = count
                for one in part:
                    self._check(one)
                    assert one.text is not None
                    vectors.add(one.vector)
                    raw = one.text.encode("utf-8", "surrogatepass")
                    texts.add(np.frombuffer(raw, dtype=np.uint8))
                    count += 1
                self.parts.append(range(first, count))
        if not count:
            raise TableError("There are no rows. Give vectors, each with a text.")
        self.vectors: RowStore = vectors.store
        self.texts: RowStore = texts.store

    def _check(self, one: Captioned) -> None:
        self.width = self.width or len(one.vector)
        if len(one.vector) != self.width:
            raise TableError(
                f"{one.where}: the vector has {len(one.vector)} entries, but those before it have "
                f"{self.width}."
            )

    def __len__(self) -> int:
        return len(self.texts)

    def text(self, row: int) -> str:
        """The text of a row."""
        return self.texts[row].tobytes().decode("utf-8", "surrogatepass")

    def matrix(self, rows: Longs) -> NDArray[np.float32]:
        """The vectors of some rows, [N, F]."""
        found: NDArray[np.float32] = self.vectors.values.reshape(-1, self.width)[rows]
        return found

    def fingerprint(self) -> Iterator[bytes]:
        """The data as bytes, for `digest_of`."""
        for store in (self.vectors, self.texts):
            yield store.offsets.tobytes()
            for k in range(0, len(store.values), 1 << 20):
                yield store.values[k : k + (1 << 20)].tobytes()
