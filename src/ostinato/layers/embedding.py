"""Vectors for tokens, and the readout that shares them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ostinato.layers.dropout import check_rate

__all__ = ["Embedding", "TiedReadout"]


class Embedding(nn.Embedding):
    """A learned vector for each token; in training, some tokens can be dropped altogether.

    Source of the dropout: Gal, Ghahramani (2016), "A Theoretically Grounded Application of Dropout
    in Recurrent Neural Networks", NeurIPS 29: a token is dropped wherever it occurs in the batch.

    Args:
        vocabulary_size: V, number of tokens.
        size: E, width of a vector.
        dropout: share of the tokens that give zeros, in [0, 1); the others are divided by
            1 - dropout.
        options: keywords of torch.nn.Embedding, such as padding_idx, device and dtype.

    Shapes: whole numbers [...] -> [..., E]. Parameters: weight [V, E].

    Raises:
        ValueError: a rate outside [0, 1).

    Example:
        >>> embedding = Embedding(10, 4)
        >>> embedding(torch.tensor([[1, 2, 3]])).shape
        torch.Size([1, 3, 4])
    """

    def __init__(
        self, vocabulary_size: int, size: int, *, dropout: float = 0.0, **options: Any
    ) -> None:
        super().__init__(vocabulary_size, size, **options)
        self.dropout = check_rate("Embedding: dropout", dropout)

    def forward(self, input: Tensor) -> Tensor:
        try:
            vectors = super().forward(input)
        except IndexError:
            low, high = (int(end) for end in input.aminmax())
            raise IndexError(
                f"Embedding: tokens must be in 0..{self.num_embeddings - 1}, got {low}..{high}."
            ) from None
        if not self.training or not self.dropout:
            return vectors
        kept = torch.empty_like(self.weight[:, :1]).bernoulli_(1 - self.dropout)
        return vectors * F.embedding(input, kept / (1 - self.dropout))


class TiedReadout(nn.Module):
    """Scores for tokens from the vectors that an embedding already has: y = E (P h) + b.

    P is there where h has another width than the vectors. The weight stays the embedding's: it is
    not among this module's parameters, and appears once in the `state_dict` of a model with both.

    Source: Press, Wolf (2017), "Using the Output Embedding to Improve Language Models", EACL,
    arXiv:1608.05859; there P is a regularised option, here it only fits widths.

    Args:
        embedding: whose weight [V, E] is shared.
        input_size: H, width of h; E unless given.
        bias: with b [V].

    Shapes: h [..., H] -> [..., V]. Parameters: projection.weight [E, H] where H is not E, bias [V].

    Example:
        >>> embedding = Embedding(10, 4)
        >>> readout = TiedReadout(embedding, 6)
        >>> readout(torch.zeros(3, 2, 6)).shape
        torch.Size([3, 2, 10])
    """

    def __init__(
        self, embedding: nn.Embedding, input_size: int | None = None, *, bias: bool = True
    ) -> None:
        super().__init__()
        weight = embedding.weight
        # in a tuple, so that it is no child: its weight is counted and saved where it lives
        self._embedding = (embedding,)
        width = embedding.embedding_dim
        self.projection: nn.Module = nn.Identity()
        if input_size is not None and input_size != width:
            self.projection = nn.Linear(
                input_size, width, bias=False, device=weight.device, dtype=weight.dtype
            )
        zeros = torch.zeros(embedding.num_embeddings, device=weight.device, dtype=weight.dtype)
        self.bias = nn.Parameter(zeros) if bias else None

    def forward(self, h: Tensor) -> Tensor:
        weight = self._embedding[0].weight
        return F.linear(self.projection(h), weight, self.bias)
