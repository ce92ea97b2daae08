"""A frame with buffers of its own, for one call after another of the same plan."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ostinato.engine.llvm.launch import _Forward
from ostinato.engine.llvm.plan import Plan

__all__ = ["Frame"]


class Frame(_Forward):
    """All that a walk needs but the tensors of one call, entered once.

    Args:
        plan: what is known of the calls.
        statics: the static tensors, which must stay where they are.

    Attributes:
        x: index of the input's address.
        emit: index of the emitted sequence's address.
        states: address of each state's sequence, the first state in front, where it is not asked
            for.
    """

    def __init__(self, plan: Plan, statics: Sequence[Tensor]) -> None:
        super().__init__(plan, (), statics)
        kernel, words, slots = self.kernel, self.words, self.slots
        # a slot that the code never reads
        spare = slots["meeting"]
        self.x, self.emit = slots.get("U0", spare), slots.get("E0", spare)
        if "ldU0" in slots:
            words[slots["ldU0"]] = kernel.program.inputs[0]
        self._own: list[Tensor] = []
        areas = [plan.work, plan.packs]
        if kernel.backward is not None:
            areas += [plan.back_work, plan.back_packs]
        for area in areas:
            # the lanes that no weight fills have to be zero
            buffer = torch.empty(area.size, dtype=kernel.dtype)
            # not by PyTorch, whose threads are not there in a forked process
            ctypes.memset(buffer.data_ptr(), 0, buffer.nbytes)
            area.place(words, buffer)
            self._own.append(buffer)
        self._zeros = torch.zeros(1, max((*kernel.program.states, 1)), dtype=kernel.dtype)
        self._pairs = [
            (slots.get(f"Y{i}"), slots.get(f"V{i}")) for i in range(len(kernel.program.states))
        ]
        self.states = [0 if y is None else int(words[y]) for y, _ in self._pairs]
        for i, at in enumerate(self.states):
            if i not in plan.wanted:
                self.enter(i, at)
        self._simple = len(plan.chunks) == 1 and not plan.shareable
        words[self.span] = (plan.layout.length, 0, plan.layout.rows)
        self._functions = kernel.library.functions
        self._jobs = (slots["jobs"], slots["job_count"])
        packings: list[Any] = [kernel.packing]
        if kernel.backward is not None:
            packings += [kernel.back_packing, *kernel.input_packings]
        self._tables = [(p.table.data_ptr(), len(p.jobs)) for p in packings]
        self._parted: list[Tensor] = []

    def enter(self, i: int, at: int) -> None:
        """Say where a state's sequence stands, the first state in front."""
        y, v = self._pairs[i]
        if y is not None:
            self.words[y] = at
        if v is not None:
            width = self.kernel.program.states[i] * self.kernel.module.bytes
            self.words[v] = at + self.plan.layout.batch * width

    def put(self, name: str, value: Tensor) -> None:
        """Enter the address of a tensor."""
        at = self.slots.get(name)
        if at is not None:
            self.words[at] = value.data_ptr()

    def go(self) -> None:
        """Pack the weights and walk."""
        self._pack(0)
        if self._simple:
            self.call("forward")
        else:
            self._walk()

    def _pack(self, number: int) -> None:
        table, count = self._tables[number]
        if count:
            self.words[self._jobs[0]], self.words[self._jobs[1]] = table, count
            self.call("pack_all")

    # the reverse

    def part(self, keep: bool) -> None:
        """Let gradients be written over the values that they are made of, or not, to keep these."""
        self._parted.clear()
        for (gradient, record), (_, size) in zip(
            self.plan.alias, self.plan.alias_sizes, strict=True
        ):
            self.words[gradient] = self.words[record]
            if keep:
                self._parted.append(torch.empty(size, dtype=self.kernel.dtype))
                self.words[gradient] = self._parted[-1].data_ptr()

    def arriving(self, name: str, given: Tensor | None, width: int) -> None:
        """Enter the gradient of a sequence: every row, or one for all."""
        at = self.slots.get(name)
        if at is None:
            return
        step = width
        if given is None:
            given, step = self._zeros, 0
        elif not given.is_contiguous():
            if any(given.stride()[:-1]):
                given = given.contiguous()
            else:
                # one row for all, as the gradient of a sum is
                given, step = given.flatten(0, -2)[:1].contiguous(), 0
        self._parted.append(given)
        self.words[at] = given.data_ptr()
        stride = self.slots.get("ld" + name)
        if stride is not None:
            self.words[stride] = step

    def reverse(self, dx: Tensor | None) -> None:
        """Walk back; then the gradients of x and of the first states."""
        plan, kernel = self.plan, self.kernel
        self._pack(1)
        if self._simple:
            self.call("backward")
        else:
            for chunk in reversed(plan.chunks):
                self.walk("backward", chunk)
            self.words[self.span] = (plan.layout.length, 0, plan.layout.rows)
        if "initial" in self._functions:
            self.call("initial")
        if dx is not None:
            if kernel.derived.d_inputs[0] is None:
                dx.zero_()
            elif "input0" in self._functions:
                self._pack(2)
                self.call("input0")

    def weights(self, statics: Sequence[Tensor]) -> list[Tensor]:
        """Gradients of the static tensors."""
        twins = self.kernel.twins
        grads = [torch.empty_like(value) for value in statics]
        turned = [statics[s].new_empty(statics[s].shape[::-1]) for s in twins]
        for s, value in enumerate([*grads, *turned]):
            ctypes.memset(value.data_ptr(), 0, value.nbytes)
            self.put(f"dS{s}", value)
        if "weights" in self._functions:
            self.call("weights")
        for s, value in zip(twins, turned, strict=True):
            grads[s] += value.t()
        self._parted.clear()
        return grads
