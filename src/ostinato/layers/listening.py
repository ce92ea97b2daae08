"""Who listens while layers walk: whoever wants to see what went in and out of each cell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import torch

from ostinato.engine import Call, Walk, run

if TYPE_CHECKING:
    from ostinato.layers.sequence import SequenceLayer

__all__ = ["Listener", "listened", "listener", "listening", "runner"]

# (layer, place of the cell in it, the call as engines get it) -> what the walk gave
Listener: TypeAlias = "Callable[[SequenceLayer, int, Call], Walk]"

_listener: ContextVar[Listener | None] = ContextVar("ostinato_listener", default=None)


@contextmanager
def listening(to: Listener) -> Iterator[None]:
    """Let `to` make every walk of every layer within a `with` block, in this thread."""
    token = _listener.set(to)
    try:
        yield
    finally:
        _listener.reset(token)


def listener() -> Listener | None:
    """Who listens now, in this thread: one who begins to listen within may hand on to them."""
    return _listener.get()


def listened() -> bool:
    """Whether someone listens, so that no short cut may be taken."""
    return not torch.compiler.is_compiling() and _listener.get() is not None


def runner(layer: SequenceLayer, place: int) -> Callable[[Call], Walk]:
    """What makes the walk of a layer's cell: the engine, or whoever listens."""
    if torch.compiler.is_compiling():
        return run
    found = listener()
    return run if found is None else partial(found, layer, place)
