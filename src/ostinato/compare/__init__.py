"""Is a network worth having? Its score beside simpler models, and how much of the past it uses."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from ostinato.compare.compare import compare
from ostinato.compare.result import Comparison
from ostinato.compare.sources import CompareError

__all__ = ["CompareError", "Comparison", "compare"]


class _Room(ModuleType):
    """Lets `ostinato.compare(model, data)` work, although an import binds that name to this."""

    def __call__(self, *args: Any, **options: Any) -> Comparison:
        return compare(*args, **options)


sys.modules[__name__].__class__ = _Room
