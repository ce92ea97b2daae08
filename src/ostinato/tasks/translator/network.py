"""The network of a translator: an encoder reads the source, a decoder writes the target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ostinato.layers.bridge import states_by_cell
from ostinato.layers.dropout import locked_dropout
from ostinato.layers.embedding import Embedding, TiedReadout
from ostinato.tasks.stack import Build, build_stack, output_size
from ostinato.tasks.translator.decoder import DecoderState, Encoded, build_decoder
from ostinato.tasks.translator.settings import TranslatorModelSettings
from ostinato.tasks.word_vectors import use_vectors

__all__ = ["TranslatorNetwork"]


class TranslatorNetwork(nn.Module):
    """Embeddings, a bidirectional encoder, a decoder, a readout; every cell goes.

    Args:
        source_size: tokens of the source's vocabulary.
        target_size: V, tokens of the target's; None: there is one vocabulary, and a token has one
            vector on both sides.
        settings: widths, cells, attention, regularisers.
        cell: what builds the cell of encoder and decoder, in place of `settings.cell`.

    Shapes: source int64 [S, B], inputs int64 [T, B] -> what the readout reads [T, B, E], and the
    weights of attention [T, B, S].

    Example:
        >>> network = TranslatorNetwork(20, 30, TranslatorModelSettings(hidden_size=8))
        >>> ones = torch.ones(5, 2, dtype=torch.int64)
        >>> y, weights = network(ones, torch.tensor([5, 3]), ones[:4], torch.tensor([4, 4]))
        >>> network.readout(y).shape, weights.shape
        (torch.Size([4, 2, 30]), torch.Size([4, 2, 5]))
    """

    def __init__(
        self,
        source_size: int,
        target_size: int | None,
        settings: TranslatorModelSettings,
        *,
        cell: Build | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        E = settings.embedding_size
        self.target_embedding = Embedding(target_size or source_size, E)
        nn.init.normal_(self.target_embedding.weight, std=E**-0.5)
        self.source_embedding: nn.Embedding | None = None
        if target_size is not None:
            self.source_embedding = Embedding(source_size, E)
            nn.init.normal_(self.source_embedding.weight, std=E**-0.5)
            self.source_embedding.weight.requires_grad_(settings.tune_embeddings)
        encoder = _of_encoder(settings)
        own = cell if settings.encoder_cell is None else None
        self.encoder = build_stack(encoder, E, cell=own, bidirectional=True)
        M = output_size(self.encoder)
        self.decoder = build_decoder(settings, self.encoder._states.sizes, M, cell)
        self.readout: nn.Module = (
            TiedReadout(self.target_embedding, E)
            if settings.tied
            else nn.Linear(E, self.target_embedding.num_embeddings)
        )

    def forward(
        self, source: Tensor, source_lengths: Tensor, inputs: Tensor, lengths: Tensor
    ) -> tuple[Tensor, Any]:
        """What the readout reads after each of the inputs, and where the decoder looked."""
        encoded = self.encode(source, source_lengths)
        x = self._drop(self._vectors(inputs), self.settings.embedding_dropout)
        outputs, weights = self.decoder(x, self.decoder.begin(encoded), lengths)
        return outputs, weights

    def encode(self, source: Tensor, lengths: Tensor) -> Encoded:
        """Read the sources [S, B]."""
        embedding = self.source_embedding or self.target_embedding
        x = self._drop(embedding(source) * self._scale, self.settings.embedding_dropout)
        outputs, last = self.encoder(x, lengths=lengths)
        cells = states_by_cell(self.encoder, last, source.shape[1])
        return Encoded(self._drop(outputs, self.settings.encoder_dropout), cells, lengths)

    def use_vectors(self, words: Sequence[str], file: str, *, first: int, seed: int) -> None:
        """Begin with the vectors of a file for the source's words, brought to the scale of ours.

        Args:
            words: those whose numbers are `first`, `first` + 1, ...
            file: see `ostinato.tasks.word_vectors.use_vectors`.
            first: number of the first word.
            seed: of what is drawn for words without a vector.
        """
        embedding = self.source_embedding or self.target_embedding
        use_vectors(embedding, words, file, first=first, seed=seed)
        with torch.no_grad():
            known = embedding.weight[first:]
            known.mul_(1 / (self._scale * known.std()))

    def begin(self, source: Tensor, lengths: Tensor) -> DecoderState:
        """Read the sources [S, B], and be ready to write."""
        return self.decoder.begin(self.encode(source, lengths))

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, Any, DecoderState]:
        """Scores [B, V], weights [B, S] and state after one more token [B] of the target."""
        y, weights, state = self.decoder.step(self._vectors(tokens), state)
        return self.readout(self.dropped(y)), weights, state

    def sampled(
        self, source: Tensor, lengths: Tensor, inputs: Tensor, choose: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """What the readout reads, [T, B, E], where the decoder also reads its own guesses.

        Args:
            source: [S, B].
            lengths: of the sources.
            inputs: the true tokens [T, B].
            choose: maps true tokens [B] to a mask: where it is set, the true token is read, and
                elsewhere one drawn from what the network said at the step before.
        """
        state = self.begin(source, lengths)
        mask = self._drop(torch.ones_like(self._vectors(inputs)), self.settings.embedding_dropout)
        tokens = inputs[0]
        outputs: list[Tensor] = []
        for t in range(len(inputs)):
            if t > 0:
                tokens = torch.where(choose(inputs[t]), inputs[t], self._draw(outputs[-1]))
            y, _, state = self.decoder.step(self._vectors(tokens) * mask[t], state)
            outputs.append(y)
        return torch.stack(outputs)

    def dropped(self, outputs: Tensor) -> Tensor:
        """Outputs under the dropout before the readout."""
        return self._drop(outputs, self.settings.output_dropout)

    @torch.no_grad()
    def _draw(self, outputs: Tensor) -> Tensor:
        scores = self.readout(outputs).float()
        return torch.multinomial(torch.softmax(scores, dim=-1), 1).squeeze(1)

    def _vectors(self, tokens: Tensor) -> Tensor:
        vectors: Tensor = self.target_embedding(tokens) * self._scale
        return vectors

    @property
    def _scale(self) -> float:
        # the readout wants small vectors, the recurrent layers vectors of about unit variance
        return float(self.settings.embedding_size**0.5)

    def _drop(self, x: Tensor, rate: float) -> Tensor:
        if not (self.training and rate):
            return x
        if self.settings.locked_dropout and x.dim() == 3:
            return locked_dropout(x, rate)
        return F.dropout(x, rate)


def _of_encoder(settings: TranslatorModelSettings) -> TranslatorModelSettings:
    named = settings.encoder_cell is not None
    return replace(
        settings,
        cell=settings.encoder_cell or settings.cell,
        cell_options={} if named else settings.cell_options,
        hidden_size=settings.encoder_size or settings.hidden_size,
        num_layers=settings.encoder_layers or settings.num_layers,
        attention=None,
    )
