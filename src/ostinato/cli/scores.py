"""What a model scored, beside what simple guesses score, as a person reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ostinato.cli.fitting import show_ranked, show_training
from ostinato.cli.output import say

__all__ = ["show_figures", "show_score"]

_ONE = {"characters": "character", "words": "word", "subwords": "subword"}


def show_figures(figures: Mapping[str, Any], tokens: str) -> None:
    """The held-out score of a fit, then the guesses, best last."""
    show_training(figures, tokens)
    score = show_ranked(
        figures,
        "nats_per_token",
        lambda score: f"Held-out text of {score['tokens']:,} {tokens}, nats per {_ONE[tokens]}:",
        "{:.3f}",
        ascending=False,
    )
    if score is not None:
        show_score(score, tokens)


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
