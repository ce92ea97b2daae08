"""The long-lag suite: which remedy solves which problem, and over how long a lag.

`run_grid` tries remedies on problems; `Table` reads what came of it. Names load when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ostinato.longlag.grid import Grid, GridError, run_grid
    from ostinato.longlag.problems import PROBLEMS, Problem
    from ostinato.longlag.remedies import REMEDIES, Remedy
    from ostinato.longlag.table import Table
    from ostinato.longlag.trial import Budget, Outcome, run_trial

_HOMES = {
    "Budget": "trial",
    "Grid": "grid",
    "GridError": "grid",
    "Outcome": "trial",
    "PROBLEMS": "problems",
    "Problem": "problems",
    "REMEDIES": "remedies",
    "Remedy": "remedies",
    "Table": "table",
    "run_grid": "grid",
    "run_trial": "trial",
}

__all__ = [
    "PROBLEMS",
    "REMEDIES",
    "Budget",
    "Grid",
    "GridError",
    "Outcome",
    "Problem",
    "Remedy",
    "Table",
    "run_grid",
    "run_trial",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
