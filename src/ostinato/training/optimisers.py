"""Optimisers, and what their rate does over time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ostinato.training.config import TrainingConfig
from ostinato.training.nesterov import MomentumSchedule, Nesterov

__all__ = ["Schedule", "build_optimizer"]


def build_optimizer(
    module: nn.Module,
    config: TrainingConfig,
    *,
    fused: bool = True,
    total_steps: float = math.inf,
) -> torch.optim.Optimizer:
    """The optimiser that `config` asks for, over all trainable parameters.

    Weight decay acts on parameters of two axes or more; biases and gains are left alone.

    Args:
        module: its parameters are optimised.
        config: optimizer, lr, weight_decay, momentum, momentum_schedule, beta2; of
            "hessian-free", whose steps want closures of their own, damping, structural_damping and
            cg_iterations.
        fused: one kernel an update, where torch has it for the device.
        total_steps: updates in the whole run; infinite if nobody knows.

    Raises:
        ValueError: the module has no trainable parameter.

    Example:
        >>> optimizer = build_optimizer(nn.Linear(2, 3), TrainingConfig(weight_decay=0.1))
        >>> [group["weight_decay"] for group in optimizer.param_groups]
        [0.1, 0.0]
    """
    trainable = [p for p in module.parameters() if p.requires_grad]
    if not trainable:
        raise ValueError(
            f"{type(module).__name__} has no trainable parameter. Nothing could be learned; see "
            "that requires_grad is set."
        )
    groups = [
        {"params": [p for p in trainable if p.dim() >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trainable if p.dim() < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if config.optimizer == "hessian-free":
        return _hessian_free(module, config)
    if config.momentum_schedule == "sutskever":
        return Nesterov(groups, config.lr, _momentum(config, total_steps))
    fused = fused and all(p.device.type in ("cpu", "cuda") for p in trainable)
    if config.optimizer == "sgd":
        nesterov = config.momentum > 0
        return torch.optim.SGD(groups, config.lr, config.momentum, nesterov=nesterov, fused=fused)
    betas = (config.momentum, 0.999 if config.beta2 is None else config.beta2)
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, config.lr, betas, fused=fused)


def _hessian_free(module: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    # it is slow to import, and seldom wanted
    from ostinato.training.hessian_free import HessianFree

    given = {
        "damping": config.damping,
        "structural": config.structural_damping,
        "iterations": config.cg_iterations,
    }
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return HessianFree(module, **options)


def _momentum(config: TrainingConfig, total_steps: float) -> MomentumSchedule:
    given = {"final_steps": config.momentum_final, "largest": config.momentum_max}
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return MomentumSchedule(total_steps=total_steps, **options)


class Schedule:
    """The learning rate over time, as a share of its height.

    Warm-up rises linearly, (step + 1) / warmup_steps. After it, over the steps that are left:
    "linear" and "cosine" go from 1 down to `final_lr`, "constant" stays, "plateau" is multiplied by
    `plateau_factor` whenever the monitored value has not improved for `plateau_patience`
    validations.

    Args:
        config: schedule, warmup_steps, final_lr, and the plateau_ settings.
        total_steps: steps in the whole run; infinite if nobody knows.

    Raises:
        ValueError: "linear" or "cosine" without a known end.

    Example:
        >>> schedule = Schedule(TrainingConfig(schedule="linear", warmup_steps=2), 12)
        >>> [schedule(step) for step in (0, 1, 2, 7, 12)]
        [0.5, 1.0, 1.0, 0.5, 0.0]
    """

    def __init__(self, config: TrainingConfig, total_steps: float) -> None:
        if config.schedule in ("linear", "cosine") and math.isinf(total_steps):
            raise ValueError(
                f"schedule={config.schedule!r} needs to know the end. Give max_steps, or epochs and"
                ' data of a known length, or take schedule="constant".'
            )
        self.config = config
        self.total_steps = total_steps
        self.scale = 1.0
        self._best: float | None = None
        self._waited = 0

    def __call__(self, step: int) -> float:
        """The share of lr that holds for the update number `step`, counted from 0."""
        config = self.config
        if step < config.warmup_steps:
            return (step + 1) / config.warmup_steps
        if config.schedule in ("constant", "plateau"):
            return self.scale
        left = max(self.total_steps - config.warmup_steps, 1)
        done = min((step - config.warmup_steps) / left, 1.0)
        height = 1 - done if config.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
        return config.final_lr + (1 - config.final_lr) * height

    def observe(self, value: float) -> None:
        """Hear of a validation; only "plateau" minds."""
        if self.config.schedule != "plateau":
            return
        sign = 1.0 if self.config.monitor_mode == "min" else -1.0
        if self._best is None or sign * value < self._best:
            self._best, self._waited = sign * value, 0
            return
        self._waited += 1
        if self._waited >= self.config.plateau_patience:
            self.scale *= self.config.plateau_factor
            self._waited = 0

    def as_function(self) -> Callable[[int], float]:
        """The schedule as a plain function: torch would pickle the attributes of an object."""
        return lambda step: self(step)

    def state_dict(self) -> dict[str, Any]:
        """What the validations so far have done, as plain values."""
        return {"scale": self.scale, "best": self._best, "waited": self._waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what `state_dict` gave."""
        self.scale, self._best, self._waited = state["scale"], state["best"], state["waited"]
