"""From a trace to the tracks of a page; what layers, steps and names are shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from ostinato.inspect.gradient_flow import Flow, gradient_flow
from ostinato.inspect.page.material import Attention, Axis, Material, PageError, Track
from ostinato.inspect.saturation import Saturation, saturation
from ostinato.inspect.spectrum import Spectrum
from ostinato.inspect.trace import Trace
from ostinato.layers.sequence import SequenceLayer

__all__ = ["KINDS", "Wishes", "add_spectrum", "fill", "width_of"]

# what is shown when nobody says otherwise
KINDS = ("state", "gate", "value")

# widths of all states of a cell up to which three steps, or one, are looked at
_WIDE, _WIDEST = 600, 1500


@dataclass(frozen=True)
class Wishes:
    """What a page is to show.

    Attributes:
        names: names or kinds of values, as `ostinato.trace` takes them; None: states, gates and
            what is made between.
        layers: names of modules or layers; None: all.
        max_steps: how many steps are shown at most.
        top: how many choices are kept of each answer.
        gradients: also follow the loss of the last step back.
    """

    names: tuple[str, ...] | None = None
    layers: tuple[str, ...] | None = None
    max_steps: int = 2000
    top: int = 8
    gradients: bool = True

    def __post_init__(self) -> None:
        for name in ("max_steps", "top"):
            if getattr(self, name) < 1:
                raise ValueError(f"inspect: {name} must be at least 1, got {getattr(self, name)}.")


def width_of(network: nn.Module) -> int:
    """Width of all states of the widest cell."""
    widths = [
        sum(sizes)
        for module in network.modules()
        if isinstance(module, SequenceLayer)
        for sizes in module._states.sizes
    ]
    return max(widths, default=0)


def fill(material: Material, found: Trace) -> None:
    """Put a trace's values into a page, each layer on the axis that has its steps.

    A layer that has other steps than the axes before gets one of its own, with numbers.
    """
    lengths = {layer.name: int(layer.lengths[0]) for layer in found.layers}
    flows = {(f.layer, f.direction, f.state): f for f in _flows(found)}
    limits = {(s.layer, s.direction, s.name): s for s in _limits(found)}
    for part in found.parts:
        steps = lengths[part.layer]
        # what a layer did when it was called again, from another start, has a name with a number
        if not steps or "#" in part.layer:
            continue
        values = np.asarray(part.values[:steps, 0], dtype=np.float32)
        if part.kind == "attention":
            _look(material, part.layer, values)
            continue
        place = (part.layer, part.direction, part.name)
        material.tracks.append(
            Track(
                _axis(material, part.layer, steps),
                *place,
                part.kind,
                part.function,
                values,
                part.units,
                flows.get(place),
                limits.get(place),
            )
        )
    if not material.tracks:
        raise PageError("inspect: nothing was recorded. Leave out names, or name a state.")


def _flows(found: Trace) -> Sequence[Flow]:
    if not any(part.kind == "state" and part.gradients is not None for part in found.parts):
        return ()
    return gradient_flow(found).flows


def _limits(found: Trace) -> Sequence[Saturation]:
    try:
        return saturation(found).gates
    except ValueError:
        # nothing that has been recorded has limits
        return ()


def add_spectrum(material: Material, find: Callable[[int], Spectrum], width: int) -> None:
    """Put the spectra of some steps into a page.

    Args:
        material: the page.
        find: gives the spectra of so many steps.
        width: of all states of the widest cell: its square is what a step costs.
    """
    if width > _WIDEST:
        material.notes.append(
            f"The spectrum of a step is left out: its matrix would be {width:,} by {width:,}. "
            "ostinato.inspect.spectrum finds it."
        )
        return
    found = find(3 if width <= _WIDE else 1)
    for one in found.steps:
        way = ", from the end" if one.direction else ""
        # of a task, its network's layers are called as everywhere on the page
        layer = one.layer.removeprefix("network.")
        title = f"layer {layer}{way}, step {one.step + 1}"
        outside = int((np.abs(one.eigenvalues) > 1).sum())
        words = (
            f"The largest eigenvalue has size {one.radius:.3f}; {outside} of "
            f"{len(one.eigenvalues)} lie outside the unit circle; no push grows more than "
            f"{one.singular_values[0]:.3g} times."
        )
        material.spectra.append((title, one.eigenvalues, words))


def _axis(material: Material, layer: str, steps: int) -> int:
    for number, axis in enumerate(material.axes):
        if len(axis.labels) == steps and layer.startswith(axis.layers):
            return number
    labels = tuple(str(step) for step in range(1, steps + 1))
    material.axes.append(Axis(f"steps of {layer}", labels, " ", (layer,)))
    return len(material.axes) - 1


def _look(material: Material, name: str, weights: Any) -> None:
    if any(one.name == name or one.weights.shape == weights.shape for one in material.attention):
        return
    written = tuple(str(k) for k in range(1, len(weights) + 1))
    read = tuple(str(k) for k in range(1, weights.shape[1] + 1))
    material.attention.append(Attention(name, weights, written, read))
