"""The network of a captioner: a vector in, a text out, one token after the other."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ostinato.layers.embedding import Embedding
from ostinato.layers.initial import FromEncoder
from ostinato.tasks.captioner.settings import CaptionerModel
from ostinato.tasks.stack import Build, build_stack, output_size, select_rows

__all__ = ["CaptionBatch", "CaptionState", "CaptionerNetwork"]


# not frozen: Lightning makes copies of batches field by field
@dataclass
class CaptionBatch:
    """B vectors and their texts, side by side.

    Attributes:
        vectors: float32 [B, F].
        inputs: the token before each token, int64 [T, B]; before the first, the one that ends.
        targets: the tokens and the one that ends, int64 [T, B]; `IGNORED` behind it.
        lengths: steps of each row, the end counted, int64 [B].
    """

    vectors: Tensor
    inputs: Tensor
    targets: Tensor
    lengths: Tensor

    def to(self, device: torch.device | str) -> CaptionBatch:
        """The same batch on another device."""
        return CaptionBatch(*(getattr(self, field.name).to(device) for field in fields(self)))


class CaptionState(NamedTuple):
    """Where the writing of B texts has come to.

    Attributes:
        stack: the stack's state; None: nothing is written yet.
        context: what the encoder made of the vectors, [B, C].
    """

    stack: Any
    context: Tensor

    def select(self, rows: Tensor) -> CaptionState:
        """The state of some rows, in that order."""
        stack = None if self.stack is None else select_rows(self.stack, rows)
        return CaptionState(stack, self.context.index_select(0, rows.to(self.context.device)))


class CaptionerNetwork(nn.Module):
    """An encoder of the vector, and a stack of any cell that begins from it, reads it, or both.

    To begin from it, a linear map makes all states of all layers of what the encoder says.

    Args:
        width: F, entries of a vector.
        tokens: V.
        settings: widths, cell and regularisers.
        cell: what builds the cell, in place of `settings.cell`.

    Shapes: vectors [B, F], inputs [T, B] -> scores [T, B, V].

    Attributes:
        mean, deviation: of each entry of the vectors, [F], by which they are scaled.

    Example:
        >>> network = CaptionerNetwork(5, 9, CaptionerModel(hidden_size=4))
        >>> state = network.begin(torch.zeros(3, 5))
        >>> scores, _, state = network.step(torch.zeros(3, dtype=torch.int64), state)
        >>> scores.shape
        torch.Size([3, 9])
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self, width: int, tokens: int, settings: CaptionerModel, *, cell: Build | None = None
    ) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))
        layers: list[nn.Module] = [nn.Dropout(settings.input_dropout)]
        size = width
        for _ in range(settings.encoder_layers):
            layers += [nn.Linear(size, settings.encoder_size), nn.ReLU()]
            layers.append(nn.Dropout(settings.output_dropout))
            size = settings.encoder_size
        self.encoder = nn.Sequential(*layers)
        self.embedding = Embedding(tokens, settings.embedding_size)
        self.reads = settings.feed in ("every", "both")
        self.starts = settings.feed in ("start", "both")
        self.stack = build_stack(
            settings,
            settings.embedding_size + (size if self.reads else 0),
            cell=cell,
            initial_state=FromEncoder(size) if self.starts else None,
        )
        self.readout = nn.Linear(output_size(self.stack), tokens)

    def forward(self, batch: CaptionBatch) -> Tensor:
        """Scores [T, B, V] of each token, given those before it."""
        context = self.begin(batch.vectors).context
        x = self._enter(batch.inputs, context)
        y, _ = self.stack(x, lengths=batch.lengths, **self._start(context))
        scores: Tensor = self.readout(F.dropout(y, self.settings.output_dropout, self.training))
        return scores

    def begin(self, vectors: Tensor) -> CaptionState:
        """The state before the first token."""
        return CaptionState(None, self.encoder((vectors - self.mean) / self.deviation))

    def step(self, tokens: Tensor, state: CaptionState) -> tuple[Tensor, None, CaptionState]:
        """Scores [B, V] after one more token of each row, and the new state."""
        x = self._enter(tokens.to(state.context.device), state.context)
        first = self._start(state.context) if state.stack is None else {}
        y, after = self.stack.step(x, state.stack, **first)
        y = F.dropout(y, self.settings.output_dropout, self.training)
        return self.readout(y), None, CaptionState(after, state.context)

    def _enter(self, tokens: Tensor, context: Tensor) -> Tensor:
        x: Tensor = self.embedding(tokens)
        if not self.reads:
            return x
        return torch.cat([x, context.expand(*x.shape[:-1], -1)], dim=-1)

    def _start(self, context: Tensor) -> dict[str, Tensor]:
        return {"context": context} if self.starts else {}
