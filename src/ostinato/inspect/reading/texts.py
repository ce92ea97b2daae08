"""Texts, as language models and taggers read them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.data.tokenizers import Tokenizer
from ostinato.data.words import cut_words
from ostinato.inspect.page.material import Answer, Axis
from ostinato.inspect.reading.base import Cut, Limits, Reading, ReadingError, ranked
from ostinato.tasks.language_model.task import LanguageModel
from ostinato.tasks.language_model.writing import read_prompt
from ostinato.tasks.tagger.task import Tagger
from ostinato.tasks.translator.tokens import spelled

__all__ = ["language_model", "name_of", "spaced", "spelled_out", "tagger"]


def language_model(model: LanguageModel, text: str, limits: Limits) -> Reading:
    """A text, read token by token."""
    tokenizer = model.tokenizer
    if not text:
        raise ReadingError("the text is empty. Give one.")
    ids = read_prompt(tokenizer, text)
    kept = np.asarray(ids[: limits.steps], dtype=np.int64)
    labels = tuple(name_of(tokenizer, int(token)) for token in kept)
    x = torch.as_tensor(kept, device=model.device)[:, None]

    def loss(said: Any) -> Tensor:
        # nobody knows what comes next: its own first choice is taken for it
        return F.cross_entropy(said[0][-1], said[0][-1].argmax(-1))

    def answers(said: Any) -> list[Answer]:
        told = said[0][:, 0].detach().float().log_softmax(-1).cpu()
        rows = ranked(told.exp(), limits.top, lambda token: name_of(tokenizer, token))
        came = told[torch.arange(len(kept) - 1), torch.as_tensor(kept[1:])].exp().tolist()
        known = [*zip(labels[1:], came, strict=True), (None, None)]
        return [Answer(row, *one) for row, one in zip(rows, known, strict=True)]

    def whole(said: Any) -> list[str]:
        told = said[0][:-1, 0].detach().float()
        if not len(told):
            return []
        nats = float(F.cross_entropy(told, x[1:, 0]))
        return [f"{nats:.4f} nats a token on this text, from its second token on."]

    joint = " " if model.settings.data.tokens == "words" else ""
    return Reading(
        "language model",
        "Which token comes next?",
        model.network,
        lambda: model.network(x),
        (Axis("tokens read", labels, joint, ("stack",)),),
        answers,
        loss,
        spelled_out(tokenizer, kept),
        truth="next",
        whole=whole,
        first="stack",
        cut=_cut(len(ids), len(kept), f"{tokenizer.unit}s"),
    )


def tagger(model: Tagger, text: str, limits: Limits) -> Reading:
    """A sentence, with a tag for each word."""
    words = cut_words(text)
    if not words:
        raise ReadingError("there is no word in the text. Give a sentence of at least one word.")
    kept = tuple(words[: limits.steps])
    batch, network, tags = model._batch([kept]), model.network, model.coder.tags

    def answers(said: Tensor) -> list[Answer]:
        with torch.no_grad():
            given = network.best(said, batch.lengths)[:, 0].tolist()
        shares = said[:, 0].detach().float().softmax(-1).cpu()
        rows = ranked(shares, limits.top, tags.entry, given)
        return [
            Answer(row, tags.entry(tag), float(shares[step, tag]))
            for step, (row, tag) in enumerate(zip(rows, given, strict=True))
        ]

    def whole(said: Tensor) -> list[str]:
        with torch.no_grad():
            given = network.best(said, batch.lengths)[:, 0].tolist()
        return [" ".join(f"{w}/{tags.entry(t)}" for w, t in zip(kept, given, strict=True))]

    question = "Which tag has the word?"
    if network.crf is not None:
        question += " (Shares of the scores; the tags given are the random field's.)"
    return Reading(
        "tagger",
        question,
        network,
        lambda: network(batch),
        (Axis("words read", kept, " ", ("stack",)),),
        answers,
        # its own first choice is taken for what is right
        lambda said: F.cross_entropy(said[-1], said[-1].argmax(-1)),
        spaced(text, kept),
        whole=whole,
        first="stack",
        walked_once=("stack",),
        cut=_cut(len(words), len(kept), "words"),
    )


def name_of(tokenizer: Tokenizer, token: int) -> str:
    """What a token stands for, by itself.

    Example:
        >>> from ostinato.data.tokenizers import CharTokenizer
        >>> letters = CharTokenizer("ab ", end=True)
        >>> name_of(letters, 2), name_of(letters, letters.end)
        (' ', '<end>')
    """
    if token == tokenizer.stop:
        return "<end>"
    if token == tokenizer.unknown:
        return "<unknown>"
    # of words, the token of a line end is spelled as one
    return tokenizer.decode([token]) if token == tokenizer.end else spelled(tokenizer, [token])[0]


def spelled_out(tokenizer: Tokenizer, ids: Any) -> tuple[str, ...]:
    """The text of some tokens, cut into what each adds to it."""
    decoder = tokenizer.decoder()
    pieces = [decoder.feed(int(token)) for token in ids]
    pieces[-1] += decoder.flush()
    return tuple(pieces)


def spaced(text: str, words: Sequence[str]) -> tuple[str, ...]:
    r"""Each word as the text has it, with the blanks before it; a line end is one.

    Example:
        >>> spaced("Time  Flies.", ["time", "flies", "."])
        ('Time', '  Flies', '.')
        >>> spaced("a\nb", ["a", "<eos>", "b"])
        ('a', '\n', 'b')
    """
    pieces, place = [], 0
    for word in words:
        # a model may have read them in lower case
        found = re.compile(rf"\s*{re.escape(word)}", re.IGNORECASE).match(text, place)
        if found is None:
            found = re.compile(r"[^\S\n]*\n").match(text, place)
        if found is None:
            pieces.append(f" {word}")
            continue
        pieces.append(found[0])
        place = found.end()
    return tuple(pieces)


def _cut(steps: int, kept: int, unit: str) -> Cut | None:
    return None if steps == kept else Cut(steps, kept, unit)
