"""How the batches of each task are taken hold of."""

from __future__ import annotations

import importlib
from typing import Any

from ostinato.doctor.hands.base import Hands

__all__ = ["Hands", "hands_of"]

# task -> what handles its batches; a task of one's own is handled by `Hands` itself
_HANDS = {
    "language_model": "language:LanguageHands",
    "tagger": "tags:TagHands",
    "classifier": "labels:LabelHands",
    "forecaster": "series:SeriesHands",
    "translator": "pairs:PairHands",
    "captioner": "captions:CaptionHands",
    "composer": "music:MusicHands",
}


def hands_of(model: Any) -> Hands:
    """What handles the batches of a model's task."""
    place = _HANDS.get(model.SETTINGS.TASK)
    if place is None:
        return Hands(model)
    module, _, name = place.partition(":")
    found = getattr(importlib.import_module(f"ostinato.doctor.hands.{module}"), name)
    made: Hands = found(model)
    return made
