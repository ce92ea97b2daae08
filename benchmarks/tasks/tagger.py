"""Tagging: sentences a second, padding, and the memory that fitting a large file takes."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from memory import peak_megabytes
from ostinato.data.tags import read_sentences
from ostinato.tasks.tagger.task import Tagger
from report import Row

__all__ = ["rows"]

_FIT = """
from ostinato.tasks.tagger.task import Tagger
Tagger.fit({path!r}, max_steps=5, validation=0, held_out=0, progress=False)
"""


def rows(quick: bool) -> Iterator[Row]:
    """Sentences of 5 to 30 words out of 20,000, default settings."""
    with tempfile.TemporaryDirectory() as folder:
        small, large = (Path(folder) / f"{name}.tsv" for name in ("small", "large"))
        write_sentences(small, 200 if quick else 10_000)
        write_sentences(large, 800 if quick else 300_000)
        model = Tagger.fit(small, max_steps=5, progress=False)
        asked = [sentence.words for sentence in read_sentences(small)][: 100 if quick else 2000]
        for crf in (False, True):
            if crf:
                model = Tagger.fit(small, max_steps=5, crf=True, progress=False)
            seconds = _best_of_three(model, asked)
            case = "random field" if crf else "default"
            yield Row("tagger", "predict", case, figure=len(asked) / seconds, unit="sentences/s")
        share = 100 * model.figures["padding"]
        # few rows have few of like length
        goal = None if quick else 10
        yield Row("tagger", "padding", "an epoch", figure=share, unit="%", goal=goal, more=False)
        yield _memory(small, large)


def _memory(small: Path, large: Path) -> Row:
    peaks = [peak_megabytes(_FIT.format(path=str(path))) for path in (small, large)]
    sizes = [path.stat().st_size / 1e6 for path in (small, large)]
    row = Row("tagger", "memory of fit", f"{sizes[1]:.0f} MB of text", unit="MB", more=False)
    row.figure, row.goal = peaks[1], None
    row.note = f"with {sizes[0]:.0f} MB of text {peaks[0]:.0f} MB"
    return row


def _best_of_three(model: Tagger, asked: list[tuple[str, ...]]) -> float:
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        model.predict(asked)
        times.append(time.perf_counter() - begin)
    return min(times)


def write_sentences(path: Path, count: int) -> None:
    """Sentences of made-up words, each word with a tag of its own."""
    draw = random.Random(0)
    lines = [
        "".join(draw.choices("etaoinshrdlu", k=draw.randint(2, 9)))
        + f"\t{draw.choice(('NOUN', 'VERB', 'ADJ', 'ADV', 'DET'))}\n"
        for _ in range(20_000)
    ]
    with path.open("w", encoding="utf-8") as file:
        for _ in range(count):
            file.write("".join(draw.choices(lines, k=draw.randint(5, 30))) + "\n")
