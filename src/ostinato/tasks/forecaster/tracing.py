"""What a forecaster is asked when it is traced: to forecast what has come already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from ostinato.data.columns import TableSource
from ostinato.tasks.forecaster.context import read_source
from ostinato.tasks.tracing import Question

if TYPE_CHECKING:
    from ostinato.tasks.forecaster.task import Forecaster

__all__ = ["question"]


def question(model: Forecaster, source: TableSource) -> Question:
    """The last window of each series whose horizon is known, side by side.

    The loss is that which is trained on.

    Raises:
        FileNotFoundError, ValueError: the table cannot be used, or is too short for a window.
    """
    store = read_source(source, model.settings.data, model.context, None)
    reader = model._reader(store)
    origins = store.observed - reader.shape.horizon
    batch = reader.read(np.arange(len(store)), origins).to(model.device)
    network, target = model.network, batch.target
    assert target is not None

    def loss(parameters: Tensor) -> Tensor:
        return network.output.training_loss(parameters, target)

    beyond = reader.shape.horizon - 1 if network.mode == "recursive" else 0
    read = np.arange(-reader.shape.history, beyond)
    labels = [
        [str(time) for time in store.times(number, origin + read)]
        for number, origin in enumerate(origins)
    ]
    return Question(lambda: network(batch), loss, labels, "network.encoder")
