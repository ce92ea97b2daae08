"""A walk on a kernel that also writes down values of every step, which a `Keeper` names.

The kernel is one of its own, made once: that of the cell, with the values emitted as they are
computed. States and output are those of the cell's own kernel, bit for bit (see `apart`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ostinato.engine.calls import Call, Keeper, Kept, Label, State, Walk
from ostinato.engine.duals import has_tangent
from ostinato.engine.forms import form_of
from ostinato.engine.fused import _Call, fit_for
from ostinato.engine.llvm.batch import Ragged
from ostinato.engine.llvm.compile import host_target
from ostinato.engine.llvm.kernel import Kernel
from ostinato.engine.llvm.lengths import spread
from ostinato.engine.llvm.pool import passing
from ostinato.engine.recurrence import NotFusable, Recurrence

__all__ = ["walk"]


def walk(call: Call, keeper: Keeper, *, target: str = "") -> Kept | None:
    """Walk a cell, and keep what `keeper` says; None where no kernel will do.

    Args:
        call: of the cell that `keeper` stands around; no gradient is asked for.
        keeper: what is to be kept.
        target: of machine code; see `host_target`.
    """
    if not fit_for(call) or torch.is_autocast_enabled("cpu"):
        return None
    parameters = call.parameters
    given = replace(
        call,
        cell=keeper,
        all_states=True,
        parameters=parameters and {f"cell.{name}": part for name, part in parameters.items()},
    )
    form = form_of(keeper, call.x, call.state)
    if isinstance(form.found, NotFusable):
        return None
    statics = tuple(part.contiguous() for part in form.statics(keeper, given.parameters))
    tensors = (call.x, *call.state, *(call.reset_state or ()), *statics)
    if any(part.dtype != call.x.dtype or part.device.type != "cpu" for part in statics):
        return None
    graded = torch.is_grad_enabled() and any(part.requires_grad for part in tensors)
    if graded or has_tangent(tensors):
        return None
    kernel = form.kernel(keeper, False, call.x.dtype, host_target(target))
    if isinstance(kernel, NotFusable):
        return None
    return _KeepingCall(given, form.found, kernel, statics).keep()


class _KeepingCall(_Call):
    """One call that keeps what its kernel emits."""

    def __init__(
        self, call: Call, found: Recurrence, kernel: Kernel, statics: tuple[Tensor, ...]
    ) -> None:
        super().__init__(call, found, kernel, statics)
        self.packed: Ragged | None = None
        self.emitted: list[Tensor] = []

    def keep(self) -> Kept:
        walk = self.walk()
        assert walk.states is not None
        values: dict[Label, Tensor | None] = {}
        for label, at in self.found.kept.items():
            values[label] = at if at is None else self._value(at, walk.states)
        return Kept(walk, values)

    def _value(self, at: tuple[str, int], states: State) -> Tensor:
        kind, index = at
        if kind == "state":
            return states[index]
        if not self.emitted:
            # no row has a step
            width = self.found.program.emits[index].width
            return states[0].new_zeros(self.T, self.B, width)
        return self.emitted[index]

    def _ragged(self, packed: Ragged) -> Walk:
        self.packed = packed
        return super()._ragged(packed)

    def _output(
        self,
        rows: Tensor,
        inputs: Sequence[Tensor],
        sequences: Sequence[Tensor],
        emits: Sequence[Tensor],
    ) -> Tensor:
        self.emitted = [self._placed(part) for part in emits]
        return super()._output(rows, inputs, sequences, emits)

    def _placed(self, rows: Tensor) -> Tensor:
        """What was emitted, at the steps where the user has them."""
        T, B, width = self.T, self.B, rows.shape[1]
        if self.packed is None and not self.call.reverse:
            return rows.view(T, B, width)
        out = passing(T * B, width, rows.dtype)
        if self.packed is None:
            steps = torch.arange(T - 1, -1, -1)
            torch.index_select(rows.view(T, B * width), 0, steps, out=out.view(T, B * width))
        else:
            spread(rows, self.packed, out)
        return out.view(T, B, width)
