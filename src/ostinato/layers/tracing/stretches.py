"""Walks that were noted, put together to a trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from ostinato.engine import State
from ostinato.layers.tracing.recording import Layer, Part, Trace
from ostinato.layers.tracing.selection import Selection, numbers
from ostinato.layers.tracing.steps import Recorded

__all__ = ["Stretch", "assembled"]


@dataclass
class Stretch:
    """What one cell, or one attention, did in one call, or in calls that go on from each other.

    Attributes:
        module, layer, cell: names, as `Layer` has them.
        direction: 0 or 1.
        steps: of the walk.
        rows: of the batch.
        lengths: valid steps of each row, [B]; None: all.
        begin, end: states before and after; () where nothing is handed on.
        whole: all steps are recorded, whatever is chosen.
        parts: what was recorded, by name.
    """

    module: str
    layer: str
    cell: str
    direction: int
    steps: int
    rows: int
    lengths: Tensor | None
    begin: State
    end: State
    whole: bool
    parts: dict[str, Recorded] = field(default_factory=dict)

    def goes_on(self, other: Stretch) -> bool:
        """Whether the other call went on where this one ended."""
        if not (self.whole and other.whole) or self.direction or self.rows != other.rows:
            return False
        if self.lengths is not None or other.lengths is not None:
            return False
        if [p.values.shape[1:] for p in self.parts.values()] != [
            p.values.shape[1:] for p in other.parts.values()
        ]:
            return False
        return len(self.end) == len(other.begin) and all(map(torch.equal, self.end, other.begin))


def assembled(
    stretches: Sequence[Stretch],
    order: Sequence[str],
    selection: Selection,
    labels: Sequence[Sequence[str]] | None,
    output: Any,
) -> Trace:
    """The trace of all stretches.

    Args:
        stretches: in the order of the calls.
        order: names of modules, in the order in which their layers are to stand.
        selection: what was asked for.
        labels: of all rows and steps of the first layer.
        output: what the module returned.
    """
    layers: dict[str, Layer] = {}
    parts: list[Part] = []
    ranks = {name: rank for rank, name in enumerate(order)}
    for name, group in sorted(_named(stretches), key=lambda pair: ranks[pair[1][0].module]):
        layer, made = _put_together(name, group, selection)
        known = layers.get(name)
        layers[name] = (
            layer
            if known is None
            else Layer(known.name, known.cell, 2, known.lengths, known.steps, known.rows)
        )
        parts += made
    told = list(layers.values())
    if not told:
        raise ValueError(
            "trace: nothing was walked: the input has no step, or the call does not reach the "
            "layers that are asked for."
        )
    place = {layer.name: k for k, layer in enumerate(told)}
    parts.sort(key=lambda part: (place[part.layer], part.direction))
    return Trace(told, parts, _chosen_labels(labels, told[0]), output)


def _named(stretches: Sequence[Stretch]) -> list[tuple[str, list[Stretch]]]:
    """Calls that go on from each other together; each such group has a name of its own."""
    groups: dict[tuple[str, int], list[list[Stretch]]] = {}
    for one in stretches:
        own = groups.setdefault((one.layer, one.direction), [])
        if own and own[-1][-1].goes_on(one):
            own[-1].append(one)
        else:
            own.append([one])
    return [
        (layer if not number else f"{layer}#{number + 1}", group)
        for (layer, _), own in groups.items()
        for number, group in enumerate(own)
    ]


def _put_together(
    name: str, group: Sequence[Stretch], selection: Selection
) -> tuple[Layer, list[Part]]:
    first = group[0]
    total = sum(one.steps for one in group)
    steps = numbers("steps", selection.steps, total, f"{name!r} has")
    rows = numbers("rows", selection.rows, first.rows, "the batch has")
    lengths = torch.full((first.rows,), total) if first.lengths is None else first.lengths.cpu()
    left = (steps[:, None] < lengths[rows][None, :]).sum(0)
    layer = Layer(name, first.cell, first.direction + 1, left.numpy(), steps.numpy(), rows.numpy())
    cut = steps if first.whole and selection.steps is not None else None
    return layer, [
        Part(
            name,
            first.direction,
            label,
            one.kind,
            one.function,
            _joined([stretch.parts[label].values for stretch in group], cut),
            one.units.numpy(),
            None
            if one.gradients is None
            else _joined([_gradients(stretch.parts[label]) for stretch in group], cut),
        )
        for label, one in first.parts.items()
    ]


def _gradients(one: Recorded) -> Tensor:
    assert one.gradients is not None
    return one.gradients


def _joined(parts: Sequence[Tensor], steps: Tensor | None) -> NDArray[Any]:
    whole = parts[0] if len(parts) == 1 else torch.cat(list(parts))
    if steps is not None:
        whole = whole[steps]
    # numpy knows no bfloat16
    whole = whole.float() if whole.dtype == torch.bfloat16 else whole
    array: NDArray[Any] = whole.numpy()
    return array


def _chosen_labels(labels: Sequence[Sequence[str]] | None, layer: Layer) -> list[list[str]] | None:
    if labels is None:
        return None
    short = [row for row in layer.rows.tolist() if row >= len(labels)]
    if short:
        raise ValueError(
            f"trace: labels are for {len(labels)} row(s), and row {short[0]} has none."
        )
    return [
        [labels[row][step] for step in layer.steps.tolist() if step < len(labels[row])]
        for row in layer.rows.tolist()
    ]
