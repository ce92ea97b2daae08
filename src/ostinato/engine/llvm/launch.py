"""Calling a kernel: buffers, the frame, and its place in autograd."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ostinato.engine.llvm.batch import Layout
from ostinato.engine.llvm.kernel import Kernel, Packing

__all__ = ["Job", "Pool", "run"]


class Pool:
    """Buffers used again: fresh pages cost as much as the arithmetic."""

    limit = 1 << 30

    def __init__(self) -> None:
        self._free: defaultdict[tuple[int, torch.dtype, str], list[Tensor]] = defaultdict(list)
        self._held = 0
        self._lock = threading.Lock()

    def take(self, size: int, dtype: torch.dtype, *, zero: bool = False, key: str = "") -> Tensor:
        """A buffer; with `zero` what nobody writes is zero, among takers of one key."""
        with self._lock:
            free = self._free.get((size, dtype, key))
            if free:
                self._held -= size
                return free.pop()
        make = torch.zeros if zero else torch.empty
        with torch.inference_mode(False):
            return make(size, dtype=dtype)

    def give(self, buffer: Tensor, key: str = "") -> None:
        with self._lock:
            if self._held + buffer.numel() > self.limit // 4:
                self._free.clear()
                self._held = 0
            self._held += buffer.numel()
            self._free[(buffer.numel(), buffer.dtype, key)].append(buffer)


pool = Pool()


@dataclass
class Job:
    """What a kernel is run on.

    Attributes:
        kernel: the code.
        layout: of the packed batch.
        wanted: states whose sequences are asked for.
        threads: how many may work.
    """

    kernel: Kernel
    layout: Layout
    wanted: tuple[int, ...]
    threads: int


class _Frame:
    """The table of numbers and addresses of one call."""

    def __init__(self, job: Job) -> None:
        self.kernel, self.layout = job.kernel, job.layout
        self.slots = job.kernel.frame.slots
        self.words = torch.zeros(len(self.slots), dtype=torch.int64)
        self.view = self.words.numpy()
        self.kept: list[Tensor] = []
        self.borrowed: list[tuple[Tensor, str]] = []
        layout, batch = job.layout, job.layout.batch
        threads = job.threads
        most = job.kernel.most
        blocks, shares = layout.work(threads, most)
        # fewer where the rows do not go round
        self.threads = min(threads, len(shares) - 1)
        self.set(T=layout.length, B=batch, N=layout.rows, lone=int(batch <= 2 and layout.even))
        self.set(threads=self.threads, chunk_count=len(layout.chunks) - 1)
        self.point(steps=layout.steps, blocks=blocks, shares=shares)
        self.point(runs=layout.runs, chunks=layout.chunks)

    def set(self, **numbers: int) -> None:
        for name, number in numbers.items():
            self.view[self.slots[name]] = number

    def point(self, **tensors: Tensor) -> None:
        for name, tensor in tensors.items():
            if name in self.slots:
                self.view[self.slots[name]] = tensor.data_ptr()
                self.kept.append(tensor)

    def borrow(self, name: str, size: int, *, zero: bool = False) -> Tensor:
        key = f"{id(self.kernel)}{name}" if zero else ""
        buffer = pool.take(size, self.kernel.dtype, zero=zero, key=key)
        self.borrowed.append((buffer, key))
        self.view[self.slots[name]] = buffer.data_ptr()
        return buffer

    def record(self, name: str) -> int:
        return int(self.view[self.slots[name]])

    def pack(self, packing: Packing) -> None:
        for name, size in packing.sizes.items():
            self.borrow(name, size, zero=True)
        self.point(jobs=packing.table)
        self.set(job_count=len(packing.jobs))

    def call(self, name: str) -> None:
        self.kernel.library.functions[name](self.words.data_ptr(), self.threads)

    def release(self) -> None:
        """Give back what was borrowed; the frame is spent."""
        for buffer, key in self.borrowed:
            pool.give(buffer, key)
        self.borrowed.clear()


def _forward(
    job: Job, inputs: Sequence[Tensor], statics: Sequence[Tensor], state: Sequence[Tensor]
) -> tuple[_Frame, list[Tensor], list[Tensor]]:
    """(frame, state sequences with the initial ones in front, emitted sequences)."""
    kernel, layout, frame = job.kernel, job.layout, _Frame(job)
    program, B, N = kernel.program, layout.batch, layout.rows
    for j, value in enumerate(inputs):
        frame.point(**{f"U{j}": value})
        if f"ldU{j}" in frame.slots:
            frame.set(**{f"ldU{j}": value.stride(0)})
    for s, value in enumerate(statics):
        frame.point(**{f"S{s}": value})
    sequences = []
    for i, first in enumerate(state):
        width = program.states[i]
        if i in job.wanted:
            whole = first.new_empty((B + N) * width)
        else:
            whole = pool.take((B + N) * width, kernel.dtype)
            frame.borrowed.append((whole, ""))
        whole = whole.view(B + N, width)
        whole[:B] = first
        frame.point(**{f"Y{i}": whole, f"V{i}": whole[B:]})
        sequences.append(whole)
    emits = []
    for k, node in enumerate(program.emits):
        emits.append(torch.empty(N, node.width, dtype=kernel.dtype))
        frame.point(**{f"E{k}": emits[-1]})
    for name, (row, width) in kernel.forward.buffers.items():
        frame.borrow(name, (N if row == "cur" else B) * width)
    for name, slots in kernel.forward.slots.items():
        blocks = -(-kernel.widths[name] // kernel.lanes)
        frame.borrow(name, blocks * N * kernel.slots[name] * kernel.lanes)
        del slots
    frame.pack(kernel.packing)
    frame.call("forward")
    return frame, sequences, emits


def _last(layout: Layout, last: Tensor | None, sequence: Tensor) -> Tensor:
    """Final states [B, S] from a sequence [N, S]."""
    if last is None:
        return sequence[layout.rows - layout.batch :].clone()
    return sequence.index_select(0, last)


class _Walk(torch.autograd.Function):
    """A kernel as one operation of autograd."""

    @staticmethod
    def forward(ctx, job, last, counts, *tensors):  # type: ignore[no-untyped-def]
        a, b = counts
        inputs, statics, state = tensors[:a], tensors[a : a + b], tensors[a + b :]
        frame, sequences, emits = _forward(job, inputs, statics, state)
        B = job.layout.batch
        finals = [_last(job.layout, last, whole[B:]) for whole in sequences]
        ctx.job, ctx.last, ctx.counts, ctx.frame = job, last, counts, frame
        ctx.sequences = sequences
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        return (*(sequences[i][B:] for i in job.wanted), *emits, *finals)

    @staticmethod
    def backward(ctx, *grads):  # type: ignore[no-untyped-def]
        return None, None, None, *_backward(ctx, ctx.saved_tensors, grads)


def _backward(ctx, tensors, grads):  # type: ignore[no-untyped-def]
    job, (a, b), frame = ctx.job, ctx.counts, ctx.frame
    kernel, layout = job.kernel, job.layout
    program, back = kernel.program, kernel.backward
    B, N = layout.batch, layout.rows
    if frame is None:
        raise RuntimeError(
            "Trying to backward through the walk a second time: what it kept has been freed. "
            "Give retain_graph=True to the first backward or autograd.grad."
        )
    keep = torch._C._autograd._get_current_graph_task_keep_graph()
    held: list[tuple[Tensor, str]] = []

    def borrow(name: str, size: int) -> Tensor:
        buffer = pool.take(size, kernel.dtype)
        held.append((buffer, ""))
        frame.view[frame.slots[name]] = buffer.data_ptr()
        return buffer

    _borrow_gradients(frame, kernel, N, keep, borrow)
    zero = torch.zeros(max(program.states), dtype=kernel.dtype)
    rest = len(job.wanted) + len(program.emits)
    carry = []
    for i, width in enumerate(program.states):
        given = grads[job.wanted.index(i)] if i in job.wanted else None
        _point_rows(frame, f"dY{i}", f"lddY{i}", given, zero)
        final = grads[rest + i]
        start = torch.zeros(B, width, dtype=kernel.dtype) if final is None else final.clone()
        frame.point(**{f"C{i}": start.contiguous()})
        carry.append(start)
    zero_emit = torch.zeros(max([1, *(n.width for n in program.emits)]), dtype=kernel.dtype)
    for k in range(len(program.emits)):
        _point_rows(frame, f"dE{k}", f"lddE{k}", grads[len(job.wanted) + k], zero_emit)
    for name, (row, width) in back.buffers.items():
        borrow(name, (N if row == "cur" else B) * width)
    d_inputs = []
    for j, width in enumerate(program.inputs):
        d_inputs.append(torch.empty(N, width, dtype=kernel.dtype))
        frame.point(**{f"dU{j}": d_inputs[-1]})
    _pack_back(frame, kernel.back_packing, borrow_zero := [])
    frame.call("backward")
    needed = ctx.needs_input_grad[3:]
    for j, root in enumerate(kernel.derived.d_inputs):
        if root is None:
            d_inputs[j].zero_()
        elif needed[j] and back.inputs[j]:
            _pack_back(frame, kernel.input_packings[j], borrow_zero)
            frame.call(f"input{j}")
    d_statics = _weight_gradients(frame, kernel, tensors[a : a + b])
    for buffer, key in [*held, *borrow_zero]:
        pool.give(buffer, key)
    if not keep:
        frame.release()
        ctx.frame = None
    return (*d_inputs, *d_statics, *carry)


def _borrow_gradients(frame, kernel, N, keep, borrow):  # type: ignore[no-untyped-def]
    for name in kernel.backward.slots:
        size = -(-kernel.widths[name] // kernel.lanes) * N * kernel.slots[name] * kernel.lanes
        alias = kernel.alias.get(name)
        if alias is None:
            borrow(name, size)
            continue
        kept = next(t for t, _ in frame.borrowed if t.data_ptr() == frame.record(alias))
        if keep:
            # another backward will need what this one would write over
            copy = borrow(name, size)
            copy.copy_(kept)
        else:
            frame.view[frame.slots[name]] = kept.data_ptr()


def _point_rows(frame, name, stride, given, zero):  # type: ignore[no-untyped-def]
    if given is None:
        frame.point(**{name: zero})
        step = 0
    else:
        given = given.contiguous()
        frame.point(**{name: given})
        step = given.shape[1]
    if stride in frame.slots:
        frame.set(**{stride: step})


def _pack_back(frame, packing, held):  # type: ignore[no-untyped-def]
    for name, size in packing.sizes.items():
        key = f"{id(frame.kernel)}{name}"
        buffer = pool.take(size, frame.kernel.dtype, zero=True, key=key)
        held.append((buffer, key))
        frame.view[frame.slots[name]] = buffer.data_ptr()
    frame.point(jobs=packing.table)
    frame.set(job_count=len(packing.jobs))


def _weight_gradients(frame, kernel, statics):  # type: ignore[no-untyped-def]
    grads = [torch.zeros_like(value) for value in statics]
    twins = [statics[s].new_zeros(statics[s].shape[::-1]) for s in kernel.twins]
    for s, value in enumerate([*grads, *twins]):
        frame.point(**{f"dS{s}": value})
        if f"wS{s}" in frame.slots:
            frame.set(**{f"wS{s}": value.shape[-1]})
    if "weights" in kernel.library.functions:
        frame.call("weights")
    for (s, _), value in zip(kernel.twins.items(), twins, strict=True):
        grads[s] += value.t()
    return grads


def run(
    job: Job,
    last: Tensor | None,
    inputs: Sequence[Tensor],
    statics: Sequence[Tensor],
    state: Sequence[Tensor],
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Run a kernel.

    Returns:
        Sequences [N, S] of the wanted states, emitted sequences [N, E], final states [B, S].
    """
    w, e = len(job.wanted), len(job.kernel.program.emits)
    if job.kernel.train:
        counts = (len(inputs), len(statics))
        out = list(_Walk.apply(job, last, counts, *inputs, *statics, *state))
        return out[:w], out[w : w + e], out[w + e :]
    frame, sequences, emits = _forward(job, inputs, statics, state)
    B = job.layout.batch
    finals = [_last(job.layout, last, whole[B:]) for whole in sequences]
    frame.release()
    return [sequences[i][B:] for i in job.wanted], emits, finals
