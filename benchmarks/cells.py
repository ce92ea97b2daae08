"""How fast is it? Every cell and shape against the usual way, in one run.

    python benchmarks/cells.py [--json FILE] [--only lstm,gru,stream] [--quick] [--threads N]

Prints tables: our time, theirs, the ratio, the goal. A result that differs from the reference has
no speed: it is printed as WRONG, and the exit code is 1. `--help` lists what `--only` takes.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from rich.console import Console

from conditions import busy_rows, length_rows, stream_rows, thread_rows
from measure import Pace, machine
from peak import Peak
from peers import missing
from processes import long_rows, memory_rows, start_rows
from products import product_rows
from report import Row, print_machine, print_rows, write_json
from segments import segment_rows
from subjects import SHAPES, SUBJECTS, Shape
from whole import mean_rows, whole_rows

SECTIONS: dict[str, Callable[[Pace, bool], Iterator[Row]]] = {
    "lengths": length_rows,
    "stream": stream_rows,
    "threads": thread_rows,
    "busy": busy_rows,
    "start": start_rows,
    "memory": memory_rows,
    "segments": segment_rows,
    "products": product_rows,
    "long": long_rows,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; 1 where a result was wrong."""
    given = _parse(arguments)
    before = torch.get_num_threads()
    torch.set_num_threads(given.threads)
    try:
        return _run(given)
    finally:
        torch.set_num_threads(before)


def _run(given: argparse.Namespace) -> int:
    console = Console(width=None if sys.stdout.isatty() else 160)
    told = machine()
    peak = Peak(given.threads)
    told["peak"] = f"{peak.rate() / 1e9:.0f} GFLOP/s"
    told["not installed"] = ", ".join(missing()) or "nothing"
    print_machine(console, told)
    if float(told["load before"]) > 0.5:
        console.print("[yellow]Others are at work on this machine: distrust the times.[/]")
    rows: list[Row] = []
    try:
        rows.extend(_measure(console, given, peak))
    finally:
        # what was measured before something failed is not lost
        if given.json is not None:
            write_json(given.json, told, rows)
    wrong = [row for row in rows if row.wrong]
    goals = [row.met for row in rows if row.met is not None]
    console.print(f"{sum(goals)} of {len(goals)} goals met, {len(wrong)} wrong")
    return 1 if wrong else 0


def _measure(console: Console, given: argparse.Namespace, peak: Peak) -> Iterator[Row]:
    pace = Pace(2, 1, 0.01) if given.quick else Pace()
    for subject in SUBJECTS:
        if subject.name in given.only:
            rows: list[Row] = []
            for shape in given.shape or SHAPES:
                with _progress(console, f"{subject.title} {shape}"):
                    rows += whole_rows(subject, shape, pace, peak)
            rows += mean_rows(subject, rows)
            yield from _shown(console, rows)
    for name, make in SECTIONS.items():
        if name in given.only:
            with _progress(console, name):
                found = list(make(pace, given.quick))
            yield from _shown(console, found)


def _shown(console: Console, rows: list[Row]) -> list[Row]:
    for section in dict.fromkeys(row.section for row in rows):
        print_rows(console, section, [row for row in rows if row.section == section])
    return rows


def _progress(console: Console, what: str) -> contextlib.AbstractContextManager[object]:
    if console.is_terminal:
        return console.status(f"measuring {what}")
    return contextlib.nullcontext()


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    names = [*(subject.name for subject in SUBJECTS), *SECTIONS]
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])  # type: ignore[union-attr]
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every figure there")
    parser.add_argument(
        "--only",
        type=lambda text: _chosen(text, names),
        default=names,
        metavar="NAMES",
        help=f"some of {','.join(names)}",
    )
    parser.add_argument("--quick", action="store_true", help="few calls: to try it, not to tell")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), metavar="N")
    parser.add_argument(
        "--shape",
        type=shape_of,
        action="append",
        metavar="B,T,I,H",
        help="a shape of your own, in place of the usual ones; may be given more than once",
    )
    given = parser.parse_args(arguments)
    if given.threads < 1:
        parser.error(f"--threads: at least 1 is needed, got {given.threads}")
    return given


def _chosen(text: str, names: Sequence[str]) -> list[str]:
    asked = text.split(",")
    for name in asked:
        if name not in names:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(names)}")
    return asked


def shape_of(text: str) -> Shape:
    """Four numbers B,T,I,H."""
    try:
        B, T, I, H = map(int, text.split(","))  # noqa: E741 - the letter of the equations
    except ValueError:
        raise argparse.ArgumentTypeError(f"four numbers B,T,I,H are needed, got {text!r}") from None
    if min(B, T, I, H) < 1:
        raise argparse.ArgumentTypeError(f"each number must be at least 1, got {text!r}")
    return Shape(B, T, I, H)


if __name__ == "__main__":
    sys.exit(main())
