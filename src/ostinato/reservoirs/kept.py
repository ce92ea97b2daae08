"""What was learned outlives rows that cannot be learned from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["kept_if_it_fails"]


@contextmanager
def kept_if_it_fails(*things: Any) -> Iterator[None]:
    """Give objects back the attributes that they have now if a `with` block fails.

    Tensors must be replaced in it, not written to; lists are copied.
    """
    kept = [
        {name: list(value) if type(value) is list else value for name, value in vars(thing).items()}
        for thing in things
    ]
    try:
        yield
    except BaseException:
        for thing, attributes in zip(things, kept, strict=True):
            vars(thing).clear()
            vars(thing).update(attributes)
        raise
