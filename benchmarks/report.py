"""Rows of figures: as tables on the terminal, and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

__all__ = ["Row", "print_machine", "print_rows", "write_json"]


@dataclass
class Row:
    """One figure, and what it is held against.

    Attributes:
        section: the table it stands in.
        what: the cell, and what it does.
        case: shape, or the circumstance.
        times: seconds by name, ours first.
        figure: what the goal speaks of; None where the result was wrong.
        unit: of the figure: "x", "%", "us", "ms", "s", "MB".
        goal: None where there is none.
        more: whether more is better.
        wrong: why no speed is reported.
        note: a remark.
    """

    section: str
    what: str
    case: str
    times: dict[str, float] = field(default_factory=dict)
    figure: float | None = None
    unit: str = "x"
    goal: float | None = None
    more: bool = True
    wrong: str = ""
    note: str = ""

    @property
    def met(self) -> bool | None:
        if self.goal is None or self.figure is None:
            return None
        return self.figure >= self.goal if self.more else self.figure <= self.goal


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def _time(seconds: float) -> str:
    return f"{_number(seconds * 1e3)} ms" if seconds >= 1e-4 else f"{seconds * 1e6:.1f} us"


def _goal(row: Row) -> str:
    if row.goal is None:
        return ""
    return f"{'>=' if row.more else '<='} {_number(row.goal)} {row.unit}"


def _verdict(row: Row) -> str:
    if row.wrong:
        return f"[bold red]WRONG[/]: {row.wrong}"
    if row.met is None:
        return row.note
    return " ".join(["[green]met[/]" if row.met else "[yellow]missed[/]", row.note]).strip()


def print_rows(console: Console, section: str, rows: list[Row]) -> None:
    """Print the rows of one section as a table."""
    names = list(dict.fromkeys(name for row in rows for name in row.times))
    table = Table(title=section, title_justify="left", title_style="bold")
    for column in ("what", "case"):
        table.add_column(column)
    for column in (*names, "figure", "goal"):
        table.add_column(column, justify="right")
    table.add_column("")
    for row in rows:
        times = [_time(row.times[name]) if name in row.times else "" for name in names]
        figure = "" if row.figure is None else f"{_number(row.figure)} {row.unit}"
        table.add_row(row.what, row.case, *times, figure, _goal(row), _verdict(row))
    console.print(table)


def print_machine(console: Console, told: dict[str, str]) -> None:
    """Print what the figures belong to."""
    console.print(", ".join(f"{name} {value}" for name, value in told.items()))


def write_json(path: Path, told: dict[str, str], rows: list[Row]) -> None:
    """Write the machine and every row."""
    listed = [{**asdict(row), "met": row.met} for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": told, "rows": listed}, indent=1), encoding="utf-8")
