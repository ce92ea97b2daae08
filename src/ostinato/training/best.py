"""The best validation so far: its weights are kept, and too many worse ones end the run."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from ostinato.training.config import TrainingConfig

__all__ = ["Best"]


class Best(Callback):
    """Watches the monitored value at each validation.

    Args:
        config: monitor, monitor_mode, patience, keep_best.
        on_better: called whenever the value is better than ever before.

    Attributes:
        value: the best value; None before the first validation.
        step: the step at which it was measured.
        weights: the parameters and buffers then, on the CPU, if `keep_best`.
        waited: validations since.

    Raises:
        ValueError: a validation has not logged the monitored value, though patience, or the
            plateau schedule, rests on it.
    """

    def __init__(self, config: TrainingConfig, on_better: Callable[[], None] | None = None) -> None:
        self._config = config
        self._on_better = on_better
        self.value: float | None = None
        self.step = 0
        self.weights: dict[str, Tensor] | None = None
        self.waited = 0

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        logged = trainer.callback_metrics.get(self._config.monitor)
        if logged is None:
            self._complain_if_needed(trainer)
            return
        self._take(float(logged), trainer, module)

    def _take(self, value: float, trainer: Trainer, module: LightningModule) -> None:
        sign = 1.0 if self._config.monitor_mode == "min" else -1.0
        better = not math.isnan(value) and (self.value is None or sign * value < sign * self.value)
        if better:
            self.value, self.step, self.waited = value, trainer.global_step, 0
            if self._config.keep_best:
                self.weights = {k: t.detach().cpu().clone() for k, t in _weights(module).items()}
            if self._on_better is not None:
                self._on_better()
            return
        self.waited += 1
        if self.patience_is_over:
            trainer.should_stop = True

    @property
    def patience_is_over(self) -> bool:
        """Whether there were `patience` validations in a row without a better value."""
        return self._config.patience is not None and self.waited >= self._config.patience

    def _complain_if_needed(self, trainer: Trainer) -> None:
        if self._config.patience is not None or self._config.schedule == "plateau":
            known = ", ".join(sorted(trainer.callback_metrics)) or "nothing"
            raise ValueError(
                f"monitor={self._config.monitor!r} was not logged by the validation; logged: "
                f"{known}. Set monitor to one of these."
            )

    def apply(self, module: torch.nn.Module) -> bool:
        """Give `module` the best weights; False if none were kept."""
        if self.weights is None:
            return False
        with torch.no_grad():
            for name, tensor in _weights(module).items():
                tensor.copy_(self.weights[name])
        return True

    def state_dict(self) -> dict[str, Any]:
        return {
            "value": self.value,
            "step": self.step,
            "waited": self.waited,
            "weights": self.weights,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value, self.step, self.waited = state["value"], state["step"], state["waited"]
        self.weights = state["weights"]


def _weights(module: torch.nn.Module) -> dict[str, Tensor]:
    return {k: t for k, t in module.state_dict().items() if isinstance(t, Tensor)}
