"""All that a cell computes, written down while it walks, by a kernel made for that."""

from __future__ import annotations

from dataclasses import replace
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ostinato.engine import Call, Keeper, Kept, Label, State, keep
from ostinato.layers.tracing.selection import Selection
from ostinato.layers.tracing.steps import Recorded, Walked, innermost, record
from ostinato.layers.tracing.watch import watched_step

__all__ = ["Naming", "recorded", "walk_and_keep"]


class Naming(Keeper):
    """Keeps what has a name in a cell's equations, by (name, kind, function).

    Args:
        cell: what is called, wrappers included.
        names: of its states.
        only: names and kinds to keep; None: all.
    """

    def __init__(
        self, cell: nn.Module, names: tuple[str, ...], only: tuple[str, ...] | None
    ) -> None:
        super().__init__(cell)
        self.names = names
        self.only = only

    def key(self) -> str:
        return repr((self.names, self.only))

    def wants(self, label: Label) -> bool:
        return self.only is None or label[0] in self.only or label[1] in self.only

    def forward(
        self, x: Tensor, *state: Tensor
    ) -> tuple[Tensor, State, dict[Label, Tensor | None]]:
        output, new, named = watched_step(self.cell, innermost(self.cell), x, state, self.names)
        labels = [(one.name, one.kind, one.function) for one in named]
        pairs = zip(labels, named, strict=True)
        return output, new, {at: one.tensor if self.wants(at) else None for at, one in pairs}


# engines know a cell by its identity, so what stands around it is kept
_namings: WeakKeyDictionary[
    nn.Module, dict[tuple[int, tuple[str, ...], tuple[str, ...] | None], Naming]
] = WeakKeyDictionary()


def walk_and_keep(
    layer: nn.Module,
    place: int,
    call: Call,
    names: tuple[str, ...],
    only: tuple[str, ...] | None,
) -> Kept | None:
    """Walk a layer's cell, and keep what has a name; None where the engine in force cannot.

    Args:
        layer: whose cell it is.
        place: of the cell in the layer.
        call: as the engine is to have it.
        names: of the cell's states.
        only: names and kinds to keep; None: all.
    """
    known = _namings.setdefault(layer, {})
    only = None if only is None else tuple(sorted(set(only)))
    naming = known.get((place, names, only))
    if naming is None or naming.cell is not call.cell:
        naming = known[(place, names, only)] = Naming(call.cell, names, only)
    return keep(call, naming)


def recorded(walked: Walked, kept: Kept, selection: Selection) -> dict[str, Recorded]:
    """What was asked for of a walk, by name; what its kernel could not tell is computed again.

    Args:
        walked: the walk.
        kept: of that walk.
        selection: what is asked for, of all rows, steps and units.
    """
    found: dict[str, Recorded] = {}
    missing: dict[str, Recorded] = {}
    for (name, kind, function), values in kept.values.items():
        if not selection.wants(name, kind):
            continue
        if values is None:
            missing[name] = found[name] = Recorded(kind, function, torch.empty(0), torch.empty(0))
        else:
            units = torch.arange(values.shape[-1])
            found[name] = Recorded(kind, function, units, values.detach())
    if missing:
        found.update(record(walked, replace(selection, only=tuple(missing))))
    return found
