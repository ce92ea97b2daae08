"""The base of every task: a LightningModule that optimises, clips and carries state."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from ostinato.layers.sequence import SequenceLayer
from ostinato.training.clipping import Clipper
from ostinato.training.config import TrainingConfig
from ostinato.training.noise import GradientNoise
from ostinato.training.optimisers import Schedule, build_optimizer
from ostinato.training.states import map_tensors
from ostinato.training.vanishing import VanishingPenalty

if TYPE_CHECKING:
    from ostinato.training.hessian_free.batches import StepBatches
    from ostinato.training.hessian_free.objective import Objective
    from ostinato.training.hessian_free.report import Report

__all__ = ["SequenceModule", "map_tensors"]

# what a recurrent layer returns as its state: a tensor, or tuples of them
Carried: TypeAlias = Any


class SequenceModule(LightningModule):
    """A LightningModule for sequences: a subclass adds the network and the two steps.

    It works under `ostinato.training.fit` and under any Lightning `Trainer` of the user's own.

    *Truncated backpropagation through time.* Each batch is a chunk of B long streams. A step reads
    `self.carried` (None at the start of a pass), and hands the new state to `self.carry`, which
    cuts it off from its past. Training and validation carry a state of their own each; both begin
    anew with every epoch and every validation, and where a batch has a true attribute `first`.

        def training_step(self, batch, batch_idx):
            logits, state = self.network(batch.inputs, self.carried)
            self.carry(state)
            loss = sequence_loss(logits, batch.targets)
            return {"loss": loss, "tokens": batch.targets.numel()}

        def validation_step(self, batch, batch_idx):
            ...
            self.record("val_loss", loss, weight=batch.targets.numel())

    "tokens" is optional; it makes tokens/s known.

    Args:
        config: how to train; defaults of `TrainingConfig` unless given.

    Attributes:
        training_config: the settings in force; `fit(config=...)` replaces them.
        clipper: counts steps and clipped steps.
        penalty: on gradients that vanish, where `vanishing_penalty` asks for it; else None.
    """

    def __init__(self, config: TrainingConfig | None = None) -> None:
        super().__init__()
        self.training_config = config or TrainingConfig()
        self.schedule: Schedule | None = None
        self._watching = ExitStack()
        self.use_config(self.training_config)
        self._schedule_state: dict[str, Any] | None = None
        self._step_batches: StepBatches | None = None
        self._carried: dict[str, Carried] = {}

    def use_config(self, config: TrainingConfig) -> None:
        """Train under other settings from now on."""
        self.training_config = config
        self.clipper = Clipper(config.clip, config.clip_by)
        self.penalty = VanishingPenalty() if config.vanishing_penalty else None

    # carried state

    @property
    def carried(self) -> Carried:
        """The state at the end of the chunk before, cut off from its past; None at the start."""
        state = self._carried.get(self._stage)
        return None if state is None else map_tensors(state, lambda t: t.to(self.device))

    def carry(self, state: Carried) -> None:
        """Keep `state` (a tensor, or a nest of tuples) for the next chunk, without its past."""
        self._carried[self._stage] = map_tensors(state, Tensor.detach)

    def forget(self) -> None:
        """Drop the carried state of the stage under way: the next chunk starts a new pass."""
        self._carried.pop(self._stage, None)

    @property
    def _stage(self) -> str:
        return "train" if self.training else "validate"

    def on_train_epoch_start(self) -> None:
        self._carried.pop("train", None)

    def on_validation_epoch_start(self) -> None:
        self._carried.pop("validate", None)

    def on_test_epoch_start(self) -> None:
        self._carried.pop("validate", None)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        if getattr(batch, "first", False):
            self.forget()
        if self._step_batches is not None:
            self._step_batches.add(batch)
        self._watching.close()
        if self.penalty is not None:
            self._watching.enter_context(self.penalty.watching())

    def objective(self, batch: Any) -> Objective:
        """What "hessian-free" minimises on a batch: outputs, and a convex loss of them.

        Args:
            batch: as `training_step` takes it. It is asked for many times a step, and must not
                rest on a state that is carried from batch to batch.

        Raises:
            ValueError: this module does not say.
        """
        raise ValueError(
            f'optimizer="hessian-free": {type(self).__name__} does not say what its outputs are. '
            "Define objective(batch), which returns an Objective, or take another optimizer."
        )

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None
    ) -> None:
        if self._step_batches is None:
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
            return
        optimizer_closure()
        if self._carried.get("train") is not None:
            raise ValueError(
                f'optimizer="hessian-free": {type(self).__name__} carries its state from batch to '
                "batch, cut off from its past, where no objective belongs to one batch alone. "
                "Take another optimizer."
            )
        self._step_batches.step(optimizer.optimizer)

    @property
    def report(self) -> Report | None:
        """What the last step of "hessian-free" did; None before it, and of other optimisers."""
        given: Any = None if self._step_batches is None else self.optimizers()
        return None if given is None else given.optimizer.report

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Send the loss back, with what `vanishing_penalty` adds to it.

        For "hessian-free" nothing is done here: its steps take the gradients they need.
        """
        self._watching.close()
        if self._step_batches is not None:
            return
        if self.penalty is not None:
            share = (
                self.training_config.vanishing_penalty or 0.0
            ) / self.training_config.accumulate
            loss = loss + share * self.penalty(loss)
        loss.backward(*args, **kwargs)  # type: ignore[no-untyped-call]

    def on_validation_batch_start(
        self, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if getattr(batch, "first", False):
            self.forget()

    def carried_for_checkpoint(self) -> Carried:
        """The training stage's carried state, as a checkpoint keeps it."""
        return self._carried.get("train")

    def restore_carried(self, state: Carried) -> None:
        """Put back what `carried_for_checkpoint` gave."""
        self._carried = {} if state is None else {"train": state}

    # optimisation

    def configure_optimizers(self) -> Any:
        config = self.training_config
        total = self.trainer.estimated_stepping_batches
        self._step_batches = None
        if config.optimizer == "hessian-free":
            return self._configure_hessian_free(config)
        optimizer = build_optimizer(self, config, fused=_may_fuse(self.trainer), total_steps=total)
        self.schedule = Schedule(config, total)
        if self._schedule_state is not None:
            self.schedule.load_state_dict(self._schedule_state)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self.schedule.as_function())
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def _configure_hessian_free(self, config: TrainingConfig) -> torch.optim.Optimizer:
        from ostinato.training.hessian_free.batches import StepBatches

        if self.trainer.world_size > 1:
            raise ValueError(
                f'optimizer="hessian-free" solves for a step on one device, got '
                f"{self.trainer.world_size}. Train with devices=1, or take another optimizer."
            )
        if type(self).objective is SequenceModule.objective:
            self.objective(None)
        self.schedule = None
        self._step_batches = StepBatches(
            self,
            self.objective,
            curvature=config.curvature_batches,
            structural=bool(config.structural_damping),
        )
        return build_optimizer(self, config)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        if gradient_clip_val is not None:
            raise ValueError(
                f"Trainer(gradient_clip_val={gradient_clip_val}): clipping is a setting of the"
                " module here. Leave it out and give TrainingConfig(clip=..., clip_by=...)."
            )
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.clipper(parameters)
        config = self.training_config
        if config.gradient_noise:
            noise = GradientNoise(config.gradient_noise, seed=config.seed)
            noise(parameters, self.trainer.global_step)

    def take_clipped(self) -> float | None:
        """Share of the steps through time at which layers have clipped since last asked."""
        layers = [layer for layer in self.modules() if isinstance(layer, SequenceLayer)]
        shares = [
            share for share in (layer.take_clipped() for layer in layers) if share is not None
        ]
        return sum(shares) / len(shares) if shares else None

    def on_validation_end(self) -> None:
        value = self.trainer.callback_metrics.get(self.training_config.monitor)
        if self.schedule is not None and value is not None and not self.trainer.sanity_checking:
            self.schedule.observe(float(value))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["ostinato"] = {
            "clipper": self.clipper.state_dict(),
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # the schedule is made later, by configure_optimizers
        kept = checkpoint["ostinato"]
        self.clipper.load_state_dict(kept["clipper"])
        self._schedule_state = kept["schedule"]

    # metrics

    def record(self, name: str, value: Tensor | float, *, weight: int = 1) -> None:
        """Log the mean of `value` over an epoch (or a validation), each batch with its `weight`."""
        self.log(name, value, on_step=False, on_epoch=True, batch_size=weight, sync_dist=True)


def _may_fuse(trainer: Any) -> bool:
    # a fused optimizer unscales 16-bit gradients itself, too late for clipping
    return "16-mixed" not in str(trainer.precision).replace("bf16", "")
