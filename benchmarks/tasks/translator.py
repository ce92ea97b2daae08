"""Translating: lines a second, padding, and the memory that fitting large files takes."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from memory import peak_megabytes
from ostinato.data.pairs import read_pairs
from ostinato.tasks.translator.task import Translator
from report import Row

__all__ = ["rows"]

_FIT = """
from ostinato.tasks.translator.task import Translator
Translator.fit({path!r}, max_steps=5, validation=0, held_out=0, progress=False)
"""


def rows(quick: bool) -> Iterator[Row]:
    """Lines of 5 to 30 words out of 5,000, default settings, weights hardly trained."""
    with tempfile.TemporaryDirectory() as folder:
        small, large = (Path(folder) / f"{name}.tsv" for name in ("small", "large"))
        write_pairs(small, 200 if quick else 10_000)
        write_pairs(large, 800 if quick else 300_000)
        model = Translator.fit(small, max_steps=5, held_out=0, progress=False)
        asked = [line for line, _ in read_pairs(small)][: 20 if quick else 256]
        for beam in (1, 5):
            seconds = _best_of_three(model, asked, beam)
            figure = len(asked) / seconds
            yield Row("translator", "predict", f"beam {beam}", figure=figure, unit="lines/s")
        share = 100 * model.figures["padding"]
        # few rows have few of like length
        goal = None if quick else 10
        yield Row(
            "translator", "padding", "an epoch", figure=share, unit="%", goal=goal, more=False
        )
        yield _memory(small, large)


def _memory(small: Path, large: Path) -> Row:
    peaks = [peak_megabytes(_FIT.format(path=str(path))) for path in (small, large)]
    sizes = [path.stat().st_size / 1e6 for path in (small, large)]
    row = Row("translator", "memory of fit", f"{sizes[1]:.0f} MB of text", unit="MB", more=False)
    row.figure, row.goal = peaks[1], None
    row.note = f"with {sizes[0]:.0f} MB of text {peaks[0]:.0f} MB"
    return row


def _best_of_three(model: Translator, asked: list[str], beam: int) -> float:
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        # as long as the lines are: a network without much training does not know where to end
        model.predict(asked, beam=beam, max_length=20)
        times.append(time.perf_counter() - begin)
    return min(times)


def write_pairs(path: Path, count: int) -> None:
    """Lines of made-up words, each beside its words spelled from behind."""
    draw = random.Random(0)
    words = ["".join(draw.choices("etaoinshrdlu", k=draw.randint(2, 9))) for _ in range(5000)]
    with path.open("w", encoding="utf-8") as file:
        for _ in range(count):
            line = draw.choices(words, k=draw.randint(5, 30))
            file.write(f"{' '.join(line)}\t{' '.join(word[::-1] for word in line)}\n")
