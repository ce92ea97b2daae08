"""From the fields of a request to what is to be written, and which units are to be held."""

from __future__ import annotations

from ostinato.studio.asked import Asked, AskedError
from ostinato.studio.holding import Hold, Unit
from ostinato.studio.writing import Wish
from ostinato.tasks.language_model.sampling import Sampling

__all__ = ["holds_of", "unit_of", "wish_of"]

# units held at once
_MOST_HOLDS = 64


def wish_of(asked: Asked) -> Wish:
    """What is to be written.

    Raises:
        ValueError: a field is missing or out of range; the message names it.

    Example:
        >>> wish_of(Asked({"prompt": "To be", "temperature": 0.5, "top_k": 3})).sampling.top_k
        3
    """
    sampling = Sampling(
        temperature=asked.number("temperature", 1.0),
        top_k=asked.whole("top_k"),
        top_p=asked.number("top_p"),
        repetition_penalty=asked.number("repetition_penalty", 1.0),
    )
    watch = [unit_of(one) for one in asked.inner("watch")]
    return Wish(
        asked.text("prompt"),
        asked.numbers("written") or [],
        asked.numbers("written_held"),
        asked.whole("length", 200),
        sampling,
        asked.whole("seed", 0),
        holds_of(asked),
        asked.flag("hold_prompt", True),
        watch[0] if watch else None,
    )


def unit_of(asked: Asked) -> Unit:
    """A unit that is meant.

    Example:
        >>> unit_of(Asked({"layer": "stack.0", "name": "c", "unit": "3"}))
        Unit(layer='stack.0', name='c', unit=3, direction=0)
    """
    place = asked.text("layer"), asked.text("name"), asked.whole("unit", 0)
    return Unit(*place, asked.whole("direction", 0))


def holds_of(asked: Asked) -> list[Hold]:
    """The units that are to be held.

    Raises:
        AskedError: a field is of the wrong kind, or there are too many.
    """
    holds = asked.inner("holds")
    if len(holds) > _MOST_HOLDS:
        raise AskedError(f"{len(holds)} units are to be held. Hold {_MOST_HOLDS} at most.")
    found = []
    for one in holds:
        unit = unit_of(one)
        value = one.number("value", 0.0)
        found.append(Hold(unit.layer, unit.name, unit.unit, value, unit.direction))
    return found
