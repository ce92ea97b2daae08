"""Steps one by one with everything prepared: addresses, buffers and code; one call for each cell.

What a step depends on beside its input is looked at before every step: a change of a parameter, an
attribute or a mode ends the preparation, and the caller goes the general way. Weights are
read where they stand, so that what is written there is seen, by whatever means it was written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ostinato.engine.calls import State
from ostinato.engine.forms import Form, form_of
from ostinato.engine.fused import threads_for
from ostinato.engine.llvm.compile import host_target
from ostinato.engine.llvm.kernel import Kernel
from ostinato.engine.llvm.onestep import MOST_ROWS, OneStep
from ostinato.engine.llvm.prepared import Packed, Run, Single
from ostinato.engine.recurrence import NotFusable, Recurrence
from ostinato.engine.standing import Homes, Standing, Unprepared, is_plain

__all__ = ["Homes", "Stepper", "Unprepared"]


class Stepper(Standing):
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
        super().__init__(cells, fixed)
        self.shape, self.dtype = x.shape, x.dtype
        self.states: list[State] = []
        self._runs: list[tuple[Run, int, int]] = []
        self._buffers: list[Any] = []
        with torch.inference_mode(False), torch.no_grad():
            for cell, home, state in zip(cells, homes, states, strict=True):
                x = self._add(cell, home, x, state)
            self.settle()
        self._like = x
        last, a, _ = self._runs[-1]
        self._runs[-1] = (last, a, 0)
        self._only = last if len(self._runs) == 1 else None

    # preparing

    def _add(self, cell: nn.Module, home: Homes | None, x: Tensor, state: State) -> Tensor:
        """Prepare a cell; returns where its output goes when another cell reads it."""
        form = form_of(cell, x.unsqueeze(0), state)
        found = form.found
        if isinstance(found, NotFusable) or not _fits(found, x, state):
            raise Unprepared
        statics = self.statics(cell, home, found)
        if any(not is_plain(value, x.dtype) for value in statics):
            raise Unprepared
        rows = x.shape[0]
        kind, index = found.output
        width = found.program.states[index] if kind == "state" else found.program.emits[index].width
        if found.output_shape != (width,) or threads_for(found.program, rows) > 1:
            raise Unprepared
        held = _prepared(form, cell, statics, state)
        y = torch.empty(rows, width, dtype=x.dtype)
        given = x.data_ptr() if self._runs else 0
        self._buffers += [held, x, y]
        self._runs.append((held.run, given, y.data_ptr()))
        self.states.append(held.states)
        return y

    def take(self, x: Tensor) -> Tensor | None:
        """One step: x [B, I] to the output [B, O], or None where it must go the general way."""
        if type(x) is not Tensor or x.dtype is not self.dtype or x.shape != self.shape:
            return None
        if not x.is_cpu or not self.allowed() or not self.same():
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


def _fits(found: Recurrence, x: Tensor, state: State) -> bool:
    plain = found.before is None and found.output[0] != "after"
    return plain and all(type(part) is Tensor and is_plain(part, x.dtype) for part in state)


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
