"""The network of a classifier: tokens or numbers in, one vector a row, scores of the labels out."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ostinato.layers.dropout import locked_dropout
from ostinato.layers.embedding import Embedding
from ostinato.layers.ngrams import NgramEmbedding
from ostinato.layers.pooling import MeanPooling, pooling_by_name
from ostinato.tasks.classifier.settings import ClassifierModel
from ostinato.tasks.stack import Build, build_stack, output_size

__all__ = ["ClassifierNetwork", "Inputs", "LabelBatch"]


@dataclass(frozen=True)
class Inputs:
    """What enters a classifier.

    Attributes:
        tokens: V, how many different tokens there are; 0: rows are of numbers.
        width: I, numbers to a step.
        steps: T, where all rows of numbers have as many; None: they differ, or rows are texts.
    """

    tokens: int = 0
    width: int = 0
    steps: int | None = None


# not frozen: Lightning makes copies of batches field by field
@dataclass
class LabelBatch:
    """B rows side by side.

    Attributes:
        x: numbers float32 [T, B, I]; or tokens int64 [T, B]; or, where words have n-grams, which
            of W distinct words stands where, int64 [T, B].
        lengths: steps of each row, int64 [B].
        labels: int64 [B]; where a row may have several, 0 or 1 for each label, float32 [B, K].
        words: tokens of the distinct words, int64 [W]; of no rows else, as are the next two.
        grams: n-grams of these words, one after the other, int64 [G].
        offsets: where those of each word begin, and the last one's end, int64 [W + 1].
    """

    x: Tensor
    lengths: Tensor
    labels: Tensor
    words: Tensor
    grams: Tensor
    offsets: Tensor

    def to(self, device: torch.device | str) -> LabelBatch:
        """The same batch on another device."""
        return LabelBatch(*(getattr(self, field.name).to(device) for field in fields(self)))


class ClassifierNetwork(nn.Module):
    """One network, or several members side by side, from rows to scores of labels.

    Args:
        inputs: what enters.
        labels: K.
        settings: widths, cell and regularisers.
        several: a row may have any number of labels.
        cell: what builds the cell, in place of `settings.cell`.

    Shapes: a batch of B rows -> scores [M, B, K] of M members.

    Attributes:
        mean, deviation: of each kind of number, [I], by which rows are scaled.
        weights: of each label in the loss, [K].

    Example:
        >>> network = ClassifierNetwork(Inputs(width=3), 2, ClassifierModel(hidden_size=4))
        >>> none = torch.zeros(0, dtype=torch.int64)
        >>> rows = torch.zeros(5, 7, 3)
        >>> network(LabelBatch(rows, torch.full((7,), 5), none, none, none, none)).shape
        torch.Size([1, 7, 2])
    """

    mean: Tensor
    deviation: Tensor
    weights: Tensor

    def __init__(
        self,
        inputs: Inputs,
        labels: int,
        settings: ClassifierModel,
        *,
        several: bool = False,
        cell: Build | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.several = several
        self.inputs = inputs
        self.register_buffer("mean", torch.zeros(inputs.width))
        self.register_buffer("deviation", torch.ones(inputs.width))
        self.register_buffer("weights", torch.ones(labels))
        kind = _Reader if settings.cell is not None or cell is not None else _FeedForward
        self.members = nn.ModuleList(
            kind(inputs, labels, settings, cell) for _ in range(settings.members)
        )

    @property
    def embeddings(self) -> list[Embedding]:
        """The vectors of tokens, of each member that has them."""
        return [part for part in self.modules() if isinstance(part, Embedding)]

    def forward(self, batch: LabelBatch) -> Tensor:
        """Scores [M, B, K]."""
        if not self.inputs.tokens:
            batch = replace(batch, x=(batch.x - self.mean) / self.deviation)
        return torch.stack([member(batch) for member in self.members])

    def loss(self, scores: Tensor, batch: LabelBatch) -> Tensor:
        """Mean loss of a member and row, weighted."""
        members = len(scores)
        smoothing = self.settings.label_smoothing if self.training else 0.0
        if self.several:
            asked = batch.labels * (1 - smoothing) + smoothing / 2
            return F.binary_cross_entropy_with_logits(
                scores, asked.expand_as(scores), pos_weight=self.weights
            )
        return F.cross_entropy(
            scores.flatten(0, 1),
            batch.labels.repeat(members),
            weight=self.weights,
            label_smoothing=smoothing,
        )

    def probabilities(self, scores: Tensor) -> Tensor:
        """[M, B, K] -> [B, K], the mean over members."""
        scores = scores.float()
        each = scores.sigmoid() if self.several else scores.softmax(-1)
        return each.mean(0)


class _Entry(nn.Module):
    """Tokens to vectors; numbers as they are. Drops what training drops."""

    def __init__(self, inputs: Inputs, settings: ClassifierModel) -> None:
        super().__init__()
        self.settings = settings
        self.embedding: Embedding | None = None
        self.ngrams: NgramEmbedding | None = None
        self.size = inputs.width or inputs.tokens
        if inputs.tokens and settings.embedding_size:
            self.size = settings.embedding_size
            self.embedding = Embedding(inputs.tokens, self.size)
            nn.init.normal_(self.embedding.weight, std=0.1)
            self.embedding.weight.requires_grad_(settings.tune_embeddings)
            if settings.ngrams:
                self.ngrams = NgramEmbedding(settings.ngrams, self.size)
                nn.init.normal_(self.ngrams.weight, std=0.1)

    def forward(self, batch: LabelBatch) -> Tensor:
        x = batch.x
        if self.embedding is not None:
            x = self._vectors(self.embedding, batch)
        dropped, entries = self.settings.token_dropout, self.settings.input_dropout
        if not self.training or not (dropped or entries):
            # the stack reads whole numbers as one-hot vectors
            return x
        if not x.is_floating_point():
            x = F.one_hot(x, self.size).float()
        if dropped:
            x = x * torch.empty_like(x[:, :, :1]).bernoulli_(1 - dropped)
        return locked_dropout(x, entries)

    def _vectors(self, embedding: Embedding, batch: LabelBatch) -> Tensor:
        if self.ngrams is None:
            found: Tensor = embedding(batch.x)
            return found
        # each distinct word once, however often it stands there
        words = embedding(batch.words) + self.ngrams(batch.grams, batch.offsets)
        return F.embedding(batch.x, words)


class _Reader(nn.Module):
    """A stack of cells over the row, pooled over time, and a readout."""

    def __init__(
        self, inputs: Inputs, labels: int, settings: ClassifierModel, cell: Build | None
    ) -> None:
        super().__init__()
        self.rate = settings.output_dropout
        self.entry = _Entry(inputs, settings)
        self.stack = build_stack(
            settings, self.entry.size, cell=cell, bidirectional=settings.bidirectional
        )
        width = output_size(self.stack)
        self.pool = pooling_by_name(settings.pooling, width, bidirectional=settings.bidirectional)
        self.readout = nn.Linear(self.pool.output_size, labels)

    def forward(self, batch: LabelBatch) -> Tensor:
        y, _ = self.stack(self.entry(batch), lengths=batch.lengths)
        scores: Tensor = self.readout(
            F.dropout(self.pool(y, batch.lengths), self.rate, self.training)
        )
        return scores


class _FeedForward(nn.Module):
    """No time: a plain network on the whole row, or on the mean of its steps."""

    def __init__(
        self, inputs: Inputs, labels: int, settings: ClassifierModel, cell: Build | None
    ) -> None:
        super().__init__()
        self.entry = _Entry(inputs, settings)
        self.steps = inputs.steps
        width = self.entry.size * (inputs.steps or 1)
        self.pool = MeanPooling(self.entry.size)
        layers: list[nn.Module] = []
        for _ in range(settings.num_layers):
            layers += [nn.Linear(width, settings.hidden_size), nn.ReLU()]
            layers.append(nn.Dropout(settings.output_dropout))
            width = settings.hidden_size
        self.layers = nn.Sequential(*layers, nn.Linear(width, labels))

    def forward(self, batch: LabelBatch) -> Tensor:
        x = self.entry(batch)
        if not x.is_floating_point():
            x = F.one_hot(x, self.entry.size).float()
        whole = self.steps is not None
        row = x.transpose(0, 1).flatten(1) if whole else self.pool(x, batch.lengths)
        scores: Tensor = self.layers(row)
        return scores
