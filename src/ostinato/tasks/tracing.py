"""How a task is traced: what its network is asked, and by what its gradients are meant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ostinato.layers.tracing import Loss, Trace, trace

if TYPE_CHECKING:
    from ostinato.tasks.task import Task

__all__ = ["Question", "trace_task"]


@dataclass(frozen=True)
class Question:
    """What `Task.trace` asks of a network.

    Attributes:
        ask: runs the network on all rows, and returns what it says.
        loss: of what it says, the number whose gradients are shown; mean over what is learned from.
        labels: for each row, what stands at each step that the recurrent layers read.
        main: name of the module whose layers read these steps.
        last: the loss of the last step alone; None: the loss is one number at the end anyway.
    """

    ask: Callable[[], Any]
    loss: Callable[[Any], Tensor]
    labels: Sequence[Sequence[str]]
    main: str
    last: Callable[[Any], Tensor] | None = None

    def wanted(self, gradients: bool | str | Loss) -> Loss | None:
        """The loss that `gradients` means.

        Raises:
            ValueError: it is a word other than "last".
        """
        if isinstance(gradients, str):
            if gradients != "last":
                raise ValueError(
                    f'trace: gradients must be True, "last" or a function, got {gradients!r}.'
                )
            return self.last or self.loss
        return (self.loss if gradients else None) if isinstance(gradients, bool) else gradients


def trace_task(
    task: Task, source: Any, gradients: bool | str | Loss, training: bool, **options: Any
) -> Trace:
    """See `Task.trace`."""
    question = task.question(source)
    return trace(
        task,
        call=question.ask,
        gradients=question.wanted(gradients),
        training=training,
        labels=question.labels,
        first=question.main,
        **options,
    )
