"""A layer that runs one step at a time and keeps its state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ostinato.engine import State

if TYPE_CHECKING:
    from ostinato.engine.stepper import Stepper
    from ostinato.layers.sequence import SequenceLayer

__all__ = ["Stream"]


class Stream:
    """Holds the state of B sequences that run side by side; `layer.stream(batch_size)` makes one.

    No graph is kept from step to step: use `layer.step` where gradients are wanted. Changes of the
    layer and of its weights count from the next step on. Each output is a tensor of its own.

    Attributes:
        state: the state after the last step; setting it goes on from there.

    Example:
        >>> from ostinato import GRU
        >>> step = GRU(3, 4).stream(batch_size=2)
        >>> y = step(torch.ones(2, 3))
        >>> step.reset(rows=[0])  # the first row begins anew
        >>> step.state.abs().sum(-1) > 0
        tensor([[False,  True]])
    """

    def __init__(
        self, layer: SequenceLayer, batch_size: int = 1, state: Any = None, context: Any = None
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"stream: batch_size must be at least 1, got {batch_size}.")
        self.layer = layer
        self.batch_size = batch_size
        self.context = context
        self._stepper: Stepper | None = None
        self._kept = self._fresh() if state is None else self._split(state)

    def __call__(self, x: Tensor, *, clamp: Tensor | None = None) -> Tensor:
        """One step: x [B, I], or [B] whole numbers, to the output [B, O]."""
        if self._stepper is not None and clamp is None and self.layer._simple():
            y = self._stepper.take(x)
            if y is not None:
                return y
        return self._general(x, clamp)

    @torch.no_grad()
    def _general(self, x: Tensor, clamp: Tensor | None) -> Tensor:
        """A step by way of the whole sequence; the next one is prepared if it can be."""
        layer = self.layer
        layer._check_steps(x)
        if x.shape[0] != self.batch_size:
            raise ValueError(
                f"stream: one input for each of its {self.batch_size} row(s) is needed, got "
                f"{x.shape[0]}. Open it with batch_size={x.shape[0]}."
            )
        values = None if clamp is None else clamp.unsqueeze(0)
        y, held, _ = layer._run(x.unsqueeze(0), self._held, clamp=values)
        self._stepper = None
        self._held = held
        if clamp is None:
            self._stepper = layer._stepper(x, held)
        return y[0]

    @property
    def _held(self) -> list[State]:
        """The state, cell by cell."""
        return self._kept if self._stepper is None else self._stepper.leave()

    @_held.setter
    def _held(self, states: list[State]) -> None:
        if self._stepper is None or not self._stepper.enter(states):
            self._stepper = None
            self._kept = states

    def __getstate__(self) -> dict[str, Any]:
        # addresses mean nothing in another process, and a copy has a state of its own
        return {**self.__dict__, "_stepper": None, "_kept": self._held}

    @property
    def state(self) -> Any:
        return self.layer._states.join(self._held)

    @state.setter
    def state(self, state: Any) -> None:
        self._held = self._split(state)

    @torch.no_grad()
    def reset(self, rows: Sequence[int] | Tensor | None = None) -> None:
        """Let rows start anew from the layer's initial state.

        Args:
            rows: their numbers, or a bool mask [B]; None: all.
        """
        fresh = self._fresh()
        if rows is None:
            self._held = fresh
            return
        index = torch.as_tensor(rows)
        mask = index
        if index.dtype != torch.bool:
            mask = torch.zeros(self.batch_size, dtype=torch.bool)
            mask[index.long()] = True
        if mask.shape != (self.batch_size,):
            raise ValueError(
                f"stream: a mask of rows must be [{self.batch_size}], got {list(mask.shape)}."
            )
        self._held = [
            tuple(
                torch.where(mask.to(old.device)[:, None], new, old)
                for new, old in zip(news, olds, strict=True)
            )
            for news, olds in zip(fresh, self._held, strict=True)
        ]

    @torch.no_grad()
    def _fresh(self) -> list[State]:
        like = next(self.layer.parameters(), torch.empty(0))
        return self.layer._start(self.batch_size, like.detach(), self.context)

    def _split(self, state: Any) -> list[State]:
        parts = self.layer._states.split(state, self.batch_size)
        return [tuple(part.detach() for part in cell) for cell in parts]
