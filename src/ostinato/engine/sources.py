"""Where in the user's source an operation stands."""

from __future__ import annotations

import inspect
import re
import traceback
from pathlib import Path

import torch
from torch import fx, nn

__all__ = ["error_line", "source_line", "state_names"]

_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in [^\n]*\n\s+(?P<code>[^\n]+)')
# frames of these are not what the user wrote
_FOREIGN = (str(Path(torch.__file__).parent), str(Path(__file__).parent))


def source_line(node: fx.Node) -> str:
    """The user's line behind a node of a graph, as `file.py:12: code`; empty if unknown."""
    frames = [match.groupdict() for match in _FRAME.finditer(node.meta.get("stack_trace") or "")]
    own = [frame for frame in frames if not frame["file"].startswith(_FOREIGN)]
    if not own:
        return ""
    return _show(own[-1]["file"], own[-1]["line"], own[-1]["code"])


def error_line(error: BaseException) -> str:
    """The user's line that raised an error; empty if unknown."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(_FOREIGN)]
    if not own:
        return ""
    return _show(own[-1].filename, str(own[-1].lineno), own[-1].line or "")


def _show(file: str, line: str, code: str) -> str:
    return f"{Path(file).name}:{line}: {code.strip()}"


def state_names(cell: nn.Module, count: int) -> tuple[str, ...]:
    """The states, as the arguments of the cell's forward name them."""
    named = getattr(cell, "state_names", None)
    if isinstance(named, tuple) and len(named) == count:
        return named
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(cell.forward).parameters.values()
    names = [p.name for p in parameters if p.kind in kinds][1:]
    return tuple(names) if len(names) == count else tuple(f"s{k}" for k in range(count))
