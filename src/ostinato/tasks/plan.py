"""What is settled before a task is trained: its settings, its folder, the run it goes on with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
from lightning.pytorch.utilities import rank_zero_only

from ostinato.tasks.stack import Build
from ostinato.tasks.task_settings import TaskSettings
from ostinato.training import Run, RunError, load_run, seed_all

__all__ = [
    "Config",
    "Plan",
    "Prepared",
    "digest_of",
    "first_weights",
    "is_main",
    "planned",
    "settings_of_run",
    "unreadable",
]

T = TypeVar("T")

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

    @property
    def recorded(self) -> dict[str, Any]:
        """What a run records of its data: "sha256", and how long rows are that it trains on.

        "lengths" are there where rows differ in them: how many rows, the shortest, the median and
        the longest, in steps.
        """
        found: dict[str, Any] = {"sha256": self.digest}
        lengths = getattr(self.train, "lengths", None)
        if lengths is not None and len(lengths):
            steps = np.asarray(lengths).astype(np.int64)
            found["lengths"] = {
                "rows": len(steps),
                "shortest": int(steps.min()),
                "median": float(np.median(steps)),
                "longest": int(steps.max()),
            }
        return found


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


def first_weights(plan: Plan, build: Callable[[], T]) -> T:
    """Build a model under the seed of its training, so that a seed settles all of a run."""
    seed_all(plan.settings.training.seed)
    return build()


def is_main() -> bool:
    """This process is the one that writes: on several devices each has a process of its own."""
    return int(getattr(rank_zero_only, "rank", None) or 0) == 0


def planned(
    kind: type[TaskSettings],
    config: Config,
    cell: str | Build | None,
    out: str | Path | None,
    resume: bool,
    overwrite: bool,
    baselines: bool,
    changes: Mapping[str, Any],
) -> Plan:
    """The plan that the arguments of `Task.fit` come to; `changes` are single settings by name.

    Raises:
        ValueError: a setting is wrong, or `resume` has no folder.
        RunError: there is nothing to resume, or a run is in the way.
    """
    folder = None if out is None else Path(out)
    earlier = None
    if resume:
        if folder is None:
            raise ValueError("fit: resume needs out, the folder of the run to go on with.")
        earlier = load_run(folder, weights=False)
        if earlier.task != kind.TASK:
            raise RunError(f"{folder} is a {earlier.task!r} run. Resume it with that task.")
    elif _occupied(folder) and not overwrite and is_main():
        raise RunError(
            f"{folder} holds a run already. Go on with it (resume), replace it (overwrite), "
            "or give another folder."
        )
    base = None if earlier is None else settings_of_run(kind, earlier)
    settings, build = _settings(kind, config, cell, changes, base)
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


def _occupied(folder: Path | None) -> bool:
    return folder is not None and (folder / "config.json").exists()


def settings_of_run(kind: type[TaskSettings], run: Run) -> Any:
    """The settings that a run folder records.

    Raises:
        RunError: they are missing or unreadable.
    """
    try:
        return kind.from_dict(run.settings["settings"])
    except (KeyError, ValueError, TypeError) as error:
        raise unreadable(kind, run, error) from error


def unreadable(kind: type[TaskSettings], run: Run, error: Exception) -> RunError:
    """What to say of a run folder whose content is not what this Ostinato writes."""
    name = kind.TASK.replace("_", " ")
    return RunError(
        f"{run.folder} is not a {name} that this Ostinato can read: {error}. Use the Ostinato "
        "that wrote it, or train again."
    )
