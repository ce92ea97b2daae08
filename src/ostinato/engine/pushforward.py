"""Forward mode on kernels: a walk of values, then one of tangents, as one operation.

`before` and `after` are ordinary PyTorch, which carries dual numbers by itself. What the step gets
is taken apart here: one kernel walks the values and leaves what the tangent reads, another walks
the tangent (see `tangent`). Derivatives of what comes out are taken on the reference of the
algebra, except for those of the values alone, which have their kernel.

`torch.func.jvp` wraps its tensors; with no other transform around it, they are unwrapped first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from ostinato.engine.duals import Pieces, active
from ostinato.engine.expressions import Program
from ostinato.engine.llvm.batch import Layout
from ostinato.engine.llvm.job import Job
from ostinato.engine.llvm.kernel import Kernel
from ostinato.engine.llvm.launch import run
from ostinato.engine.llvm.text import Target
from ostinato.engine.recurrence import NotFusable
from ostinato.engine.second import gradients
from ostinato.engine.tangent import Direction, Linear, linearise, tangent

__all__ = ["Task", "pair_of", "walk_both"]

Tensors: TypeAlias = Sequence[Tensor]
# sequences of the wanted states [N, S], emitted sequences [N, E], final states [B, S]
Left: TypeAlias = tuple[Tensors, Tensors, Tensors]

_lock = threading.Lock()
_pairs: dict[tuple[Program, Direction, torch.dtype, Target], Pair | NotFusable] = {}


class Pair(NamedTuple):
    """The kernels of a step in one direction."""

    linear: Linear
    values: Kernel
    tangents: Kernel


def pair_of(program: Program, direction: Direction, dtype: torch.dtype, target: Target) -> Pair:
    """The kernels for values and tangents, made once.

    Raises:
        NotFusable: one of them cannot be made.
    """
    key = (program, direction, dtype, target)
    with _lock:
        found = _pairs.get(key)
        if found is None:
            found = _pairs[key] = _made(program, direction, dtype, target)
    if isinstance(found, NotFusable):
        raise found
    return found


def _made(
    program: Program, direction: Direction, dtype: torch.dtype, target: Target
) -> Pair | NotFusable:
    linear = linearise(program, direction)
    try:
        values, tangents = (
            Kernel(step, train=False, dtype=dtype, target=target)
            for step in (linear.primal, linear.program)
        )
    except NotFusable as error:
        return error
    return Pair(linear, values, tangents)


# the two walks


@dataclass(frozen=True)
class Task:
    """A walk of dual numbers.

    Attributes:
        program: the step.
        target: what code is made for.
        layout: of the packed batch.
        wanted: states whose sequences are asked for.
        last: packed row of each sequence's last step; None where all are of one length.
        threads: how many may work.
        train: makes the kernel with the reverse of the step.
        direction: what changes, once the tensors are known.
    """

    program: Program
    target: Target
    layout: Layout
    wanted: tuple[int, ...]
    last: Tensor | None
    threads: int
    train: Callable[[], Kernel | NotFusable]
    direction: Direction = Direction((), ())  # noqa: RUF009

    @property
    def counts(self) -> tuple[int, int, int]:
        """Inputs, statics, states."""
        program = self.program
        return len(program.inputs), len(program.statics), len(program.states)

    def parts(self, given: Sequence[Any]) -> list[Sequence[Any]]:
        """Inputs, their tangents, statics, theirs, states, theirs."""
        a, b, c = self.counts
        sizes = (a, len(self.direction.inputs), b, len(self.direction.statics), c, c)
        starts = [sum(sizes[:n]) for n in range(len(sizes))]
        return [given[start : start + n] for start, n in zip(starts, sizes, strict=True)]

    def split(self, out: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """What a walk leaves, sequences, emits and finals, as (values, tangents)."""
        values: list[Any] = []
        changes: list[Any] = []
        at = 0
        for n in self._sizes():
            values += out[at : at + n]
            changes += out[at + n : at + 2 * n]
            at += 2 * n
        return values, changes

    def joined(self, values: Sequence[Any], changes: Sequence[Any]) -> list[Any]:
        """The reverse of `split`."""
        out, at = [], 0
        for n in self._sizes():
            out += [*values[at : at + n], *changes[at : at + n]]
            at += n
        return out

    def _sizes(self) -> tuple[int, int, int]:
        return len(self.wanted), len(self.program.emits), len(self.program.states)


def walk_both(task: Task, inputs: Tensors, statics: Tensors, state: Tensors) -> Left:
    """Walk dual numbers; arguments and results as for `launch.run`.

    Raises:
        NotFusable: the tangent cannot be fused.
    """
    given = [[Pieces.of(t) for t in tensors] for tensors in (inputs, statics, state)]
    moving = [
        tuple(n for n, t in enumerate(pieces) if t.tangent is not None) for pieces in given[:2]
    ]
    task = replace(task, direction=Direction(*moving))
    tensors: list[Tensor] = []
    for pieces in given[:2]:
        tensors += [t.primal for t in pieces]
        tensors += [t.tangent for t in pieces if t.tangent is not None]
    tensors += [t.primal for t in given[2]]
    tensors += [torch.zeros_like(p) if t is None else t for p, t in given[2]]
    # a tangent may have strides of its own, or none
    tensors = [t.contiguous() for t in tensors]
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        out: Sequence[Tensor] = _Both.apply(task, *tensors)  # type: ignore[no-untyped-call]
    else:
        out = _walk(task, tensors)
    pairs = zip(*task.split(out), strict=True)
    duals = [Pieces(value, change).joined() for value, change in pairs]
    w, e = len(task.wanted), len(task.program.emits)
    return duals[:w], duals[w : w + e], duals[w + e :]


def _walk(task: Task, tensors: Tensors) -> list[Tensor]:
    """(values, tangents) of the sequences, then of the emits, then of the final states."""
    inputs, d_inputs, statics, d_statics, state, d_state = task.parts(tensors)
    linear, values, tangents = pair_of(task.program, task.direction, tensors[0].dtype, task.target)
    read = {i for kind, i in linear.inputs if kind in ("old", "new")}
    kept = tuple(i for i in range(len(state)) if i in read or i in task.wanted)
    job = Job(values, task.layout, kept, task.threads)
    sequences, emits, finals = run(job, task.last, inputs, statics, state)
    new = dict(zip(kept, sequences, strict=True))
    places = {
        "input": dict(enumerate(inputs)),
        "d_input": dict(zip(task.direction.inputs, d_inputs, strict=True)),
        "emit": dict(enumerate(emits)),
        "new": new,
        "old": {
            i: _old(new[i], state[i], task.layout) for kind, i in linear.inputs if kind == "old"
        },
        "static": dict(enumerate(statics)),
        "d_static": dict(zip(task.direction.statics, d_statics, strict=True)),
    }
    d_sequences, d_emits, d_finals = run(
        Job(tangents, task.layout, task.wanted, task.threads),
        task.last,
        [places[kind][n] for kind, n in linear.inputs],
        [places[kind][n] for kind, n in linear.statics],
        d_state,
    )
    own = [new[i] for i in task.wanted], emits[: len(task.program.emits)], finals
    return task.joined([t for part in own for t in part], [*d_sequences, *d_emits, *d_finals])


def _old(new: Tensor, first: Tensor, layout: Layout) -> Tensor:
    """The state before each packed row, [N, S]."""
    B, N = layout.batch, layout.rows
    whole = new._base
    if whole is None or whole.shape != (B + N, new.shape[1]):
        whole = torch.cat([first, new])
    if layout.even:
        return whole[:N]
    starts = layout.steps[:-1]
    moved = torch.repeat_interleave(starts[:, 1] - starts[:, 0], starts[:, 2])
    return whole.index_select(0, torch.arange(N) + moved)


class _Both(torch.autograd.Function):
    """The two walks as one operation of autograd."""

    @staticmethod
    def forward(ctx: Any, task: Task, *tensors: Tensor) -> Any:
        ctx.task = task
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        return tuple(_walk(task, tensors))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        task, tensors = ctx.task, ctx.saved_tensors
        values, changes = task.split(grads)
        found: list[Tensor | None] = [None] * len(tensors)
        if any(g is not None for g in values):
            found = _through_values(task, tensors, values)
        if any(g is not None for g in changes):
            found = list(map(_sum, found, _through_changes(task, tensors, changes)))
        return None, *found


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b


def _through_changes(
    task: Task, tensors: Tensors, grads: Sequence[Tensor | None]
) -> Sequence[Tensor | None]:
    """Gradients that reach the tangents alone."""
    joint, c = tangent(task.program, task.direction), len(task.program.states)
    wanted = (*task.wanted, *(c + i for i in task.wanted))
    counts = len(joint.inputs), len(joint.statics)
    given = task.joined([None] * len(grads), grads)
    return gradients(joint, task.layout, wanted, task.last, counts, tensors, given)


def _through_values(
    task: Task, tensors: Tensors, grads: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """Gradients that reach the values alone; within a dual level they have tangents themselves."""
    inputs, d_inputs, statics, d_statics, state, d_state = task.parts(tensors)
    own: list[Tensor] = [*inputs, *statics, *state]
    if active():
        a, b, _ = task.counts
        moving = [
            *task.direction.inputs,
            *(a + s for s in task.direction.statics),
            *range(a + b, len(own)),
        ]
        with torch.enable_grad():
            for n, change in zip(moving, (*d_inputs, *d_statics, *d_state), strict=True):
                own[n] = Pieces(own[n], change).joined()
    kernel = None if active() or torch.is_grad_enabled() else task.train()
    if isinstance(kernel, Kernel):
        found = _reverse(task, kernel, own, grads)
    else:
        counts = task.counts[:2]
        found = gradients(task.program, task.layout, task.wanted, task.last, counts, own, grads)
    a, b, _ = task.counts
    parts = task.parts([None] * len(tensors))
    parts[0], parts[2], parts[4] = found[:a], found[a : a + b], found[a + b :]
    return [gradient for part in parts for gradient in part]


def _reverse(
    task: Task, kernel: Kernel, tensors: Tensors, grads: Sequence[Tensor | None]
) -> Sequence[Tensor | None]:
    """By the kernel, which walks the values once more and then back."""
    a, b, _ = task.counts
    own = [t.detach().requires_grad_(t.requires_grad) for t in tensors]
    with torch.enable_grad():
        job = Job(kernel, task.layout, task.wanted, task.threads)
        sequences, emits, finals = run(job, task.last, own[:a], own[a : a + b], own[a + b :])
    pairs = [
        (y, g)
        for y, g in zip((*sequences, *emits, *finals), grads, strict=True)
        if g is not None and y.requires_grad
    ]
    asked = [n for n, t in enumerate(own) if t.requires_grad]
    found: list[Tensor | None] = [None] * len(own)
    if pairs and asked:
        ys, gs = zip(*pairs, strict=True)
        made = torch.autograd.grad(ys, [own[n] for n in asked], gs, allow_unused=True)
        for n, gradient in zip(asked, made, strict=True):
            found[n] = gradient
    return found
