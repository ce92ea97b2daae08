"""From a cell to a running recurrence: `run` walks a cell on the engine in force."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from types import ModuleType

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.autograd import forward_ad

from ostinato.engine import eager, kernels, segmented
from ostinato.engine.calls import Call, Every, Keeper, Kept, Label, State, Walk, split_result
from ostinato.engine.trace import compiling

__all__ = [
    "Call",
    "Every",
    "Keeper",
    "Kept",
    "Label",
    "State",
    "Walk",
    "engine",
    "keep",
    "nudge",
    "run",
    "split_result",
]

_ENGINES = ("auto", "llvm", "scan", "torch", "eager")
_chosen: ContextVar[str] = ContextVar("ostinato_engine", default="auto")


@contextmanager
def engine(name: str) -> Iterator[None]:
    """Force an engine within a `with` block.

    Args:
        name: "auto" takes the fastest that can run the cell; "llvm" makes a kernel of its equations
            (on a CPU), "scan" finds all steps at once where no unit hears another's past, "torch"
            takes torch's own kernels for the cells that equal them, and all three take the
            reference where that cannot be; "eager" is the plain reference.

    Raises:
        ValueError: there is no engine of that name.
    """
    if name not in _ENGINES:
        raise ValueError(f"engine: {name!r} is none of {', '.join(_ENGINES)}.")
    token = _chosen.set(name)
    try:
        yield
    finally:
        _chosen.reset(token)


class _Room(ModuleType):
    """Lets `ostinato.engine(name)` work, although an import binds that name to this module."""

    def __call__(self, name: str) -> AbstractContextManager[None]:
        return engine(name)


sys.modules[__name__].__class__ = _Room


def run(call: Call) -> Walk:
    """Walk a cell over a sequence on the engine in force."""
    forward = forward_ad._current_level >= 0
    if _recorded(call):
        from ostinato.engine import operator

        # an operator has no derivative in forward mode, the steps one by one have
        return eager.walk(call) if forward else operator.walk(call)
    chosen = _chosen.get()
    found = None
    if chosen in ("auto", "llvm") and call.x.device.type == "cpu":
        from ostinato.engine import duals, fused

        wrapped = forward and torch._C._are_functorch_transforms_active()
        found = duals.unwrapped(call, fused.walk) if wrapped else fused.walk(call)
    if found is not None:
        return found
    if segmented.asked(call):
        # the engine in force now walks the segments again, whichever is in force then
        return segmented.walk(call, functools.partial(_unfused, chosen=chosen))
    return _unfused(call, chosen)


def keep(call: Call, keeper: Keeper) -> Kept | None:
    """Walk a cell over a sequence, and keep what a keeper says of each step.

    Returns:
        The walk that `run` would make, to the last bit, and what was kept; None where the engine in
        force makes no kernel for that.
    """
    if _recorded(call) or _chosen.get() not in ("auto", "llvm") or call.x.device.type != "cpu":
        return None
    from ostinato.engine import keeping

    return keeping.walk(call, keeper)


def nudge(call: Call, count: int) -> tuple[Walk, State] | None:
    """Walk a cell, and tell how each of its first states moves what comes of the walk.

    Returns:
        The walk, and leaves [T, B, S], zeros that were added to `count` states as they were handed
        on, and last to the output if that is no state; None where the engine in force makes no
        kernel for that.
    """
    if _recorded(call) or _chosen.get() not in ("auto", "llvm") or call.x.device.type != "cpu":
        return None
    from ostinato.engine import nudging

    return nudging.walk(call, count)


def _unfused(call: Call, chosen: str) -> Walk:
    found = None
    # torch's own kernels, and the scan, know reverse derivatives alone
    forward = forward_ad._current_level >= 0
    if chosen in ("auto", "torch") and not forward:
        found = kernels.walk(call)
    if found is None and chosen in ("auto", "scan") and not forward:
        from ostinato.engine import scan

        found = scan.walk(call, forced=chosen == "scan")
    return eager.walk(call) if found is None else found


def _recorded(call: Call) -> bool:
    """Whether something traces this call: the walk is to be one operator then."""
    return compiling() or isinstance(call.x, FakeTensor)
