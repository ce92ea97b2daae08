"""Learning from a stream: batches as they come, once each, in memory that does not grow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ostinato.training.optimisers import build_optimizer

if TYPE_CHECKING:
    from ostinato.tasks.task import Task

__all__ = ["StreamLearner"]


class StreamLearner:
    """Learns from batches with one optimiser, whose state lives as long as the learner.

    It is the one that the model was fitted by, or AdamW where that is Hessian-free, whose steps
    want more than a batch.

    Args:
        model: learns, in place, by the loss of its `training_step`.
        weight: what a batch counts for in the mean loss, e.g. its rows.
    """

    def __init__(self, model: Task, weight: Callable[[Any], int]) -> None:
        self.model = model
        self.weight = weight
        self.optimizer = build_optimizer(model, model.settings.training.first_order())

    def learn(self, batches: Iterable[Any], lr: float | None = None) -> float | None:
        """Take one step on each batch.

        Args:
            batches: as `training_step` takes them.
            lr: learning rate; None: a tenth of the one in the settings.

        Returns:
            The mean loss, of each batch before it was learned from; None: there was none.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.model.settings.training.lr / 10 if lr is None else lr
        before = self.model.training
        total = count = 0.0
        try:
            self.model.train()
            for number, batch in enumerate(batches):
                loss = self._step(batch, number)
                weight = self.weight(batch)
                total, count = total + loss * weight, count + weight
        finally:
            self.model.train(before)
        return total / count if count else None

    def _step(self, batch: Any, number: int) -> float:
        answer: Any = self.model.training_step(batch, number)
        loss = answer["loss"]
        self.optimizer.zero_grad()
        loss.backward()
        self.model.clipper([p for p in self.model.parameters() if p.grad is not None])
        self.optimizer.step()
        return float(loss.detach())
