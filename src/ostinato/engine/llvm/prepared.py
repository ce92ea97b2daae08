"""One step of one cell with its frame filled in: what is left to say is where x and the output are.

The interpreter's lock is kept during a call. Letting it go costs as much as a small step, and two
threads that share a stream by mistake then cannot write where the other one has let go.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from ostinato.engine.llvm.batch import dense
from ostinato.engine.llvm.kernel import Kernel
from ostinato.engine.llvm.onestep import OneStep
from ostinato.engine.llvm.plan import Plan

__all__ = ["Packed", "Run", "Single"]

# called with the addresses of x and of the output
Run: TypeAlias = Callable[[int, int], object]
_ENTRY = ctypes.PYFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)
_LINE = 64


class _Frame:
    """The table of addresses and numbers that code is called with."""

    def __init__(self, slots: Mapping[str, int], words: Any) -> None:
        self.slots, self.words = slots, words
        self.held: list[Tensor] = []

    def set(self, name: str, value: int) -> None:
        at = self.slots.get(name)
        if at is not None:
            self.words[at] = value

    def buffer(self, size: int, dtype: torch.dtype) -> Tensor:
        """Zeros that begin at a cache line."""
        whole = torch.zeros(size + _LINE, dtype=dtype)
        self.held.append(whole)
        skip = -whole.data_ptr() % _LINE // whole.element_size()
        return whole[skip : skip + size]

    def statics(self, statics: Sequence[Tensor]) -> None:
        for k, value in enumerate(statics):
            self.set(f"S{k}", value.data_ptr())


class Single:
    """A row or two: one call, which reads the weights where they stand.

    Attributes:
        states: each [B, S], the states after the last step.
        run: takes a step.
    """

    def __init__(self, code: OneStep, statics: Sequence[Tensor], state: Sequence[Tensor]) -> None:
        slots = code.frame.slots
        frame = _Frame(slots, np.zeros(len(slots), dtype=np.int64))
        dtype = state[0].dtype
        buffers = {name: frame.buffer(size, dtype) for name, size in code.sizes.items()}
        for name, buffer in buffers.items():
            frame.set(name, buffer.data_ptr())
        frame.statics(statics)
        frame.set("N", code.rows)
        frame.set("ldU0", code.program.inputs[0])
        self.states = tuple(
            buffers[f"Y{i}"].view(part.shape).copy_(part) for i, part in enumerate(state)
        )
        self._held = (code, frame)
        function, address = code.function, ctypes.c_void_p(frame.words.ctypes.data)

        def run(x: int, y: int) -> None:
            function(address, x, y)

        self.run: Run = run


class Packed:
    """More rows: the kernel of whole sequences takes one step, and packs the weights for it.

    Attributes:
        states: each [B, S], the states after the last step.
    """

    def __init__(
        self,
        kernel: Kernel,
        output: tuple[str, int],
        statics: Sequence[Tensor],
        state: Sequence[Tensor],
    ) -> None:
        rows, dtype = state[0].shape[0], state[0].dtype
        program, width = kernel.program, kernel.module.bytes
        plan = Plan(kernel, dense(1, rows), (), 1)
        frame = self._frame = _Frame(plan.slots, plan.words)
        plan.work.place(plan.words, frame.buffer(plan.work.size, dtype))
        plan.packs.place(plan.words, frame.buffer(plan.packs.size, dtype))
        plan.jobs(plan.words, kernel.packing)
        for name, number in (("T", 1), ("last", rows), ("ldU0", program.inputs[0])):
            frame.set(name, number)
        frame.statics(statics)
        for k, node in enumerate(program.emits):
            frame.set(f"E{k}", frame.buffer(rows * node.width, dtype).data_ptr())
        states, moves = [], []
        kind, index = output
        for i, part in enumerate(state):
            old, new = (frame.buffer(part.numel(), dtype) for _ in range(2))
            frame.set(f"Y{i}", old.data_ptr())
            frame.set(f"V{i}", new.data_ptr())
            states.append(old.view(part.shape).copy_(part))
            # a new state that is also the output stands there
            source = 0 if output == ("state", i) else new.data_ptr()
            moves.append((old.data_ptr(), source, part.numel() * width))
        self.states, self._moves = tuple(states), moves
        self._plan, self._words = plan, plan.words
        self._x = plan.slots.get("U0")
        self._y = plan.slots[f"{'V' if kind == 'state' else 'E'}{index}"]
        names = ["pack_all", "forward"] if kernel.packing.jobs else ["forward"]
        self._calls = [_ENTRY(kernel.library.address(name)) for name in names]
        self._address = plan.words.ctypes.data

    def run(self, x: int, y: int) -> None:
        """Take a step."""
        if self._x is not None:
            self._words[self._x] = x
        self._words[self._y] = y
        for call in self._calls:
            call(self._address, 1)
        for old, new, size in self._moves:
            ctypes.memmove(old, new or y, size)
