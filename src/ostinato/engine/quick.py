"""Whole sequences of one cell, with all prepared that does not change from call to call.

What a small problem costs is not its arithmetic but what is done around it: the questions that are
asked of each call, and PyTorch's small operators. Here the questions are asked once, and one look
before each call tells whether their answers still hold. Batches are dense, of one length; anything
else, and anything large, goes the general way, to the same kernels and the same bits.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ostinato.engine.calls import State
from ostinato.engine.duals import has_tangent
from ostinato.engine.forms import form_of
from ostinato.engine.fused import threads_for
from ostinato.engine.llvm.batch import dense
from ostinato.engine.llvm.compile import host_target
from ostinato.engine.llvm.frame import Frame
from ostinato.engine.llvm.kernel import Kernel
from ostinato.engine.llvm.launch import after
from ostinato.engine.llvm.plan import Plan
from ostinato.engine.llvm.sharing import FEW, Known, Ways
from ostinato.engine.recurrence import NotFusable, Recurrence
from ostinato.engine.second import gradients
from ostinato.engine.standing import Homes, Standing, Unprepared, is_plain

__all__ = ["Quick"]

# bytes of buffers that one shape may keep, and shapes that one layer may
_KEPT, _SHAPES = 1 << 22, 8


class Quick(Standing):
    """Walks one cell over dense batches.

    Args:
        cell: the cell.
        homes: where its parameters are; None: in the cell.
        fixed: what must still be found where it is now: tables and names there.
        x: an example of the input, [T, B, I].
        sizes: widths of the states.
        leading: sizes of the axes before B in the states as they are given and returned.

    Raises:
        Unprepared: that cannot be done in this way.
    """

    def __init__(
        self,
        cell: nn.Module,
        homes: Homes | None,
        fixed: Sequence[tuple[dict[str, Any], str]],
        x: Tensor,
        sizes: Sequence[int],
        leading: tuple[int, ...],
    ) -> None:
        super().__init__([cell], fixed)
        self.cell, self.dtype, self.width = cell, x.dtype, x.shape[2]
        self.sizes, self.leading = tuple(sizes), leading
        with torch.inference_mode(False), torch.no_grad():
            state = tuple(torch.zeros(1, size, dtype=x.dtype) for size in sizes)
            self.form = form_of(cell, x, state)
            found = self.form.found
            if isinstance(found, NotFusable):
                raise Unprepared
            self.found: Recurrence = found
            self.tensors = self.statics(cell, homes, found)
            self.settle()
        if not all(is_plain(value, x.dtype) for value in self.tensors):
            raise Unprepared
        program, (kind, index) = found.program, found.output
        if found.before is not None or kind == "after" or len(program.emits) > (kind == "emit"):
            raise Unprepared
        width = program.states[index] if kind == "state" else program.emits[index].width
        if found.output_shape != (width,):
            raise Unprepared
        # parameters as they stand, which autograd can be given; views of them are not that
        own = {id(value) for value in self.parameters}
        self.trainable = all(id(value) in own for value in self.tensors)
        self.wanted = (index,) if kind == "state" else ()
        self._shapes: dict[tuple[int, int, bool, int], Shape | None] = {}
        self._teams = Known()
        self._once: set[tuple[int, int, bool, int]] = set()

    def walk(self, x: Tensor, state: State | None) -> tuple[Tensor, State] | None:
        """(Output [T, B, O], final states), or None where it must go the general way.

        The caller has asked whether all is the `same`.

        Args:
            x: [T, B, I].
            state: what to start from, each of the leading axes, B and a width; None: zeros.
        """
        T, B, width = x.shape
        if width != self.width or x.dtype is not self.dtype or T == 0 or B == 0:
            return None
        if not x.is_contiguous() or not x.is_cpu or not self.allowed():
            return None
        train = False
        if torch.is_grad_enabled():
            train = x.requires_grad or any([p.requires_grad for p in self.parameters])  # noqa: C419
        if state is not None:
            if not all(map(self._fits, state, self.sizes, [B] * len(self.sizes))):
                return None
            train = train or (torch.is_grad_enabled() and any(p.requires_grad for p in state))
        shape = self._shape(T, B, train)
        if shape is None:
            return None
        if not train:
            return shape.infer(x, state)
        made: tuple[Tensor, ...] = _Walk.apply(  # type: ignore[no-untyped-call]
            shape, x, *self.tensors, *(state or ())
        )
        return made[0], made[1:]

    def _fits(self, part: Tensor, size: int, B: int) -> bool:
        return part.shape == (*self.leading, B, size) and is_plain(part, self.dtype)

    def _shape(self, T: int, B: int, train: bool) -> Shape | None:
        threads = threads_for(self.found.program, T * B)
        team = None
        if threads > 1 and B <= FEW:
            team = self._teams[T, B, train]
            threads = threads if team.choose() else 1
        key = (T, B, train, threads)
        if key not in self._shapes:
            if len(self._shapes) >= _SHAPES:
                self._shapes.clear()
                self._teams.clear()
                self._once.clear()
            made = self._new_shape(*key, team)
            if made is not None and made.plan.reuse and key not in self._once:
                # what comes once is not worth buffers of its own
                self._once.add(key)
                return None
            self._shapes[key] = made
        return self._shapes[key]

    def _new_shape(
        self, T: int, B: int, train: bool, threads: int, team: Ways | None
    ) -> Shape | None:
        kernel = self.form.kernel(self.cell, train, self.dtype, host_target())
        if not isinstance(kernel, Kernel) or (train and not self.trainable):
            return None
        plan = Plan(kernel, dense(T, B), self.wanted, threads)
        if plan.bytes > _KEPT:
            return None
        return Shape(plan, self, team)


class Shape:
    """Calls of one length and batch size.

    Args:
        plan: of such calls.
        quick: whose they are.
        team: learns whether the plan's threads are too many; None: they are not.
    """

    def __init__(self, plan: Plan, quick: Quick, team: Ways | None) -> None:
        self.plan, self.quick, self.team = plan, quick, team
        layout = plan.layout
        self.T, self.B = layout.length, layout.batch
        self.bytes = plan.kernel.module.bytes
        self._free: list[Frame] = []

    def take(self) -> Frame:
        """A frame with all filled in but the tensors of one call."""
        try:
            return self._free.pop()
        except IndexError:
            with torch.inference_mode(False), torch.no_grad():
                return Frame(self.plan, self.quick.tensors)

    def give(self, frame: Frame) -> None:
        """Take a frame back."""
        if len(self._free) < 2:
            self._free.append(frame)

    def report(self, seconds: float) -> None:
        """Say how long a call took, forward and back."""
        if self.team is not None:
            self.team.report(self.plan.threads > 1, seconds)

    def forward(self, frame: Frame, x: Tensor, state: Sequence[Tensor] | None) -> list[Tensor]:
        """The output and the final states; `state` None: from zeros."""
        words, T, B, quick = frame.words, self.T, self.B, self.quick
        # rows of a hidden state behind its first: those of the last chunk, if all use one buffer
        rows = self.plan.chunks[-1].numbers[2] if self.plan.reuse else T * B
        words[frame.x] = x.data_ptr()
        program, moves = self.plan.kernel.program, []
        output = None
        for i, width in enumerate(program.states):
            each = width * self.bytes
            size, last = B * each, T * B * each
            if i in quick.wanted:
                whole = torch.empty((T + 1, B, width), dtype=quick.dtype, device="cpu")
                at = whole.data_ptr()
                frame.enter(i, at)
                output = after(whole, B * width, (T, B, width))
            else:
                at, last = frame.states[i], rows * each
            if state is None:
                ctypes.memset(at, 0, size)
            else:
                ctypes.memmove(at, state[i].data_ptr(), size)
            moves.append((at + last, size, width))
        if output is None:
            node = program.emits[0]
            output = torch.empty((T, B, node.width), dtype=quick.dtype, device="cpu")
            words[frame.emit] = output.data_ptr()
        frame.go()
        made = [output]
        for at, size, width in moves:
            final = torch.empty((*quick.leading, B, width), dtype=quick.dtype, device="cpu")
            ctypes.memmove(final.data_ptr(), at, size)
            made.append(final)
        return made

    def infer(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """A walk that nothing is kept of."""
        begin = time.perf_counter()
        frame = self.take()
        output, *finals = self.forward(frame, x, state)
        self.give(frame)
        self.report(time.perf_counter() - begin)
        return output, tuple(finals)

    # the reverse

    def backward(
        self,
        frame: Frame,
        tensors: Sequence[Tensor],
        grads: Sequence[Tensor | None],
        wants_x: bool,
        keep: bool,
    ) -> list[Tensor | None]:
        """Gradients of x, the statics and, where they were given, the first states."""
        quick, program = self.quick, self.plan.kernel.program
        count = len(quick.tensors)
        frame.part(keep)
        for i, width in enumerate(program.states):
            given = grads[0] if i in quick.wanted else None
            frame.arriving(f"dY{i}", given, width)
        for k, node in enumerate(program.emits):
            frame.arriving(f"dE{k}", grads[0], node.width)
        carried = []
        for i, width in enumerate(program.states):
            start = torch.empty((*quick.leading, self.B, width), dtype=quick.dtype, device="cpu")
            frame.put(f"C{i}", start)
            final = grads[1 + i]
            if final is None:
                ctypes.memset(start.data_ptr(), 0, start.nbytes)
            else:
                start.copy_(final)
            carried.append(start)
        dx = None
        if wants_x or "dU0" in frame.slots:
            dx = torch.empty_like(tensors[0])
            frame.put("dU0", dx)
        frame.reverse(dx if wants_x else None)
        statics = frame.weights(tensors[1 : 1 + count])
        found = [dx if wants_x else None, *statics]
        return [*found, *carried] if len(tensors) > 1 + count else found

    def differentiable(
        self, tensors: Sequence[Tensor], grads: Sequence[Tensor | None]
    ) -> list[Tensor | None]:
        """The same as functions that have derivatives, step by step."""
        quick, plan = self.quick, self.plan
        x, *rest = tensors
        a = len(quick.tensors)
        given = rest[a:] or [x.new_zeros(*quick.leading, self.B, size) for size in quick.sizes]
        rows = self.T * self.B
        flat = [x.reshape(rows, -1), *rest[:a], *(s.reshape(self.B, -1) for s in given)]
        dy, *finals = grads
        arriving = [
            None if dy is None else dy.reshape(rows, -1),
            *(None if d is None else d.reshape(self.B, -1) for d in finals),
        ]
        made = gradients(
            plan.kernel.program, plan.layout, quick.wanted, None, (1, a), flat, arriving
        )
        shaped = [
            None if d is None else d.reshape(t.shape)
            for d, t in zip(made, [x, *rest[:a], *given], strict=True)
        ]
        return shaped[: len(tensors)]


class _Walk(torch.autograd.Function):
    """A walk as one operation of autograd."""

    @staticmethod
    def forward(ctx: Any, shape: Shape, x: Tensor, *tensors: Tensor) -> Any:
        count = len(shape.quick.tensors)
        begin = time.perf_counter()
        frame = shape.take()
        made = shape.forward(frame, x, tensors[count:] or None)
        ctx.shape, ctx.frame, ctx.spent = shape, frame, time.perf_counter() - begin
        ctx.save_for_backward(x, *tensors)
        ctx.set_materialize_grads(False)
        # an alias, which shares the counter of changes: the output itself would hold this node
        ctx.kept = made[0].detach()
        ctx.version = ctx.kept._version
        return tuple(made)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        shape: Shape = ctx.shape
        tensors = ctx.saved_tensors
        if torch.is_grad_enabled() or has_tangent(grads):
            return None, *shape.differentiable(tensors, grads)
        if ctx.frame is None:
            raise RuntimeError(
                "Trying to backward through the walk a second time: what it kept has been freed. "
                "Give retain_graph=True to the first backward or autograd.grad."
            )
        if ctx.kept._version != ctx.version:
            raise RuntimeError(
                "An output of the walk has been changed in place, and its gradient needs what was "
                "there. Change a copy: y = y.clone()."
            )
        keep = torch._C._autograd._get_current_graph_task_keep_graph()
        begin = time.perf_counter()
        found = shape.backward(ctx.frame, tensors, grads, ctx.needs_input_grad[1], keep)
        shape.report(ctx.spent + time.perf_counter() - begin)
        if not keep:
            shape.give(ctx.frame)
            ctx.frame = ctx.kept = None
        return None, *found
