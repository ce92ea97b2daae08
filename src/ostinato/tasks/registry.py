"""From a run folder to the task that wrote it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from ostinato.training.runs import RunError, load_run

__all__ = ["TASKS", "load"]

# what config.json says -> the class that reads the folder
TASKS = {"language_model": "ostinato.tasks.language_model:LanguageModel"}


def load(folder: str | Path, **options: Any) -> Any:
    """Read any model from its run folder. Nothing is unpickled.

    Args:
        folder: what `fit(out=...)` or `save` wrote.
        options: passed to the `load` of that task, e.g. `cell=` for a cell of your own.

    Raises:
        RunError: the folder is missing, is no run, is not whole, or is of an unknown task.
    """
    run = load_run(folder)
    if run.task not in TASKS:
        raise RunError(
            f"{run.folder} was written for the task {run.task!r}, which this Ostinato does not "
            f"know (it knows {', '.join(TASKS)}). Use a newer one."
        )
    module, _, name = TASKS[run.task].partition(":")
    return getattr(importlib.import_module(module), name).load(run, **options)
