"""Calling a kernel: buffers, the frame, and its place in autograd."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ostinato.engine.duals import has_tangent
from ostinato.engine.llvm.batch import Layout
from ostinato.engine.llvm.job import Job
from ostinato.engine.llvm.plan import Chunk, Plan, plan_of
from ostinato.engine.llvm.pool import Lease, passing
from ostinato.engine.llvm.sharing import Ways, sharing
from ostinato.engine.second import gradients

__all__ = ["after", "run"]


class _Forward:
    """One run of the forward walk; for training it stays until the reverse walk has read it."""

    def __init__(self, plan: Plan, inputs: Sequence[Tensor], statics: Sequence[Tensor]) -> None:
        self.plan, self.kernel = plan, plan.kernel
        self.words: NDArray[np.int64] = plan.words.copy()
        self.address = self.words.ctypes.data
        self.slots = plan.slots
        self.span = [plan.slots[name] for name in ("T", "first", "last")]
        self.dealt = [plan.slots[name] for name in ("blocks", "shares")]
        # the frame holds addresses; these hold what is there
        self.kept: list[Sequence[Tensor]] = [inputs, statics]
        self.sequences: dict[int, Tensor] = {}
        self.emits: list[Tensor] = []
        self.ended: dict[int, Tensor] = {}
        self.own = Lease()
        for j, value in enumerate(inputs):
            self.rows(f"U{j}", f"ldU{j}", value, value.stride(0))
        for s, value in enumerate(statics):
            self.rows(f"S{s}", "", value, 0)

    def rows(self, name: str, stride: str, value: Tensor, step: int) -> None:
        """Enter a tensor's address and the stride of its rows."""
        at = self.slots.get(name)
        if at is not None:
            self.words[at] = value.data_ptr()
        at = self.slots.get(stride)
        if at is not None:
            self.words[at] = step

    def borrow(self, size: int, key: str = "") -> Tensor:
        return self.own.take(size, self.kernel.dtype, key)

    def release(self) -> None:
        self.own.end()

    def walk(self, name: str, chunk: Chunk) -> None:
        """Walk some steps; the threads may share units, if that went well of late."""
        steps = self.slots["steps"]
        whole = int(self.words[steps])
        self.words[steps] = whole + chunk.steps * 24
        self.words[self.span] = chunk.numbers
        if chunk.work is not None:
            self.words[self.dealt] = chunk.work
        ways = self.plan.ways(name, chunk)
        if ways is None:
            self.plan.share(self.words, False)
            self.call(name)
        else:
            self._call_either(ways, name, chunk)
        self.words[steps] = whole

    def _call_either(self, ways: Ways, name: str, chunk: Chunk) -> None:
        """Have the threads share units or not, and see how long that takes."""
        steps, shared = chunk.numbers[0], ways.choose() and sharing.allowed()
        self.plan.share(self.words, shared)
        begin = time.perf_counter()
        self.call(name)
        took = time.perf_counter() - begin
        ways.report(shared, took / steps)
        if shared:
            sharing.report(took, steps, chunk.busy)

    def call(self, name: str) -> None:
        self.kernel.library.functions[name](self.address, self.plan.threads)

    def run(self, state: Sequence[Tensor]) -> None:
        plan, kernel = self.plan, self.kernel
        self.work = self.borrow(plan.work.size)
        plan.work.place(self.words, self.work)
        self._states(state)
        for k, node in enumerate(kernel.program.emits):
            self.emits.append(made(plan.layout, plan.layout.rows, node.width, kernel.dtype))
            self.rows(f"E{k}", "", self.emits[-1], 0)
        if plan.packs.index.size:
            plan.packs.place(self.words, self.borrow(plan.packs.size, f"{id(kernel)}"))
            plan.jobs(self.words, kernel.packing)
            self.call("pack_all")
        self._walk()

    def _states(self, state: Sequence[Tensor]) -> None:
        """Each state's sequence, the first states in front."""
        layout, bytes_ = self.plan.layout, self.kernel.module.bytes
        for i, first in enumerate(state):
            width = self.kernel.program.states[i]
            if i in self.plan.wanted:
                whole = made(layout, layout.batch + layout.rows, width, self.kernel.dtype)
                self.sequences[i] = whole
                self.rows(f"Y{i}", "", whole, 0)
            y, v = self.slots.get(f"Y{i}"), self.slots.get(f"V{i}")
            # nothing may read the old state where the new one is asked for
            address = self.sequences[i].data_ptr() if y is None else int(self.words[y])
            ctypes.memmove(address, first.data_ptr(), first.nbytes)
            if v is not None:
                self.words[v] = address + layout.batch * width * bytes_

    def _walk(self) -> None:
        plan = self.plan
        moving = self._moving() if plan.reuse else []
        before = 0
        for chunk in plan.chunks:
            if chunk.first:
                for at, address, bytes_ in moving:
                    self.words[at] = address + chunk.first * bytes_
                if plan.reuse:
                    self._carry_over(before)
            self.walk("forward", chunk)
            before = chunk.numbers[2]
            if chunk.ended is not None:
                self._keep(*chunk.ended)
        self.words[self.span] = (plan.layout.length, 0, plan.layout.rows)

    def _moving(self) -> list[tuple[int, int, int]]:
        """(frame index, address, bytes for a row) of what holds the whole batch, not one chunk."""
        program, width = self.kernel.program, self.kernel.module.bytes
        size = {f"E{k}": node.width for k, node in enumerate(program.emits)}
        for i in self.plan.wanted:
            size[f"Y{i}"] = size[f"V{i}"] = program.states[i]
        for j in range(len(program.inputs)):
            stride = self.slots.get(f"ldU{j}")
            size[f"U{j}"] = 0 if stride is None else int(self.words[stride])
        found = [(self.slots[name], each) for name, each in size.items() if name in self.slots]
        return [(at, int(self.words[at]), each * width) for at, each in found]

    def _carry_over(self, rows: int) -> None:
        """The last states of a chunk of so many rows become the first of the next."""
        plan, width = self.plan, self.kernel.module.bytes
        for i in plan.hidden:
            y = self.slots.get(f"Y{i}")
            if y is not None:
                each = self.kernel.program.states[i] * width
                start = int(self.words[y])
                ctypes.memmove(start, start + rows * each, plan.layout.batch * each)

    def _keep(self, low: int, high: int, rows: Tensor) -> None:
        """Keep the last states of sequences low..high, whose buffers will be written over."""
        layout = self.plan.layout
        for i in self.plan.hidden:
            if i not in self.ended:
                width = self.kernel.program.states[i]
                self.ended[i] = torch.empty(layout.batch, width, dtype=self.kernel.dtype)
            torch.index_select(self._hidden(i), 0, rows, out=self.ended[i][low:high])

    def finals(self, last: Tensor | None) -> list[Tensor]:
        """Final states, each [B, S]."""
        return [self._final(i, last) for i in range(len(self.kernel.program.states))]

    def _final(self, i: int, last: Tensor | None) -> Tensor:
        layout, width = self.plan.layout, self.kernel.program.states[i]
        if last is not None and i in self.sequences:
            return self.sequences[i][layout.batch :].index_select(0, last)
        if i in self.ended:
            return self.ended[i]
        if last is not None:
            return self._hidden(i)[layout.batch :].index_select(0, last)
        final = torch.empty(layout.batch, width, dtype=self.kernel.dtype)
        whole = self.sequences.get(i)
        start = int(self.words[self.slots[f"Y{i}"]]) if whole is None else whole.data_ptr()
        rows = layout.rows if whole is not None else self.plan.chunks[-1].numbers[2]
        skip = rows * width * self.kernel.module.bytes
        ctypes.memmove(final.data_ptr(), start + skip, final.nbytes)
        return final

    def _hidden(self, i: int) -> Tensor:
        """A state's sequence that lies in the borrowed buffer."""
        layout, width = self.plan.layout, self.kernel.program.states[i]
        start = int(self.words[self.slots[f"Y{i}"]]) - self.work.data_ptr()
        first = start // self.kernel.module.bytes
        rows = layout.batch + self.plan.rows
        return self.work[first : first + rows * width].view(rows, width)


def made(layout: Layout, rows: int, width: int, dtype: torch.dtype) -> Tensor:
    """Rows that are returned; packed ones live only until they are unpacked."""
    return torch.empty(rows, width, dtype=dtype) if layout.even else passing(rows, width, dtype)


class _Walk(torch.autograd.Function):
    """A kernel as one operation of autograd."""

    @staticmethod
    def forward(ctx: Any, job: Job, last: Any, counts: Any, *tensors: Tensor) -> Any:
        a, b = counts
        begin = time.perf_counter()
        plan = plan_of(job.kernel, job.layout, job.wanted, job.threads)
        run = _Forward(plan, tensors[:a], tensors[a : a + b])
        run.run(tensors[a + b :])
        finals = run.finals(last)
        ctx.spent = time.perf_counter() - begin
        ctx.job, ctx.last, ctx.counts, ctx.run = job, last, counts, run
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        B, N = job.layout.batch, job.layout.rows
        widths = {i: job.kernel.program.states[i] for i in job.wanted}
        sequences = [after(run.sequences[i], B * w, (N, w)) for i, w in widths.items()]
        # aliases, which share the counter of changes: the outputs themselves would hold this node
        ctx.kept = [kept.detach() for kept in (*sequences, *run.emits)]
        ctx.versions = [kept._version for kept in ctx.kept]
        return (*sequences, *run.emits, *finals)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        job, last, counts, tensors = ctx.job, ctx.last, ctx.counts, ctx.saved_tensors
        if torch.is_grad_enabled() or has_tangent(grads):
            # a graph of the gradient is asked for, or its derivative in forward mode
            program, layout = job.kernel.program, job.layout
            made = gradients(program, layout, job.wanted, last, counts, tensors, grads)
            return None, None, None, *made
        if ctx.run is None:
            raise RuntimeError(
                "Trying to backward through the walk a second time: what it kept has been freed. "
                "Give retain_graph=True to the first backward or autograd.grad."
            )
        if [kept._version for kept in ctx.kept] != ctx.versions:
            raise RuntimeError(
                "An output of the walk has been changed in place, and its gradient needs what was "
                "there. Change a copy: y = y.clone()."
            )
        keep = torch._C._autograd._get_current_graph_task_keep_graph()
        begin = time.perf_counter()
        found = _Backward(ctx.run, job, counts, tensors, keep).run(grads, ctx.needs_input_grad[3:])
        job.report(ctx.spent + time.perf_counter() - begin)
        if not keep:
            ctx.run.release()
            ctx.run = ctx.kept = ctx.versions = None
        return None, None, None, *found


def after(whole: Tensor, first: int, shape: tuple[int, ...]) -> Tensor:
    """Elements from one on, and no view: autograd forbids to change views a function returns."""
    stride = [1] * len(shape)
    for n in range(len(shape) - 1, 0, -1):
        stride[n - 1] = stride[n] * shape[n]
    return whole.new_empty(0).set_(whole.untyped_storage(), first, shape, stride)


class _Backward:
    """One run of the reverse walk."""

    def __init__(
        self, run: _Forward, job: Job, counts: Any, tensors: Sequence[Tensor], keep: bool
    ) -> None:
        self.forward, self.job, self.plan = run, job, run.plan
        self.kernel, self.words, self.slots = run.kernel, run.words, run.slots
        self.inputs, self.statics = counts
        self.tensors, self.keep = tensors, keep
        self.own = Lease()
        # the frame holds addresses; these hold what is there
        self.kept: list[Tensor] = []

    def run(self, grads: Sequence[Tensor | None], needed: Sequence[bool]) -> list[Tensor | None]:
        kernel, plan = self.kernel, self.plan
        self._buffers()
        carried = self._arriving(grads)
        inputs = self._inputs(needed)
        plan.jobs(self.words, kernel.back_packing)
        if kernel.back_packing.jobs:
            self.forward.call("pack_all")
        for chunk in reversed(plan.chunks):
            self.forward.walk("backward", chunk)
        self.words[self.forward.span] = (plan.layout.length, 0, plan.layout.rows)
        if "initial" in kernel.library.functions:
            self.forward.call("initial")
        for j, given in enumerate(inputs):
            if given is not None and self.derived.d_inputs[j] is None:
                given.zero_()
            elif given is not None and f"input{j}" in kernel.library.functions:
                plan.jobs(self.words, kernel.input_packings[j])
                self.forward.call("pack_all")
                self.forward.call(f"input{j}")
        fixed = not any(needed[self.inputs : self.inputs + self.statics])
        statics = [None] * self.statics if fixed else self._statics()
        self.own.end()
        return [*inputs, *statics, *carried]

    @property
    def derived(self) -> Any:
        return self.kernel.derived

    def _borrow(self, size: int, key: str = "") -> Tensor:
        return self.own.take(size, self.kernel.dtype, key)

    def _buffers(self) -> None:
        plan = self.plan
        plan.back_work.place(self.words, self._borrow(plan.back_work.size))
        plan.back_packs.place(self.words, self._borrow(plan.back_packs.size, f"b{id(self.kernel)}"))
        for (gradient, record), (_, size) in zip(plan.alias, plan.alias_sizes, strict=True):
            self.words[gradient] = self.words[record]
            if self.keep:
                # another backward will need what this one would write over
                self.words[gradient] = self._borrow(size).data_ptr()

    def _arriving(self, grads: Sequence[Tensor | None]) -> list[Tensor]:
        """Enter the gradients of outputs and final states; the latter become the first states'."""
        job, program = self.job, self.kernel.program
        count = len(job.wanted)
        carried = []
        for i, width in enumerate(program.states):
            given = grads[job.wanted.index(i)] if i in job.wanted else None
            self._gradient(f"dY{i}", f"lddY{i}", given, width)
            final = grads[count + len(program.emits) + i]
            start = torch.empty(job.layout.batch, width, dtype=self.kernel.dtype)
            if final is None:
                start.zero_()
            else:
                start.copy_(final)
            self.forward.rows(f"C{i}", "", start, 0)
            carried.append(start)
        for k, node in enumerate(program.emits):
            self._gradient(f"dE{k}", f"lddE{k}", grads[count + k], node.width)
        return carried

    def _gradient(self, name: str, stride: str, given: Tensor | None, width: int) -> None:
        if given is None:
            given = torch.zeros(1, width, dtype=self.kernel.dtype)
            step = 0
        elif given.stride() == (width, 1):
            step = width
        elif given.stride(0) == 0:
            # one row for all, as the gradient of a sum is
            given, step = given[:1].contiguous(), 0
        else:
            given, step = given.contiguous(), width
        self.kept.append(given)
        self.forward.rows(name, stride, given, step)

    def _inputs(self, needed: Sequence[bool]) -> list[Tensor | None]:
        found: list[Tensor | None] = []
        for j, width in enumerate(self.kernel.program.inputs):
            direct = f"dU{j}" in self.slots
            wanted = needed[j] or direct
            layout = self.job.layout
            given = made(layout, layout.rows, width, self.kernel.dtype)
            if wanted:
                self.forward.rows(f"dU{j}", "", given, 0)
            self.kept.append(given)
            found.append(given if needed[j] else None)
        return found

    def _statics(self) -> list[Tensor]:
        statics = self.tensors[self.inputs : self.inputs + self.statics]
        grads = [torch.zeros_like(value) for value in statics]
        twins = [statics[s].new_zeros(statics[s].shape[::-1]) for s in self.kernel.twins]
        for s, value in enumerate([*grads, *twins]):
            self.forward.rows(f"dS{s}", "", value, 0)
        if "weights" in self.kernel.library.functions:
            self.forward.call("weights")
        for s, value in zip(self.kernel.twins, twins, strict=True):
            grads[s] += value.t()
        return grads


def run(
    job: Job,
    last: Tensor | None,
    inputs: Sequence[Tensor],
    statics: Sequence[Tensor],
    state: Sequence[Tensor],
) -> tuple[Sequence[Tensor], Sequence[Tensor], Sequence[Tensor]]:
    """Run a kernel.

    Returns:
        Sequences [N, S] of the wanted states, emitted sequences [N, E], final states [B, S].
    """
    w, e = len(job.wanted), len(job.kernel.program.emits)
    job = job.settled("whole")
    if job.kernel.train:
        counts = (len(inputs), len(statics))
        out: tuple[Tensor, ...] = _Walk.apply(  # type: ignore[no-untyped-call]
            job, last, counts, *inputs, *statics, *state
        )
        return out[:w], out[w : w + e], out[w + e :]
    begin = time.perf_counter()
    plan = plan_of(job.kernel, job.layout, job.wanted, job.threads)
    walked = _Forward(plan, inputs, statics)
    walked.run(state)
    finals = walked.finals(last)
    walked.release()
    job.report(time.perf_counter() - begin)
    B = job.layout.batch
    return [walked.sequences[i][B:] for i in job.wanted], walked.emits, finals
