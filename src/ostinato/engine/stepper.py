"""Steps one by one with everything prepared: addresses, buffers and code; one call for each cell.

What a step depends on beside its input is looked at before every step: a change of a parameter, an
attribute or a mode ends the preparation, and the caller goes the general way. Weights are
read where they stand, so that what is written there is seen, by whatever means it was written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import getitem, is_
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from ostinato.engine import _chosen
from ostinato.engine.calls import State
from ostinato.engine.forms import Form, form_of
from ostinato.engine.fused import threads_for
from ostinato.engine.llvm.compile import host_target
from ostinato.engine.llvm.kernel import Kernel
from ostinato.engine.llvm.onestep import MOST_ROWS, OneStep
from ostinato.engine.llvm.prepared import Packed, Run, Single
from ostinato.engine.recurrence import NotFusable, Recurrence
from ostinato.engine.watch import Watch

__all__ = ["Homes", "Stepper", "Unprepared"]

# for each of a cell's parameters, the table that holds it and its name there
Homes: TypeAlias = Mapping[str, tuple[dict[str, Any], str]]

_dynamo = torch.compiler.is_dynamo_compiling
_transformed = torch._C._are_functorch_transforms_active
_autocast = torch.is_autocast_enabled


class Unprepared(Exception):  # noqa: N818 - it says what cannot be, not that something broke
    """These steps go the general way."""


class Stepper:
    """Steps a stack of cells and holds their states.

    Args:
        cells: from the bottom to the top.
        homes: where each cell's parameters are; None: in the cell.
        fixed: what must still be found where it is now: tables and names there.
        x: an example of the input, [B, I].
        states: what to start from, for each cell.

    Raises:
        Unprepared: that cannot be done in this way.
    """

    def __init__(
        self,
        cells: Sequence[nn.Module],
        homes: Sequence[Homes | None],
        fixed: Sequence[tuple[dict[str, Any], str]],
        x: Tensor,
        states: Sequence[State],
    ) -> None:
        self.shape, self.dtype = x.shape, x.dtype
        self._watch = Watch(cells)
        self._tables = [table for table, _ in fixed]
        self._names = [name for _, name in fixed]
        self._found: list[Any] = [table[name] for table, name in fixed]
        self._parameters: list[Tensor] = []
        self.states: list[State] = []
        self._runs: list[tuple[Run, int, int]] = []
        self._hold: list[Any] = []
        if not self._allowed():
            raise Unprepared
        with torch.inference_mode(False), torch.no_grad():
            for cell, home, state in zip(cells, homes, states, strict=True):
                x = self._add(cell, home, x, state)
        self._like = x
        last, a, _ = self._runs[-1]
        self._runs[-1] = (last, a, 0)
        self._only = last if len(self._runs) == 1 else None
        # aliases hold the memory, so that an address stands for one tensor alone
        self._hold.append([parameter.detach() for parameter in self._parameters])
        self._addresses = [parameter.data_ptr for parameter in self._parameters]
        self._stood = [address() for address in self._addresses]
        # a matrix may also be turned round where it stands
        self._straight = [parameter.is_contiguous for parameter in self._parameters]

    # preparing

    def _add(self, cell: nn.Module, home: Homes | None, x: Tensor, state: State) -> Tensor:
        """Prepare a cell; returns where its output goes when another cell reads it."""
        form = form_of(cell, x.unsqueeze(0), state)
        found = form.found
        if isinstance(found, NotFusable) or not _fits(found, x, state):
            raise Unprepared
        statics = self._statics(cell, home, found)
        if any(not _plain(value, x.dtype) for value in statics):
            raise Unprepared
        rows = x.shape[0]
        kind, index = found.output
        width = found.program.states[index] if kind == "state" else found.program.emits[index].width
        if found.output_shape != (width,) or threads_for(found.program, rows) > 1:
            raise Unprepared
        held = _prepared(form, cell, statics, state)
        y = torch.empty(rows, width, dtype=x.dtype)
        given = x.data_ptr() if self._runs else 0
        self._hold += [held, x, y]
        self._runs.append((held.run, given, y.data_ptr()))
        self.states.append(held.states)
        return y

    def _statics(
        self, cell: nn.Module, home: Homes | None, found: Recurrence
    ) -> tuple[Tensor, ...]:
        """The static tensors, which must be parameters or views of them."""
        names = found.static.names
        homes = _own_homes(cell, names) if home is None else home
        tensors: dict[str, Tensor] = {}
        for name in names:
            table, key = homes.get(name, ({}, ""))
            value = table.get(key)
            if value is None:
                raise Unprepared
            self._tables.append(table)
            self._names.append(key)
            self._found.append(value)
            self._parameters.append(value)
            tensors[name] = value
        made = found.static((), tensors)
        memory = {value.untyped_storage().data_ptr() for value in tensors.values()}
        if any(value.untyped_storage().data_ptr() not in memory for value in made):
            # it is computed, and would have to be computed again when a parameter changes
            raise Unprepared
        return made

    # stepping

    def _allowed(self) -> bool:
        return not (
            _dynamo()
            or _transformed()
            or forward_ad._current_level >= 0
            or _autocast("cpu")
            or _chosen.get() not in ("auto", "llvm")
        )

    def _same(self) -> bool:
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

    def take(self, x: Tensor) -> Tensor | None:
        """One step: x [B, I] to the output [B, O], or None where it must go the general way."""
        if type(x) is not Tensor or x.dtype is not self.dtype or x.shape != self.shape:
            return None
        if not x.is_cpu or not self._allowed() or not self._same():
            return None
        if not x.is_contiguous():
            x = x.contiguous()
        y = torch.empty_like(self._like)
        if self._only is not None:
            self._only(x.data_ptr(), y.data_ptr())
            return y
        first, last = x.data_ptr(), y.data_ptr()
        for run, given, made in self._runs:
            run(given or first, made or last)
        return y

    def leave(self) -> list[State]:
        """Copies of the states."""
        return [tuple(part.clone() for part in state) for state in self.states]

    def enter(self, states: Sequence[State]) -> bool:
        """Go on from other states of the same shapes; False where they are of another kind."""
        pairs = [
            (old, new)
            for olds, news in zip(self.states, states, strict=True)
            for old, new in zip(olds, news, strict=True)
        ]
        if any(type(new) is not Tensor or not _alike(old, new) for old, new in pairs):
            return False
        with torch.no_grad():
            for old, new in pairs:
                old.copy_(new)
        return True


def _alike(old: Tensor, new: Tensor) -> bool:
    return old.shape == new.shape and old.dtype == new.dtype and new.is_cpu


def _plain(value: Any, dtype: torch.dtype) -> bool:
    kind = type(value) in (Tensor, nn.Parameter)
    return kind and value.dtype == dtype and value.is_cpu and value.is_contiguous()


def _fits(found: Recurrence, x: Tensor, state: State) -> bool:
    plain = found.before is None and found.output[0] != "after"
    return plain and all(type(part) is Tensor and _plain(part, x.dtype) for part in state)


def _prepared(
    form: Form, cell: nn.Module, statics: Sequence[Tensor], state: State
) -> Single | Packed:
    """A step of one cell, ready to be called."""
    found, (rows, _), dtype = form.found, state[0].shape, state[0].dtype
    assert isinstance(found, Recurrence)
    target = host_target()
    if rows > MOST_ROWS:
        kernel = form.kernel(cell, False, dtype, target)
        if not isinstance(kernel, Kernel):
            raise Unprepared
        return Packed(kernel, found.output, statics, state)
    code = form.steps.get(rows)
    if code is None:
        try:
            code = OneStep(found.program, rows, found.output, dtype=dtype, target=target)
        except NotFusable:
            raise Unprepared from None
        form.steps[rows] = code
    return Single(code, statics, state)


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
