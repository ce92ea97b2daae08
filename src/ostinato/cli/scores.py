"""What a model scored, beside what simple guesses score, as a person reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ostinato.cli.fitting import show_training
from ostinato.cli.output import say, say_table

__all__ = ["show_figures", "show_score"]

_ONE = {"characters": "character", "words": "word", "subwords": "subword"}


def show_figures(figures: Mapping[str, Any], tokens: str) -> None:
    """The held-out score of a fit, then the guesses, best last."""
    show_training(figures, tokens)
    if "held_out" not in figures:
        say("Nothing was held out, so there is no score.")
        return
    held_out = figures["held_out"]
    say(f"Held-out text of {held_out['tokens']:,} {tokens}, nats per {_ONE[tokens]}:")
    guesses = {**figures.get("baselines", {}), "this model": held_out["nats_per_token"]}
    ranked = sorted(guesses.items(), key=lambda entry: -entry[1])
    say_table([("  " + name.replace("_", " "), f"{nats:.3f}") for name, nats in ranked])
    show_score(held_out, tokens)


def show_score(score: Mapping[str, Any], tokens: str) -> None:
    """One score in the units in use."""
    parts = [
        f"{score['nats_per_token']:.4f} nats per {_ONE[tokens]}",
        f"{score['bits_per_token']:.4f} bits",
        f"perplexity {score['perplexity']:,.2f}",
    ]
    if tokens != "characters":
        parts.append(f"{score['bits_per_character']:.4f} bits per character")
    if score["unknown"]:
        parts.append(f"{score['unknown']:,} of {score['tokens']:,} {tokens} were unknown")
    say("This model: " + ", ".join(parts))
