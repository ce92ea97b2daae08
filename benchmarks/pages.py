"""Write the figures of a run into the pages: `python benchmarks/pages.py FILE.json`.

Fills what stands between `<!-- speed: begin -->` and `<!-- speed: end -->`: ratios in README.md,
every figure with its goal in docs/results.md.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["fill", "long_page", "short_page"]

_ROOT = Path(__file__).parent.parent
_WHOLE = "whole sequences"


def fill(page: Path, text: str, *, mark: str = "speed") -> None:
    """Put the text between the marks of a page, `<!-- MARK: begin -->` and `<!-- MARK: end -->`.

    Raises:
        ValueError: the page has no marks.
    """
    content = page.read_text(encoding="utf-8")
    begin, end = (f"<!-- {mark}: {word} -->" for word in ("begin", "end"))
    if begin not in content or end not in content:
        raise ValueError(f"{page}: the marks {begin} and {end} are needed. Put them in.")
    head, rest = content.split(begin, 1)
    tail = rest.split(end, 1)[1]
    page.write_text(f"{head}{begin}\n{text}\n{end}{tail}", encoding="utf-8")


def short_page(found: dict[str, Any]) -> str:
    """Ratios by cell and shape, training / inference, and a line on lengths and steps."""
    rows = [row for row in found["rows"] if row["section"] == _WHOLE]
    cases = list(dict.fromkeys(row["case"] for row in rows))
    table = [["times faster, training / inference", *(f"({case})" for case in cases)]]
    for title, over in _titles(rows):
        line = [f"{title} over {over}"]
        for case in cases:
            pair = (_find(rows, f"{title} {deed}", case) for deed in ("training", "inference"))
            line.append(" / ".join(_ratio(row) for row in pair))
        table.append(line)
    return "\n".join([*_table(table), "", _machine(found["machine"])])


def long_page(found: dict[str, Any]) -> str:
    """Every figure: whole sequences cell by cell, then the other sections."""
    rows = [row for row in found["rows"] if row["section"] == _WHOLE]
    parts = [_machine(found["machine"])]
    for over in dict.fromkeys(over for _, over in _titles(rows)):
        titles = [title for title, other in _titles(rows) if other == over]
        parts.append(f"### Whole sequences, over {over}\n")
        parts[-1] += "\n" + "\n".join(_table(_by_shape(rows, titles, over)))
    others = [row for row in found["rows"] if row["section"] != _WHOLE]
    for section in dict.fromkeys(row["section"] for row in others):
        chosen = [row for row in others if row["section"] == section]
        title = section[0].upper() + section[1:]
        parts.append(f"### {title}\n\n" + "\n".join(_table(_plain(chosen))))
    return "\n\n".join(parts)


def _titles(rows: Iterable[dict[str, Any]]) -> list[tuple[str, str]]:
    """(cell, what it is held against), in order."""
    pairs = [
        (row["what"].rsplit(" ", 1)[0], next(n for n in ("torch.nn", "Python loop") if n in times))
        for row in rows
        if (times := row["times"])
    ]
    return list(dict.fromkeys(pairs))


def _find(rows: Iterable[dict[str, Any]], what: str, case: str) -> dict[str, Any] | None:
    return next((row for row in rows if row["what"] == what and row["case"] == case), None)


def _by_shape(rows: list[dict[str, Any]], titles: Sequence[str], over: str) -> list[list[str]]:
    head = ["cell", "B,T,I,H"]
    for deed in ("training", "inference"):
        head += [f"{deed}: ours, ms", over, "ratio", "goal"]
    table = [head]
    for title in titles:
        for case in dict.fromkeys(row["case"] for row in rows):
            line = [title, case]
            for deed in ("training", "inference"):
                row = _find(rows, f"{title} {deed}", case)
                times = row["times"] if row else {}
                line += [_milliseconds(times.get(name)) for name in ("ostinato", over)]
                line += [_ratio(row), _goal(row)]
            table.append(line)
    return table


def _plain(rows: list[dict[str, Any]]) -> list[list[str]]:
    table = [["what", "case", "times, ms", "figure", "goal", ""]]
    for row in rows:
        times = ", ".join(f"{n} {_milliseconds(t)}" for n, t in row["times"].items())
        figure = "wrong" if row["wrong"] else f"{_number(row['figure'])} {row['unit']}"
        table.append([row["what"], row["case"], times, figure, _goal(row), row["note"]])
    return table


def _ratio(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    return "wrong" if row["wrong"] else _number(row["figure"])


def _goal(row: dict[str, Any] | None) -> str:
    if row is None or row["goal"] is None:
        return ""
    sign = "≥" if row["more"] else "≤"
    missed = ", missed" if row["met"] is False else ""
    return f"{sign} {_number(row['goal'])}{missed}"


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _milliseconds(seconds: float | None) -> str:
    return (
        ""
        if seconds is None
        else _number(seconds * 1e3)
        if seconds >= 1e-4
        else f"{seconds * 1e3:.4f}"
    )


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]


def _machine(told: dict[str, str]) -> str:
    skipped = ("load before", "not installed", "date")
    listed = ", ".join(f"{name} {value}" for name, value in told.items() if name not in skipped)
    return f"Measured on {told['date']}: {listed}. Run again with `make bench`."


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python benchmarks/pages.py FILE.json (of cells.py --json)")
    found = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    fill(_ROOT / "README.md", short_page(found))
    fill(_ROOT / "docs" / "results.md", long_page(found))


if __name__ == "__main__":
    main()
