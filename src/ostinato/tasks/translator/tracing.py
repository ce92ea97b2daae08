"""What a translator is asked when it is traced: to write translations that are settled before."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.data.pairs import PairError
from ostinato.tasks.beam import BeamSettings
from ostinato.tasks.tracing import Question
from ostinato.tasks.translator.fitting import batch_of
from ostinato.tasks.translator.tokens import pieces_of

if TYPE_CHECKING:
    from ostinato.tasks.translator.task import Translator

__all__ = ["question"]


def question(model: Translator, source: Any) -> Question:
    """Lines, or pairs of a line and its translation, side by side.

    The decoder reads the translation piece by piece; of a line alone, that which greedy search
    writes. The loss is that of its pieces and ends; that of the last step is of the last one of
    each. Labels are what the encoder reads.

    Raises:
        PairError: there is no line, or one is empty.
    """
    rows = [source] if isinstance(source, str) or _is_pair(source) else list(source)
    pairs = [(row, None) if isinstance(row, str) else (row[0], row[1]) for row in rows]
    if not pairs or not all(line.strip() for line, _ in pairs):
        raise PairError("trace: a line is empty. Give one, or a list of lines or of pairs.")
    words = model.vocabularies
    read = [words.encode_source(line) for line, _ in pairs]
    written = _written(model, [text for _, text in pairs], read)
    batch = batch_of(read, written, words.end)
    batch = type(batch)(*(part.to(model.device) for part in batch.__dict__.values()))
    steps = torch.arange(len(batch.targets), device=model.device)[:, None]
    valid, network = steps < batch.lengths, model.network

    def ask() -> Tensor:
        outputs, _ = network(batch.source, batch.source_lengths, batch.inputs, batch.lengths)
        scores: Tensor = network.readout(outputs)
        return scores

    def loss(scores: Tensor) -> Tensor:
        return F.cross_entropy(scores[valid].float(), batch.targets[valid])

    def last(scores: Tensor) -> Tensor:
        ends, rows = batch.lengths - 1, torch.arange(len(batch.lengths), device=model.device)
        return F.cross_entropy(scores[ends, rows].float(), batch.targets[ends, rows])

    labels = [[*pieces_of(words.source, line.strip()), "<end>"] for line, _ in pairs]
    return Question(ask, loss, labels, "network.encoder", last)


def _is_pair(source: Any) -> bool:
    return (
        isinstance(source, tuple) and len(source) == 2 and all(isinstance(s, str) for s in source)
    )


@torch.no_grad()
def _written(model: Translator, texts: Iterable[str | None], read: list[Any]) -> list[Any]:
    """The tokens that the decoder is to write: as given, or as greedy search finds them."""
    words = model.vocabularies
    copy = model.settings.model.attention is not None
    before = model.training
    model.eval()
    try:
        found: list[Any] = []
        for text, row in zip(texts, read, strict=True):
            if text is not None:
                found.append(words.encode_target(text))
                continue
            one = model._search([row], BeamSettings(1), copy, None)[0][0]
            # what was cut at its longest has no end
            found.append([*one.tokens, words.end] if one.ended else [*one.tokens])
        return found
    finally:
        model.train(before)
