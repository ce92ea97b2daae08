"""Oil temperature of a transformer (ETTh1), a day ahead: 12, 4 and 4 months of 30 days."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from figures import Figure, Figures
from ostinato.data.catalog import get
from ostinato.tasks.forecaster.task import Forecaster

__all__ = ["measure"]

MONTH = 30 * 24
OPTIONS = "--target OT --horizon 24 --train 8640 --validation 2880 --held-out 2880"

# name, options of the command line, and of `fit`; the first is the one that the goal is for
RUNS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("preset hourly", " --config hourly", {"config": "hourly"}),
    ("default settings", "", {}),
    ("hourly, LSTM", " --config hourly --cell lstm", {"config": "hourly", "cell": "lstm"}),
    ("recursive", " --mode recursive", {"mode": "recursive"}),
)


def measure(out: Path, quick: bool) -> Figures:
    """The preset chosen for it, the default settings, another cell, another way to the horizon."""
    (table,) = get("ett")
    short = {"max_steps": 2} if quick else {}
    found: Figures = []
    for name, more, options in RUNS:
        model = Forecaster.fit(
            table,
            target="OT",
            horizon=24,
            train=12 * MONTH,
            validation=4 * MONTH,
            held_out=4 * MONTH,
            out=out / name.replace(" ", "-"),
            overwrite=True,
            **options,
            **short,
        )
        figures = model.figures
        command = f"ostinato fit series {table.name} {OPTIONS}{more} --out DIR"
        first = name == RUNS[0][0]
        found.append(
            Figure(
                what=f"ETTh1, OT, 24 hours ahead, {name}",
                command=command,
                value=figures["held_out"]["mse"],
                unit="mean squared error, standardised, on the test part",
                goal=0.0264 if first else None,
                more=False,
                digits=4,
                beside={**figures["baselines"], "validation": figures["validation"]["mse"]},
                seconds=figures["training"]["seconds"],
            )
        )
        found.append(
            Figure(
                what=f"the same: how far the 80 % interval's coverage is from 80 %, {name}",
                command=command,
                value=abs(figures["held_out"]["coverage"]["0.8"] - 0.8) * 100,
                unit="percentage points on the test part",
                goal=3.0 if first else None,
                more=False,
                digits=1,
                beside={"validation": abs(figures["validation"]["coverage"]["0.8"] - 0.8) * 100},
                seconds=figures["training"]["seconds"],
            )
        )
    return found
