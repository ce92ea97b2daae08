"""Derivatives of derivatives: a walk taken once more, step by step, so that autograd can follow.

A kernel's reverse is machine code, which has no reverse of its own. Where a graph of the gradient
is asked for (`create_graph=True`), the gradients come from here: slower, and differentiable any
number of times.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ostinato.engine.duals import loose
from ostinato.engine.expressions import Program
from ostinato.engine.interpret import step
from ostinato.engine.llvm.batch import Layout

__all__ = ["gradients", "replay"]


def gradients(
    program: Program,
    layout: Layout,
    wanted: Sequence[int],
    last: Tensor | None,
    counts: tuple[int, int],
    tensors: Sequence[Tensor],
    grads: Sequence[Tensor | None],
) -> tuple[Tensor | None, ...]:
    """Gradients of a walk of a packed batch as differentiable functions of all that they read.

    Args:
        program: the step.
        layout: of the packed batch.
        wanted: states whose sequences the walk returned.
        last: packed row of each sequence's last step; None where all are of one length.
        counts: how many of the tensors are inputs, and how many are statics.
        tensors: inputs [N, width], statics, first states [B, S].
        grads: of the wanted sequences, the emitted ones and the final states; None for zero.

    Returns:
        One for each tensor; None for one that needs none.
    """
    with torch.enable_grad():
        # aliases, since one tensor may have been made of another: each is to count by itself
        own = [t.view_as(t) if t.requires_grad else t for t in tensors]
        a, b = counts
        sequences, emits, finals = replay(
            program, layout, last, own[:a], own[a : a + b], own[a + b :]
        )
        out = (*(sequences[i] for i in wanted), *emits, *finals)
        given = [
            (y, g) for y, g in zip(out, grads, strict=True) if g is not None and y.requires_grad
        ]
        asked = [n for n, t in enumerate(own) if t.requires_grad]
        found: list[Tensor | None] = [None] * len(own)
        if not given or not asked:
            return tuple(found)
        ys, gs = zip(*given, strict=True)
        made = torch.autograd.grad(
            ys, [own[n] for n in asked], gs, create_graph=True, allow_unused=True
        )
    for n, gradient in zip(asked, made, strict=True):
        found[n] = gradient if gradient is None or torch.is_grad_enabled() else loose(gradient)
    return tuple(found)


def replay(
    program: Program,
    layout: Layout,
    last: Tensor | None,
    inputs: Sequence[Tensor],
    statics: Sequence[Tensor],
    state: Sequence[Tensor],
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """The walk of a packed batch, node by node; arguments as for `gradients`.

    Returns:
        Sequences [N, S] of all states, emitted sequences [N, E], final states [B, S].
    """
    new, steps = tuple(state), []
    for first, _, live in layout.steps[:-1].tolist():
        rows = slice(first, first + live)
        # sequences stand by length, so that those which have ended are the last ones
        old = tuple(part[:live] for part in new)
        new, emits = step(program, [part[rows] for part in inputs], statics, old)
        steps.append((*new, *emits))
    whole = [torch.cat(parts) for parts in zip(*steps, strict=True)]
    sequences, emitted = whole[: len(state)], whole[len(state) :]
    if last is None:
        return sequences, emitted, list(new)
    return sequences, emitted, [part.index_select(0, last) for part in sequences]
