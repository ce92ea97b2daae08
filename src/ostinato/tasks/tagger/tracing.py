"""What a tagger is asked when it is traced: to tag sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.data.tags import TagError
from ostinato.data.words import cut_words
from ostinato.tasks.tracing import Question

if TYPE_CHECKING:
    from ostinato.tasks.tagger.task import Tagger

__all__ = ["question"]


def question(model: Tagger, source: Any) -> Question:
    """Sentences as `Tagger.predict` takes them, side by side.

    The loss is that of the tags which the model itself gives; that of the last step is of the last
    word's tag by its own scores.

    Raises:
        TagError: there is no sentence, or one has no words.
    """
    rows: list[Sequence[str]] = [source] if isinstance(source, str) else list(source)
    words = [cut_words(row, "punctuation") if isinstance(row, str) else list(row) for row in rows]
    if not words or not all(words):
        raise TagError("trace: a sentence has no words. Give one, or a list of them.")
    batch = model._batch(words)
    network = model.network

    def loss(scores: Tensor) -> Tensor:
        given = network.best(scores.detach(), batch.lengths)
        return network.loss(scores, replace(batch, tags=given))

    def last(scores: Tensor) -> Tensor:
        ends = batch.lengths - 1
        rows = torch.arange(len(ends), device=ends.device)
        final = scores[ends, rows]
        return F.cross_entropy(final, final.detach().argmax(dim=-1))

    return Question(lambda: network(batch), loss, words, "network.stack", last)
