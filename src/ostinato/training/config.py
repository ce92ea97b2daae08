"""How to train: one record of settings, checked when it is made."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from ostinato.config import settle_kinds

__all__ = ["TrainingConfig", "lightning_precision", "unused_by"]

# names of ours -> names of Lightning's
_PRECISIONS = {"32": "32-true", "64": "64-true", "bf16": "bf16-mixed", "16": "16-mixed"}

_CHOICES = {
    "optimizer": ("adamw", "adam", "sgd", "hessian-free"),
    "schedule": ("constant", "linear", "cosine", "plateau"),
    "momentum_schedule": ("constant", "sutskever"),
    "clip_by": ("norm", "value"),
    "monitor_mode": ("min", "max"),
}

_AT_LEAST = {
    "lr": 0.0,
    "weight_decay": 0.0,
    "momentum_final": 0,
    "gradient_noise": 0.0,
    "vanishing_penalty": 0.0,
    "structural_damping": 0.0,
    "curvature_batches": 1,
    "cg_iterations": 1,
    "warmup_steps": 0,
    "epochs": 1,
    "max_steps": 1,
    "max_time": 0.0,
    "accumulate": 1,
    "val_every": 1,
    "patience": 1,
    "plateau_patience": 1,
    "nodes": 1,
    "log_every": 1,
    "save_every": 1,
    "save_seconds": 0.0,
}

_BELOW_ONE = ("momentum", "momentum_max", "beta2", "ema", "plateau_factor")

# how many, or which with a comma at least
_DEVICES = re.compile(r"-1|[1-9]\d*|(\d+,)+\d*")

# what only "hessian-free" has, and what it has no use for
_CURVED = ("damping", "structural_damping", "curvature_batches", "cg_iterations")
_STRAIGHT = (
    *("lr", "weight_decay", "momentum", "beta2", "schedule", "warmup_steps", "final_lr"),
    *("plateau_patience", "plateau_factor", "clip", "clip_by", "gradient_noise"),
    "vanishing_penalty",
)

# what a resumed run may change: where and how long, never the course it has taken
MAY_CHANGE = frozenset(
    {"epochs", "max_steps", "max_time", "patience", "device", "devices", "nodes", "strategy"}
    | {"log_every", "save_every", "save_seconds"}
)


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of a training run. A *step* is one update of the weights.

    Attributes:
        optimizer: "adamw", "adam", "sgd" (with Nesterov momentum unless `momentum` is 0), or
            "hessian-free" (see `ostinato.HessianFree`), which finds the length of its steps itself:
            rate, decay, momenta, schedule, clipping and noise of the others are left alone, then.
        lr: learning rate at its height.
        weight_decay: on matrices only; biases and gains are left alone.
        momentum: Nesterov momentum of sgd; the first beta of adam and adamw.
        momentum_schedule: of sgd: "constant", or "sutskever": from a half up to `momentum_max`, and
            no more than 0.9 for the last `momentum_final` steps, at most a tenth of the run; see
            `ostinato.training.nesterov`. `momentum` has no effect, then.
        momentum_max: largest momentum of that schedule; 0.995 unless given.
        momentum_final: steps of its end; 1000 unless given.
        beta2: the second beta of adam and adamw; 0.999 unless given.
        damping: of "hessian-free": lambda at the start; 1 unless given.
        structural_damping: of "hessian-free": mu, on what recurrent layers put out; 0 unless given.
        curvature_batches: of "hessian-free": on how many of the `accumulate` batches of a step the
            curvature is taken; all unless given.
        cg_iterations: of "hessian-free": of conjugate gradients in a step, at most; 250 unless
            given.
        schedule: what the rate does after warm-up: "constant", "linear" or "cosine" down to
            `final_lr`, or "plateau": times `plateau_factor` after `plateau_patience` validations
            without a better `monitor`.
        warmup_steps: steps of linear rise from lr / warmup_steps to lr.
        final_lr: rate at the end of "linear" and "cosine", as a share of lr.
        plateau_patience: validations to wait.
        plateau_factor: what the rate is multiplied by then.
        clip: largest gradient norm (or largest entry, by `clip_by`); None: no clipping.
        clip_by: "norm" (of all gradients together) or "value" (of each entry).
        gradient_noise: eta; noise of variance eta / (1 + step) ** 0.55 is added to each gradient
            after clipping; None: none. See `ostinato.training.noise`.
        vanishing_penalty: weight of the penalty on gradients of states that shrink or grow from
            step to step; None: none. See `ostinato.training.vanishing`.
        accumulate: batches whose gradients make one step.
        epochs: passes over the training data. Whichever of `epochs`, `max_steps` and `max_time` is
            reached first ends the training; settings of a task that name one of the first two
            alone drop the other.
        max_steps: steps at most.
        max_time: seconds at most; the step under way is finished.
        ema: decay of an exponential average of the weights, which is then what is validated and
            what is kept; None: no average.
        val_every: steps between validations; None: at the end of each epoch.
        monitor: the logged value that decides what is best, e.g. "val_loss".
        monitor_mode: "min" or "max".
        keep_best: end with the weights of the best validation, not with the last.
        patience: stop after so many validations in a row without a better `monitor`; None: never.
        precision: "32", "64", "bf16", "16" (mixed where 16 bits), or "auto": mixed where the device
            has it; Lightning's own names are taken, too.
        device: "auto", "cpu", "gpu", "cuda", "mps", ...: Lightning's `accelerator`.
        devices: how many, or which, as Lightning's `devices`.
        nodes: machines.
        strategy: Lightning's, e.g. "auto", "ddp", "fsdp".
        deterministic: ask torch for deterministic kernels where a device has others.
        seed: of everything that is drawn while training.
        log_every: steps between two lines of metrics.
        save_every: steps between two checkpoints; None: by `save_seconds` alone.
        save_seconds: seconds between two checkpoints.

    Raises:
        ValueError: a setting is out of its range, or there is no end: give epochs, max_steps or
            max_time.

    Example:
        >>> TrainingConfig(lr=1e-3, epochs=2).to_dict()["lr"]
        0.001
        >>> TrainingConfig.from_dict({"learning_rate": 1})
        Traceback (most recent call last):
        ValueError: TrainingConfig: there is no setting 'learning_rate'. ...
    """

    optimizer: str = "adamw"
    lr: float = 2e-3
    weight_decay: float = 0.01
    momentum: float = 0.9
    momentum_schedule: str = "constant"
    momentum_max: float | None = None
    momentum_final: int | None = None
    beta2: float | None = None
    damping: float | None = None
    structural_damping: float | None = None
    curvature_batches: int | None = None
    cg_iterations: int | None = None
    schedule: str = "cosine"
    warmup_steps: int = 0
    final_lr: float = 0.0
    plateau_patience: int = 3
    plateau_factor: float = 0.5
    clip: float | None = 1.0
    clip_by: str = "norm"
    gradient_noise: float | None = None
    vanishing_penalty: float | None = None
    accumulate: int = 1
    epochs: int | None = 10
    max_steps: int | None = None
    max_time: float | None = None
    ema: float | None = None
    val_every: int | None = None
    monitor: str = "val_loss"
    monitor_mode: str = "min"
    keep_best: bool = True
    patience: int | None = None
    precision: str = "32"
    device: str = "auto"
    devices: int | str = 1
    nodes: int = 1
    strategy: str = "auto"
    deterministic: bool = False
    seed: int = 0
    log_every: int = 20
    save_every: int | None = None
    save_seconds: float = 60.0

    def __post_init__(self) -> None:
        settle_kinds(self)
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise _wrong(name, getattr(self, name), f"must be one of {', '.join(known)}")
        for name, least in _AT_LEAST.items():
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise _wrong(name, value, f"must be at least {least}")
        for name in _BELOW_ONE:
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise _wrong(name, value, "must be in 0..1, 1 excluded")
        if not 0 <= self.final_lr <= 1:
            raise _wrong("final_lr", self.final_lr, "is a share of lr and must be in 0..1")
        if self.clip is not None and not self.clip > 0:
            raise _wrong("clip", self.clip, "must be positive, or None for no clipping")
        if self.optimizer == "sgd" and self.beta2 is not None:
            raise _wrong("beta2", self.beta2, "belongs to adam and adamw; sgd has none")
        devices = str(self.devices)
        if devices != "auto" and not _DEVICES.fullmatch(devices):
            need = 'must be how many (-1: all), which ("0,1"), or "auto"'
            raise _wrong("devices", self.devices, need)
        self._check_momentum()
        self._check_curved()
        if self.vanishing_penalty and lightning_precision(self).startswith("16"):
            raise _wrong(
                "precision",
                self.precision,
                "must not scale the loss: of 32 or more bits, or bf16, with vanishing_penalty",
            )
        if self.epochs is None and self.max_steps is None and self.max_time is None:
            raise ValueError("TrainingConfig: no end. Give epochs, max_steps or max_time.")

    def _check_momentum(self) -> None:
        grows = self.momentum_schedule != "constant"
        if grows and self.optimizer != "sgd":
            need = 'needs optimizer="sgd"'
            raise _wrong("momentum_schedule", self.momentum_schedule, need)
        for name in ("momentum_max", "momentum_final"):
            if getattr(self, name) is not None and not grows:
                need = 'belongs to momentum_schedule="sutskever"'
                raise _wrong(name, getattr(self, name), need)

    def _check_curved(self) -> None:
        if self.optimizer != "hessian-free":
            for name in _CURVED:
                need = 'belongs to optimizer="hessian-free"'
                if getattr(self, name) is not None:
                    raise _wrong(name, getattr(self, name), need)
            return
        for name in _STRAIGHT:
            if getattr(self, name) != getattr(type(self), name):
                need = 'has no effect with optimizer="hessian-free": leave it out'
                raise _wrong(name, getattr(self, name), need)
        if self.damping is not None and not self.damping > 0:
            raise _wrong("damping", self.damping, "must be positive")
        few = self.curvature_batches
        if few is not None and few > self.accumulate:
            need = f"must be at most accumulate ({self.accumulate}), the batches of a step"
            raise _wrong("curvature_batches", few, need)
        if lightning_precision(self) not in ("32-true", "64-true"):
            need = 'must be 32 or 64 with optimizer="hessian-free", whose products need all bits'
            raise _wrong("precision", self.precision, need)
        if self.nodes > 1 or (isinstance(self.devices, int) and self.devices > 1):
            need = 'must be 1 with optimizer="hessian-free", which solves for a step on one device'
            name = "nodes" if self.nodes > 1 else "devices"
            raise _wrong(name, getattr(self, name), need)

    def first_order(self) -> TrainingConfig:
        """The same for learning from single batches as they come: AdamW in place of Hessian-free.

        Example:
            >>> TrainingConfig(optimizer="hessian-free").first_order().optimizer
            'adamw'
        """
        if self.optimizer != "hessian-free":
            return self
        none: dict[str, Any] = dict.fromkeys(_CURVED)
        return replace(self, optimizer="adamw", **none)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> TrainingConfig:
        """Make one from a mapping.

        Raises:
            ValueError: a key is unknown; the message names the nearest known one.
        """
        known = [field.name for field in fields(cls)]
        for key in settings:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
                hint = f" Did you mean {near[0]!r}?" if near else f" Known: {', '.join(known)}."
                raise ValueError(f"TrainingConfig: there is no setting {key!r}.{hint}")
        return cls(**settings)

    def to_dict(self) -> dict[str, Any]:
        """All settings as plain values, ready for JSON."""
        return asdict(self)

    def check_resumes(self, earlier: Mapping[str, Any]) -> None:
        """See that a run begun under `earlier` may go on under these settings.

        Raises:
            ValueError: a setting differs that would change the course of the run.
        """
        for name, now in self.to_dict().items():
            before = earlier.get(name, now)
            if name not in MAY_CHANGE and before != now:
                raise ValueError(
                    f"resume: {name} is {now!r} but the run was begun with {before!r}. A resumed "
                    f"run keeps its settings; leave {name} as it was, or start a new run."
                )


def unused_by(optimizer: str) -> dict[str, Any]:
    """The settings that an optimiser has no use for, at the values that they must have.

    Example:
        >>> unused_by("adam")["damping"], unused_by("hessian-free")["schedule"]
        (None, 'cosine')
    """
    if optimizer == "hessian-free":
        return {name: getattr(TrainingConfig, name) for name in _STRAIGHT}
    return dict.fromkeys(_CURVED)


def lightning_precision(config: TrainingConfig) -> str:
    """Lightning's name of the precision asked for; "auto" looks at the device."""
    if config.precision != "auto":
        return _PRECISIONS.get(config.precision, config.precision)
    import torch

    on_gpu = config.device in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    if not on_gpu:
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"


def _wrong(name: str, value: object, need: str) -> ValueError:
    return ValueError(f"TrainingConfig: {name} {need}, got {value!r}.")
