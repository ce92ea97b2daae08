"""Which names, rows, steps and units are recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import torch
from torch import Tensor

from ostinato.layers.tracing.recording import unknown

__all__ = ["Chosen", "Selection"]

# numbers, or a slice of them; None: all
Chosen: TypeAlias = "slice | Sequence[int] | None"

KINDS = ("state", "output", "gate", "pre", "value", "attention")


@dataclass
class Selection:
    """What is asked for; notes what was found of it.

    Attributes:
        only: names and kinds; None: everything.
        layers: names of modules or layers; None: all.
        rows: of each batch.
        steps: of each walk.
        units: of all names, or for each name its own.
    """

    only: tuple[str, ...] | None = None
    layers: tuple[str, ...] | None = None
    rows: Chosen = None
    steps: Chosen = None
    units: Chosen | Mapping[str, Chosen] = None
    seen_names: dict[str, None] = field(default_factory=dict)
    seen_layers: dict[str, None] = field(default_factory=dict)

    def wants_layer(self, module: str, layer: str) -> bool:
        self.seen_layers[layer] = None
        return self.layers is None or module in self.layers or layer in self.layers

    def wants(self, name: str, kind: str) -> bool:
        self.seen_names[name] = None
        return self.only is None or name in self.only or kind in self.only

    def beyond(self, names: Iterable[str]) -> bool:
        """Whether more may be asked for than these states."""
        return self.only is None or any(
            one not in ("state", "attention", *names) for one in self.only
        )

    def is_whole(self, steps: int) -> bool:
        """Whether all rows and units of a walk of so many steps are asked for, at every step."""
        return self.rows is None and self.units is None and (self.steps is None or steps == 1)

    def all_steps(self) -> Selection:
        """The same, of all steps; what is found counts for both."""
        return replace(self, steps=None)

    def units_of(self, name: str, width: int) -> Tensor:
        chosen = self.units.get(name) if isinstance(self.units, Mapping) else self.units
        return numbers("units", chosen, width, f"{name!r} has")

    def check(self) -> None:
        """See that all that was asked for was there.

        Raises:
            ValueError: a name or layer was not; the message names the nearest.
        """
        for name in self.only or ():
            if name not in self.seen_names and name not in KINDS:
                raise ValueError(unknown("name", name, tuple(self.seen_names)))
        modules = {layer.rpartition(".")[0] for layer in self.seen_layers}
        for layer in self.layers or ():
            if layer not in self.seen_layers and layer not in modules:
                raise ValueError(unknown("layer", layer, tuple(self.seen_layers)))
        if isinstance(self.units, Mapping):
            for name in self.units:
                if name not in self.seen_names:
                    raise ValueError(unknown("name", name, tuple(self.seen_names)))


def numbers(what: str, chosen: Chosen, count: int, whose: str) -> Tensor:
    """Chosen numbers in 0..count-1, int64; negative ones count from the end.

    Raises:
        ValueError: one is not there, or none is left.
    """
    if chosen is None or isinstance(chosen, slice):
        return torch.arange(count)[chosen or slice(None)]
    given = [int(one) for one in chosen]
    wrong = [one for one in given if not -count <= one < count]
    if wrong:
        raise ValueError(
            f"Trace: {what} must be in 0..{count - 1} ({whose} {count}), got {wrong[0]}."
        )
    return torch.tensor([one % count for one in given], dtype=torch.int64)
