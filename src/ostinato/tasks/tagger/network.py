"""The network of a tagger: words and their letters in, scores of the tags out."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ostinato.data.streams import IGNORED
from ostinato.layers.characters import CharacterFeatures
from ostinato.layers.crf import CRF
from ostinato.layers.recurrent import Recurrent
from ostinato.tasks.stack import Build, build_stack, output_size
from ostinato.tasks.tagger.settings import TaggerModel

__all__ = ["TagBatch", "TaggerNetwork"]


# not frozen: Lightning makes copies of batches field by field
@dataclass
class TagBatch:
    """B sentences side by side, over W distinct words.

    Attributes:
        places: which of the distinct words stands where, int64 [T, B].
        lengths: words of each sentence, int64 [B].
        words: number of each distinct word in the vocabulary, 0 for an unknown one, int64 [W].
        letters: of each distinct word, int64 [L, W].
        letter_lengths: int64 [W].
        tags: int64 [T, B]; `IGNORED` behind a sentence's end, and for tags unseen in training.
    """

    places: Tensor
    lengths: Tensor
    words: Tensor
    letters: Tensor
    letter_lengths: Tensor
    tags: Tensor

    def to(self, device: torch.device | str) -> TagBatch:
        """The same batch on another device."""
        return TagBatch(*(getattr(self, field.name).to(device) for field in fields(self)))


class TaggerNetwork(nn.Module):
    """Word vectors beside letter features, a bidirectional stack of any cell, a readout.

    Unknown words are met in training, too: a word that occurs n times is read as the unknown one
    with probability a / (a + n). Source: Kiperwasser, Goldberg (2016), "Simple and Accurate
    Dependency Parsing Using Bidirectional LSTM Feature Representations", as the authors' code
    (bist-parser) has it, with a = 0.25.

    Args:
        counts: how often each word of the vocabulary occurs in the training part, [V]; the first
            stands for all unknown words.
        letters: how many different letters there are.
        tags: K.
        settings: widths, cell and regularisers.
        cell: what builds the cells, in place of `settings.cell`.

    Shapes: `TagBatch` of [T, B] -> scores [T, B, K].

    Example:
        >>> network = TaggerNetwork(torch.ones(9), 5, 3, TaggerModel(hidden_size=8))
        >>> ones = torch.ones(2, 4, dtype=torch.int64)
        >>> batch = TagBatch(ones, ones[0] * 2, ones[0], ones, ones[0], ones)
        >>> network(batch).shape
        torch.Size([2, 4, 3])
    """

    rarity: Tensor

    def __init__(
        self,
        counts: Tensor,
        letters: int,
        tags: int,
        settings: TaggerModel,
        *,
        cell: Build | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        a = settings.word_dropout
        rarity = a / (a + counts.float()) if a else torch.zeros(len(counts))
        self.register_buffer("rarity", rarity)
        self.words: nn.Embedding | None = None
        if settings.embedding_size:
            self.words = nn.Embedding(len(counts), settings.embedding_size)
            self.words.weight.requires_grad_(settings.tune_embeddings)
        width = settings.embedding_size
        self.letters: CharacterFeatures | None = None
        if settings.letter_hidden_size:
            reader = _letter_stack(settings, cell)
            self.letters = CharacterFeatures(letters, settings.letter_size, reader)
            width += output_size(reader)
        self.stack = build_stack(settings, width, cell=cell, bidirectional=True)
        self.readout = nn.Linear(output_size(self.stack), tags)
        self.crf = CRF(tags) if settings.crf else None

    def forward(self, batch: TagBatch) -> Tensor:
        """Scores of each tag for each word."""
        x = F.dropout(self._enter(batch), self.settings.input_dropout, self.training)
        y, _ = self.stack(x, lengths=batch.lengths)
        scores: Tensor = self.readout(F.dropout(y, self.settings.output_dropout, self.training))
        return scores

    def loss(self, scores: Tensor, batch: TagBatch) -> Tensor:
        """Minus the log-likelihood of the tags, a word's mean.

        With the random field, a sentence that has a tag unseen in training is left out.
        """
        if self.crf is None:
            told = batch.tags != IGNORED
            total = F.cross_entropy(scores[told], batch.tags[told], reduction="sum")
            return total / told.sum().clamp(min=1)
        steps = torch.arange(len(batch.tags), device=batch.tags.device)[:, None]
        unseen = ((batch.tags == IGNORED) & (steps < batch.lengths)).any(dim=0)
        lengths = batch.lengths.masked_fill(unseen, 0)
        likelihood: Tensor = self.crf(scores, batch.tags, lengths)
        return -likelihood.sum() / lengths.sum().clamp(min=1)

    def best(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """The best tags, int64 [T, B]; behind a sentence's end they mean nothing."""
        return scores.argmax(dim=-1) if self.crf is None else self.crf.decode(scores, lengths)

    def _enter(self, batch: TagBatch) -> Tensor:
        parts = []
        if self.words is not None:
            words = batch.words[batch.places]
            if self.training and self.settings.word_dropout:
                dropped = torch.rand_like(words, dtype=torch.float32) < self.rarity[words]
                words = words.masked_fill(dropped, 0)
            parts.append(self.words(words))
        if self.letters is not None:
            parts.append(self.letters(batch.letters, batch.letter_lengths)[batch.places])
        return torch.cat(parts, dim=-1)


def _letter_stack(settings: TaggerModel, cell: Build | None) -> Recurrent:
    # one layer: what acts between layers, or adds them, has no place here
    own = replace(
        settings,
        hidden_size=settings.letter_hidden_size,
        num_layers=1,
        dropout=0.0,
        locked_dropout=False,
        residual=False,
    )
    return build_stack(own, settings.letter_size, cell=cell, bidirectional=True)
