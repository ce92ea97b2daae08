"""8x8 digits, each to its name spelled out, on a part drawn once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from figures import Figure, Figures
from ostinato.tasks.captioner.task import Captioner

__all__ = ["measure"]

GOAL = 97.0
_PLACES = {"start": "the start", "every": "every step"}
NAMES = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])


def measure(out: Path, quick: bool) -> Figures:
    """The default settings, the vector at the start of the recurrence, and at every step."""
    out.mkdir(parents=True, exist_ok=True)
    short = {"max_steps": 2} if quick else {}
    train, test = _parts(out)
    found: Figures = []
    for feed in _PLACES:
        model = Captioner.fit(
            train,
            test=test,
            feed=feed,
            out=out / feed,
            overwrite=True,
            progress=False,
            **short,
        )
        figures = model.figures
        score = figures["held_out"]
        found.append(
            Figure(
                what=f"8x8 digits to their names, the vector at {_PLACES[feed]}",
                command=f"ostinato fit captions {train.name} --test {test.name} --feed {feed}"
                " --out DIR",
                value=100 * score["exact"],
                unit=f"% of {score['rows']} texts exact, a fifth drawn once",
                goal=GOAL if feed == "start" else None,
                beside={
                    "most frequent text": 100 * figures["baselines"]["most_frequent"],
                    "text of the nearest vector": 100 * figures["baselines"]["nearest_vector"],
                },
                seconds=figures["training"]["seconds"],
            )
        )
    return found


def _parts(out: Path) -> tuple[Path, Path]:
    digits = load_digits()
    parts = train_test_split(
        range(len(digits.data)), test_size=0.2, random_state=0, stratify=digits.target
    )
    paths = (out / "digits-train.npz", out / "digits-test.npz")
    for path, part in zip(paths, parts, strict=True):
        rows = sorted(part)
        np.savez(path, vector=digits.images[rows], text=NAMES[digits.target[rows]])
    return paths
