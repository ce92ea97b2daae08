"""Training in the memory of a part of the sequence: walked in segments, each one twice.

The forward walk keeps the states at the beginning of each segment alone. The reverse walk takes the
segments from the last to the first: it walks one forward once more, with the same bits, which fills
the records that the reverse step reads, and then backwards. What crosses from a segment to the one
before it are the gradients of the states, and the gradient records of one step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ostinato.engine.duals import has_tangent
from ostinato.engine.llvm.job import Job
from ostinato.engine.llvm.launch import _Backward, _Forward
from ostinato.engine.llvm.plan import plan_of
from ostinato.engine.llvm.segments import Segment, Segments
from ostinato.engine.second import gradients

__all__ = ["run"]


def _segments_of(job: Job, every: int) -> Segments:
    """The segments of such calls, made once."""
    key = (id(job.kernel), job.wanted, job.threads, every)
    found: Segments | None = job.layout.plans.get(key)
    if found is None:
        plan = plan_of(job.kernel, job.layout, job.wanted, job.threads)
        found = job.layout.plans[key] = Segments(plan, every)
    return found


class _Steps(_Forward):
    """Walks forward, a segment at a time."""

    def __init__(
        self, whole: Segments, inputs: Sequence[Tensor], statics: Sequence[Tensor]
    ) -> None:
        super().__init__(whole.plan, inputs, statics)
        self.whole, self.batch = whole, whole.plan.layout.batch
        self.widths = self.kernel.program.states
        self.words[self.slots["N"]] = whole.capacity
        self.buffer = self.borrow(whole.work.size)
        whole.work.place(self.words, self.buffer)
        self.held = [self._held(i) for i in range(len(self.widths))]
        for i, value in enumerate(self.held):
            self._state(i, value)
        self.moving = np.array([self.slots[name] for name in whole.moving])
        self.still: set[str] = set()
        plan = self.plan
        if plan.packs.index.size:
            plan.packs.place(self.words, self.borrow(plan.packs.size, f"{id(self.kernel)}"))
            plan.jobs(self.words, self.kernel.packing)
            self.call("pack_all")

    def _held(self, i: int) -> Tensor:
        """A state in the buffers: its old values, then those of each step."""
        address, width = int(self.words[self.slots[f"Y{i}"]]), self.widths[i]
        return part(self.buffer, address, (self.whole.capacity, width))

    def _state(self, i: int, sequence: Tensor) -> None:
        """Enter where a state's sequence begins, old values first."""
        self.rows(f"Y{i}", "", sequence, 0)
        self.rows(f"V{i}", "", sequence[self.batch :], 0)

    def settle(self) -> None:
        """Take the addresses that are entered now for those of the first segment."""
        moves = np.array([name not in self.still for name in self.whole.moving])
        self.base = self.words[self.moving]
        self.offsets = self.whole.offsets * moves

    def walk_on(self, number: int, old: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Walk a segment from old states, each with the buffer that it belongs into."""
        segment = self.whole.segments[number]
        self.words[self.moving] = self.base - self.offsets[number]
        for held, value in old:
            held[: segment.live] = value
        for chunk in segment.chunks:
            self.walk("forward", chunk)

    def walk_all(
        self, state: Sequence[Tensor], last: Tensor
    ) -> tuple[list[list[Tensor]], list[Tensor]]:
        """Walk all segments; sequences that are asked for go where they are to stay.

        Returns:
            The hidden states before each segment, and the final states.
        """
        plan, batch = self.plan, self.batch
        self._stay(state)
        hidden = [i for i in range(len(state)) if i not in plan.wanted]
        finals = [torch.empty_like(first, memory_format=torch.contiguous_format) for first in state]
        old, kept = [state[i] for i in hidden], []
        self.settle()
        for number, segment in enumerate(self.whole.segments):
            kept.append(old)
            self.walk_on(number, [(self.held[i], o) for i, o in zip(hidden, old, strict=True)])
            if segment.going < segment.live:
                ended = slice(segment.going, segment.live)
                rows = last[ended] + (batch - segment.before)
                for i in hidden:
                    finals[i][ended] = self.held[i].index_select(0, rows)
            at = segment.after - segment.before
            old = [self.held[i][at : at + segment.going].clone() for i in hidden]
        for i, sequence in self.sequences.items():
            finals[i] = sequence[batch:].index_select(0, last)
        return kept, finals

    def _stay(self, state: Sequence[Tensor]) -> None:
        """Enter what is asked for, which is no buffer's."""
        layout, dtype = self.plan.layout, self.kernel.dtype
        for i in self.plan.wanted:
            whole = torch.empty(self.batch + layout.rows, self.widths[i], dtype=dtype)
            whole[: self.batch] = state[i]
            self.sequences[i] = whole
            self._state(i, whole)
            self.still |= {f"Y{i}", f"V{i}"}
        for k, node in enumerate(self.kernel.program.emits):
            self.emits.append(torch.empty(layout.rows, node.width, dtype=dtype))
            self.rows(f"E{k}", "", self.emits[k], 0)
            self.still.add(f"E{k}")


def part(buffer: Tensor, address: int, shape: tuple[int, ...]) -> Tensor:
    """The part of a buffer that begins at an address."""
    start = (address - buffer.data_ptr()) // buffer.element_size()
    return buffer[start : start + math.prod(shape)].view(shape)


class _Walk(torch.autograd.Function):
    """A walk in segments as one operation of autograd."""

    @staticmethod
    def forward(ctx: Any, job: Job, every: int, last: Any, counts: Any, *tensors: Tensor) -> Any:
        begin = time.perf_counter()
        a, b = counts
        whole, B, N = _segments_of(job, every), job.layout.batch, job.layout.rows
        ends = torch.arange(N - B, N) if last is None else last
        steps = _Steps(whole, tensors[:a], tensors[a : a + b])
        ctx.old, finals = steps.walk_all(tensors[a + b :], ends)
        steps.release()
        sequences = [steps.sequences[i][B:] for i in job.wanted]
        ctx.job, ctx.whole, ctx.last, ctx.counts = job, whole, last, counts
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        # aliases, which share the counter of changes: the outputs themselves would hold this node
        ctx.kept = [kept.detach() for kept in sequences]
        ctx.versions = [kept._version for kept in ctx.kept]
        ctx.spent = time.perf_counter() - begin
        return (*sequences, *steps.emits, *finals)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        job, counts, tensors = ctx.job, ctx.counts, ctx.saved_tensors
        if torch.is_grad_enabled() or has_tangent(grads):
            program, layout = job.kernel.program, job.layout
            made = gradients(program, layout, job.wanted, ctx.last, counts, tensors, grads)
            return None, None, None, None, *made
        if [kept._version for kept in ctx.kept] != ctx.versions:
            raise RuntimeError(
                "An output of the walk has been changed in place, and its gradient needs what was "
                "there. Change a copy: y = y.clone()."
            )
        begin = time.perf_counter()
        a, b = counts
        old = _Old(ctx.whole, ctx.old, ctx.kept, tensors[a + b :])
        steps = _Steps(ctx.whole, tensors[:a], tensors[a : a + b])
        found = _Reverse(steps, job, counts, tensors, old).run(grads, ctx.needs_input_grad[4:])
        steps.release()
        job.report(ctx.spent + time.perf_counter() - begin)
        return None, None, None, None, *found


@dataclass
class _Old:
    """The states before each segment, from where they were kept."""

    whole: Segments
    hidden: list[list[Tensor]]
    sequences: list[Tensor]
    first: Sequence[Tensor]

    def before(self, number: int) -> list[Tensor]:
        segment, plan = self.whole.segments[number], self.whole.plan
        if number == 0:
            return list(self.first)
        low = segment.before - plan.layout.batch
        found, hidden = [], iter(self.hidden[number])
        for i in range(len(self.first)):
            if i in plan.wanted:
                sequence = self.sequences[plan.wanted.index(i)]
                found.append(sequence[low : low + segment.live])
            else:
                found.append(next(hidden))
        return found


class _Reverse(_Backward):
    """The reverse walk, segment by segment."""

    forward: _Steps

    def __init__(
        self, steps: _Steps, job: Job, counts: Any, tensors: Sequence[Tensor], old: _Old
    ) -> None:
        super().__init__(steps, job, counts, tensors, False)
        self.whole, self.old = steps.whole, old
        self.tables = [self.slots[name] for name in ("runs", "chunks", "chunk_count")]

    def run(self, grads: Sequence[Tensor | None], needed: Sequence[bool]) -> list[Tensor | None]:
        steps, segments = self.forward, self.whole.segments
        self._buffers()
        carried = self._arriving(grads)
        inputs = self._inputs(needed)
        for j, given in enumerate(inputs):
            if given is not None and self.derived.d_inputs[j] is None:
                given.zero_()
        statics, twins = self._weight_buffers()
        self._pack(inputs)
        steps.settle()
        for number in reversed(range(len(segments))):
            segment = segments[number]
            old = zip(steps.held, self.old.before(number), strict=True)
            steps.walk_on(number, list(old))
            for chunk in reversed(segment.chunks):
                steps.walk("backward", chunk)
            self._after(segment, inputs)
            if number:
                # the gradients of the first step go behind the rows of the segment before it
                low = segments[number - 1].rows
                for record in self.records:
                    record[:, low : low + segment.live] = record[:, : segment.live]
        for name in ("initial", "row_sums"):
            if name in self.kernel.library.functions:
                steps.call(name)
        for s, value in zip(self.kernel.twins, twins, strict=True):
            statics[s] += value.t()
        self.own.end()
        return [*inputs, *statics, *carried]

    def _buffers(self) -> None:
        plan, whole, alias = self.plan, self.whole, self.kernel.alias
        buffer = self._borrow(whole.back_work.size)
        whole.back_work.place(self.words, buffer)
        plan.back_packs.place(self.words, self._borrow(plan.back_packs.size, f"b{id(self.kernel)}"))
        for gradient, record in plan.alias:
            self.words[gradient] = self.words[record]
        back = self.kernel.backward
        assert back is not None
        self.records = []
        for name in back.slots:
            if name in self.slots:
                shape = whole.blocks(name), whole.capacity, whole.row(name)
                own = self.forward.buffer if name in alias else buffer
                self.records.append(part(own, int(self.words[self.slots[name]]), shape))

    def _weight_buffers(self) -> tuple[list[Tensor], list[Tensor]]:
        statics = self.tensors[self.inputs : self.inputs + self.statics]
        grads = [torch.zeros_like(value) for value in statics]
        twins = [statics[s].new_zeros(statics[s].shape[::-1]) for s in self.kernel.twins]
        for s, value in enumerate([*grads, *twins]):
            self.forward.rows(f"dS{s}", "", value, 0)
        return grads, twins

    def _pack(self, inputs: Sequence[Tensor | None]) -> None:
        given = [self.kernel.input_packings[j] for j, one in enumerate(inputs) if one is not None]
        for packing in (self.kernel.back_packing, *given):
            if packing.jobs:
                self.plan.jobs(self.words, packing)
                self.forward.call("pack_all")

    def _after(self, segment: Segment, inputs: Sequence[Tensor | None]) -> None:
        """What follows the walk back: this segment's share in the gradients of x and weights."""
        steps = self.forward
        self.words[steps.span] = (0, segment.first, segment.first + segment.rows)
        for j, given in enumerate(inputs):
            if given is not None and f"input{j}" in self.kernel.library.functions:
                steps.call(f"input{j}")
        if "products" in self.kernel.library.functions:
            self.words[self.tables] = segment.tables
            steps.call("products")


def run(
    job: Job,
    every: int,
    last: Tensor | None,
    inputs: Sequence[Tensor],
    statics: Sequence[Tensor],
    state: Sequence[Tensor],
) -> tuple[Sequence[Tensor], Sequence[Tensor], Sequence[Tensor]]:
    """Run a kernel for training in segments of `every` steps; else as `launch.run`."""
    w, e = len(job.wanted), len(job.kernel.program.emits)
    job = job.settled("segments")
    counts = (len(inputs), len(statics))
    out: tuple[Tensor, ...] = _Walk.apply(  # type: ignore[no-untyped-call]
        job, every, last, counts, *inputs, *statics, *state
    )
    return out[:w], out[w : w + e], out[w + e :]
