"""Texts and rows of numbers: what language models, taggers and classifiers read."""

from __future__ import annotations

from typing import Any

from ostinato.inspect.reading import reading_of
from ostinato.inspect.reading.labels import numbers_in
from ostinato.studio.asked import Asked
from ostinato.studio.holding import Holding
from ostinato.studio.prompts.base import LIMITS, Prompt, Told

__all__ = ["Numbers", "Tags", "Text", "Words"]


# a model knows the letters of one of these, most likely
_BEGINNINGS = ("The ", "the ", "a", "\n")


class Text(Prompt):
    """A text that a language model reads."""

    def told(self, model: Any, asked: Asked, holding: Holding) -> Told:
        return Told(reading_of(model, asked.text("text"), LIMITS))

    def start(self, model: Any) -> dict[str, Any]:
        for text in _BEGINNINGS:
            try:
                model.tokenizer.encode(text)
            except ValueError:
                continue
            return {"text": text}
        return {"text": ""}


class Tags(Text):
    """A sentence that a tagger reads."""

    def start(self, model: Any) -> dict[str, Any]:
        return {"text": "Time flies like an arrow."}


class Words(Text):
    """A text that a classifier reads."""

    def start(self, model: Any) -> dict[str, Any]:
        return {"text": "A film that is much too long."}


class Numbers(Prompt):
    """Numbers that a classifier reads, a step a line."""

    form = "numbers"

    def told(self, model: Any, asked: Asked, holding: Holding) -> Told:
        return Told(reading_of(model, numbers_in(asked.text("text")), LIMITS))

    def start(self, model: Any) -> dict[str, Any]:
        width = model.coder.inputs.width
        return {"text": "\n".join(" ".join(["0"] * width) for _ in range(8)), "width": width}
