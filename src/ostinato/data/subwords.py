"""One token a frequent piece of a word: byte-pair encoding by Hugging Face `tokenizers`."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from ostinato.data.tokenizers import END, Decoder, Ids, Tokenizer, TokenizerError

__all__ = ["SubwordTokenizer"]

_BYTES = 256


class SubwordTokenizer(Tokenizer):
    r"""Byte-pair encoding over bytes: no text is unknown, and decoding gives back every blank.

    Args:
        inner: a tokenizer of the `tokenizers` library.

    Example:
        >>> tokenizer = SubwordTokenizer.fit(["the cat and the hat and the mat\n"], size=270)
        >>> tokenizer.decode(tokenizer.encode("the naïve cat"))
        'the naïve cat'
    """

    kind = "subwords"
    unit = "subword"

    def __init__(self, inner: tokenizers.Tokenizer) -> None:
        self._inner = inner
        # "<eos>" written out in a text is text
        inner.encode_special_tokens = True
        self.end = inner.token_to_id(END)
        self._spelled = _spellings(inner, self.end)

    @classmethod
    def fit(
        cls, texts: Iterable[str], *, size: int | None = None, min_count: int = 2, end: bool = False
    ) -> SubwordTokenizer:
        """Learn the merges from `texts`.

        Args:
            texts: where to find them.
            size: number of tokens in all, of which 256 are the single bytes; 4096 unless given.
            min_count: how often a pair must occur to become a token.
            end: add a token that stands between documents.
        """
        size = 4096 if size is None else size
        least = _BYTES + 1 + end
        if size < least:
            raise TokenizerError(
                f"Subwords need vocabulary_size of at least {least} (256 single bytes come first), "
                f"got {size}."
            )
        inner = tokenizers.Tokenizer(models.BPE())
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=size,
            min_frequency=min_count,
            special_tokens=[END] if end else [],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        inner.train_from_iterator(texts, trainer)
        return cls(inner)

    @property
    def size(self) -> int:
        return int(self._inner.get_vocab_size())

    def encode(self, text: str) -> Ids:
        return np.asarray(self._inner.encode(text).ids, dtype=np.int32)

    def decode(self, ids: Iterable[int]) -> str:
        return b"".join(self.spell(token) for token in ids).decode("utf-8", "replace")

    def decoder(self) -> Decoder:
        return _ByteDecoder(self)

    def spell(self, token: int) -> bytes:
        """The bytes that one token stands for; none for the token between documents."""
        return self._spelled[token]

    def _settings(self) -> dict[str, Any]:
        return {"bpe": json.loads(self._inner.to_str())}

    @classmethod
    def _from_settings(cls, settings: Mapping[str, Any]) -> SubwordTokenizer:
        content = json.dumps(settings["bpe"])
        try:
            return cls(tokenizers.Tokenizer.from_str(content))
        # the library raises bare Exception for any malformed content
        except Exception as error:
            raise TokenizerError(f"The subword vocabulary is damaged: {error!r}.") from error


class _ByteDecoder(Decoder):
    # a token may end inside a character: what is incomplete is held back
    def __init__(self, tokenizer: SubwordTokenizer) -> None:
        super().__init__(tokenizer)
        self._spell = tokenizer.spell
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token: int) -> str:
        return self._utf8.decode(self._spell(token))

    def flush(self) -> str:
        return self._utf8.decode(b"", final=True)


def _spellings(inner: tokenizers.Tokenizer, end: int | None) -> list[bytes]:
    byte_of = _byte_of_sign()
    vocabulary = inner.get_vocab()
    spelled = [b""] * len(vocabulary)
    for signs, token in vocabulary.items():
        if token != end:
            spelled[token] = bytes(byte_of[sign] for sign in signs)
    return spelled


def _byte_of_sign() -> dict[str, int]:
    # byte-level BPE writes printable bytes as themselves and the rest as the signs from U+0100 on
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    rest = [byte for byte in range(_BYTES) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(_BYTES + k): byte for k, byte in enumerate(rest)
    }
