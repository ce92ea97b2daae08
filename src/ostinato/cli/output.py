"""What a command says: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["say", "say_beside", "say_error", "say_json", "say_next", "say_table"]


def say(text: str = "") -> None:
    """A line of the result."""
    print(text, flush=True)


def say_json(result: Mapping[str, Any]) -> None:
    """The result as one JSON object."""
    print(json.dumps(result, ensure_ascii=False, indent=2), flush=True)


def say_next(command: str, *, why: str = "") -> None:
    """Name the useful next command."""
    _beside("Next:", "bold", f"{command}{'   # ' + why if why else ''}")


def say_beside(text: str) -> None:
    """Something on the way to the result, which is no part of it."""
    print(text, file=sys.stderr, flush=True)


def say_error(message: str) -> None:
    """What went wrong, in one line."""
    _beside("Error:", "bold red", " ".join(message.split()))


def say_table(rows: Sequence[Sequence[str]], *, heads: Sequence[str] = ()) -> None:
    """Columns as wide as their widest entry; numbers to the right."""
    lines = [*([list(heads)] if heads else []), *rows]
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    for line in lines:
        cells = [_pad(cell, width) for cell, width in zip(line, widths, strict=True)]
        say("  ".join(cells).rstrip())


def _pad(cell: str, width: int) -> str:
    is_number = cell.replace(",", "").replace(".", "").isdigit()
    return cell.rjust(width) if is_number else cell.ljust(width)


def _beside(head: str, style: str, text: str) -> None:
    if not sys.stderr.isatty():
        print(head, text, file=sys.stderr, flush=True)
        return
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True).print(Text.assemble((head, style), " ", text), soft_wrap=True)
