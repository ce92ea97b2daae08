"""Multi30k, English to German: an encoder and a decoder with attention, and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from figures import Figure, Figures
from ostinato.data.catalog import get
from ostinato.tasks.translator.task import Translator

__all__ = ["figure_of", "measure"]

GOAL = 33.0
COMMAND = (
    "ostinato fit pairs train.en.gz train.de.gz --validation val.en.gz --validation val.de.gz "
    "--test test_2016_flickr.en.gz --test test_2016_flickr.de.gz --config multi30k "
    "--set training.precision=bf16"
)
# name -> (what it is, what the command has besides, the same as settings)
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "attention": ("attention between the decoder's layers", "", {}),
    "plain": (
        "no attention: the decoder knows the source by its first state alone",
        " --attention none",
        {"attention": None},
    ),
}


def measure(out: Path, quick: bool) -> Figures:
    """Both models, trained on the training part, chosen on the validation part."""
    files = get("multi30k")
    train, val, test = files[:2], files[2:4], files[4:6]
    short = {"max_steps": 2, "val_every": 2, "hidden_size": 8} if quick else {}
    found: Figures = []
    for name, (_, _, settings) in MODELS.items():
        model = Translator.fit(
            train,
            validation=val,
            test=test,
            config="multi30k",
            out=out / name,
            overwrite=True,
            progress=False,
            **{"precision": "bf16", **settings, **short},
        )
        found.append(figure_of(name, model.figures, model.evaluate(val).bleu))
    return found


def figure_of(name: str, figures: dict[str, Any], validation: float) -> Figure:
    """The line of one model, from what its fit measured."""
    spoken, more, _ = MODELS[name]
    score = figures["held_out"]
    return Figure(
        what=f"Multi30k en-de, test 2016 (flickr), {spoken}",
        command=f"{COMMAND}{more} --out DIR",
        value=score["bleu"],
        unit=f"BLEU of {score['lines']:,} raw lines, beam 5",
        goal=GOAL if name == "attention" else None,
        beside={
            "chrF": score["chrf"],
            "source copied": figures["baselines"]["copied_source"],
            "validation BLEU": validation,
        },
        seconds=figures["training"]["seconds"],
        note=f"sacrebleu {score['signature']}",
    )
