"""Work that is prepared once and holds as long as nothing changes that it depends on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import getitem, is_
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from ostinato.engine import _chosen
from ostinato.engine.recurrence import Recurrence
from ostinato.engine.watch import Watch

__all__ = ["Homes", "Standing", "Unprepared", "is_plain"]

# for each of a cell's parameters, the table that holds it and its name there
Homes: TypeAlias = Mapping[str, tuple[dict[str, Any], str]]

_dynamo = torch.compiler.is_dynamo_compiling
_transformed = torch._C._are_functorch_transforms_active
_autocast = torch.is_autocast_enabled


class Unprepared(Exception):  # noqa: N818 - it says what cannot be, not that something broke
    """This goes the general way."""


class Standing:
    """What was prepared for some cells, and whether it still holds.

    Args:
        cells: whose attributes and parameters count.
        fixed: what must still be found where it is now: tables and names there.

    Attributes:
        parameters: those that were taken.
    """

    def __init__(
        self, cells: Sequence[nn.Module], fixed: Sequence[tuple[dict[str, Any], str]]
    ) -> None:
        if not self.allowed():
            raise Unprepared
        self.parameters: list[Tensor] = []
        self._watch = Watch(cells)
        self._tables = [table for table, _ in fixed]
        self._names = [name for _, name in fixed]
        self._found: list[Any] = [table[name] for table, name in fixed]

    def statics(
        self, cell: nn.Module, homes: Homes | None, found: Recurrence
    ) -> tuple[Tensor, ...]:
        """The static tensors of a cell, which must be its parameters or views of them.

        Raises:
            Unprepared: they are computed, or nobody knows where they are held.
        """
        names = found.static.names
        homes = _own_homes(cell, names) if homes is None else homes
        tensors: dict[str, Tensor] = {}
        for name in names:
            table, key = homes.get(name, ({}, ""))
            value = table.get(key)
            if value is None:
                raise Unprepared
            self._tables.append(table)
            self._names.append(key)
            self._found.append(value)
            self.parameters.append(value)
            tensors[name] = value
        made = found.static((), tensors)
        memory = {value.untyped_storage().data_ptr() for value in tensors.values()}
        if any(value.untyped_storage().data_ptr() not in memory for value in made):
            # it would have to be computed again when a parameter changes
            raise Unprepared
        return made

    def settle(self) -> None:
        """All parameters have been taken."""
        # aliases hold the memory, so that an address stands for one tensor alone
        self._hold = [parameter.detach() for parameter in self.parameters]
        self._addresses = [parameter.data_ptr for parameter in self.parameters]
        self._stood = [address() for address in self._addresses]
        # a matrix may also be turned round where it stands
        self._straight = [parameter.is_contiguous for parameter in self.parameters]

    @staticmethod
    def allowed() -> bool:
        """Whether nothing is going on that kernels do not know."""
        return not (
            _dynamo()
            or _transformed()
            or forward_ad._current_level >= 0
            or _autocast("cpu")
            or _chosen.get() not in ("auto", "llvm")
        )

    def same(self) -> bool:
        """Whether cells and parameters are as they were, but for the parameters' values."""
        try:
            here = map(getitem, self._tables, self._names)
            return (
                all(map(is_, here, self._found))
                and [address() for address in self._addresses] == self._stood
                and False not in [straight() for straight in self._straight]
                and self._watch.same()
            )
        except KeyError:
            return False


def is_plain(value: Any, dtype: torch.dtype) -> bool:
    """Whether it is a tensor whose memory can be read row by row."""
    kind = type(value) in (Tensor, nn.Parameter)
    return kind and value.dtype == dtype and value.is_cpu and value.is_contiguous()


def _own_homes(cell: nn.Module, names: Sequence[str]) -> Homes:
    homes: dict[str, tuple[dict[str, Any], str]] = {}
    modules = dict(cell.named_modules())
    for name in names:
        path, _, last = name.rpartition(".")
        # a constant of the cell's forward is in no table
        owner = modules.get(path)
        for table in () if owner is None else (owner._parameters, owner._buffers):
            if last in table:
                homes[name] = (table, last)
    return homes
