"""Training: `fit` runs a module over its data under one record of settings."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningDataModule, Trainer

from ostinato.files import SaveError
from ostinato.training.average import AverageWeights
from ostinato.training.best import Best
from ostinato.training.checkpoint import FolderIO, read_checkpoint
from ostinato.training.config import TrainingConfig, lightning_precision
from ostinato.training.environment import record_environment
from ostinato.training.feed import Feed, shard
from ostinato.training.module import SequenceModule
from ostinato.training.progress import Live
from ostinato.training.quiet import quiet
from ostinato.training.recorder import Recorder
from ostinato.training.runs import CHECKPOINT, CONFIG, update_weights
from ostinato.training.saver import Interrupt, Interrupted, Saver

__all__ = ["FitResult", "fit", "make_trainer"]


@dataclass(frozen=True)
class FitResult:
    """How a training ended.

    Attributes:
        stopped: "finished" (steps, epochs or time are used up), "patience", or "interrupted".
        steps: updates of the weights in all.
        epochs: epochs completed.
        tokens: as the module counted them.
        seconds: time spent training, over all the times that the run was taken up.
        best: best monitored value; None if nothing was validated.
        best_step: the step at which it was measured.
        metrics: the last value of everything that was recorded.
        is_main: this process is the one that writes (always, on one device).
    """

    stopped: str
    steps: int
    epochs: int
    tokens: int
    seconds: float
    best: float | None
    best_step: int
    metrics: dict[str, float] = field(default_factory=dict, repr=False)
    is_main: bool = True


def make_trainer(
    config: TrainingConfig, callbacks: Sequence[Callback] = (), **options: Any
) -> Trainer:
    """A Lightning trainer with our settings and without its files, bars and notices.

    Args:
        config: length, device, precision, accumulation, validation.
        callbacks: of the caller.
        options: passed to `lightning.Trainer` on top.

    Raises:
        ValueError: the strategy keeps weights in shards.

    Example:
        >>> make_trainer(TrainingConfig(epochs=3, device="cpu")).max_epochs
        3
    """
    if any(name in config.strategy for name in ("fsdp", "deepspeed", "model_parallel")):
        raise ValueError(
            f"strategy={config.strategy!r} keeps the weights in shards, of which norms, averages "
            'and exact checkpoints are not offered. Take "ddp": recurrent nets fit on one device.'
        )
    by_steps = config.val_every is not None
    settings: dict[str, Any] = {
        "accelerator": "gpu" if config.device == "cuda" else config.device,
        "devices": config.devices,
        "num_nodes": config.nodes,
        "strategy": config.strategy,
        "precision": lightning_precision(config),
        "max_epochs": config.epochs or -1,
        "max_steps": config.max_steps or -1,
        "accumulate_grad_batches": config.accumulate,
        "val_check_interval": (config.val_every or 1) * config.accumulate if by_steps else 1.0,
        "check_val_every_n_epoch": None if by_steps else 1,
        "deterministic": config.deterministic,
        "num_sanity_val_steps": 0,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
        "callbacks": list(callbacks),
        "plugins": [FolderIO(hold_errors=True)],
    }
    with quiet():
        return Trainer(**{**settings, **options})


def fit(
    module: SequenceModule,
    train: Iterable[Any],
    val: Iterable[Any] | None = None,
    *,
    config: TrainingConfig | None = None,
    run_dir: str | Path | None = None,
    resume: bool = False,
    progress: bool | Live = True,
    callbacks: Sequence[Callback] = (),
) -> FitResult:
    """Train `module` on the batches of `train`.

    At the end the module holds the weights of the best validation (`keep_best`), or else the
    averaged (`ema`) or the last ones.

    `run_dir` gets metrics.jsonl, environment.json and checkpoint/. If `save_run` has written a
    model there, its weights are renewed whenever a validation is the best so far, and at the end;
    so the folder can be loaded at any time.

    Ctrl-C lets the step under way finish, saves, and returns with `stopped="interrupted"`.

    Args:
        module: what is trained, in place.
        train: batches of one epoch; see `Feed` for what they may be. For several devices, see
            `shard`.
        val: batches to validate with.
        config: how; the module's own `training_config` unless given.
        run_dir: where the run is kept; None: nowhere.
        resume: go on with the run in `run_dir`. With the same settings and data, the final weights
            are bit for bit those of a run that was never interrupted.
        progress: show a live line if standard error is a terminal; or the line to use.
        callbacks: further Lightning callbacks.

    Raises:
        TypeError: `module` is no SequenceModule.
        ValueError: there is no batch; a setting does not fit; `resume` without `run_dir`, or with
            settings that would change the course of the run.
        RunError: there is nothing whole to resume.
        SaveError: the last save failed; what was saved before is intact.
        DivergedError: the loss is no number any more.
    """
    if not isinstance(module, SequenceModule):
        raise TypeError(
            f"fit trains a SequenceModule, got {type(module).__name__}. Make one around it: a "
            "subclass of ostinato.training.SequenceModule with a training_step."
        )
    config = config or module.training_config
    _check_batches(train, val, config)
    module.use_config(config)
    folder = None if run_dir is None else Path(run_dir)
    checkpoint = _checkpoint_to_resume(folder, config) if resume else None
    live = progress if isinstance(progress, Live) else Live(progress, monitor=config.monitor)
    job = _Job(module, config, folder, live)
    trainer = make_trainer(config, [*job.callbacks, *callbacks])
    if folder is not None and trainer.is_global_zero:
        if not resume:
            # of another run that was here before
            FolderIO().remove_checkpoint(folder / CHECKPOINT)
        record_environment(folder, config, resumed=resume)
    data = (
        _Data(trainer, job.saver, train)
        if val is None
        else _DataWithVal(trainer, job.saver, train, val)
    )
    stopped = job.run(trainer, data, checkpoint)
    return job.finish(trainer, stopped)


def _check_batches(train: Any, val: Any, config: TrainingConfig) -> None:
    if isinstance(train, Sized) and not len(train):
        raise ValueError("fit: there is no batch to train on. Give data, or smaller batches.")
    name = "schedule" if config.patience is None else "patience"
    if val is None and (config.patience is not None or config.schedule == "plateau"):
        raise ValueError(
            f"fit: {name}={getattr(config, name)!r} waits for validations, and there is nothing to "
            "validate with. Give val (of a task: validation, e.g. 0.05), or leave it out."
        )


class _Job:
    """One call of `fit`: the callbacks that make it up, and what is done around Lightning."""

    def __init__(
        self, module: SequenceModule, config: TrainingConfig, folder: Path | None, live: Live
    ) -> None:
        self.module = module
        self.folder = folder
        self.interrupt = Interrupt()
        metrics = None if folder is None else folder / "metrics.jsonl"
        self.recorder = Recorder(config, live, metrics)
        self.best = Best(config, self._renew_if_possible)
        self.average = None if config.ema is None else AverageWeights(config.ema)
        where = None if folder is None else folder / CHECKPOINT
        self.saver = Saver(where, config, self.recorder, self.best, self.interrupt)
        # best looks at the averaged weights before they are taken out again
        middle: list[Callback] = [] if self.average is None else [self.average]
        self.callbacks = [self.recorder, self.best, *middle, self.saver]

    def run(self, trainer: Trainer, data: LightningDataModule, checkpoint: Path | None) -> str:
        try:
            with quiet(), self.interrupt.listening():
                trainer.fit(
                    self.module, datamodule=data, ckpt_path=str(checkpoint) if checkpoint else None
                )
        except Interrupted:
            return "interrupted"
        except SystemExit as error:
            # Lightning's way to leave: after a second Ctrl-C, or on SIGTERM
            if type(error).__name__ == "SIGTERMException":
                return "interrupted"
            if self.interrupt.asked:
                raise KeyboardInterrupt from None
            raise
        return self.saver.stopped or "finished"

    def finish(self, trainer: Trainer, stopped: str) -> FitResult:
        if not self.best.apply(self.module) and self.average is not None:
            self.average.apply(self.module)
        self.module.eval()
        self.module.trainer = None
        self.module.restore_carried(None)
        if trainer.is_global_zero:
            self._renew()
        return FitResult(
            stopped=stopped,
            steps=trainer.global_step,
            epochs=trainer.current_epoch,
            tokens=self.recorder.tokens,
            seconds=self.recorder.seconds,
            best=self.best.value,
            best_step=self.best.step,
            metrics=dict(self.recorder.last),
            is_main=trainer.is_global_zero,
        )

    def _renew(self) -> None:
        if self.folder is not None and (self.folder / CONFIG).is_file():
            update_weights(self.folder, self.module.state_dict())

    def _renew_if_possible(self) -> None:
        # while training, a failed save must not lose what is in memory
        if self.module.trainer.is_global_zero:
            try:
                self._renew()
            except SaveError as error:
                self.recorder.note(f"{error} Training goes on.")


class _Data(LightningDataModule):
    """Hands the batches to Lightning, each rank its share."""

    def __init__(self, trainer: Trainer, saver: Saver, train: Iterable[Any]) -> None:
        super().__init__()
        self._owner, self._saver, self._train = trainer, saver, train

    def train_dataloader(self) -> Feed:
        feed = Feed(
            self._share(self._train), lambda: self._owner.current_epoch, self._saver.between
        )
        self._saver.attach(feed)
        return feed

    def _share(self, loader: Any) -> Any:
        return shard(loader, self._owner.global_rank, self._owner.world_size)


class _DataWithVal(_Data):
    """The same with batches to validate with; Lightning asks whether there is such a method."""

    def __init__(
        self, trainer: Trainer, saver: Saver, train: Iterable[Any], val: Iterable[Any]
    ) -> None:
        super().__init__(trainer, saver, train)
        self._val = val

    def val_dataloader(self) -> Feed:
        # always the first epoch: validations are compared
        return Feed(self._share(self._val), lambda: 0, lambda: None)


def _checkpoint_to_resume(folder: Path | None, config: TrainingConfig) -> Path:
    if folder is None:
        raise ValueError("fit: resume=True needs run_dir, the folder of the run to go on with.")
    content = read_checkpoint(folder / CHECKPOINT)
    config.check_resumes(content["run"]["training"])
    with contextlib.suppress(KeyError):
        reached = int(content["epoch"])
        if config.epochs is not None and reached > config.epochs:
            raise ValueError(
                f"resume: the run has had {reached} epochs already, but epochs={config.epochs}. "
                "Give more epochs, or start a new run."
            )
    return folder / CHECKPOINT
