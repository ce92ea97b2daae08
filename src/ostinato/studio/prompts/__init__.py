"""How each task is asked on a page, and what is shown of its answer besides its steps."""

from __future__ import annotations

from typing import Any

from ostinato.studio.prompts.base import Prompt, Row, Told
from ostinato.studio.prompts.lines import Line
from ostinato.studio.prompts.music import Music
from ostinato.studio.prompts.series import Series
from ostinato.studio.prompts.texts import Numbers, Tags, Text, Words
from ostinato.studio.prompts.vectors import Vector

__all__ = ["Prompt", "Row", "Told", "prompt_of", "verb_of"]

_PROMPTS: dict[str, Prompt] = {
    "language_model": Text(),
    "tagger": Tags(),
    "classifier": Words(),
    "translator": Line(),
    "forecaster": Series(),
    "captioner": Vector(),
    "composer": Music(),
}
_NUMBERS = Numbers()


def prompt_of(task: str, model: Any) -> Prompt | None:
    """How a model is asked; None: pages do not know its task.

    Example:
        >>> prompt_of("translator", None).verb
        'Translate'
    """
    if task == "classifier" and not model.coder.inputs.tokens:
        return _NUMBERS
    return _PROMPTS.get(task)


def verb_of(task: str) -> str:
    """What the tab is called on which models of a task are asked.

    Example:
        >>> verb_of("forecaster"), verb_of("tagger")
        ('Forecast', 'Read')
    """
    prompt = _PROMPTS.get(task)
    return Prompt.verb if prompt is None else prompt.verb
