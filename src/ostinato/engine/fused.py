"""The fused engine on a CPU: from a call to a kernel's packed batch and back."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ostinato.engine import pushforward
from ostinato.engine.calls import Call, State, Walk, segment_steps
from ostinato.engine.duals import has_tangent
from ostinato.engine.expressions import Program
from ostinato.engine.forms import EngineWarning, Form, form_of, kernel_of, recurrence_of, warn
from ostinato.engine.llvm import rewalk
from ostinato.engine.llvm.batch import Layout, Ragged, dense, ragged
from ostinato.engine.llvm.compile import host_target
from ostinato.engine.llvm.job import Job
from ostinato.engine.llvm.kernel import Kernel
from ostinato.engine.llvm.launch import run
from ostinato.engine.llvm.lengths import pack, unpack
from ostinato.engine.llvm.text import Target
from ostinato.engine.recurrence import NotFusable, Recurrence
from ostinato.engine.trace import compiling

__all__ = ["EngineWarning", "fit_for", "recurrence_of", "threads_for", "walk"]


# below this many multiply-adds the threads' meeting costs more than they save
_SMALL = 1_500_000


def walk(call: Call, *, target: str = "") -> Walk | None:
    """Walk the sequence in one call of a kernel, or return None where none will do.

    A cell that cannot be fused is named in one `EngineWarning`.
    """
    if not fit_for(call):
        return None
    if torch.is_autocast_enabled("cpu"):
        with torch.autocast("cpu", enabled=False):
            return walk(_widened(call), target=target)
    form = form_of(call.cell, call.x, call.state)
    found = form.found
    if isinstance(found, NotFusable):
        return None
    statics = form.statics(call.cell, call.parameters)
    dtype = call.x.dtype
    if any(s.dtype != dtype or s.device.type != "cpu" for s in statics):
        return None
    statics = tuple(s if s.is_contiguous() else s.contiguous() for s in statics)
    at = host_target(target)
    if has_tangent((call.x, *call.state, *(call.reset_state or ()), *statics)):
        return _walk_dual(call, form, statics, at)
    train = torch.is_grad_enabled() and _needs_gradient(call, statics)
    kernel = form.kernel(call.cell, train, dtype, at)
    if isinstance(kernel, NotFusable):
        return None
    return _Call(call, found, kernel, statics).walk()


def _walk_dual(call: Call, form: Form, statics: tuple[Tensor, ...], at: Target) -> Walk | None:
    """Walk values and tangents."""
    assert isinstance(form.found, Recurrence)
    if at in form.obstacles:
        return None
    try:
        return _DualCall(call, form.found, statics, at).walk()
    except NotFusable as error:
        form.obstacles[at] = error
        warn(call.cell, error)
        return None


def _needs_gradient(call: Call, statics: tuple[Tensor, ...]) -> bool:
    tensors = (call.x, *call.state, *statics, *(call.reset_state or ()))
    return any(tensor.requires_grad for tensor in tensors)


def fit_for(call: Call) -> bool:
    """Whether the tensors are of a kind that this engine takes."""
    tensors = (call.x, *call.state)
    if compiling() or torch._C._are_functorch_transforms_active():
        return False
    plain = all(type(t) in (Tensor, nn.Parameter) and t.device.type == "cpu" for t in tensors)
    if not plain or call.x.dim() != 3 or call.x.numel() == 0 or call.x.shape[1] == 0:
        return False
    if torch.is_autocast_enabled("cpu"):
        return all(t.is_floating_point() for t in tensors)
    dtype = call.x.dtype
    return dtype in (torch.float32, torch.float64) and all(t.dtype == dtype for t in call.state)


def _widened(call: Call) -> Call:
    """The call in float32, whatever autocast made of its tensors."""
    from dataclasses import replace

    def wide(state: State | None) -> State | None:
        return None if state is None else tuple(part.float() for part in state)

    state = wide(call.state)
    assert state is not None
    return replace(call, x=call.x.float(), state=state, reset_state=wide(call.reset_state))


def _after_fork() -> None:
    # OpenMP's threads stay with the parent, and a child that calls them waits for ever
    global _forked
    _forked = True


_forked = False
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def threads_for(program: Program, rows: int) -> int:
    """How many threads may work on that many rows, all steps together."""
    if _forked:
        return 1
    return 1 if rows * program.weights < _SMALL else torch.get_num_threads()


class _Call:
    """One call on its way through a kernel."""

    def __init__(
        self, call: Call, found: Recurrence, kernel: Kernel | None, statics: tuple[Tensor, ...]
    ) -> None:
        self.call, self.found, self.kernel, self.statics = call, found, kernel, statics
        self.T, self.B = call.x.shape[:2]
        states = range(len(call.state))
        after = () if found.after is None else found.after.rows
        wanted = {i for kind, i in (found.output, *after) if kind == "state"}
        self.wanted = tuple(i for i in states if i in wanted or call.all_states)

    def walk(self) -> Walk:
        call = self.call
        if call.lengths is None and call.reset is None:
            return self._dense()
        packed = ragged(self.T, self.B, call.lengths, call.reset, call.reverse)
        if packed.layout.batch == 0:
            return self._nothing(packed)
        return self._ragged(packed)

    def _dense(self) -> Walk:
        T, B, call = self.T, self.B, self.call
        x = call.x.flip(0) if call.reverse else call.x
        rows = x.reshape(T * B, x.shape[2])
        inputs = self._inputs(rows)
        layout = dense(T, B)
        state = tuple(s.contiguous() for s in call.state)
        sequences, emits, finals = self._run(layout, None, inputs, state)
        shape = self.found.output_shape
        output = self._output(rows, inputs, sequences, emits).view(T, B, *shape)
        states = None
        if call.all_states:
            states = tuple(s.view(T, B, -1) for s in sequences)
        if call.reverse:
            output = output.flip(0)
            states = states and tuple(s.flip(0) for s in states)
        return Walk(output, tuple(finals), states)

    def _ragged(self, packed: Ragged) -> Walk:
        T, B, call = self.T, self.B, self.call
        rows = pack(call.x.reshape(T * B, -1), packed)
        inputs = self._inputs(rows)
        reset = call.reset_state or ()
        given = (
            call.state
            if not reset
            else tuple(torch.cat(pair) for pair in zip(call.state, reset, strict=True))
        )
        state = tuple(s.index_select(0, packed.starts) for s in given)
        last = None if packed.layout.even else packed.last
        sequences, emits, finals = self._run(packed.layout, last, inputs, state)
        shape = self.found.output_shape
        output = unpack(self._output(rows, inputs, sequences, emits), packed).view(T, B, *shape)
        final = tuple(
            torch.cat(pair).index_select(0, packed.final)
            for pair in zip(finals, call.state, strict=True)
        )
        states = None
        if call.all_states:
            states = tuple(unpack(s, packed).view(T, B, -1) for s in sequences)
        return Walk(output, final, states)

    def _run(
        self, layout: Layout, last: Tensor | None, inputs: Sequence[Tensor], state: State
    ) -> tuple[Sequence[Tensor], Sequence[Tensor], Sequence[Tensor]]:
        """See `launch.run`."""
        assert self.kernel is not None
        job = Job(self.kernel, layout, self.wanted, threads_for(self.found.program, layout.rows))
        every = segment_steps(self.call)
        if self.kernel.train and 0 < every < layout.length:
            return rewalk.run(job, every, last, inputs, self.statics, state)
        return run(job, last, inputs, self.statics, state)

    def _nothing(self, packed: Ragged) -> Walk:
        call, T, B = self.call, self.T, self.B
        output = call.x.new_zeros(T, B, *self.found.output_shape)
        states = tuple(s.new_zeros(T, *s.shape) for s in call.state)
        return Walk(output, call.state, states if call.all_states else None)

    def _tensors(self) -> dict[str, Tensor]:
        return self.found.tensors(self.call.cell, self.call.parameters)

    def _inputs(self, rows: Tensor) -> Sequence[Tensor]:
        before = self.found.before
        if before is None:
            return [rows if rows.stride(1) == 1 else rows.contiguous()]
        made = before([rows], self._tensors())
        return [part.reshape(len(rows), -1).contiguous() for part in made]

    def _output(
        self,
        rows: Tensor,
        inputs: Sequence[Tensor],
        sequences: Sequence[Tensor],
        emits: Sequence[Tensor],
    ) -> Tensor:
        kind, index = self.found.output
        if kind == "state":
            return sequences[self.wanted.index(index)]
        if kind == "emit":
            return emits[index]
        assert self.found.after is not None
        sources = {"x": [rows], "input": inputs, "emit": emits}
        given = [
            sequences[self.wanted.index(i)] if k == "state" else sources[k][i]
            for k, i in self.found.after.rows
        ]
        return self.found.after(given, self._tensors())[0]


class _DualCall(_Call):
    """One call whose tensors have tangents."""

    def __init__(
        self, call: Call, found: Recurrence, statics: tuple[Tensor, ...], target: Target
    ) -> None:
        super().__init__(call, found, None, statics)
        self.target = target

    def _run(
        self, layout: Layout, last: Tensor | None, inputs: Sequence[Tensor], state: State
    ) -> tuple[Sequence[Tensor], Sequence[Tensor], Sequence[Tensor]]:
        found, cell = self.found, self.call.cell
        threads = threads_for(found.program, layout.rows)
        train = functools.partial(kernel_of, found, cell, True, self.call.x.dtype, self.target)
        walk = pushforward.Task(
            found.program, self.target, layout, self.wanted, last, threads, train
        )
        return pushforward.walk_both(walk, inputs, self.statics, state)
