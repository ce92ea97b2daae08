"""Saves while a run goes on, so that it can be killed at any moment and taken up again exactly.

A checkpoint is written between two batches, when everything about the earlier one is over:
weights, optimiser, schedule, averages, counters of Lightning's loops, and for each rank the random
generators, the carried recurrent state and the place in the data.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from ostinato.files import SaveError
from ostinato.training.best import Best
from ostinato.training.checkpoint import pack, unpack
from ostinato.training.config import TrainingConfig
from ostinato.training.feed import Feed, Position
from ostinato.training.module import SequenceModule, map_tensors
from ostinato.training.recorder import Recorder
from ostinato.training.runs import RunError
from ostinato.training.seeds import random_state, seed_all

__all__ = ["Interrupt", "Interrupted", "Saver"]


class Interrupted(Exception):  # noqa: N818
    """The user asked the run to end; what it had reached has been saved."""


class Interrupt:
    """Remembers a Ctrl-C until the step under way is over; a second one ends at once."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Catch SIGINT within a `with` block, where Python lets us: in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._hear)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _hear(self, *_: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


class Saver(Callback):
    """Writes checkpoints, and leaves when the user wants to.

    Args:
        folder: where the checkpoint goes; None: nothing is saved, but Ctrl-C still ends cleanly.
        config: seed, save_every, save_seconds.
        recorder: is asked whether the loss is still a number before anything is saved.
        best: tells whether the patience is over.
        interrupt: tells whether the user wants to leave.

    Attributes:
        stopped: "finished", "patience", "interrupted", or "" while it runs.
        feed: the training data; set before the training starts.
    """

    def __init__(
        self,
        folder: Path | None,
        config: TrainingConfig,
        recorder: Recorder,
        best: Best,
        interrupt: Interrupt,
    ) -> None:
        self._folder = folder
        self._config = config
        self._recorder = recorder
        self._best = best
        self._interrupt = interrupt
        self._trainer: Trainer | None = None
        # none yet: the first save comes after the first step, so that there is always one to resume
        self._saved_step: int | None = None
        self._saved_at = time.monotonic()
        self._position: Position | None = None
        self._complained = False
        self.feed: Feed | None = None
        self.stopped = ""

    def setup(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        self._trainer = trainer
        seed_all(self._config.seed, rank=trainer.global_rank)

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._saved_step = trainer.global_step or None
        self._saved_at = time.monotonic()

    def attach(self, feed: Feed) -> None:
        """Take the training data under watch, and set it to where a resumed run had come."""
        self.feed = feed
        if self._position is not None:
            feed.resume_at(self._position)

    def between(self) -> None:
        """Called between two batches.

        Raises:
            Interrupted: the user wants to leave; the run has been saved.
        """
        trainer = self._trainer
        if trainer is None or _batches_done(trainer) == 0 or not _between_steps(trainer):
            return
        if self._agreed(trainer, self._interrupt.asked):
            self._save(trainer)
            raise Interrupted
        if self._due(trainer):
            self._try_to_save(trainer)

    def _due(self, trainer: Trainer) -> bool:
        if self._folder is None or trainer.global_step == self._saved_step:
            return False
        if self._saved_step is None:
            return True
        every = self._config.save_every
        due = every is not None and trainer.global_step - self._saved_step >= every
        late = time.monotonic() - self._saved_at >= self._config.save_seconds
        return self._agreed(trainer, due or late)

    @staticmethod
    def _agreed(trainer: Trainer, wish: bool) -> bool:
        if trainer.world_size == 1:
            return wish
        return bool(trainer.strategy.reduce_boolean_decision(wish, all=False))

    def _try_to_save(self, trainer: Trainer) -> None:
        # hours of work in memory are worth more than one save: say so, and try again later
        try:
            self._save(trainer)
        except SaveError as error:
            self._saved_at, self._saved_step = time.monotonic(), trainer.global_step
            if not self._complained:
                self._recorder.note(f"{error} Training goes on; the next save may succeed.")
            self._complained = True

    def _save(self, trainer: Trainer) -> None:
        if self._folder is not None:
            self._recorder.check()
            trainer.save_checkpoint(self._folder)
            failed = getattr(trainer.strategy.checkpoint_io, "error", None)
            if failed is not None:
                raise failed
            self._saved_at, self._saved_step = time.monotonic(), trainer.global_step

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.stopped = "patience" if self._best.patience_is_over else "finished"
        self._save(trainer)

    def on_exception(self, trainer: Trainer, module: LightningModule, error: BaseException) -> None:
        # SIGTERM: Lightning waits for the end of a batch; within a step, the save before counts
        if type(error).__name__ == "SIGTERMException" and _between_steps(trainer):
            self._save(trainer)

    def on_save_checkpoint(
        self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        done = _settle_loops(checkpoint["loops"]["fit_loop"], over=bool(self.stopped))
        feed = self.feed
        carried = _sequence(module).carried_for_checkpoint() if done else None
        own = {
            "done": done,
            "epoch_random": feed.epoch_random if feed is not None else random_state(),
            "random": random_state(),
            "figures": self._recorder.rank_state(),
            "carried": map_tensors(carried, torch.Tensor.cpu),
        }
        checkpoint["ranks"] = _gather(trainer, own)
        checkpoint["run"] = {"training": self._config.to_dict()}

    def on_load_checkpoint(
        self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        ranks = checkpoint["ranks"]
        if len(ranks) != trainer.world_size:
            raise RunError(
                f"resume: the run was on {len(ranks)} device(s), now there are "
                f"{trainer.world_size}. Each holds a part of the state; resume on as many."
            )
        own = ranks[trainer.global_rank]
        _sequence(module).restore_carried(own["carried"])
        self._recorder.restore_rank_state(own["figures"])
        self._position = Position(own["done"], own["epoch_random"], own["random"])

    def state_dict(self) -> dict[str, Any]:
        return {"stopped": self.stopped}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        # the best of the validations stands before us among the callbacks, and is loaded by now
        if self._trainer is not None and self._best.patience_is_over:
            self.stopped = "patience"
            self._trainer.should_stop = True


def _batches_done(trainer: Trainer) -> int:
    return int(trainer.fit_loop.epoch_loop.batch_progress.current.completed)


def _between_steps(trainer: Trainer) -> bool:
    """No gradients are gathered for a step to come, which are not part of a checkpoint."""
    return _batches_done(trainer) % trainer.accumulate_grad_batches == 0


def _sequence(module: LightningModule) -> SequenceModule:
    if not isinstance(module, SequenceModule):
        raise TypeError(f"fit trains a SequenceModule, got {type(module).__name__}.")
    return module


def _settle_loops(fit_loop: dict[str, Any], *, over: bool) -> int:
    """Bring the loops' counters into the form that they have between two batches.

    At the end of a run, Lightning has closed its last epoch even if it stopped in the middle of
    one. A later start goes on from exactly there: in the middle, or with the next epoch.

    Returns:
        Batches of the epoch that are done.
    """
    batches, epochs = fit_loop["epoch_loop.batch_progress"], fit_loop["epoch_progress"]
    done = int(batches["current"]["completed"])
    if not over:
        return done
    if batches["is_last_batch"]:
        batches["current"] = dict.fromkeys(batches["current"], 0)
        batches["is_last_batch"] = False
        return 0
    for counts in (epochs["current"], epochs["total"]):
        counts["processed"] = counts["completed"] = counts["started"] - 1
    return done


def _gather(trainer: Trainer, own: dict[str, Any]) -> list[dict[str, Any]]:
    if trainer.world_size == 1:
        return [own]
    # as bytes: plain values and tensors come back from a checkpoint's own form just the same
    gathered: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(gathered, pack(own))
    return [unpack(*packed) for packed in gathered]
