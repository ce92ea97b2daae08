"""Figures of the training as it goes: to metrics.jsonl and to the live line."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from ostinato.training.config import TrainingConfig
from ostinato.training.progress import Live

__all__ = ["DivergedError", "Lines", "Recorder"]


class DivergedError(RuntimeError):
    """The loss is no number any more."""


class Lines:
    """A file of JSON lines. A full disk delays lines; it does not stop the training.

    Args:
        path: the file; None: lines go nowhere.
        upto: on opening, lines of later steps are dropped (None: all lines).
    """

    def __init__(self, path: Path | None, *, upto: int | None = None) -> None:
        self._path = path
        self._waiting: list[str] = []
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            kept = [] if upto is None else [k for k in _read(path) if k.get("step", 0) <= upto]
            self._waiting = [json.dumps(line) for line in kept]
            path.unlink(missing_ok=True)
            self._flush()

    def add(self, line: dict[str, Any]) -> None:
        """Append one line."""
        if self._path is not None:
            self._waiting.append(json.dumps(line))
            self._flush()

    def _flush(self) -> None:
        if self._path is None or not self._waiting:
            return
        text = "".join(line + "\n" for line in self._waiting)
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError:
            return
        self._waiting = []


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    texts = path.read_text(encoding="utf-8", errors="replace").splitlines()
    # the last line of a killed run may be cut short
    return [json.loads(text) for text in texts if text.endswith("}")]


def _through_time(module: Any) -> dict[str, float]:
    """What layers and penalties tell of gradients on their way back, where they do."""
    ask = getattr(module, "take_clipped", None)
    clipped = None if ask is None else ask()
    told = {} if clipped is None else {"clipped_in_time": clipped}
    last = getattr(getattr(module, "penalty", None), "last", None)
    return told if last is None else {**told, "vanishing_penalty": float(last)}


def _of_the_step(trainer: Trainer, module: Any) -> dict[str, float]:
    """The learning rate; of "hessian-free", which has none, what its last step did."""
    group = trainer.optimizers[0].param_groups[0]
    if "lr" in group:
        return {"lr": group["lr"]}
    report = module.report
    told = {
        "damping": report.damping,
        "grad_norm": report.gradient_norm,
        "ratio": report.ratio,
        "iterations": report.iterations,
    }
    return {name: value for name, value in told.items() if math.isfinite(value)}


class Recorder(Callback):
    """Writes a line every `log_every` steps and after each validation.

    A training line holds step, epoch, loss (mean since the line before), grad_norm, clipped (share
    of steps since then), lr, tokens (in all), tokens_per_s, seconds (in all); of "hessian-free",
    damping, ratio and iterations of its last step in place of clipped and lr. A validation line
    holds step, epoch, seconds and everything that the validation logged. Where layers clip the
    gradient of their states, clipped_in_time is the share of cut steps since the line before, and
    vanishing_penalty is that penalty at the last step, where it is on.

    Args:
        config: log_every; max_steps and max_time, at which it ends the training.
        live: the line in the terminal.
        path: metrics.jsonl; None: no file.

    Raises:
        DivergedError: the loss is infinite or no number.
    """

    def __init__(self, config: TrainingConfig, live: Live, path: Path | None = None) -> None:
        self._config = config
        self._live = live
        self._path = path
        self._lines: Lines | None = None
        self.tokens = 0
        self.step = 0
        self.last: dict[str, float] = {}
        self._before = 0.0
        self._began: float | None = None
        # of this rank, since the last line
        self._losses: list[Any] = []
        self._fresh = 0
        self._mark = 0.0

    @property
    def seconds(self) -> float:
        """Time spent training, over all the times that the run was taken up."""
        return self._before + (0.0 if self._began is None else time.monotonic() - self._began)

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        resumed = trainer.global_step > 0
        self._lines = Lines(
            self._path if trainer.is_global_zero else None,
            upto=trainer.global_step if resumed else None,
        )
        self._began = time.monotonic()
        self.step = trainer.global_step
        self._mark = self.seconds
        total = trainer.estimated_stepping_batches
        known = None if math.isinf(total) else int(total)
        if trainer.is_global_zero:
            self._live.start(done=self.step, total=known)

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        values = outputs if isinstance(outputs, dict) else {"loss": outputs}
        self._losses.append(values["loss"].detach())
        self._fresh += int(values.get("tokens", 0))
        if trainer.global_step == self.step:
            return
        self.step = trainer.global_step
        self._live.advance()
        self._stop_if_over(trainer)
        if self.step % self._config.log_every == 0 or trainer.should_stop:
            self._report(trainer, module)

    def _stop_if_over(self, trainer: Trainer) -> None:
        config = self._config
        enough = config.max_steps is not None and self.step >= config.max_steps
        late = config.max_time is not None and self.seconds >= config.max_time
        if trainer.world_size > 1 and config.max_time is not None:
            late = trainer.strategy.reduce_boolean_decision(late, all=False)
        if enough or late:
            # with this, Lightning validates what has been reached before it leaves
            trainer.should_stop = True

    def note(self, text: str) -> None:
        """Tell the user."""
        self._live.note(text)

    def check(self) -> None:
        """See that the losses since the last line are numbers.

        Raises:
            DivergedError: one is not.
        """
        if self._losses and not all(math.isfinite(float(loss)) for loss in self._losses):
            raise DivergedError(
                f"The loss became infinite or no number, at or before step {self.step}. Train "
                "again with a lower lr, or with a smaller clip; what was saved before is intact."
            )

    def _report(self, trainer: Trainer, module: Any) -> None:
        self.check()
        clipper = getattr(module, "clipper", None)
        loss, fresh = self._over_ranks(trainer)
        self.tokens += fresh
        seconds, tokens = self.seconds, self.tokens
        line = {
            "step": self.step,
            "epoch": trainer.current_epoch,
            "loss": loss,
            "tokens": tokens,
            "tokens_per_s": fresh / max(seconds - self._mark, 1e-9),
            "seconds": round(seconds, 3),
        }
        if clipper is not None and clipper.norm is not None:
            line["grad_norm"] = float(clipper.norm)
            line["clipped"] = clipper.take_share()
        line |= _of_the_step(trainer, module)
        line |= _through_time(module)
        self._losses, self._fresh, self._mark = [], 0, seconds
        self._put(line)

    def _over_ranks(self, trainer: Trainer) -> tuple[float, int]:
        losses = [float(loss) for loss in self._losses]
        sums = torch.tensor([math.fsum(losses), len(losses), self._fresh], dtype=torch.float64)
        if trainer.world_size > 1:
            sums = trainer.strategy.reduce(sums.to(trainer.strategy.root_device), reduce_op="sum")
        return float(sums[0] / sums[1]), int(sums[2])

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.sanity_checking or self._lines is None:
            return
        logged = {k: float(v) for k, v in trainer.callback_metrics.items()}
        head = {"step": self.step, "epoch": trainer.current_epoch}
        self._put({**head, "seconds": round(self.seconds, 3), **logged})

    def _put(self, line: dict[str, Any]) -> None:
        self.last.update(line)
        if self._lines is not None:
            self._lines.add(line)
        self._live.show(line)

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        if self._losses:
            self._report(trainer, module)

    def teardown(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        self._before, self._began = self.seconds, None
        self._live.stop()

    def state_dict(self) -> dict[str, Any]:
        return {
            "tokens": self.tokens,
            "seconds": self.seconds,
            "last": dict(self.last),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.tokens, self._before = state["tokens"], state["seconds"]
        self.last = state["last"]

    def rank_state(self) -> dict[str, Any]:
        """What this rank has seen since the last line, as plain values."""
        return {"losses": [float(loss) for loss in self._losses], "fresh": self._fresh}

    def restore_rank_state(self, state: dict[str, Any]) -> None:
        """Put back what `rank_state` gave."""
        self._losses, self._fresh = list(state["losses"]), state["fresh"]
