"""How a model reads a text: what it expects after each token, and what its units do."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray

from ostinato.inspect.trace import trace
from ostinato.studio.library import Loaded
from ostinato.studio.material import Material, Ranked, material

__all__ = ["Choice", "Kept", "Reading", "Told", "choose", "read", "view"]


@dataclass(frozen=True)
class Told:
    """What can be looked at: a name of one layer and direction.

    Attributes:
        layer: number of the layer, from 0.
        place: the layer's name in the network.
        direction: 0, or 1 for the walk from the end.
        name: as the cell's equations have it.
        kind: "state", "gate", "pre", "value" or "output".
        units: how many.
    """

    layer: int
    place: str
    direction: int
    name: str
    kind: str
    units: int


@dataclass(frozen=True)
class Reading:
    """A text as a model read it.

    Attributes:
        material: the text.
        parts: what can be looked at.
        answers: ranked, after each token.
        surprise: of each token before it was read, in nats; None where the task expects nothing.
    """

    material: Material
    parts: list[Told]
    answers: list[Ranked]
    surprise: list[float | None] | None


@dataclass(frozen=True)
class Choice:
    """What is looked at. What is None is chosen: the first state of the last layer.

    Attributes:
        layer, direction, name: of a `Told`.
    """

    layer: int | None = None
    direction: int = 0
    name: str | None = None


def read(loaded: Loaded, text: str) -> Reading:
    """Let a model read a text.

    Raises:
        ValueError: the text cannot be read by this model; the message says why.
    """
    made = material(loaded, text)
    with torch.no_grad():
        # one step is enough to know what there is
        found = trace(
            made.module, *made.inputs, layers=made.layers, rows=[0], steps=[0], training=False
        )
        names = [layer.name for layer in found.layers]
        parts = [
            Told(names.index(p.layer), p.layer, p.direction, p.name, p.kind, p.values.shape[-1])
            for p in found.parts
        ]
        surprise = None if made.surprise is None else made.surprise(found.output)
        return Reading(made, parts, made.answers(found.output), surprise)


def choose(reading: Reading, choice: Choice) -> Told:
    """The part that a choice means.

    Raises:
        ValueError: there is none; the message says what there is.
    """
    layer = max(part.layer for part in reading.parts) if choice.layer is None else choice.layer
    here = [p for p in reading.parts if (p.layer, p.direction) == (layer, choice.direction)]
    for part in here:
        if choice.name in (part.name, None):
            return part
    if here:
        names = ", ".join(part.name for part in here)
        raise ValueError(f"Layer {layer} has no {choice.name!r}. Choose one of {names}.")
    layers = sorted({(p.layer, p.direction) for p in reading.parts})
    told = ", ".join(f"{k} direction {d}" for k, d in layers)
    raise ValueError(
        f"There is no layer {layer} with direction {choice.direction}. Choose one of {told}."
    )


def view(reading: Reading, part: Told) -> NDArray[Any]:
    """The values of a part over the text, [T, units]."""
    made = reading.material
    found = trace(
        made.module,
        *made.inputs,
        only=part.name,
        layers=part.place,
        rows=[0],
        training=False,
    )
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
