"""How fast are the tasks, and how much memory do they take? One section a task, on made-up data.

    python benchmarks/tasks.py [--only tagger,translator] [--json FILE] [--quick] [--page]

Each task is a script in tasks/ with a function `rows(quick)`, which yields `Row`s: answers in
sequences per second, the share of a batch that is padding, the peak of memory while a large file is
fitted. With --page they are written into docs/results.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from figures import load_part, parts_in
from measure import machine
from pages import fill
from report import Row, print_machine, print_rows, write_json

_HERE = Path(__file__).parent
FOLDER = _HERE / "tasks"
PAGE = _HERE.parent / "docs" / "results.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for; 1 where a goal was missed."""
    given = _parse(arguments)
    torch.set_num_threads(given.threads)
    console = Console(width=None if sys.stdout.isatty() else 140)
    told = machine()
    print_machine(console, told)
    if _busy(told):
        console.print("[yellow]Others are at work on this machine: distrust the times.[/]")
    found: list[Row] = []
    for name in given.only:
        rows = list(load_part(FOLDER, name).rows(given.quick))
        print_rows(console, name, rows)
        found += rows
    if given.json is not None:
        write_json(given.json, told, found)
    if given.page:
        fill(PAGE, page(found, told), mark="tasks-speed")
    return int(any(row.met is False for row in found))


def page(rows: Sequence[Row], told: dict[str, str]) -> str:
    """The rows as one table, under the machine that they belong to."""
    lines = [["task", "what", "case", "figure", "goal", ""]]
    for row in rows:
        sign = "≥" if row.more else "≤"
        missed = ", missed" if row.met is False else ""
        goal = "" if row.goal is None else f"{sign} {row.goal:g}{missed}"
        figure = "" if row.figure is None else f"{row.figure:,.4g} {row.unit}"
        lines.append([row.section, row.what, row.case, figure, goal, row.note])
    table = [f"| {' | '.join(line)} |" for line in lines]
    where = f"{told['processor']}, {told['threads']} thread(s), load before {told['load before']}"
    table.insert(1, "|" + "---|" * len(lines[0]))
    busy = " Others were at work there: answers a second are the least to expect." * _busy(told)
    again = "Again: `python benchmarks/tasks.py --page`."
    return "\n".join([*table, "", f"Measured on {told['date']}: {where}.{busy} {again}"])


def _busy(told: dict[str, str]) -> bool:
    return float(told["load before"]) > 0.5


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    names = parts_in(FOLDER)
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])  # type: ignore[union-attr]
    parser.add_argument(
        "--only",
        type=lambda text: _chosen(text, names),
        default=names,
        metavar="NAMES",
        help=f"some of {','.join(names)}",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every figure there")
    parser.add_argument("--quick", action="store_true", help="small sizes: to try it, not to tell")
    parser.add_argument(
        "--page", action="store_true", help="write the figures into docs/results.md"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), metavar="N")
    return parser.parse_args(arguments)


def _chosen(text: str, names: Sequence[str]) -> list[str]:
    asked = text.split(",")
    for name in asked:
        if name not in names:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(names)}")
    return asked


if __name__ == "__main__":
    sys.exit(main())
