"""What every task has in common: it is fitted, scored, asked, saved and loaded alike.

A task is a `SequenceModule` (network, training step, validation step) with a name, a class of
settings, and four further methods:

    prepare(plan, source, validation, test)     read the data, build the model: a `Prepared`
    restore(settings, texts, cell)              build the model again, from what a folder keeps
    texts()                                     what the folder keeps besides settings and weights
    predict(...), evaluate(source)              ask it, score it
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar

import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import nn

from ostinato.tasks.stack import Build
from ostinato.tasks.task_settings import TaskSettings
from ostinato.training import Run, RunError, SequenceModule, fit, load_run, save_run, seed_all

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

# settings, a dictionary of them, a TOML file, or the name of a preset
Config: TypeAlias = "TaskSettings | Mapping[str, Any] | str | Path | None"


@dataclass(frozen=True)
class Plan:
    """What is settled before any data is read.

    Attributes:
        settings: in force.
        cell: what builds the cell, in place of `settings.model.cell`; None: what that names.
        out: run folder; None: nothing is written.
        resume: go on with the run in `out`.
        baselines: score simple guesses, too.
        earlier: the run that is resumed, whose vocabularies and the like are to be used again.
    """

    settings: Any
    cell: Build | None = None
    out: Path | None = None
    resume: bool = False
    baselines: bool = True
    earlier: Run | None = None

    def check_data(self, digest: str) -> None:
        """See that a resumed run has the data it was begun on; for `prepare`, as early as it can.

        Args:
            digest: of all the data; see `digest_of`.

        Raises:
            RunError: the data has changed.
        """
        if self.earlier is None:
            return
        figures = self.earlier.settings.get("figures", {})
        if figures.get("data", {}).get("sha256") != digest:
            raise RunError(
                f"{self.out} was begun on other data. Give the same data, unchanged, or start a "
                "new run in another folder."
            )


@dataclass(frozen=True)
class Prepared:
    """A model with its first weights, and the data it will see.

    Attributes:
        model: as `seed_all(settings.training.seed)` drew it.
        train: batches of one epoch; see `ostinato.training.Feed` for what they may be.
        digest: of all the data, by which a resumed run knows it again; see `digest_of`.
        validation: batches that decide which weights are best; None: the last are kept.
        measure: called when training is over: the figures to keep, by name, e.g. {"held_out": ...,
            "baselines": ...}, plain values.
    """

    model: Any
    train: Iterable[Any]
    digest: str
    validation: Iterable[Any] | None = None
    measure: Callable[[], Mapping[str, Any]] = field(default=dict)


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
        plan = _plan(cls, config, cell, out, resume, overwrite, baselines, settings)
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
    settings = settings_of_run(kind, run)
    try:
        return kind.restore(settings, run.texts, cell)
    except (KeyError, json.JSONDecodeError, TypeError) as error:
        raise _unreadable(kind, run, error) from error


def settings_of_run(kind: type[Task], run: Run) -> Any:
    """The settings that a run folder records.

    Raises:
        RunError: they are missing or unreadable.
    """
    try:
        return kind.SETTINGS.from_dict(run.settings["settings"])
    except (KeyError, ValueError, TypeError) as error:
        raise _unreadable(kind, run, error) from error


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


def digest_of(parts: Iterable[bytes]) -> str:
    """A fingerprint of data, whose parts are taken as they come.

    Example:
        >>> digest_of([b"a", b"bc"]) == digest_of([b"ab", b"c"])
        False
    """
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "little") + part)
    return whole.hexdigest()


def _plan(
    kind: type[Task],
    config: Config,
    cell: str | Build | None,
    out: str | Path | None,
    resume: bool,
    overwrite: bool,
    baselines: bool,
    changes: Mapping[str, Any],
) -> Plan:
    folder = None if out is None else Path(out)
    earlier = None
    if resume:
        if folder is None:
            raise ValueError("fit: resume needs out, the folder of the run to go on with.")
        earlier = load_run(folder, weights=False)
        if earlier.task != kind.SETTINGS.TASK:
            raise RunError(f"{folder} is a {earlier.task!r} run. Resume it with that task.")
    elif _occupied(folder) and not overwrite and is_main():
        raise RunError(
            f"{folder} holds a run already. Go on with it (resume), replace it (overwrite), "
            "or give another folder."
        )
    base = None if earlier is None else settings_of_run(kind, earlier)
    settings, build = _settings(kind.SETTINGS, config, cell, changes, base)
    return Plan(settings, build, folder, resume, baselines, earlier)


def _settings(
    kind: type[TaskSettings],
    config: Config,
    cell: str | Build | None,
    changes: Mapping[str, Any],
    earlier: TaskSettings | None,
) -> tuple[TaskSettings, Build | None]:
    if isinstance(config, TaskSettings):
        settings = config
    elif isinstance(config, Mapping):
        settings = kind.from_dict(config)
    elif config is not None:
        settings = kind.load(config)
    else:
        settings = earlier or kind.from_dict({})
    build = None
    if isinstance(cell, str):
        changes = {**changes, "cell": cell}
    elif cell is not None:
        build = cell
        changes = {**changes, "cell": _name_of(cell)}
    settings = settings.changed(**changes)
    if earlier is not None:
        settings.check_resumes(earlier)
    return settings, build


def _name_of(cell: Build) -> str:
    name = getattr(cell, "__qualname__", type(cell).__qualname__)
    return f"{getattr(cell, '__module__', type(cell).__module__)}:{name}"


def _train(plan: Plan, prepared: Prepared, progress: bool) -> Any:
    model, training = prepared.model, plan.settings.training
    plan.check_data(prepared.digest)
    if training.patience is not None and prepared.validation is None:
        raise ValueError("fit: patience needs a validation part. Give validation, e.g. 0.05.")
    model.figures = {"data": {"sha256": prepared.digest}}
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


def is_main() -> bool:
    """This process is the one that writes: on several devices each has a process of its own."""
    return int(getattr(rank_zero_only, "rank", None) or 0) == 0


def first_weights(plan: Plan, build: Callable[[], T]) -> T:
    """Build a model under the seed of its training, so that a seed settles all of a run."""
    seed_all(plan.settings.training.seed)
    return build()


def _occupied(folder: Path | None) -> bool:
    return folder is not None and (folder / "config.json").exists()


def _forget_checkpoint(folder: Path) -> None:
    # a checkpoint of the run that is replaced must not be taken for one of the new run
    for path in sorted((folder / "checkpoint").glob("*")):
        path.unlink()


def _append_figures(folder: Path, step: int, figures: Mapping[str, Any]) -> None:
    if figures:
        with (folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **figures}) + "\n")


def _unreadable(kind: type[Task], run: Run, error: Exception) -> RunError:
    name = kind.SETTINGS.TASK.replace("_", " ")
    return RunError(
        f"{run.folder} is not a {name} that this Ostinato can read: {error}. Use the Ostinato "
        "that wrote it, or train again."
    )
