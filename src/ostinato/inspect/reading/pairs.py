"""Lines, as translators read and write them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.inspect.page.material import Answer, Attention, Axis
from ostinato.inspect.reading.base import Limits, Reading, ReadingError, ranked, unwritten
from ostinato.inspect.reading.texts import name_of
from ostinato.tasks.beam import BeamSettings, Hypothesis
from ostinato.tasks.translator.fitting import batch_of
from ostinato.tasks.translator.task import Translator
from ostinato.tasks.translator.tokens import pieces_of

__all__ = ["Pair", "translations", "translator"]


@dataclass(frozen=True)
class Pair:
    """A line, and what is taken for its translation.

    Attributes:
        line: the source.
        tokens: of the translation, without the end.
        pieces: what stands for each of them: of an unknown one the word that was copied.
        text: the translation.
        ended: it was ended, and not cut at its longest.
    """

    line: str
    tokens: tuple[int, ...]
    pieces: tuple[str, ...]
    text: str
    ended: bool = True


@torch.no_grad()
def translations(
    model: Translator, line: str, search: BeamSettings, *, longest: int | None = None
) -> list[tuple[Pair, Hypothesis]]:
    """The best translations of a line that a search comes upon, best first.

    Args:
        model: in evaluation mode.
        line: not empty.
        search: its width and penalties.
        longest: tokens at most; None: 10 more than twice those of the source.

    Raises:
        ReadingError: the line is empty.
        ValueError: it has signs that the vocabulary lacks.
    """
    line = " ".join(line.split())
    if not line:
        raise ReadingError("the line is empty. Give a line to translate.")
    row = model.vocabularies.encode_source(line)
    copy = model.settings.model.attention is not None
    found = []
    for one in model._search([row], search, copy, longest)[0]:
        made = model._translation(line, one)
        found.append((Pair(line, one.tokens, made.pieces, made.text, one.ended), one))
    return found


def translator(model: Translator, source: str | Pair, limits: Limits) -> Reading:
    """A line, read together with its translation: what greedy search writes, unless it is given."""
    searched = isinstance(source, str)
    if isinstance(source, str):
        source = translations(model, source, BeamSettings(1))[0][0]
    words = model.vocabularies
    row = words.encode_source(source.line)
    if len(row) > limits.steps:
        raise ReadingError(
            f"the line has {len(row):,} pieces, more than the {limits.steps:,} that are shown. "
            "Give a shorter one."
        )
    pair, tokens = source, source.tokens
    batch = batch_of([row], [[*tokens, words.end] if pair.ended else [*tokens]], words.end)
    batch = type(batch)(*(part.to(model.device) for part in batch.__dict__.values()))
    network, end = model.network, words.end
    targets = batch.targets[:, 0]
    read = (*pieces_of(words.source, pair.line), "<end>")
    written = (*pair.pieces, "<end>") if pair.ended else pair.pieces

    # a search without attention has nothing to copy, and writes no unknown word
    hidden = None if model.settings.model.attention is not None else words.target.unknown

    def ask() -> tuple[Tensor, Any]:
        outputs, weights = network(batch.source, batch.source_lengths, batch.inputs, batch.lengths)
        return unwritten(network.readout(outputs)[:, 0].float(), hidden), weights

    def answers(said: Any) -> list[Answer]:
        shares = said[0].detach().softmax(-1).cpu()
        rows = ranked(shares, limits.top, lambda token: _name(words.target, token, end))
        chances = shares[torch.arange(len(shares)), targets.cpu()].tolist()
        return [Answer(*one) for one in zip(rows, written, chances, strict=True)]

    def attention(said: Any) -> list[Attention]:
        if said[1] is None:
            return []
        weights = said[1][:, 0].detach().float().cpu().numpy()
        return [Attention("attention", np.asarray(weights, np.float32), written, read)]

    def whole(said: Any) -> list[str]:
        nats = float(F.cross_entropy(said[0], targets, reduction="sum"))
        how = " (greedy search)" if searched else ""
        return [
            f"Translation: {pair.text}",
            f"Its log probability: {-nats:.3f}{how}",
        ]

    joint = " " if model.settings.data.tokens == "words" else ""
    return Reading(
        "translator",
        "Which piece is written?",
        network,
        ask,
        (
            Axis("pieces written", written, joint, ("decoder",)),
            Axis("pieces read", read, joint, ("encoder",)),
        ),
        answers,
        # what it wrote last is taken for what is right
        lambda said: F.cross_entropy(said[0][-1:], targets[-1:]),
        truth="written",
        whole=whole,
        attention=attention,
        first="encoder",
        walked_once=("encoder",),
    )


def _name(tokenizer: Any, token: int, end: int) -> str:
    return "<end>" if token == end else name_of(tokenizer, token)
