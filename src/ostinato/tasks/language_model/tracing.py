"""What a language model is asked when it is traced: to read texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ostinato.data.batches import pad
from ostinato.data.streams import IGNORED
from ostinato.data.text import TextError
from ostinato.tasks.language_model.writing import read_prompt
from ostinato.tasks.tracing import Question
from ostinato.training import sequence_loss

if TYPE_CHECKING:
    from ostinato.tasks.language_model.task import LanguageModel

__all__ = ["question"]


def question(model: LanguageModel, source: Any) -> Question:
    """A text, or several side by side, read as prompts are; the loss is that of the next tokens.

    Raises:
        TextError: there is no text, or one that is empty.
    """
    texts = [source] if isinstance(source, str) else list(source)
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise TextError(
            f"trace: a text, or a list of texts, is needed, and none may be empty, got {source!r}."
        )
    tokenizer = model.tokenizer
    rows = [read_prompt(tokenizer, text) for text in texts]
    laid, lengths = pad(rows)
    tokens, lengths = laid.long().to(model.device), lengths.to(model.device)
    targets = torch.full_like(tokens, IGNORED)
    for row, length in enumerate(lengths.tolist()):
        targets[: length - 1, row] = tokens[1:length, row]

    def loss(said: Any) -> Tensor:
        return sequence_loss(said[0], targets)

    ends = torch.full_like(targets, IGNORED)
    for row, length in enumerate(lengths.tolist()):
        if length > 1:
            ends[length - 2, row] = targets[length - 2, row]

    def last(said: Any) -> Tensor:
        return sequence_loss(said[0], ends)

    labels = [[tokenizer.decode([int(token)]) for token in row] for row in rows]

    def ask() -> Any:
        return model.network(tokens, lengths=lengths)

    return Question(ask, loss, labels, "network.stack", last)
