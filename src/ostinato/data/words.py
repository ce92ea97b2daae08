"""One token a word."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ostinato.data.tokenizers import (
    END,
    UNKNOWN,
    Decoder,
    Ids,
    Tokenizer,
    TokenizerError,
    most_frequent,
)

__all__ = ["WordTokenizer", "cut_words"]

_PATTERNS = {
    # a word keeps its inner apostrophes and hyphens; each other sign stands alone
    "punctuation": re.compile(r"\n|\w+(?:['’\-]\w+)*|[^\w\s]"),
    "blanks": re.compile(r"\n|[^\s]+"),
}
_NO_BLANK_BEFORE = frozenset(".,;:!?)]}'’%")
_NO_BLANK_AFTER = frozenset("([{$#")


def cut_words(text: str, split: str = "punctuation") -> list[str]:
    """The words and signs of a text; line ends count as blanks.

    Raises:
        TokenizerError: an unknown way to split.

    Example:
        >>> cut_words("Time flies."), cut_words("Time flies.", "blanks")
        (['Time', 'flies', '.'], ['Time', 'flies.'])
    """
    _check_split(split)
    return [piece for piece in _PATTERNS[split].findall(text) if piece != "\n"]


class WordTokenizer(Tokenizer):
    r"""One token a word or punctuation mark; a line end is the token `<eos>`.

    Blanks between words are not kept: `decode` puts them back by rule.

    Args:
        words: the known words, without `<unk>` and `<eos>`, which get the numbers 0 and 1.
        lower: read all text in lower case.
        split: "punctuation" makes each sign a token; "blanks" cuts at blanks only, for text that
            is already cut into tokens.

    Example:
        >>> tokenizer = WordTokenizer.fit(["To be, or not to be.\n"], lower=True)
        >>> tokenizer.decode(tokenizer.encode("Be not, or be!\n"))
        'be not, or be <unk>\n'
    """

    kind = "words"
    unit = "word"
    unknown = 0
    end = 1

    def __init__(
        self, words: Iterable[str], *, lower: bool = False, split: str = "punctuation"
    ) -> None:
        _check_split(split)
        self.words = [UNKNOWN, END, *words]
        self.lower = bool(lower)
        self.split = split
        self._numbers = {word: k for k, word in enumerate(self.words)}
        if len(self._numbers) != len(self.words):
            raise TokenizerError("WordTokenizer: a word is there twice. Give each once.")

    @classmethod
    def fit(
        cls,
        texts: Iterable[str],
        *,
        size: int | None = None,
        min_count: int = 1,
        lower: bool = False,
        split: str = "punctuation",
    ) -> WordTokenizer:
        """Take the words of `texts`, most frequent first.

        Args:
            texts: where to find them.
            size: at most so many tokens in all, `<unk>` and `<eos>` among them.
            min_count: how often a word must occur to get a token of its own.
            lower: read all text in lower case.
            split: where words are cut.
        """
        counts: Counter[str] = Counter()
        blank = cls([], lower=lower, split=split)
        for text in texts:
            counts.update(blank.pieces(text))
        for special in (UNKNOWN, END):
            counts.pop(special, None)
        kept = most_frequent(counts, min_count, None if size is None else size - 2)
        return cls(kept, lower=lower, split=split)

    @property
    def stop(self) -> int | None:
        # <eos> ends a line, and the text goes on
        return None

    @property
    def size(self) -> int:
        return len(self.words)

    def encode(self, text: str) -> Ids:
        numbers = self._numbers
        return np.fromiter((numbers.get(word, 0) for word in self.pieces(text)), dtype=np.int32)

    def decode(self, ids: Iterable[int]) -> str:
        decoder = self.decoder()
        return "".join(decoder.feed(token) for token in ids)

    def decoder(self) -> Decoder:
        return _WordDecoder(self)

    def pieces(self, text: str) -> Iterator[str]:
        """The words of a text as they stand, known or not; `<eos>` for each line end."""
        for match in _PATTERNS[self.split].finditer(text.lower() if self.lower else text):
            piece = match.group()
            yield END if piece == "\n" else piece

    def _settings(self) -> dict[str, Any]:
        return {"words": self.words[2:], "lower": self.lower, "split": self.split}

    @classmethod
    def _from_settings(cls, settings: Mapping[str, Any]) -> WordTokenizer:
        return cls(settings["words"], lower=settings["lower"], split=settings["split"])


def _check_split(split: str) -> None:
    if split not in _PATTERNS:
        raise TokenizerError(f"split must be one of {', '.join(_PATTERNS)}, got {split!r}.")


class _WordDecoder(Decoder):
    def __init__(self, tokenizer: WordTokenizer) -> None:
        super().__init__(tokenizer)
        self._words = tokenizer.words
        self._last = "\n"

    def feed(self, token: int) -> str:
        word = "\n" if token == WordTokenizer.end else self._words[token]
        tight = word == "\n" or self._last == "\n"
        tight = tight or word in _NO_BLANK_BEFORE or self._last in _NO_BLANK_AFTER
        self._last = word
        return word if tight else " " + word
