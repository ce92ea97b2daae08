"""How a model reads what it is given: its answers, with units held or not, and its units."""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray

from ostinato.config import nearest
from ostinato.inspect.reading.base import Reading as Made
from ostinato.inspect.reading.base import traced
from ostinato.studio.asked import Asked
from ostinato.studio.holding import Hold, Holding
from ostinato.studio.library import Loaded
from ostinato.studio.prompts import Prompt, Row, prompt_of

__all__ = ["Choice", "Kept", "Part", "Reading", "choose", "prompt_for", "read", "view"]


@dataclass(frozen=True)
class Part:
    """What can be looked at: a name of one layer and direction.

    Attributes:
        layer: as traces name it, "stack.0".
        direction: 0, or 1 for the walk from the end.
        name: as the cell's equations have it.
        kind: "state", "gate", "pre", "value" or "output".
        units: how many.
        axis: number of the axis along which the layer walks.
    """

    layer: str
    direction: int
    name: str
    kind: str
    units: int
    axis: int


@dataclass(frozen=True)
class Reading:
    """What a model was given, as it read it.

    Attributes:
        plain: its answer as it is.
        held: its answer with units held; None: none are.
        parts: what can be looked at.
        figures: drawings of the answers.
    """

    plain: Row
    held: Row | None
    parts: Sequence[Part]
    figures: Sequence[dict[str, Any]]

    def row(self, held: bool) -> Row:
        """One of the two answers.

        Raises:
            ValueError: no unit is held.
        """
        row = self.held if held else self.plain
        if row is None:
            raise ValueError("No unit is held. Hold one, or look at the answer as it is.")
        return row


@dataclass(frozen=True)
class Choice:
    """What is looked at. What is None is chosen: the first state of the last layer.

    Attributes:
        layer, direction, name: of a `Part`.
    """

    layer: str | None = None
    direction: int = 0
    name: str | None = None


def prompt_for(loaded: Loaded) -> Prompt:
    """How a model is asked.

    Raises:
        ValueError: the pages do not know its task.
    """
    prompt = prompt_of(loaded.task, loaded.model)
    if prompt is None:
        raise ValueError(
            f"{loaded.key} is a {loaded.task.replace('_', ' ')}, which this studio cannot ask. Its "
            "curves, settings and diagrams are shown all the same."
        )
    return prompt


def read(loaded: Loaded, asked: Asked, holds: Sequence[Hold] = ()) -> Reading:
    """Let a model read what it is given.

    Raises:
        ValueError: that cannot be read by this model, or a unit that is to be held is not there;
            the message says why.
    """
    prompt = prompt_for(loaded)
    plain = _row(prompt, loaded, asked, ())
    held = _row(prompt, loaded, asked, holds) if holds else None
    return Reading(plain, held, _parts(plain.told.made), prompt.figures(plain, held))


@torch.no_grad()
def _row(prompt: Prompt, loaded: Loaded, asked: Asked, holds: Sequence[Hold]) -> Row:
    holding = Holding(loaded.model.network, holds)
    told = prompt.told(loaded.model, asked, holding)
    plain = told.made.ask

    def ask() -> Any:
        with holding.within():
            return plain()

    # all that is looked at later is of the units held, too
    made = dataclasses.replace(told.made, ask=ask)
    said = ask()
    with holding.within():
        answers = made.answers(said)
    told = dataclasses.replace(told, made=made)
    return Row(told, answers, made.attention(said), made.whole(said))


def _parts(made: Made) -> list[Part]:
    # one step is enough to know what there is
    found = traced(made, only=("state", "gate", "pre", "value", "output"), steps=[0])
    parts = []
    for one in found.parts:
        axis = _axis(made, one.layer)
        if axis is not None:
            parts.append(
                Part(one.layer, one.direction, one.name, one.kind, one.values.shape[-1], axis)
            )
    if not parts:
        raise ValueError("No recurrent layer walks over this, so that there is nothing to look at.")
    return parts


def _axis(made: Made, layer: str) -> int | None:
    """The axis along which a layer walks; None: along none of those that are shown."""
    for number, axis in enumerate(made.axes):
        if layer.startswith(axis.layers) and "#" not in layer:
            return number
    return None


def choose(reading: Reading, choice: Choice) -> Part:
    """The part that a choice means.

    Raises:
        ValueError: there is none; the message says what there is.
    """
    # the layer nearest to the answers
    last = [part for part in reading.parts if part.axis == 0][-1].layer
    layer = last if choice.layer is None else choice.layer
    here = [p for p in reading.parts if (p.layer, p.direction) == (layer, choice.direction)]
    for part in here:
        if choice.name in (part.name, None):
            return part
    if here:
        names = [part.name for part in here]
        raise ValueError(f"Layer {layer} has no {choice.name!r}{nearest(str(choice.name), names)}")
    layers = list(dict.fromkeys(part.layer for part in reading.parts))
    if layer in layers:
        raise ValueError(f"Layer {layer} is not walked in direction {choice.direction}.")
    raise ValueError(f"There is no layer {layer!r}{nearest(layer, layers)}")


def view(row: Row, part: Part) -> NDArray[Any]:
    """The values of a part over the steps of its axis, [T, units]."""
    found = traced(row.told.made, only=part.name, layers=part.layer)
    values: NDArray[Any] = found.values(part.name, direction=part.direction)[:, 0]
    return values


class Kept:
    """The last few results, by what they came from.

    Args:
        most: how many.

    Example:
        >>> kept = Kept(1)
        >>> kept.get("a", lambda: 1), kept.get("a", lambda: 2), kept.get("b", lambda: 3)
        (1, 1, 3)
        >>> kept.get("a", lambda: 4)
        4
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._found: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Any) -> Any:
        """What is kept under a key, or else made now; one at a time."""
        with self._lock:
            if key not in self._found:
                self._found[key] = make()
            self._found.move_to_end(key)
            while len(self._found) > self._most:
                self._found.popitem(last=False)
            return self._found[key]
