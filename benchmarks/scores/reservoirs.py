"""Echo state networks of 1000 units, beside reservoirpy's with the same matrices."""

from __future__ import annotations

from pathlib import Path

from figures import Figure, Figures, load_part
from measure import Pace

__all__ = ["measure"]

COMMAND = "python benchmarks/reservoirs.py"


def measure(out: Path, quick: bool) -> Figures:
    """Errors and training times, as benchmarks/reservoirs.py has them."""
    script = load_part(Path(__file__).parents[1], "reservoirs")
    size, pace = (script.QUICK, Pace(1, 1, 0.0)) if quick else (script.Size(), Pace(4, 1, 0.0))
    found: Figures = []
    for rows in (script.mackey_rows(size), script.narma_rows(size)):
        ours, ratio = rows
        found.append(
            Figure(
                what=f"{ours.what.split(':')[0]}, {ours.case}",
                command=COMMAND,
                value=ours.figure,
                unit=ours.what.split(": ")[1],
                goal=ours.goal,
                more=False,
                digits=6,
                beside={"reservoirpy": ours.figure / ratio.figure},
                note=f"networks, series and prompts drawn anew; {ratio.note.split('; ')[1]}",
            )
        )
    for row in script.speed_rows(size, pace):
        if row.wrong:
            raise ValueError(f"{row.case}: {row.wrong}")
        found.append(
            Figure(
                what=f"training, {row.case}",
                command=COMMAND,
                value=row.figure,
                unit="times faster than reservoirpy",
                goal=row.goal,
                beside={f"{name}, s": seconds for name, seconds in row.times.items()},
                note=row.note,
            )
        )
    return found
