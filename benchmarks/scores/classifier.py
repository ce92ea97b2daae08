"""Movie reviews in ten folds, and 8x8 digits read row by row, on a part drawn once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from figures import Figure, Figures
from ostinato.data.catalog import get
from ostinato.tasks.classifier.task import Classifier

__all__ = ["measure"]

# what tf-idf of words and pairs with logistic regression reaches where nothing of it is chosen
POLARITY_GOAL = 77.7
DIGITS_GOAL = 98.0

_NAMES = {
    "most_frequent": "most frequent label",
    "tfidf_pairs_regression": "tf-idf pairs, logistic regression",
    "logistic_regression": "logistic regression",
    "feed_forward": "feed-forward",
}


def measure(out: Path, quick: bool) -> Figures:
    """The presets for sentences and for sequences, which were chosen on validation parts."""
    out.mkdir(parents=True, exist_ok=True)
    short = {"max_steps": 2} if quick else {}
    return [_polarity(out, short, folds=2 if quick else 10), _digits(out, short)]


def _polarity(out: Path, short: dict[str, Any], folds: int) -> Figure:
    rows = {"text": [], "label": []}
    for path in get("polarity"):
        # not splitlines: a byte of these texts is, as Latin-1, a line break of its own
        lines = path.read_text("latin-1").strip().split("\n")
        rows["text"] += [line.strip() for line in lines]
        rows["label"] += [path.suffix[1:]] * len(lines)
    pl.DataFrame(rows).write_csv(out / "reviews.csv")
    found = Classifier.cross_validate(
        out / "reviews.csv", folds=folds, config="sentences", split="blanks", **short
    )
    return Figure(
        what=f"movie-review polarity, {folds} folds, `sentences`",
        command="ostinato fit labels reviews.csv --config sentences --set data.split=blanks"
        f" --folds {folds}",
        value=100 * found.accuracy,
        unit=f"% accuracy, mean of {folds} folds",
        goal=POLARITY_GOAL,
        beside=_beside(found.to_dict()["baselines"]),
        note=f"deviation over folds {100 * found.deviation:.2f}",
    )


def _digits(out: Path, short: dict[str, Any]) -> Figure:
    digits = load_digits()
    columns = {f"p{k:02}": digits.data[:, k] for k in range(64)}
    frame = pl.DataFrame({**columns, "label": digits.target})
    parts = train_test_split(
        range(len(frame)), test_size=0.2, random_state=0, stratify=digits.target
    )
    train, test = (out / f"digits-{name}.csv" for name in ("train", "test"))
    for path, part in zip((train, test), parts, strict=True):
        frame[sorted(part)].write_csv(path)
    model = Classifier.fit(
        train,
        test=test,
        values=("p*",),
        width=8,
        config="sequences",
        out=out / "digits",
        overwrite=True,
        progress=False,
        **short,
    )
    figures = model.figures
    return Figure(
        what="8x8 digits, row by row (8 steps of 8 numbers), `sequences`",
        command=f'ostinato fit labels {train.name} --test {test.name} --values "p*" --width 8'
        " --config sequences --out DIR",
        value=100 * figures["held_out"]["accuracy"],
        unit=f"% accuracy on {figures['held_out']['rows']} rows, a fifth drawn once",
        goal=DIGITS_GOAL,
        beside=_beside(figures["baselines"]),
        seconds=figures["training"]["seconds"],
    )


def _beside(baselines: dict[str, float]) -> dict[str, float]:
    return {_NAMES[name]: 100 * share for name, share in baselines.items()}
