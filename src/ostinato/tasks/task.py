"""What every task has in common: it is fitted, scored, asked, saved and loaded alike.

A task is a `SequenceModule` (network, training step, validation step) with a name, a class of
settings, and four further methods:

    prepare(plan, source, validation, test)     read the data, build the model: a `Prepared`
    restore(settings, texts, cell)              build the model again, from what a folder keeps
    texts()                                     what the folder keeps besides settings and weights
    predict(...), evaluate(source)              ask it, score it
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import torch
from torch import nn

from ostinato.tasks.plan import (
    Config,
    Plan,
    Prepared,
    digest_of,
    first_weights,
    is_main,
    planned,
    settings_of_run,
    unreadable,
)
from ostinato.tasks.stack import Build
from ostinato.tasks.task_settings import TaskSettings
from ostinato.training import Run, RunError, SequenceModule, fit, load_run, save_run

if TYPE_CHECKING:
    from ostinato.layers.tracing import Loss, Trace
    from ostinato.tasks.tracing import Question

__all__ = [
    "Config",
    "Plan",
    "Prepared",
    "Task",
    "digest_of",
    "evaluating",
    "first_weights",
    "is_main",
]

T = TypeVar("T", bound="Task")


class Task(SequenceModule):
    """Base of all tasks. Under any Lightning `Trainer` it works as under its own `fit`.

    Args:
        settings: of data, network and training.

    Attributes:
        settings: as given.
        figures: what `fit` measured, by name; plain values: "training", "data", and the task's own.
    """

    # the class of the settings; its TASK is what a run folder records
    SETTINGS: ClassVar[type[TaskSettings]]

    def __init__(self, settings: Any) -> None:
        super().__init__(settings.training)
        self.settings = settings
        self.figures: dict[str, Any] = {}

    # what a task has to say

    @classmethod
    def prepare(cls, plan: Plan, source: Any, validation: Any, test: Any) -> Prepared:
        """Read the data, settle vocabularies and scales, and build the model."""
        raise NotImplementedError

    @classmethod
    def restore(
        cls: type[T], settings: Any, texts: Mapping[str, str], cell: Build | None = None
    ) -> T:
        """Build the model again from its settings and the files that `texts` gave."""
        raise NotImplementedError

    def texts(self) -> dict[str, str]:
        """The task's own files in the run folder, name -> content, e.g. vocabularies as JSON."""
        return {}

    def question(self, source: Any) -> Question:
        """What the network is asked when it is traced."""
        raise ValueError(
            f"trace: {type(self).__name__} has no rows of its own to be traced on. Trace its "
            "network, ostinato.trace(model.network, ...), with what that is called with."
        )

    # looking inside

    def trace(
        self,
        source: Any,
        *,
        gradients: bool | str | Loss = False,
        training: bool = False,
        **options: Any,
    ) -> Trace:
        """Ask the model, and keep what every recurrent layer did at every step.

        Args:
            source: rows to read: text, sentences, a table, as `predict` takes them.
            gradients: also d loss / d value; True: of the task's own loss (of what the model itself
                answers, where no answer is given with the rows); "last": of its last step alone; or
                what maps the network's result to a loss.
            training: trace it as in training, with its dropout.
            options: as of `ostinato.trace`: only, layers, rows, steps, units.

        Returns:
            The trace, whose labels are what stood at each step (tokens, words, times).

        Raises:
            ValueError: the rows cannot be used, or something asked for is not there.
        """
        from ostinato.tasks.tracing import trace_task

        return trace_task(self, source, gradients, training, **options)

    # fitting

    @classmethod
    def fit(
        cls: type[T],
        source: Any,
        *,
        validation: Any = None,
        test: Any = None,
        cell: str | Build | None = None,
        config: Config = None,
        out: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
        baselines: bool = True,
        overwrite: bool = False,
        **settings: Any,
    ) -> T:
        """Fit a model to data, and score it.

        Args:
            source: the training data, as the task reads it.
            validation: what decides which weights are best and when to stop: data like `source`,
                or a share of it; None: a part of `source`, as the settings say.
            test: what the fitted model is scored on; None: a part of `source` (`held_out`), as the
                settings say.
            cell: "lstm", "module:Class", or a class.
            config: settings, a dictionary of them, a TOML file, or a preset's name.
            out: run folder; None: nothing is written (`save` does it later).
            resume: go on with the run in `out`, under the settings it was begun with. Only how
                long and where it runs may change.
            progress: show a live line, where there is a terminal.
            baselines: also score simple guesses, for comparison.
            overwrite: a run that is already in `out` may be lost.
            settings: single settings by their names, e.g. `hidden_size=512, lr=1e-3`.

        Raises:
            FileNotFoundError, ValueError: the data or a setting cannot be used; the message says
                why. `ostinato.training.RunError` (a ValueError) if `out` cannot be resumed.
        """
        if isinstance(validation, (int, float)):
            settings["validation"], validation = validation, None
        plan = planned(cls.SETTINGS, config, cell, out, resume, overwrite, baselines, settings)
        prepared = cls.prepare(plan, source, validation, test)
        model = _train(plan, prepared, progress)
        assert isinstance(model, cls)
        return model

    # files

    def save(self, folder: str | Path) -> None:
        """Write the model into a run folder: config.json, model.safetensors, the task's own files.

        Raises:
            OSError, ValueError: it cannot be written; what was there before is intact.
        """
        save_run(
            folder,
            task=self.SETTINGS.TASK,
            settings={"settings": self.settings.to_dict(), "figures": self.figures},
            weights=self.state_dict(),
            texts=self.texts(),
        )

    @classmethod
    def load(cls: type[T], folder: str | Path | Run, *, cell: Build | None = None) -> T:
        """Read a model from its run folder. Nothing is unpickled.

        A cell of one's own is imported by the name that the folder gives; see to it that it can
        be, or hand it over.

        Args:
            folder: what `fit(out=...)` or `save` wrote.
            cell: builds the cell, in place of what the folder names.

        Raises:
            RunError: the folder is no whole run of this task.
        """
        run = folder if isinstance(folder, Run) else load_run(folder)
        if run.task != cls.SETTINGS.TASK:
            raise RunError(f"{run.folder} is a {run.task!r} run. Read it with ostinato.load.")
        model = rebuilt(cls, run, cell)
        model.figures = dict(run.settings.get("figures", {}))
        try:
            model.load_state_dict(run.weights)
        except RuntimeError as error:
            raise RunError(
                f"{run.folder}: the weights do not fit the network that config.json describes: "
                f"{error}. If the cell's code has changed since, use what it was then."
            ) from error
        return model.eval()


def rebuilt(kind: type[T], run: Run, cell: Build | None = None) -> T:
    """The model that a run folder describes, without its weights.

    Raises:
        RunError: a part is missing or unreadable.
    """
    settings = settings_of_run(kind.SETTINGS, run)
    try:
        return kind.restore(settings, run.texts, cell)
    except (KeyError, json.JSONDecodeError, TypeError) as error:
        raise unreadable(kind.SETTINGS, run, error) from error


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, and no gradients, within a `with` block."""
    before = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(before)


def _train(plan: Plan, prepared: Prepared, progress: bool) -> Any:
    model, training = prepared.model, plan.settings.training
    plan.check_data(prepared.digest)
    if training.patience is not None and prepared.validation is None:
        raise ValueError("fit: patience needs a validation part. Give validation, e.g. 0.05.")
    model.figures = {"data": prepared.recorded}
    if plan.out is not None and not plan.resume and is_main():
        _forget_checkpoint(plan.out)
        model.save(plan.out)
    result = fit(
        model,
        prepared.train,
        prepared.validation,
        config=training,
        run_dir=plan.out,
        resume=plan.resume,
        progress=progress,
    )
    names = ("stopped", "steps", "epochs", "tokens", "seconds", "best", "best_step")
    model.figures["training"] = {name: getattr(result, name) for name in names}
    measured: Mapping[str, Any] = {}
    if result.stopped != "interrupted":
        measured = prepared.measure()
        model.figures.update(measured)
    if plan.out is not None and result.is_main:
        model.save(plan.out)
        _append_figures(plan.out, result.steps, measured)
    return model


def _forget_checkpoint(folder: Path) -> None:
    # a checkpoint of the run that is replaced must not be taken for one of the new run
    for path in sorted((folder / "checkpoint").glob("*")):
        path.unlink()


def _append_figures(folder: Path, step: int, figures: Mapping[str, Any]) -> None:
    if figures:
        with (folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **figures}) + "\n")
