"""The network of a language model: tokens in, scores of the next token out."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from ostinato.layers.dropout import locked_dropout
from ostinato.layers.embedding import Embedding, TiedReadout
from ostinato.layers.regularise import activation_penalty, slowness_penalty
from ostinato.tasks.language_model.settings import ModelSettings
from ostinato.tasks.stack import Build, build_stack, output_size

__all__ = ["LanguageNetwork"]


class LanguageNetwork(nn.Module):
    """Embedding (or one-hot input), a `Recurrent` stack of any cell, a readout.

    Args:
        vocabulary_size: V.
        settings: widths, cell and regularisers.
        cell: what builds the cell, in place of `settings.cell`.

    Shapes: tokens int64 [T, B] -> scores [T, B, V]; the state is that of the stack.

    Example:
        >>> import torch
        >>> network = LanguageNetwork(65, ModelSettings(hidden_size=8, embedding_size=4))
        >>> scores, state = network(torch.zeros(5, 2, dtype=torch.int64))
        >>> scores.shape
        torch.Size([5, 2, 65])
    """

    def __init__(
        self,
        vocabulary_size: int,
        settings: ModelSettings,
        *,
        cell: Build | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.vocabulary_size = vocabulary_size
        width = settings.embedding_size
        self.embedding = (
            Embedding(vocabulary_size, width, dropout=settings.token_dropout) if width else None
        )
        if self.embedding is not None:
            self.embedding.weight.requires_grad_(settings.tune_embeddings)
        self.stack = build_stack(settings, width or vocabulary_size, cell=cell)
        top = output_size(self.stack)
        self.readout: nn.Module
        if settings.tied and self.embedding is not None:
            # one matrix serves both ends; the readout wants it small at the start
            nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
            self.readout = TiedReadout(self.embedding, top)
        else:
            self.readout = nn.Linear(top, vocabulary_size)

    def forward(
        self,
        tokens: Tensor,
        state: Any = None,
        *,
        lengths: Tensor | None = None,
        reset: Tensor | None = None,
    ) -> tuple[Tensor, Any]:
        """Scores [T, B, V] of the token after each of `tokens` [T, B], and the last state."""
        outputs, state = self.outputs(tokens, state, lengths=lengths, reset=reset)
        return self.scores(self.dropped(outputs)), state

    def outputs(
        self,
        tokens: Tensor,
        state: Any = None,
        *,
        lengths: Tensor | None = None,
        reset: Tensor | None = None,
    ) -> tuple[Tensor, Any]:
        """What the top layer says at each step, [T, B, H], and the last state."""
        y, state = self.stack(self._enter(tokens), state, lengths=lengths, reset=reset)
        return y, state

    def step(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Scores [B, V] after one more token for each row, [B]: the numbers of `forward`."""
        y, state = self.stack.step(self._enter(tokens), state)
        return self.scores(self.dropped(y)), state

    def dropped(self, outputs: Tensor) -> Tensor:
        """Top outputs under the dropout before the readout."""
        return self._drop(outputs, self.settings.output_dropout)

    def scores(self, outputs: Tensor) -> Tensor:
        """The readout alone: [..., H] -> [..., V]."""
        scores: Tensor = self.readout(outputs)
        return scores

    def penalty(self, outputs: Tensor, dropped: Tensor) -> Tensor | float:
        """What the activation regularisers add to the loss."""
        settings = self.settings
        penalty: Tensor | float = 0.0
        if settings.activation_penalty:
            penalty = penalty + settings.activation_penalty * activation_penalty(dropped)
        if settings.slowness_penalty:
            penalty = penalty + settings.slowness_penalty * slowness_penalty(outputs)
        return penalty

    def _enter(self, tokens: Tensor) -> Tensor:
        if self.embedding is None:
            return tokens
        x: Tensor = self.embedding(tokens)
        return self._drop(x, self.settings.embedding_dropout)

    def _drop(self, x: Tensor, rate: float) -> Tensor:
        if not (self.training and rate):
            return x
        return locked_dropout(x, rate) if self.settings.locked_dropout else F.dropout(x, rate)
