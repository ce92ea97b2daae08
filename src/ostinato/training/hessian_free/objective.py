"""What a closure returns, and a batch: one closure, or several that share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ostinato.training.hessian_free.losses import KnownLoss, Loss, Outputs

__all__ = ["Batch", "Closures", "Objective"]


@dataclass(frozen=True)
class Objective:
    """What a closure returns: outputs, and what they are to be.

    A closure may as well return the tuple (outputs, loss) or (outputs, loss, hidden).

    Attributes:
        outputs: of the model, a tensor or a tuple of tensors. The last axis of a tensor is one
            prediction.
        loss: a function of the outputs alone that gives their mean loss; convex in them, since the
            Gauss-Newton matrix relies on it. `SquaredError`, `CrossEntropy` and `Bernoulli` know
            their curvature; that of any other is found by differentiating it twice.
        hidden: the states whose change structural damping holds back, [T, B, H] or a tuple of such.
        rows: what the loss is a mean over: by it chunks are weighed, and the changes of hidden
            states divided. Unless given, the loss's own, or the number of predictions.
    """

    outputs: Outputs
    loss: Loss
    hidden: Outputs | None = None
    rows: float | None = None

    @property
    def tensors(self) -> list[Tensor]:
        """The outputs as a list."""
        return _listed(self.outputs)

    @property
    def states(self) -> list[Tensor]:
        """The hidden states as a list."""
        return [] if self.hidden is None else _listed(self.hidden)

    @property
    def count(self) -> float:
        """What the loss is a mean over."""
        if self.rows is not None:
            return float(self.rows)
        first = self.tensors[0]
        return self.loss.rows(first) if isinstance(self.loss, KnownLoss) else first[..., 0].numel()

    def value(self) -> Tensor:
        """The mean loss, a scalar."""
        return self.loss(self.outputs)


Closures: TypeAlias = "Callable[[], Any] | Sequence[Callable[[], Any]]"


class Batch:
    """The closures of one batch, each of which may be called again and again.

    Random numbers that a closure draws from torch's generators (dropout) are the same at each of
    its calls, so that all that is evaluated in one step belongs to one function.

    Args:
        closures: one, or one for each chunk of the batch.
        name: for errors.
        device: whose generator is held, beside the CPU's.

    Raises:
        TypeError: there is something else than functions.
        ValueError: there is none.
    """

    def __init__(self, closures: Closures, name: str, device: torch.device) -> None:
        parts = [closures] if callable(closures) else list(closures)
        if not parts:
            raise ValueError(f"HessianFree: {name} is empty. Give a function, or one a chunk.")
        for part in parts:
            if not callable(part):
                raise TypeError(
                    f"HessianFree: {name} must be a function without arguments or a sequence of "
                    f"them, got {type(part).__name__}. Wrap the evaluation of the model in one."
                )
        self.parts = [_Repeated(part, name, device) for part in parts]

    def __iter__(self) -> Iterator[Callable[[], Objective]]:
        return iter(self.parts)

    def value(self) -> float:
        """The objective at the parameters as they are: the mean of the chunks, by their rows."""
        total = rows = 0.0
        with torch.no_grad():
            for part in self.parts:
                objective = part()
                total += objective.count * objective.value().item()
                rows += objective.count
        return total / rows

    def gradient(self, parameters: Sequence[Tensor]) -> tuple[float, list[Tensor]]:
        """The objective and its gradient; the graph of one chunk is alive at a time."""
        total = rows = 0.0
        sums = [torch.zeros_like(p) for p in parameters]
        for part in self.parts:
            with torch.enable_grad():
                objective = part()
                loss = objective.value()
            _check_loss(loss)
            grads = torch.autograd.grad(loss, list(parameters), materialize_grads=True)
            for total_of, grad in zip(sums, grads, strict=True):
                total_of.add_(grad, alpha=objective.count)
            total += objective.count * loss.item()
            rows += objective.count
        return total / rows, [each / rows for each in sums]


class _Repeated:
    """A closure whose random numbers are those of its first call."""

    def __init__(self, function: Callable[[], Any], name: str, device: torch.device) -> None:
        self.function, self.name = function, name
        self.cuda = device if device.type == "cuda" else None
        self.states: tuple[Tensor, Tensor | None] | None = None

    def __call__(self) -> Objective:
        with self._as_before():
            return _objective(self.function(), self.name)

    def _as_before(self) -> AbstractContextManager[Any]:
        if self.states is None:
            cuda = None if self.cuda is None else torch.cuda.get_rng_state(self.cuda)
            self.states = torch.get_rng_state(), cuda
            return nullcontext()
        return _Rewound(self.states, self.cuda)


class _Rewound:
    """While it lasts, torch's generators go on from kept states; then from where they were."""

    def __init__(self, states: tuple[Tensor, Tensor | None], cuda: torch.device | None) -> None:
        self.states, self.cuda = states, cuda
        self.fork = torch.random.fork_rng([] if cuda is None else [cuda])

    def __enter__(self) -> None:
        self.fork.__enter__()
        torch.set_rng_state(self.states[0])
        if self.cuda is not None and self.states[1] is not None:
            torch.cuda.set_rng_state(self.states[1], self.cuda)

    def __exit__(self, *error: Any) -> None:
        self.fork.__exit__(*error)


def _objective(given: Any, name: str) -> Objective:
    if isinstance(given, Objective):
        return given
    if isinstance(given, tuple) and len(given) in (2, 3) and callable(given[1]):
        return Objective(*given)
    what = f"a tuple of {len(given)}" if isinstance(given, tuple) else type(given).__name__
    raise TypeError(
        f"HessianFree: {name} must return (outputs, loss) or (outputs, loss, hidden) with loss a "
        f"function of the outputs, or an Objective; got {what}. Return e.g. (y, "
        "CrossEntropy(targets))."
    )


def _check_loss(loss: Tensor) -> None:
    if loss.dim():
        raise ValueError(
            "HessianFree: the loss of the outputs must be one number, got a tensor "
            f"{list(loss.shape)}. Take its mean."
        )
    if not loss.requires_grad:
        raise ValueError(
            "HessianFree: the loss does not depend on any trainable parameter. Return outputs that "
            "are not detached, and leave torch.no_grad out of the closure."
        )


def _listed(tensors: Outputs) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)
