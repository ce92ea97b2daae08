"""Steps of `HessianFree` in a training loop that hands out one batch after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from ostinato.layers.sequence import SequenceLayer
from ostinato.training.hessian_free.objective import Objective
from ostinato.training.hessian_free.optimiser import HessianFree

__all__ = ["StepBatches"]


class StepBatches:
    """Gathers the batches of a step, and makes it.

    Args:
        module: its recurrent layers tell the hidden states.
        objective: what is minimised on a batch.
        curvature: on how many of a step's batches the curvature is taken, the first ones; None:
            all.
        structural: the hidden states are wanted, for structural damping: what recurrent layers put
            out.
    """

    def __init__(
        self,
        module: nn.Module,
        objective: Callable[[Any], Objective],
        *,
        curvature: int | None = None,
        structural: bool = False,
    ) -> None:
        self.module, self.objective = module, objective
        self.curvature, self.structural = curvature, structural
        self._batches: list[Any] = []

    def add(self, batch: Any) -> None:
        """Keep a batch for the step to come."""
        self._batches.append(batch)

    def step(self, optimizer: HessianFree) -> float:
        """Make the step, and forget the batches.

        Returns:
            The objective on all of them, before the step.
        """
        closures = [self._closure(batch) for batch in self._batches]
        self._batches = []
        few = None if self.curvature is None else closures[: self.curvature]
        return optimizer.step(closures, few)

    def _closure(self, batch: Any) -> Callable[[], Objective]:
        return lambda: self._with_states(batch) if self.structural else self.objective(batch)

    def _with_states(self, batch: Any) -> Objective:
        states: list[Tensor] = []
        layers = [layer for layer in self.module.modules() if isinstance(layer, SequenceLayer)]
        hooks = [
            layer.register_forward_hook(lambda _layer, _given, found: states.append(found[0]))
            for layer in layers
        ]
        try:
            found = self.objective(batch)
        finally:
            for hook in hooks:
                hook.remove()
        if not states:
            raise ValueError(
                f"structural_damping: {type(self.module).__name__} has called no recurrent layer, "
                "so that there are no states to damp. Leave it out."
            )
        return replace(found, hidden=tuple(states))
