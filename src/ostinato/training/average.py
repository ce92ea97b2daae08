"""An exponential moving average of the weights."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

__all__ = ["Average", "AverageWeights"]


class Average:
    """A moving average of a module's parameters: a <- d a + (1 - d) w after every step.

    The decay d rises with the number of updates k as min(decay, (1 + k) / (10 + k)), so that the
    first, random weights are soon forgotten (tf.train.ExponentialMovingAverage, `num_updates`).

    Args:
        module: whose parameters.
        decay: the decay that is reached in the end.

    Example:
        >>> layer = nn.Linear(1, 1, bias=False); _ = nn.init.zeros_(layer.weight)
        >>> average = Average(layer, 0.9)
        >>> _ = nn.init.ones_(layer.weight); average.update()          # d = 2 / 11
        >>> with average.in_place(): print(round(layer.weight.item(), 3))
        0.818
        >>> layer.weight.item()
        1.0
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self._parameters = dict(module.named_parameters())
        self.tensors = {k: p.detach().clone() for k, p in self._parameters.items()}
        self._kept: list[Tensor] | None = None

    @torch.no_grad()
    def update(self) -> None:
        """Take in the parameters as they are now."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(
            list(self.tensors.values()), [p.detach() for p in self._parameters.values()], 1 - decay
        )

    @torch.no_grad()
    def swap_in(self) -> None:
        """Let the module hold the average; `swap_out` brings its own weights back."""
        if self._kept is None:
            self._kept = [p.detach().clone() for p in self._parameters.values()]
            for name, parameter in self._parameters.items():
                parameter.copy_(self.tensors[name])

    @torch.no_grad()
    def swap_out(self) -> None:
        if self._kept is not None:
            for parameter, kept in zip(self._parameters.values(), self._kept, strict=True):
                parameter.copy_(kept)
            self._kept = None

    def in_place(self) -> _InPlace:
        """The average in place of the weights, within a `with` block."""
        return _InPlace(self)


class _InPlace:
    def __init__(self, average: Average) -> None:
        self._average = average

    def __enter__(self) -> None:
        self._average.swap_in()

    def __exit__(self, *_: object) -> None:
        self._average.swap_out()


class AverageWeights(Callback):
    """Keeps an `Average` while training and validates with it.

    Args:
        decay: of the average.
    """

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self._loaded: dict[str, Any] | None = None
        self._step = 0
        self.average: Average | None = None

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.average = Average(module, self._decay)
        self._step = trainer.global_step
        if self._loaded is not None:
            self.average.updates = self._loaded["updates"]
            for name, tensor in self._loaded["tensors"].items():
                self.average.tensors[name].copy_(tensor)

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # batches whose gradients are only gathered change no weight
        if self.average is not None and trainer.global_step != self._step:
            self._step = trainer.global_step
            self.average.update()

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        if self.average is not None:
            self.average.swap_in()

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        if self.average is not None:
            self.average.swap_out()

    def on_exception(self, trainer: Trainer, module: LightningModule, error: BaseException) -> None:
        if self.average is not None:
            self.average.swap_out()

    def apply(self, module: nn.Module) -> None:
        """Leave `module` with the average for good."""
        tensors = self.average.tensors if self.average else (self._loaded or {}).get("tensors", {})
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                if name in tensors:
                    parameter.copy_(tensors[name])

    def state_dict(self) -> dict[str, Any]:
        if self.average is None:
            return self._loaded or {}
        return {"updates": self.average.updates, "tensors": dict(self.average.tensors)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._loaded = state or None
