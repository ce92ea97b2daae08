"""Dual numbers, PyTorch's forward mode: taken apart, put together, freed of what wraps them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from torch import Tensor
from torch.autograd import forward_ad

from ostinato.engine.calls import Call, State, Walk

__all__ = ["Pieces", "active", "has_tangent", "loose", "unwrapped"]


class Pieces(NamedTuple):
    """A dual number taken apart."""

    primal: Any
    tangent: Any

    @staticmethod
    def of(tensor: Tensor) -> Pieces:
        return Pieces(*forward_ad.unpack_dual(tensor))  # type: ignore[no-untyped-call]

    def joined(self) -> Tensor:
        whole: Tensor = self.primal
        if self.tangent is not None:
            whole = forward_ad.make_dual(whole, self.tangent)  # type: ignore[no-untyped-call]
        return whole


def active() -> bool:
    """Whether derivatives in forward mode are being taken."""
    level: int = forward_ad._current_level
    return level >= 0


def has_tangent(tensors: Sequence[Tensor | None]) -> bool:
    """Whether one of the tensors is a dual number."""
    if not active():
        return False
    return any(t is not None and Pieces.of(t).tangent is not None for t in tensors)


def loose(tensor: Tensor) -> Tensor:
    """Without its graph; a tangent, which `detach` drops, stays."""
    if not active():
        return tensor.detach()
    return Pieces(*(t if t is None else t.detach() for t in Pieces.of(tensor))).joined()


def unwrapped(call: Call, walk: Callable[[Call], Walk | None]) -> Walk | None:
    """Do a walk under `torch.func.jvp` on plain dual numbers; None under any other transform."""
    from torch._C import _functorch as wrappers
    from torch._functorch import pyfunctorch

    stack = pyfunctorch.retrieve_all_functorch_interpreters()
    if len(stack) != 1 or stack[0].key() != wrappers.TransformType.Jvp:
        return None
    level = stack[0].level()

    def bare(tensor: Tensor) -> Pieces:
        pieces = Pieces.of(tensor)
        return Pieces(*(t if t is None else wrappers._unwrap_for_grad(t, level) for t in pieces))

    def wrapped(pieces: Pieces) -> Tensor:
        pieces = Pieces(*(t if t is None else wrappers._wrap_for_grad(t, level) for t in pieces))
        return pieces.joined()

    cell = call.cell
    named = {**dict(cell.named_parameters()), **dict(cell.named_buffers())}
    named.update(call.parameters or {})
    taken = _map_call(replace(call, parameters=named), bare)
    with stack[0].lower():
        found = walk(_map_call(taken, Pieces.joined))
        pieces = None if found is None else _map_walk(found, Pieces.of)
    return None if pieces is None else _map_walk(pieces, wrapped)


def _map_call(call: Call, change: Callable[[Any], Any]) -> Call:
    def each(values: State | None) -> Any:
        return None if values is None else tuple(map(change, values))

    def plain(value: Tensor | None) -> Any:
        return None if value is None else change(value)

    return replace(
        call,
        x=change(call.x),
        state=each(call.state),
        lengths=plain(call.lengths),
        reset=plain(call.reset),
        reset_state=each(call.reset_state),
        parameters={name: change(t) for name, t in (call.parameters or {}).items()},
    )


def _map_walk(walk: Walk, change: Callable[[Any], Any]) -> Walk:
    states = None if walk.states is None else tuple(map(change, walk.states))
    return Walk(change(walk.output), tuple(map(change, walk.state)), states)
