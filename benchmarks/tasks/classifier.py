"""Classifying: rows a second, padding, and the memory that fitting a large table takes."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from memory import peak_megabytes
from ostinato.tasks.classifier.task import Classifier
from report import Row

__all__ = ["rows"]

_FIT = """
from ostinato.tasks.classifier.task import Classifier
few = dict(max_steps=5, validation=0.0, held_out=0.01, baselines=False, progress=False)
Classifier.fit({path!r}, **few)
"""


def rows(quick: bool) -> Iterator[Row]:
    """Texts of 5 to 30 words out of 20,000, default settings; a table of ten million rows."""
    with tempfile.TemporaryDirectory() as folder:
        small, large = (Path(folder) / f"{name}.csv" for name in ("small", "large"))
        write_texts(small, 400 if quick else 20_000)
        write_texts(large, 2000 if quick else 10_000_000, words=4)
        model = Classifier.fit(small, max_steps=5, baselines=False, progress=False)
        with small.open(encoding="utf-8") as file:
            asked = [line.rsplit(",", 1)[0] for line in file][1 : 200 if quick else 5000]
        for ngrams in (0, 20_000):
            if ngrams:
                model = Classifier.fit(
                    small, max_steps=5, ngrams=ngrams, baselines=False, progress=False
                )
            seconds = _best_of_three(model, asked)
            case = "n-grams" if ngrams else "default"
            yield Row("classifier", "predict", case, figure=len(asked) / seconds, unit="rows/s")
        share = 100 * model.figures["padding"]
        # few rows have few of like length
        goal = None if quick else 10
        yield Row(
            "classifier", "padding", "an epoch", figure=share, unit="%", goal=goal, more=False
        )
        yield _memory(small, large)


def _memory(small: Path, large: Path) -> Row:
    peaks = [peak_megabytes(_FIT.format(path=str(path))) for path in (small, large)]
    sizes = [path.stat().st_size / 1e6 for path in (small, large)]
    row = Row("classifier", "memory of fit", f"CSV of {sizes[1]:.0f} MB", unit="MB", more=False)
    row.figure, row.goal = peaks[1], None
    row.note = f"with {sizes[0]:.1f} MB {peaks[0]:.0f} MB"
    return row


def _best_of_three(model: Classifier, asked: list[str]) -> float:
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        model.predict(asked)
        times.append(time.perf_counter() - begin)
    return min(times)


def write_texts(path: Path, count: int, words: int | None = None) -> None:
    """Texts of made-up words, with one of two labels."""
    draw = random.Random(0)
    known = ["".join(draw.choices("etaoinshrdlu", k=draw.randint(2, 9))) for _ in range(20_000)]
    # drawn once, and repeated: ten million draws of words would take longer than the fit
    texts = [
        " ".join(draw.choices(known, k=words or draw.randint(5, 30))) + f",{draw.choice('ab')}\n"
        for _ in range(min(count, 50_000))
    ]
    with path.open("w", encoding="utf-8") as file:
        file.write("text,label\n")
        for start in range(0, count, len(texts)):
            file.writelines(texts[: count - start])
