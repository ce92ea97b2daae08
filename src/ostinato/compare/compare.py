"""A fitted model of any kind beside simple ones, on the part of the data that it has not seen."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ostinato.compare.result import Comparison
from ostinato.compare.sources import CompareError, missing_data
from ostinato.compare.trial import Asked, concluded
from ostinato.tasks.registry import load

__all__ = ["KINDS", "compare", "compared"]

# task -> what brings all models' losses: a function of (model, data, asked)
KINDS = {
    "language_model": "ostinato.compare.language_model:language_model_trial",
    "tagger": "ostinato.compare.tagger:tagger_trial",
    "classifier": "ostinato.compare.classifier:classifier_trial",
    "forecaster": "ostinato.compare.forecaster:forecaster_trial",
}


def compare(
    model: Any,
    data: Any,
    *,
    train: Any = None,
    validation: Any = None,
    full: bool = False,
    history: bool = True,
    steps: Sequence[int] | None = None,
    places: int | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    folder: str | Path | None = None,
    progress: bool = True,
) -> Comparison:
    """Judge whether a network is worth having, and how much memory it needs.

    Simple models learn from the part that the network was trained on, the validation part chooses
    what they leave open, and all are scored on the part that was held out, in the task's own
    metric. Then the network is asked again with its past cut or shuffled. What is thinned out so
    that this does not take long is said in the result's notes, and so are models that are left out
    because the extra `baselines` is not installed.

    Args:
        model: a language model, tagger, classifier or forecaster; or its run folder.
        data: what it was fitted on, cut into parts as its settings say; with `train`, other data,
            all of which are scored.
        train: what it was fitted on.
        validation: the validation data, where they were given apart.
        full: thin nothing out.
        history: cut and shuffle the past.
        steps: how many steps of the past are left, rising; 0, 1, 2, 5, 10, 20, 40, ... unless
            given, as far as there is a past; of a text, until nothing more is missed.
        places: places of the test part that are asked about with less of the past.
        resamples: draws of the bootstrap, at least 2 / (1 - level).
        level: probability of the intervals.
        seed: of all draws.
        folder: of the run, where `model` is not it: errors tell by it how the run was begun.
        progress: show what is being done, where there is a terminal.

    Raises:
        CompareError: (a ValueError) the model is of another task, the data are gone or are not what
            it was fitted on, nothing was held out, or there are too few draws for `level`.

    Example:
        >>> import ostinato as ost
        >>> table = {"day": range(300), "sales": [k % 7 for k in range(300)]}
        >>> model = ost.Forecaster.fit(table, target="sales", time="day", horizon=1, season=7,
        ...     lags=14, history=14, max_steps=200, lr=0.05, ema=None, progress=False)
        >>> found = ost.compare(model, table, places=10, steps=[0, 2, 6], progress=False)
        >>> found.history.steps_used
        6
    """
    if isinstance(model, (str, Path)):
        folder = folder or model
        model = load(model)
    _check_task(model)
    if places is not None and places < 2:
        raise CompareError(f"compare: places must be at least 2, got {places}.")
    _check_draws(resamples, level)
    with _watched(progress) as report:
        asked = Asked(
            train=train,
            validation=validation,
            full=full,
            history=history,
            steps=None if steps is None else _checked(steps),
            places=places,
            resamples=resamples,
            level=level,
            seed=seed,
            folder=None if folder is None else Path(folder),
            report=report,
        )
        return compared(model, data, asked)


def compared(model: Any, data: Any, asked: Asked) -> Comparison:
    """What `compare` does, with all that is asked in one.

    Args:
        model: fitted.
        data: see `compare`.
        asked: what is to be done.

    Raises:
        CompareError: see `compare`.
    """
    ask = _named(KINDS[_check_task(model)])
    try:
        trial = ask(model, data, asked)
    except FileNotFoundError as error:
        raise missing_data(error, asked.folder) from error
    asked.report("drawing again")
    return concluded(trial, asked)


def _check_task(model: Any) -> str:
    """The task of a model, for which there must be simple models."""
    task: str | None = getattr(getattr(model, "SETTINGS", None), "TASK", None)
    if task in KINDS:
        return task
    what = f"a {task.replace('_', ' ')}" if task else type(model).__name__
    raise CompareError(
        f"compare: there are no simple models beside {what}. Give one of these: "
        f"{', '.join(kind.replace('_', ' ') for kind in KINDS)}."
    )


@contextmanager
def _watched(wanted: bool) -> Iterator[Any]:
    console = Console(stderr=True)
    if not (wanted and console.is_terminal):
        yield lambda stage: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as line:
        task = line.add_task("")
        yield lambda stage: line.update(task, description=stage)


def _checked(steps: Sequence[int]) -> tuple[int, ...]:
    found = tuple(int(k) for k in steps)
    if not found or list(found) != sorted(set(found)) or found[0] < 0:
        raise CompareError(
            f"compare: steps must rise, from 0 or more, such as 0,1,2,5,10; got {list(steps)}."
        )
    return found


def _check_draws(resamples: int, level: float) -> None:
    """See that there are enough draws for both ends of an interval: one beyond each."""
    if not 0 < level < 1:
        raise CompareError(f"compare: level must be between 0 and 1, such as 0.95, got {level}.")
    fewest = math.ceil(round(2 / (1 - level), 6))
    if resamples < fewest:
        raise CompareError(
            f"compare: intervals of {level:.4g} need at least {fewest:,} draws, got "
            f"resamples={resamples}. Draw more, such as 1,000."
        )


def _named(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
