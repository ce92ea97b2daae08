"""What a classifier is asked when it is traced: to read rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from ostinato.data.columns import TableError
from ostinato.data.tables import rows_of
from ostinato.tasks.classifier.network import LabelBatch
from ostinato.tasks.tracing import Question

if TYPE_CHECKING:
    from ostinato.tasks.classifier.task import Classifier

__all__ = ["question"]


def question(model: Classifier, source: Any) -> Question:
    """Rows as `Classifier.predict` takes them one by one, side by side.

    The loss is that of the labels which the model itself gives; several networks side by side are
    the modules network.members.0, network.members.1 and so on.

    Raises:
        TableError: there is no row, or one is empty or has another form than in training.
    """
    single = isinstance(source, str) or (isinstance(source, np.ndarray) and source.ndim == 2)
    given = [source] if single else list(source)
    if not given or not all(len(row) for row in given):
        raise TableError("trace: a row has no step. Give a text or numbers, or a list of these.")
    rows = rows_of(given)
    model.coder.check_numbers(rows)
    batch = model._batch(rows.inputs, [])
    network = model.network

    def loss(scores: Tensor) -> Tensor:
        return network.loss(scores, _as_told(model, batch, scores.detach()))

    labels = [_labels(model, row) for row in rows.inputs]
    return Question(lambda: network(batch), loss, labels, "network.members.0.stack")


def _as_told(model: Classifier, batch: LabelBatch, scores: Tensor) -> LabelBatch:
    """The batch with the labels that the model speaks for."""
    told = model.network.probabilities(scores)
    best = (told >= 0.5).to(told.dtype) if model.coder.several else told.argmax(1)
    return replace(batch, labels=best)


def _labels(model: Classifier, row: Any) -> list[str]:
    if not isinstance(row, str):
        return [str(step) for step in range(len(row))]
    tokenizer = model.coder.tokenizer
    assert tokenizer is not None
    return [tokenizer.decode([int(token)]) for token in tokenizer.encode(row)]
