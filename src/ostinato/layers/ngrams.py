"""Vectors of words from the character n-grams in them, so that unknown words have one, too."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["NgramEmbedding", "ngram_buckets"]

_SIZES = (3, 4, 5, 6)


def ngram_buckets(words: Sequence[str], buckets: int) -> tuple[NDArray[np.int64], Tensor]:
    """The n-grams of words, as numbers 0..buckets-1, and where those of each word begin.

    A word is taken with "<" before and ">" behind it, and cut into all its 3- to 6-grams.

    Args:
        words: W of them.
        buckets: how many numbers there are; different n-grams may share one.

    Returns:
        The numbers of all words' n-grams, one after the other, int64 [G], and where each word's
        begin and the last one's end, int64 [W + 1].

    Example:
        >>> grams, offsets = ngram_buckets(["be", "a"], 1000)
        >>> offsets.tolist()                   # <be, be>, <be> and <a>
        [0, 3, 4]
    """
    grams: list[int] = []
    offsets = [0]
    for word in words:
        whole = f"<{word}>".encode("utf-32-le", "surrogatepass")
        # four bytes a character
        for size in _SIZES:
            span = 4 * size
            grams += [
                zlib.crc32(whole[k : k + span]) % buckets
                for k in range(0, len(whole) - span + 1, 4)
            ]
        offsets.append(len(grams))
    return np.array(grams, dtype=np.int64), torch.tensor(offsets)


class NgramEmbedding(nn.Module):
    """The mean of the vectors of a word's character n-grams.

    Source: Bojanowski, Grave, Joulin, Mikolov (2017), "Enriching Word Vectors with Subword
    Information", TACL 5, arXiv:1607.04606, which takes the sum, hashes by FNV-1a, and has the
    word's own vector among them; here the hash is CRC-32, and the word's own vector is left to the
    caller.

    Args:
        buckets: how many vectors there are.
        size: E, width of a vector.

    Shapes: grams int64 [G], offsets int64 [W + 1] -> [W, E]. Parameters: weight [buckets, E].

    Example:
        >>> grams, offsets = ngram_buckets(["unfunny", "a"], 50)
        >>> NgramEmbedding(50, 4)(torch.from_numpy(grams), offsets).shape
        torch.Size([2, 4])
    """

    def __init__(self, buckets: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(buckets, size))

    def forward(self, grams: Tensor, offsets: Tensor) -> Tensor:
        """The vectors of W words; of a word without n-grams, zeros."""
        return nn.functional.embedding_bag(
            grams, self.weight, offsets, mode="mean", include_last_offset=True
        )
