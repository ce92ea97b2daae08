"""Bach's chorales: the notes of the next quarter, given all before, with three cells."""

from __future__ import annotations

from pathlib import Path

from figures import Figure, Figures
from ostinato.data.catalog import get
from ostinato.tasks.composer.task import Composer

__all__ = ["measure"]

# cell, output, and the goal: what Bai, Kolter, Koltun (2018), arXiv:1803.01271, report of their GRU
RUNS = (
    ("gru", "independent", 8.43),
    ("lstm", "independent", None),
    ("elman", "independent", None),
    ("gru", "note_by_note", None),
)


def measure(out: Path, quick: bool) -> Figures:
    """The default settings, with other cells, and note by note; the parts as the file has them."""
    (music,) = [path for path in get("jsb-chorales") if "quarter" in path.name]
    short = {"max_steps": 2} if quick else {}
    found: Figures = []
    for cell, output, goal in RUNS:
        more = "" if output == "independent" else f" --output {output}"
        model = Composer.fit(
            music,
            cell=cell,
            output=output,
            out=out / f"{cell}-{output}",
            overwrite=True,
            **short,
        )
        figures = model.figures
        found.append(
            Figure(
                what=f"JSB chorales, quarter notes, {cell}, {output.replace('_', ' ')}",
                command=f"ostinato fit music {music.name} --cell {cell}{more} --out DIR",
                value=figures["held_out"]["nats_per_step"],
                unit="nats per step on the test part",
                goal=goal,
                more=False,
                digits=3,
                beside={
                    **figures["baselines"],
                    "validation": figures["training"]["best"],
                },
                seconds=figures["training"]["seconds"],
            )
        )
    return found
