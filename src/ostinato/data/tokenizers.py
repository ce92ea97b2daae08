"""Text to token numbers and back: what all tokenizers share, and characters.

Words are in `words.py`, subwords in `subwords.py`.
"""

from __future__ import annotations

import importlib
import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CharTokenizer",
    "Decoder",
    "Ids",
    "Tokenizer",
    "TokenizerError",
    "fit_tokenizer",
    "load_tokenizer",
    "tokenizer_from_dict",
]

Ids = NDArray[np.int32]

UNKNOWN = "<unk>"
END = "<eos>"
_FORMAT = "ostinato.tokenizer"
_VERSION = 1
_SHOWN = 8

# what the user calls it -> where it lives
_KINDS = {
    "characters": ("ostinato.data.tokenizers", "CharTokenizer"),
    "words": ("ostinato.data.words", "WordTokenizer"),
    "subwords": ("ostinato.data.subwords", "SubwordTokenizer"),
}


class TokenizerError(ValueError):
    """Text that a tokenizer does not know, or a tokenizer file that cannot be used."""


class Tokenizer(ABC):
    """Maps text to token numbers 0..size-1 and back.

    Attributes:
        kind: "characters", "words" or "subwords".
        unit: what one token is called.
        unknown: number of the token that stands for unseen text; None: unseen text is an error.
        end: number of the token between documents (of words: at the end of a line); None: none.
    """

    kind: ClassVar[str]
    unit: ClassVar[str]
    unknown: int | None = None
    end: int | None = None

    @property
    def stop(self) -> int | None:
        """Number of the token that ends a whole document; None: there is none."""
        return self.end

    @property
    @abstractmethod
    def size(self) -> int:
        """V, how many different tokens there are."""

    @abstractmethod
    def encode(self, text: str) -> Ids:
        """Token numbers of `text`, int32 [N].

        Raises:
            TokenizerError: it holds something unseen, and there is no token for that.
        """

    @abstractmethod
    def decode(self, ids: Iterable[int]) -> str:
        """The text that token numbers spell."""

    @abstractmethod
    def _settings(self) -> dict[str, Any]:
        """What `_from_settings` needs to make this tokenizer again, as JSON values."""

    @classmethod
    @abstractmethod
    def _from_settings(cls, settings: Mapping[str, Any]) -> Tokenizer: ...

    def decoder(self) -> Decoder:
        """A decoder that takes one token at a time."""
        return Decoder(self)

    def to_dict(self) -> dict[str, Any]:
        """All of the tokenizer as JSON values; `tokenizer_from_dict` makes it again."""
        return {"format": _FORMAT, "version": _VERSION, "kind": self.kind, **self._settings()}

    def save(self, path: str | Path) -> None:
        """Write the tokenizer as a JSON file."""
        text = json.dumps(self.to_dict(), ensure_ascii=False, indent=1)
        Path(path).write_text(text + "\n", encoding="utf-8")

    def __len__(self) -> int:
        return self.size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokenizer) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.size} {self.kind})"


class Decoder:
    """Spells tokens as they come; `feed` returns what is certain so far.

    Example:
        >>> decoder = CharTokenizer("abc").decoder()
        >>> decoder.feed(2) + decoder.feed(0) + decoder.flush()
        'ca'
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def feed(self, token: int) -> str:
        """The text that this token adds; may be empty while a character is incomplete."""
        return self.tokenizer.decode([token])

    def flush(self) -> str:
        """What was held back."""
        return ""


class CharTokenizer(Tokenizer):
    r"""One token a character (a Unicode code point).

    Args:
        symbols: the known characters, each once; their order is their numbering.
        unknown: add a token for all other characters.
        end: add a token that stands between documents.

    Example:
        >>> tokenizer = CharTokenizer.fit(["hello"])
        >>> tokenizer.encode("hole")
        array([1, 3, 2, 0], dtype=int32)
        >>> tokenizer.decode([1, 0])
        'he'
    """

    kind = "characters"
    unit = "character"

    def __init__(self, symbols: Iterable[str], *, unknown: bool = False, end: bool = False) -> None:
        self.symbols = list(symbols)
        if not self.symbols or any(len(symbol) != 1 for symbol in self.symbols):
            raise TokenizerError("CharTokenizer: give at least one symbol, each one character.")
        if len(set(self.symbols)) != len(self.symbols):
            raise TokenizerError("CharTokenizer: a symbol is there twice. Give each once.")
        specials = [name for name, wanted in ((UNKNOWN, unknown), (END, end)) if wanted]
        self._spelled = [*self.symbols, *specials]
        self.unknown = self._spelled.index(UNKNOWN) if unknown else None
        self.end = self._spelled.index(END) if end else None
        points = _code_points("".join(self.symbols))
        self._table = np.full(int(points.max()) + 2, -1, dtype=np.int32)
        self._table[points] = np.arange(len(self.symbols), dtype=np.int32)

    @classmethod
    def fit(
        cls, texts: Iterable[str], *, min_count: int = 1, size: int | None = None, end: bool = False
    ) -> CharTokenizer:
        """Take the characters of `texts`, sorted; what is left out becomes `<unk>`.

        Args:
            texts: where to find them.
            min_count: how often a character must occur to get a token of its own.
            size: at most so many tokens in all, the most frequent characters first.
            end: add a token that stands between documents.
        """
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(text)
        kept = most_frequent(counts, min_count, None)
        if size is not None and len(kept) + end > size:
            # one place goes to <unk>
            kept = most_frequent(counts, min_count, size - 1 - end)
        return cls(sorted(kept), unknown=len(kept) < len(counts), end=end)

    @property
    def size(self) -> int:
        return len(self._spelled)

    def encode(self, text: str) -> Ids:
        points = _code_points(text)
        # all beyond the table share its last entry, which is never a symbol
        ids: Ids = self._table[np.minimum(points, len(self._table) - 1)]
        if (ids < 0).any():
            if self.unknown is None:
                raise TokenizerError(self._unseen(text))
            ids = np.where(ids < 0, np.int32(self.unknown), ids)
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        return "".join("" if i == self.end else self._spelled[i] for i in ids)

    def _unseen(self, text: str) -> str:
        known = set(self.symbols)
        unseen = list(dict.fromkeys(symbol for symbol in text if symbol not in known))
        shown = " ".join(repr(symbol) for symbol in unseen[:_SHOWN])
        more = f" and {len(unseen) - _SHOWN} more" if len(unseen) > _SHOWN else ""
        return (
            f"The text has {len(unseen)} character(s) that were not in the training text: {shown}"
            f"{more}. Leave them out, or train with min_count=2, which adds a token for the unseen."
        )

    def _settings(self) -> dict[str, Any]:
        return {
            "symbols": self.symbols,
            "unknown": self.unknown is not None,
            "end": self.end is not None,
        }

    @classmethod
    def _from_settings(cls, settings: Mapping[str, Any]) -> CharTokenizer:
        return cls(settings["symbols"], unknown=settings["unknown"], end=settings["end"])


def fit_tokenizer(kind: str, texts: Iterable[str], **options: Any) -> Tokenizer:
    """Make a tokenizer of `kind` ("characters", "words" or "subwords") from texts.

    Args:
        kind: what a token is.
        texts: where the vocabulary comes from.
        options: passed to the `fit` of that kind.
    """
    tokenizer: Tokenizer = _class_of(kind).fit(texts, **options)
    return tokenizer


def load_tokenizer(path: str | Path) -> Tokenizer:
    """Read a tokenizer from its JSON file.

    Raises:
        TokenizerError: the file is not a tokenizer, or damaged.
    """
    try:
        settings = json.loads(Path(path).read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise TokenizerError(
            f"{path} is damaged: it is not JSON ({error}). Use an undamaged copy, or train again."
        ) from error
    return tokenizer_from_dict(settings, name=str(path))


def tokenizer_from_dict(settings: Any, *, name: str = "the tokenizer") -> Tokenizer:
    """Make a tokenizer from what `Tokenizer.to_dict` gave.

    Raises:
        TokenizerError: something is missing or of a wrong type.
    """
    if not isinstance(settings, dict) or settings.get("format") != _FORMAT:
        raise TokenizerError(f"{name} is not a tokenizer that Ostinato wrote.")
    if settings.get("version") != _VERSION:
        raise TokenizerError(
            f"{name} has version {settings.get('version')!r}; this Ostinato reads {_VERSION}. "
            "Install the Ostinato that wrote it."
        )
    try:
        tokenizer: Tokenizer = _class_of(str(settings.get("kind")))._from_settings(settings)
    except (KeyError, TypeError, AttributeError) as error:
        raise TokenizerError(
            f"{name} is damaged: {error!r}. Use an undamaged copy, or train again."
        ) from error
    return tokenizer


def most_frequent(counts: Counter[str], min_count: int, size: int | None) -> list[str]:
    """The entries with at least `min_count`, most frequent first (ties by name), `size` at most."""
    if min_count < 1:
        raise TokenizerError(f"min_count must be at least 1, got {min_count}.")
    if size is not None and size < 1:
        raise TokenizerError("vocabulary_size is too small to hold a single token besides <unk>.")
    kept = [name for name, count in counts.items() if count >= min_count]
    if not kept:
        raise TokenizerError(
            f"Nothing in the text occurs {min_count} times. Lower min_count, or give more text."
        )
    kept.sort(key=lambda name: (-counts[name], name))
    return kept[:size]


def _class_of(kind: str) -> Any:
    if kind not in _KINDS:
        raise TokenizerError(f"tokens must be one of {', '.join(_KINDS)}, got {kind!r}.")
    home, name = _KINDS[kind]
    return getattr(importlib.import_module(home), name)


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
