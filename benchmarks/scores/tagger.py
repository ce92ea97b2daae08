"""Universal tags of the English Web Treebank, trained, chosen and scored on its own parts."""

from __future__ import annotations

from pathlib import Path

from figures import Figure, Figures
from ostinato.data.catalog import get
from ostinato.tasks.tagger.task import Tagger

__all__ = ["measure"]

COMMAND = "ostinato fit tags TRAIN --validation DEV --test TEST"


def measure(out: Path, quick: bool) -> Figures:
    """The default settings, and the same with a random field over the tags."""
    train, dev, test = get("ewt")
    short = {"max_steps": 2, "val_every": 2} if quick else {}
    found: Figures = []
    for name, more, options in (("default", "", {}), ("crf", " --crf", {"crf": True})):
        tagger = Tagger.fit(
            train, validation=dev, test=test, out=out / name, overwrite=True, **options, **short
        )
        figures = tagger.figures
        score = figures["held_out"]
        spoken = "random field over the tags" if options else "default settings"
        found.append(
            Figure(
                what=f"EWT (UD 2.15) universal tags, {spoken}",
                command=f"{COMMAND}{more} --out DIR",
                value=100 * score["accuracy"],
                unit="% accuracy on the test part",
                goal=None if options else 93.5,
                beside={
                    "most frequent tag": 100 * figures["baselines"]["most_frequent_tag"],
                    "on unknown words": 100 * score["unknown_accuracy"],
                    "macro F1": 100 * score["macro_f1"],
                    "validation": 100 * (figures["training"]["best"] or 0),
                },
                seconds=figures["training"]["seconds"],
                note=f"{100 * figures['padding']:.1f} % of the steps are padding",
            )
        )
    return found
