"""How well does it do? Every task on real data, in one run.

    python benchmarks/scores.py [--only tagger,translator] [--out DIR] [--quick] [--no-page]

The data are looked for in OSTINATO_DATA and in the cache, and downloaded otherwise. Each task is a
script in scores/ with a function `measure(out, quick)`, which fits models into the folder `out` and
returns `Figures`. The figures are kept in scores/figures.json, those of the tasks that are not
measured this time as they were, and written into docs/results.md. With --quick, models are hardly
trained: to try the script, not to tell; nothing is kept.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from figures import Figure, Figures, load_part, parts_in
from measure import machine
from pages import fill

_HERE = Path(__file__).parent
FOLDER = _HERE / "scores"
KEPT = FOLDER / "figures.json"
PAGE = _HERE.parent / "docs" / "results.md"
_HEAD = ["what", "command", "result", "goal", "beside it", ""]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for; 1 where a goal was missed."""
    given = _parse(arguments)
    console = Console(width=None if sys.stdout.isatty() else 160)
    missed = False
    with tempfile.TemporaryDirectory() as spare:
        for name in given.only:
            console.print(f"[bold]{name}[/]")
            begin = time.monotonic()
            out = Path(given.out or spare) / name
            found: Figures = load_part(FOLDER, name).measure(out, given.quick)
            _show(console, found, time.monotonic() - begin)
            missed |= any(figure.met is False for figure in found)
            if not (given.quick or given.no_page):
                keep(KEPT, name, found)
                fill(PAGE, page(_read(KEPT)), mark="tasks")
    return int(missed and not given.quick)


def keep(path: Path, name: str, found: Figures) -> None:
    """Put a task's figures beside those of the other tasks."""
    kept = _read(path)
    kept[name] = {"machine": machine(), "figures": [asdict(figure) for figure in found]}
    text = json.dumps(dict(sorted(kept.items())), indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def page(kept: Mapping[str, Any]) -> str:
    """All figures as tables, one a task, under the machine that they belong to."""
    parts = []
    for name, told in kept.items():
        rows = [_HEAD, *(Figure(**figure).cells() for figure in told["figures"])]
        lines = [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
        table = [lines[0], "|" + "---|" * len(_HEAD), *lines[1:]]
        at = told["machine"]
        where = (
            f"Measured on {at['date']}: {at['processor']}, {at['threads']} thread(s), torch "
            f"{at['torch']}, ostinato {at['ostinato']}, load {at['load before']}. Again: "
            f"`python benchmarks/scores.py --only {name}`."
        )
        head = f"### {name.replace('_', ' ').capitalize()}"
        parts.append("\n\n".join([head, "\n".join(table), where]))
    return "\n\n".join(parts)


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return found


def _show(console: Console, found: Figures, seconds: float) -> None:
    table = Table()
    for head in _HEAD:
        table.add_column(head)
    for figure in found:
        table.add_row(*(cell.replace("**", "").strip("`") for cell in figure.cells()))
    console.print(table)
    console.print(f"{seconds:.0f} s")


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
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep the fitted models there")
    parser.add_argument("--quick", action="store_true", help="hardly train: to try the script")
    parser.add_argument("--no-page", action="store_true", help="leave the page as it is")
    return parser.parse_args(arguments)


def _chosen(text: str, names: Sequence[str]) -> list[str]:
    asked = text.split(",")
    for name in asked:
        if name not in names:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(names)}")
    return asked


if __name__ == "__main__":
    sys.exit(main())
