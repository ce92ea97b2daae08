"""What `ostinato eval` says and draws, task by task."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from ostinato.cli.output import say, say_table

__all__ = ["draw_score", "draws", "following", "show_task_score"]

# task -> what says its score: a function of the score
_SHOWN = {
    "tagger": "ostinato.cli.fit_tags:show_tag_score",
    "translator": "ostinato.cli.fit_pairs:show_translation_score",
    "classifier": "ostinato.cli.fit_labels:show_label_score",
    "captioner": "ostinato.cli.fit_captions:show_caption_score",
}

# task -> what draws its score: a function of (score, path)
_DRAWN = {
    "tagger": "ostinato.cli.scoring:_draw_tags",
    "classifier": "ostinato.cli.fit_labels:draw_labels",
}

# task -> the useful next command
_NEXT = {
    "language_model": "ostinato generate {run}",
    "tagger": 'ostinato tag {run} "Time flies ."',
    "classifier": "ostinato classify {run} FILE",
    "captioner": "ostinato caption {run} FILE",
    "translator": 'ostinato translate {run} "..."',
    "composer": "ostinato compose {run} --out tune.mid",
}


def following(task: str, run: str) -> str:
    """The useful next command."""
    return _NEXT.get(task, "ostinato eval {run} FILE").format(run=run)


def show_task_score(model: Any, score: Mapping[str, Any], source: str) -> None:
    """Say a score as a person reads it: as the task has it, or else every plain figure."""
    task = model.SETTINGS.TASK
    if task == "language_model":
        from ostinato.cli.scores import show_score

        tokens = model.settings.data.tokens
        say(f"{score['tokens']:,} {tokens} of {source}")
        show_score(score, tokens)
        return
    say(source)
    if task in _SHOWN:
        _named(_SHOWN[task])(score)
        return
    plain = {name: value for name, value in score.items() if isinstance(value, (int, float))}
    say_table([(name.replace("_", " "), _figure(value)) for name, value in plain.items()])


def draws(task: str, path: Path) -> None:
    """See that a score of this task can be drawn, in a picture of that name.

    Raises:
        typer.BadParameter, ValueError: it cannot.
    """
    from ostinato.inspect.pictures import picture_kind

    if task not in _DRAWN:
        known = ", ".join(_DRAWN)
        raise typer.BadParameter(
            f"the score of a {task} has no picture (there is one of: {known}).", param_hint="--plot"
        )
    picture_kind(path)


def draw_score(task: str, score: Any, path: Path) -> None:
    """Draw a score into a file."""
    _named(_DRAWN[task])(score, path)


def _draw_tags(score: Any, path: Path) -> None:
    from ostinato.inspect.confusion import draw_confusion

    draw_confusion(score.confusion, score.tags, path, title="Tags", what="words")


def _figure(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _named(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
