"""How well a language model predicts a text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from ostinato.baselines.ngram import NGram, uniform_nats
from ostinato.data.streams import IGNORED, Corpus, blocks
from ostinato.tasks.language_model.network import LanguageNetwork

__all__ = ["COUNTED", "TextScore", "baseline_nats", "score_corpus"]

_BLOCK = 512
_ORDER = {"characters": 7}
_SHORT_ORDER = 3
# tokens that are counted for the guesses: more would take more memory than training does
COUNTED = 5_000_000


@dataclass(frozen=True)
class TextScore:
    """What a text cost a model to predict.

    Attributes:
        nats: -ln p of the whole text.
        tokens: how many were predicted.
        characters: how many these spell.
        unknown: how many of the tokens stand for something unseen, which is then easier to predict
            than what it stands for.

    Example:
        >>> score = TextScore(nats=200.0, tokens=100, characters=400, unknown=0)
        >>> round(score.perplexity, 3), score.nats_per_character
        (7.389, 0.5)
    """

    nats: float
    tokens: int
    characters: int
    unknown: int = 0

    @property
    def nats_per_token(self) -> float:
        return self.nats / self.tokens

    @property
    def bits_per_token(self) -> float:
        return self.nats_per_token / math.log(2)

    @property
    def perplexity(self) -> float:
        """E to the nats per token: among how many tokens, equally likely, it seems to choose."""
        return math.exp(min(self.nats_per_token, 700.0))

    @property
    def nats_per_character(self) -> float:
        return self.nats / max(self.characters, 1)

    @property
    def bits_per_character(self) -> float:
        return self.nats_per_character / math.log(2)

    def to_dict(self) -> dict[str, Any]:
        """Every figure, by name."""
        names = (
            "nats_per_token bits_per_token perplexity nats_per_character bits_per_character "
            "tokens characters unknown"
        )
        return {name: getattr(self, name) for name in names.split()}


@torch.inference_mode()
def score_corpus(
    network: LanguageNetwork, corpus: Corpus, *, unknown: int | None = None, rows: int = 1
) -> TextScore:
    """Read a corpus from its first token to its last, the state carried all the way.

    Args:
        network: in evaluation mode.
        corpus: what to read.
        unknown: the token that stands for something unseen, to be counted.
        rows: pieces that are read side by side; more are faster, but each piece after the first
            begins without knowing what came before it.
    """
    device = next(network.parameters()).device
    state = None
    nats, tokens, strange = 0.0, 0, 0
    for block in blocks(corpus, rows, _BLOCK):
        chunk = block.to(device)
        scores, state = network(chunk.inputs, state, reset=chunk.reset)
        asked = chunk.targets.flatten()
        losses = F.cross_entropy(
            scores.flatten(0, 1).float(), asked, ignore_index=IGNORED, reduction="none"
        )
        nats += float(losses.double().sum())
        tokens += int((asked != IGNORED).sum())
        strange += 0 if unknown is None else int((asked == unknown).sum())
    return TextScore(nats, tokens, corpus.characters, strange)


def baseline_nats(
    kind: str, train: Corpus, held_out: Corpus, vocabulary_size: int
) -> Mapping[str, float]:
    """Nats per token of the guesses that a network must beat, by name.

    Args:
        kind: what a token is, for the length of the grams.
        train: what the guesses may learn from: the end of it, where it is longer than five million
            tokens.
        held_out: what they are asked.
        vocabulary_size: V.
    """
    best = _ORDER.get(kind, _SHORT_ORDER)
    seen = np.asarray(train.tokens[-COUNTED:])
    asked = np.asarray(held_out.tokens)
    guesses = {"uniform": uniform_nats(vocabulary_size)}
    for name, order, smoothing in (
        ("unigram", 1, "witten-bell"),
        ("witten_bell_5gram", 5, "witten-bell"),
        (f"kneser_ney_{best}gram", best, "modified-kneser-ney"),
    ):
        model = NGram(seen, vocabulary_size, order=order, smoothing=smoothing)
        guesses[name] = float(model.nats(asked)[1:].mean())
    return guesses
