"""The vocabularies of a translator: lines to numbers and back, and what each number stands for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ostinato.data.subwords import SubwordTokenizer
from ostinato.data.tokenizers import UNKNOWN, Ids, Tokenizer, fit_tokenizer, tokenizer_from_dict
from ostinato.data.words import WordTokenizer
from ostinato.tasks.translator.settings import PairSettings

__all__ = ["Vocabularies", "pieces_of"]

_SUBWORDS = 6000
_JOINT, _SOURCE, _TARGET = "tokenizer.json", "source_tokenizer.json", "target_tokenizer.json"


class Vocabularies:
    """What turns the lines of both sides into numbers.

    Every source ends with the token `end`; a target begins after it and ends with it.

    Args:
        source: of the source.
        target: of the target; the same object if there is one vocabulary for both.

    Example:
        >>> both = Vocabularies.fit(lambda: [("a b", "b a")] * 9, PairSettings(tokens="words"))
        >>> both.encode_source("b a"), both.joint
        (array([3, 2, 1], dtype=int32), True)
    """

    def __init__(self, source: Tokenizer, target: Tokenizer) -> None:
        self.source = source
        self.target = target

    @property
    def joint(self) -> bool:
        """There is one vocabulary for both sides."""
        return self.source is self.target

    @property
    def end(self) -> int:
        """Number of the token that ends a target, and that is read before its first."""
        assert self.target.end is not None
        return self.target.end

    @classmethod
    def fit(
        cls, pairs: Callable[[], Iterable[tuple[str, str]]], settings: PairSettings
    ) -> Vocabularies:
        """Learn the vocabularies from pairs.

        Args:
            pairs: opens the stream of the pairs; of two vocabularies each walks it once.
            settings: what a token is.

        Raises:
            ostinato.data.tokenizers.TokenizerError: nothing occurs often enough, or the size is too
                small.
        """
        options: dict[str, Any] = {"size": settings.vocabulary_size}
        if settings.min_count is not None:
            options["min_count"] = settings.min_count
        if settings.tokens == "words":
            options |= {"lower": settings.lower, "split": settings.split}
        else:
            options["end"] = True
        if settings.tokens == "subwords" and settings.vocabulary_size is None:
            options["size"] = _SUBWORDS
        sides = [(0, 1)] if settings.joint else [(0,), (1,)]
        made = [
            fit_tokenizer(settings.tokens, (pair[k] for pair in pairs() for k in side), **options)
            for side in sides
        ]
        return cls(made[0], made[-1])

    def encode_source(self, line: str) -> Ids:
        """A source as the encoder reads it, with its end."""
        return _with_end(self.source, line)

    def encode_target(self, line: str) -> Ids:
        """A target as the decoder is to write it, with its end."""
        return _with_end(self.target, line)

    def decode(self, tokens: Iterable[int], instead: Sequence[str] = ()) -> str:
        """The line that target tokens spell.

        Args:
            tokens: without the end.
            instead: what stands for each unknown token, in their order.
        """
        if not instead:
            return self.target.decode(tokens).strip()
        decoder, words = self.target.decoder(), iter(instead)
        parts = []
        for token in tokens:
            piece = decoder.feed(token)
            parts.append(
                piece.replace(UNKNOWN, next(words)) if token == self.target.unknown else piece
            )
        return "".join(parts).strip()

    def texts(self) -> dict[str, str]:
        """As files, name -> content."""
        if self.joint:
            return {_JOINT: _as_text(self.source)}
        return {_SOURCE: _as_text(self.source), _TARGET: _as_text(self.target)}

    @classmethod
    def from_texts(cls, texts: Mapping[str, str]) -> Vocabularies:
        """What `texts` wrote.

        Raises:
            KeyError: a file is missing. TokenizerError: one is damaged.
        """
        if _JOINT in texts:
            both = tokenizer_from_dict(json.loads(texts[_JOINT]), name=_JOINT)
            return cls(both, both)
        source, target = (
            tokenizer_from_dict(json.loads(texts[name]), name=name) for name in (_SOURCE, _TARGET)
        )
        return cls(source, target)


def pieces_of(tokenizer: Tokenizer, line: str) -> list[str]:
    """What of a line each of its tokens stands for.

    Example:
        >>> pieces_of(WordTokenizer(["a"]), "a man, unknown")
        ['a', 'man', ',', 'unknown']
    """
    if isinstance(tokenizer, WordTokenizer):
        return list(tokenizer.pieces(line))
    return spelled(tokenizer, tokenizer.encode(line))


def spelled(tokenizer: Tokenizer, tokens: Iterable[int]) -> list[str]:
    """How each of some tokens is spelled, by itself."""
    if isinstance(tokenizer, WordTokenizer):
        return [tokenizer.words[token] for token in tokens]
    if isinstance(tokenizer, SubwordTokenizer):
        return [tokenizer.spell(token).decode("utf-8", "replace") for token in tokens]
    return [tokenizer.decode([token]) for token in tokens]


def _with_end(tokenizer: Tokenizer, line: str) -> Ids:
    assert tokenizer.end is not None
    return np.append(tokenizer.encode(line), np.int32(tokenizer.end))


def _as_text(tokenizer: Tokenizer) -> str:
    return json.dumps(tokenizer.to_dict(), ensure_ascii=False, indent=1)
