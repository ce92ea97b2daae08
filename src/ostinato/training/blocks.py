"""Which weights of a module are what: blocks of input, recurrent and bias weights, gate by gate.

Known are the cells of this package, torch.nn's recurrent layers and cells, and any module that uses
`Gates`. Of another's cell, one step is watched: what multiplies the old state is recurrent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from ostinato import cells
from ostinato.layers.recurrent_dropout import recurrent_regions
from ostinato.layers.sequence import SequenceLayer

__all__ = ["Block", "Kind", "blocks_of"]

E = TypeVar("E")

Kind = Literal["input", "recurrent", "bias"]


@dataclass(frozen=True)
class Block:
    """The weights of one kind in one gate.

    Attributes:
        kind: "input", "recurrent" or "bias".
        gate: its name in the equations; empty where nobody knows it.
        value: a view of the parameter: [H, columns], or [H].
        layer: of a stack, from 0.
        name: of the parameter in its cell.
        cell: where it belongs.
        role: 1 if the gate's share of the old state is kept, -1 if it is what is renewed, else 0.
        mask: zeros where the cell never looks.
        second: a bias that is added to another one.
    """

    kind: Kind
    gate: str
    value: Tensor
    layer: int
    name: str
    cell: nn.Module
    role: int = 0
    mask: Tensor | None = None
    second: bool = False


_KEEPS_AND_WRITES = {"f": 1, "i": -1}
# what an open gate does to the old state, by kind of cell; a cell of one's own has `gate_roles`
_ROLES: tuple[tuple[type[nn.Module], Mapping[str, int]], ...] = (
    (cells.LSTM, _KEEPS_AND_WRITES),
    (cells.MultiplicativeLSTM, _KEEPS_AND_WRITES),
    (cells.MinLSTM, _KEEPS_AND_WRITES),
    (cells.GRU, {"z": 1}),
    (cells.Gated, {"g": -1}),
    (cells.MGU, {"f": -1}),
    (cells.MinGRU, {"z": -1}),
    (nn.LSTM, _KEEPS_AND_WRITES),
    (nn.LSTMCell, _KEEPS_AND_WRITES),
    (nn.GRU, {"z": 1}),
    (nn.GRUCell, {"z": 1}),
)
# rows of torch's matrices, in order
_TORCH_GATES: tuple[tuple[type[nn.Module], str], ...] = (
    (nn.LSTM, "i f g o"),
    (nn.LSTMCell, "i f g o"),
    (nn.GRU, "r z n"),
    (nn.GRUCell, "r z n"),
    (nn.RNNBase, "h"),
    (nn.RNNCellBase, "h"),
)
_LINEAR_GATES: tuple[tuple[type[nn.Module], str], ...] = (
    (cells.MinGRU, "z n"),
    (cells.MinLSTM, "f i n"),
)


def blocks_of(module: nn.Module) -> list[Block]:
    """All blocks of the recurrent layers in a module, or of a cell.

    Raises:
        ValueError: there is no recurrent layer in it, and it is no cell that is known.
    """
    layers = [m for m in module.modules() if isinstance(m, (SequenceLayer, nn.RNNBase))]
    found = [block for layer in layers for block in _of_layer(layer)]
    if layers:
        return found
    seen: set[int] = set()
    for part in module.modules():
        if isinstance(part, (cells.Cell, nn.RNNCellBase, cells.Gates)) and id(part) not in seen:
            seen.update(id(inner) for inner in part.modules())
            found += _of_cell(part, 0)
    if not found:
        raise ValueError(
            f"{type(module).__name__}: no recurrent layer and no known cell is in it. Give a layer "
            "(ostinato.Recurrent walks any cell), or a module that holds one."
        )
    return found


def _of_layer(layer: SequenceLayer | nn.RNNBase) -> Iterator[Block]:
    if isinstance(layer, nn.RNNBase):
        yield from _of_torch_layer(layer)
        return
    directions = 2 if layer.bidirectional else 1
    for place, sizes in enumerate(layer._states.sizes):
        cell = layer._cell(place)
        known = list(_of_cell(cell, place // directions))
        if not known and any(p.requires_grad for p in cell.parameters()):
            width = layer._in_time[place].input_size
            known = list(_of_stranger(cell, place // directions, width, sizes))
        yield from known


def _of_cell(cell: nn.Module, layer: int) -> Iterator[Block]:
    """The blocks of a cell that is known; none of another's."""
    if isinstance(cell, nn.RNNCellBase):
        yield from _of_torch(cell, cell, layer, "")
        return
    roles = _roles(cell)
    for name, part in cell.named_modules():
        prefix = f"{name}." if name else ""
        if isinstance(part, cells.Gates):
            yield from _of_gates(part, cell, layer, prefix, roles)
        elif isinstance(part, cells.IndRNN):
            yield from _of_linear(part.drive, ("h",), cell, layer, f"{prefix}drive.", {})
            own = f"{prefix}weight_hh"
            yield Block("recurrent", "h", part.weight_hh.detach(), layer, own, cell)
        elif isinstance(part, cells.MultiplicativeLSTM):
            yield from _of_linear(part.input_factor, ("m",), cell, layer, "input_factor.", {})
            own = f"{prefix}state_factor.weight"
            yield Block("recurrent", "m", part.state_factor.weight.detach(), layer, own, cell)
        elif isinstance(part, (cells.MinGRU, cells.MinLSTM)):
            gates = _first(_LINEAR_GATES, part)
            assert gates is not None
            yield from _of_linear(part.gates, gates.split(), cell, layer, f"{prefix}gates.", roles)


def _of_gates(
    gates: cells.Gates, cell: nn.Module, layer: int, prefix: str, roles: Mapping[str, int]
) -> Iterator[Block]:
    height = gates.hidden_size
    recurrent, drive = (part.detach() for part in gates._blocks())
    names = ("weight", "weight") if gates.joint else ("weight_hh", "weight_ih")
    for k, gate in enumerate(gates.names):
        rows = slice(k * height, (k + 1) * height)
        role = roles.get(gate, 0)
        yield Block("input", gate, drive[rows], layer, prefix + names[1], cell, role)
        mask = None if gates.mask is None else gates.mask[rows]
        for part, seen in _squares(recurrent[rows], mask):
            yield Block("recurrent", gate, part, layer, prefix + names[0], cell, role, seen)
        for name in ("bias", "bias_ih", "bias_hh"):
            bias = getattr(gates, name)
            if bias is not None:
                second = name == "bias_hh"
                part = bias.detach()[rows]
                yield Block("bias", gate, part, layer, prefix + name, cell, role, None, second)


def _squares(block: Tensor, mask: Tensor | None) -> Iterator[tuple[Tensor, Tensor | None]]:
    """A block that hears several states of its own width, state by state; else as it is."""
    height, width = block.shape
    step = height if width % height == 0 else width
    for start in range(0, width, step):
        part = slice(start, start + step)
        yield block[:, part], None if mask is None else mask[:, part]


def _of_linear(
    linear: nn.Linear,
    gates: Sequence[str],
    cell: nn.Module,
    layer: int,
    prefix: str,
    roles: Mapping[str, int],
) -> Iterator[Block]:
    """The gates of a linear map of x."""
    weights = linear.weight.detach().chunk(len(gates))
    for gate, part in zip(gates, weights, strict=True):
        yield Block("input", gate, part, layer, f"{prefix}weight", cell, roles.get(gate, 0))
    if linear.bias is not None:
        for gate, part in zip(gates, linear.bias.detach().chunk(len(gates)), strict=True):
            yield Block("bias", gate, part, layer, f"{prefix}bias", cell, roles.get(gate, 0))


def _of_torch_layer(layer: nn.RNNBase) -> Iterator[Block]:
    for k in range(layer.num_layers):
        for suffix in (f"_l{k}", f"_l{k}_reverse")[: 2 if layer.bidirectional else 1]:
            yield from _of_torch(layer, layer, k, suffix)


def _of_torch(owner: nn.Module, cell: nn.Module, layer: int, suffix: str) -> Iterator[Block]:
    """The matrices that torch keeps under fixed names."""
    text = _first(_TORCH_GATES, owner)
    assert text is not None
    gates, roles = text.split(), _roles(owner)
    kinds: tuple[tuple[str, Kind], ...] = (
        ("weight_ih", "input"),
        ("weight_hh", "recurrent"),
        ("bias_ih", "bias"),
        ("bias_hh", "bias"),
    )
    for own, kind in kinds:
        name = own + suffix
        whole = getattr(owner, name, None)
        if not isinstance(whole, Tensor):
            continue
        second = own == "bias_hh"
        for gate, part in zip(gates, whole.detach().chunk(len(gates)), strict=True):
            yield Block(kind, gate, part, layer, name, cell, roles.get(gate, 0), None, second)


def _roles(cell: nn.Module) -> Mapping[str, int]:
    told = getattr(cell, "gate_roles", None)
    if isinstance(told, Mapping):
        return told
    return _first(_ROLES, cell) or {}


def _first(table: Sequence[tuple[type[nn.Module], E]], cell: nn.Module) -> E | None:
    """The entry of the first kind in a table that the cell is of."""
    return next((entry for kind, entry in table if isinstance(cell, kind)), None)


# another's cell


def _of_stranger(
    cell: nn.Module, layer: int, input_size: int | None, sizes: Sequence[int]
) -> Iterator[Block]:
    if input_size is None or not sizes:
        raise ValueError(
            f"{type(cell).__name__}: its widths are not known, so that its weights cannot be told "
            "apart. Give the layer input_size and state_sizes."
        )
    regions = recurrent_regions(cell, input_size, sizes)
    for name, parameter in cell.named_parameters():
        value = parameter.detach()
        region = regions.get(name)
        if value.dim() == 1 and "bias" in name:
            yield Block("bias", "", value, layer, name, cell, 0, None, False)
        elif value.dim() == 2 and region is not None:
            yield from _of_region(value, region, layer, name, cell, sizes)
        elif value.dim() == 2 and input_size in value.shape:
            matrix = value if value.shape[1] == input_size else value.t()
            yield Block("input", "", matrix, layer, name, cell)


def _of_region(
    value: Tensor,
    region: Tensor,
    layer: int,
    name: str,
    cell: nn.Module,
    sizes: Sequence[int],
) -> Iterator[Block]:
    """A parameter from which recurrent matrices are made: its square blocks, and the rest."""
    if value.shape[1] not in sizes and value.shape[0] in sizes and bool(region.all()):
        # it stands on the other side of the state
        value, region = value.t(), region.t()
    columns = region.all(0)
    if not bool((region == columns).all()):
        raise ValueError(
            f"{type(cell).__name__}.{name}: only some rows of a column meet the old state, so that "
            "its blocks cannot be told apart. Use ostinato.cells.Gates, or start it by hand."
        )
    for start, stop, recurrent in _runs(columns):
        part = value[:, start:stop]
        if not recurrent:
            yield Block("input", "", part, layer, name, cell)
            continue
        width = stop - start
        height = width if value.shape[0] % width == 0 else value.shape[0]
        for first in range(0, value.shape[0], height):
            rows = part[first : first + height]
            yield Block("recurrent", "", rows, layer, name, cell)


def _runs(columns: Tensor) -> Iterator[tuple[int, int, bool]]:
    """Stretches of equal marks."""
    changes = torch.nonzero(columns[1:] != columns[:-1])[:, 0] + 1
    for start, stop in pairwise([0, *changes.tolist(), len(columns)]):
        yield start, stop, bool(columns[start])
