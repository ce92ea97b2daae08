"""What is wrong with a model, by which numbers, and what to do: `ostinato.doctor`."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from ostinato.doctor.examine import doctor
from ostinato.doctor.findings import Finding, Remedy, Report, Severity

__all__ = ["Finding", "Remedy", "Report", "Severity", "doctor"]


class _Room(ModuleType):
    """Lets `ostinato.doctor(model)` work, although an import binds that name to this module."""

    def __call__(self, *given: Any, **options: Any) -> Report:
        return doctor(*given, **options)


sys.modules[__name__].__class__ = _Room
