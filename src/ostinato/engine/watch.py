"""Whether a cell is still the one that was read: all that its equations may have come from."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

from torch import nn

__all__ = ["Watch"]

# what `nn.Module` keeps for itself says nothing of the equations, but for these
_own = frozenset(nn.Module().__dict__) - {
    *("training", "_modules", "_forward_hooks", "_forward_pre_hooks"),
}


class Watch:
    """Holds the attributes of modules and of all modules inside, as they are now.

    Parameters and buffers may change in value or be replaced: these are left to the caller.

    Example:
        >>> cell = nn.Linear(2, 3)
        >>> watch = Watch([cell])
        >>> cell.scale = [1, 2]
        >>> watch.same(), Watch([cell]).same()
        (False, True)
    """

    def __init__(self, roots: Iterable[nn.Module]) -> None:
        modules = {id(module): module for root in roots for module in root.modules()}
        self._live = [module.__dict__ for module in modules.values()]
        self._kept = [_as_it_is(attributes) for attributes in self._live]
        # a module that is watched may go
        self._modules = [weakref.ref(module) for module in modules.values()]
        self._types = [type(module) for module in modules.values()]

    def same(self) -> bool:
        """Whether nothing has changed since."""
        try:
            if self._live != self._kept:
                return False
        except Exception:
            # a tensor or an array in place of another cannot be asked whether it is the same
            return False
        return [type(module()) for module in self._modules] == self._types


def _as_it_is(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: value if name in _own else _copied(value) for name, value in attributes.items()}


def _copied(value: Any) -> Any:
    """Containers by what they hold, the rest by identity."""
    if isinstance(value, dict):
        return {name: _copied(part) for name, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_copied, value))
    return set(value) if isinstance(value, set) else value
