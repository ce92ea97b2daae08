"""From the name of a task to its class, and from a run folder to the model in it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from ostinato.training.runs import RunError, load_run

__all__ = ["TASKS", "load", "settings_class", "task_class"]

# what config.json says -> (the class that reads the folder, the class of its settings)
TASKS = {
    "language_model": (
        "ostinato.tasks.language_model.task:LanguageModel",
        "ostinato.tasks.language_model.settings:LanguageModelSettings",
    ),
    "captioner": (
        "ostinato.tasks.captioner.task:Captioner",
        "ostinato.tasks.captioner.settings:CaptionerSettings",
    ),
    "classifier": (
        "ostinato.tasks.classifier.task:Classifier",
        "ostinato.tasks.classifier.settings:ClassifierSettings",
    ),
    "tagger": (
        "ostinato.tasks.tagger.task:Tagger",
        "ostinato.tasks.tagger.settings:TaggerSettings",
    ),
    "translator": (
        "ostinato.tasks.translator.task:Translator",
        "ostinato.tasks.translator.settings:TranslatorSettings",
    ),
    "composer": (
        "ostinato.tasks.composer.task:Composer",
        "ostinato.tasks.composer.settings:ComposerSettings",
    ),
    "forecaster": (
        "ostinato.tasks.forecaster.task:Forecaster",
        "ostinato.tasks.forecaster.settings:ForecasterSettings",
    ),
}


def task_class(name: str) -> Any:
    """The class of a task. Imports torch."""
    return _named(TASKS[name][0])


def settings_class(name: str) -> Any:
    """The class of a task's settings. Imports no torch."""
    return _named(TASKS[name][1])


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
    return task_class(run.task).load(run, **options)


def _named(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
