"""Segments of a sequence that are walked again for their gradient, for any engine.

The fused engine has its own way, which keeps less and gives the same bits; see `llvm.rewalk`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ostinato.engine.calls import Call, State, Walk, segment_steps

__all__ = ["asked", "walk"]


def asked(call: Call) -> bool:
    """Whether a call is to be walked in segments: only where a gradient may be wanted."""
    transformed = torch._C._are_functorch_transforms_active()
    return segment_steps(call) > 0 and torch.is_grad_enabled() and not transformed


def walk(call: Call, engine: Callable[[Call], Walk]) -> Walk:
    """Walk a sequence segment by segment, keeping the states between them.

    Args:
        call: the whole walk.
        engine: walks a segment.
    """
    state, found = call.state, []
    for piece in _pieces(call):
        result = _kept(piece, state, engine)
        state = result.state
        found.append(result)
    if call.reverse:
        found.reverse()
    output = torch.cat([part.output for part in found])
    if not call.all_states:
        return Walk(output, state)
    histories = [part.states for part in found if part.states is not None]
    return Walk(output, state, tuple(map(torch.cat, zip(*histories, strict=True))))


def _pieces(call: Call) -> Iterator[Call]:
    """The segments in the order of the walk."""
    steps = segment_steps(call)
    # one operation cuts all, so that one puts the gradient together
    xs = torch.split(call.x, steps)
    order = range(len(xs))
    for n in reversed(order) if call.reverse else order:
        start = n * steps
        lengths = call.lengths
        yield dataclasses.replace(
            call,
            x=xs[n],
            lengths=None if lengths is None else (lengths - start).clamp(0, len(xs[n])),
            reset=None if call.reset is None else call.reset[start : start + steps],
            checkpoint_every=None,
        )


def _kept(call: Call, state: State, engine: Callable[[Call], Walk]) -> Walk:
    """One segment, of which autograd keeps nothing but what it begins with."""
    count = len(state)

    def segment(x: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        fresh = None if call.reset_state is None else states[count:]
        part = engine(dataclasses.replace(call, x=x, state=states[:count], reset_state=fresh))
        return (part.output, *part.state, *(part.states or ()))

    parts: tuple[Tensor, ...] = checkpoint(
        segment, call.x, *state, *(call.reset_state or ()), use_reentrant=False
    )
    history = parts[1 + count :] if call.all_states else None
    return Walk(parts[0], parts[1 : 1 + count], history)
