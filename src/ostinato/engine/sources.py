"""Where in the user's source an operation stands."""

from __future__ import annotations

import inspect
import operator
import re
import traceback
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn

__all__ = ["error_line", "source_line", "state_names", "variables"]

_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in [^\n]*\n\s+(?P<code>[^\n]+)')
_ASSIGNED = re.compile(r"^(?P<names>\*?[A-Za-z_]\w*(?:\s*,\s*\*?[A-Za-z_]\w*)*)\s*=[^=]")
# frames of these are not what the user wrote
_FOREIGN = (str(Path(torch.__file__).parent), str(Path(__file__).parent))


def _frames(node: fx.Node) -> list[dict[str, str]]:
    """The user's own lines that led to a node of a graph, outermost first."""
    frames = [match.groupdict() for match in _FRAME.finditer(node.meta.get("stack_trace") or "")]
    return [frame for frame in frames if not frame["file"].startswith(_FOREIGN)]


def source_line(node: fx.Node) -> str:
    """The user's line behind a node of a graph, as `file.py:12: code`; empty if unknown."""
    own = _frames(node)
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


def variables(nodes: Iterable[fx.Node]) -> dict[fx.Node, str]:
    """Graph nodes that are the value of a variable in the user's source, with its name.

    The last node of a line `a = ...` is a; the items of the last list of a line `a, b = ...` are a
    and b. A name that is given twice stays with the last, the others are numbered.
    """
    ends: dict[tuple[str, str, str], fx.Node] = {}
    for node in nodes:
        for frame in _frames(node):
            match = _ASSIGNED.match(frame["code"])
            if match is not None:
                targets = [name.strip() for name in match["names"].split(",")]
                name = _target(node, targets)
                if name:
                    ends[frame["file"], frame["line"], name] = node
    found: dict[fx.Node, str] = {}
    count: Counter[str] = Counter()
    for (_, _, name), node in sorted(ends.items(), key=lambda e: int(e[0][1]), reverse=True):
        if node not in found:
            found[node] = f"{name}{count[name] or ''}"
            count[name] += 1
    return found


def _target(node: fx.Node, targets: list[str]) -> str:
    """Which of the variables of its line a node may be; empty for none."""
    if len(targets) == 1:
        return targets[0].strip(" *")
    item = node.args[1] if node.target is operator.getitem else None
    if not isinstance(item, int):
        return ""
    starred = [place for place, name in enumerate(targets) if name.startswith("*")]
    if starred:
        # what is starred takes what the others leave, perhaps nothing
        source: Any = node.args[0]
        taken = len(source.meta["val"]) - len(targets) + 1
        if starred[0] <= item < starred[0] + taken:
            return targets[starred[0]].strip(" *") if taken == 1 else ""
        if item >= starred[0] + taken:
            item += 1 - taken
    return targets[item] if item < len(targets) else ""
