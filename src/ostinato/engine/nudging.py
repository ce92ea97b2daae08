"""A walk to whose states something is added as they are handed on, on a kernel made for that.

What is added is nothing: its gradient is d loss / d state at every step. A kernel reads it beside
the inputs, so that no product gets a gradient which nobody asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ostinato.engine.algebra import add
from ostinato.engine.calls import Call, State, Walk, segment_steps
from ostinato.engine.duals import has_tangent
from ostinato.engine.expressions import Node, make
from ostinato.engine.forms import form_of, kernel_of
from ostinato.engine.fused import _Call, fit_for
from ostinato.engine.llvm.batch import Ragged
from ostinato.engine.llvm.compile import host_target
from ostinato.engine.llvm.kernel import Kernel
from ostinato.engine.llvm.lengths import pack
from ostinato.engine.recurrence import NotFusable, Recurrence

__all__ = ["nudged", "walk"]


def walk(call: Call, count: int, *, target: str = "") -> tuple[Walk, State] | None:
    """Walk a cell, and add zeros to its first states, and to its output if that is no state.

    Args:
        call: the walk, whose gradient will be asked for.
        count: states that are added to.
        target: of machine code; see `host_target`.

    Returns:
        The walk, and the zeros that were added, [T, B, S] each, that of the output last: leaves, to
        be differentiated by. None where no kernel will do.
    """
    if not fit_for(call) or torch.is_autocast_enabled("cpu") or segment_steps(call):
        return None
    form = form_of(call.cell, call.x, call.state)
    plain = form.found
    found = None if isinstance(plain, NotFusable) else nudged(plain, count)
    if isinstance(plain, NotFusable) or found is None:
        return None
    statics = tuple(part.contiguous() for part in form.statics(call.cell, call.parameters))
    tensors = (call.x, *call.state, *(call.reset_state or ()), *statics)
    fit = all(part.dtype == call.x.dtype and part.device.type == "cpu" for part in statics)
    if not fit or has_tangent(tensors):
        return None
    kernel = kernel_of(found, call.cell, True, call.x.dtype, host_target(target))
    if isinstance(kernel, NotFusable):
        return None
    T, B = call.x.shape[:2]
    # one row, wherever it is read
    nudges = tuple(
        call.x.detach().new_zeros(1, 1, width).expand(T, B, width).requires_grad_()
        for width in found.program.inputs[len(plain.program.inputs) :]
    )
    return _NudgedCall(call, found, kernel, statics, nudges).walk(), nudges


def nudged(found: Recurrence, count: int) -> Recurrence | None:
    """A recurrence with more inputs: what is added to its first states, and to its output.

    None where the output is made after the walk, or is a state beside the first, and where the
    gradient of a state is limited, so that what is added would feel the limit.

    Args:
        found: the recurrence.
        count: states that are added to.
    """
    program, (kind, index) = found.program, found.output
    if any(program.limits) or kind == "after" or (kind == "state" and index):
        return None
    inputs = [*program.inputs]

    def moved(node: Node) -> Node:
        inputs.append(node.width)
        return add(node, make("input", (), node.width, (len(inputs) - 1, 0)))

    states = (*map(moved, program.new_states[:count]), *program.new_states[count:])
    emits = [*program.emits]
    if kind == "emit":
        emits[index] = moved(emits[index])
    wider = replace(program, inputs=tuple(inputs), new_states=states, emits=tuple(emits))
    names = tuple(f"nudge{k}" for k in range(len(inputs) - len(program.inputs)))
    return replace(found, program=wider, input_names=(*found.input_names, *names))


class _NudgedCall(_Call):
    """One call that adds to the states."""

    def __init__(
        self,
        call: Call,
        found: Recurrence,
        kernel: Kernel,
        statics: tuple[Tensor, ...],
        nudges: State,
    ) -> None:
        super().__init__(call, found, kernel, statics)
        self.nudges = nudges
        self.packed: Ragged | None = None

    def _ragged(self, packed: Ragged) -> Walk:
        self.packed = packed
        return super()._ragged(packed)

    def _inputs(self, rows: Tensor) -> Sequence[Tensor]:
        return [*super()._inputs(rows), *map(self._given, self.nudges)]

    def _given(self, nudge: Tensor) -> Tensor:
        flat = nudge.reshape(self.T * self.B, -1)
        if self.packed is not None:
            return pack(flat, self.packed)
        # each step gets its own gradient, in the order of the walk
        return nudge.flip(0).reshape(flat.shape) if self.call.reverse else flat
