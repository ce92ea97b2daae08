"""Prompts to text: the strings around `generation`, which knows only tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from ostinato.data.tokenizers import Ids, Tokenizer
from ostinato.tasks.language_model.generation import beam_search, sample_tokens
from ostinato.tasks.language_model.network import LanguageNetwork
from ostinato.tasks.language_model.sampling import Sampling
from ostinato.tasks.task import evaluating

__all__ = ["read_prompt", "search", "write", "write_pieces"]


class Model(Protocol):
    """What writes: a network and its tokenizer."""

    @property
    def network(self) -> LanguageNetwork: ...

    @property
    def tokenizer(self) -> Tokenizer: ...


def write(
    model: Model, prompts: Sequence[str], length: int, sampling: Sampling, seed: int | None
) -> list[str]:
    """Continuations of several prompts, side by side."""
    starts = [read_prompt(model.tokenizer, prompt) for prompt in prompts]
    lines: list[list[int]] = [[] for _ in prompts]
    if prompts and length:
        with evaluating(model.network):
            for tokens in sample_tokens(
                model.network, model.tokenizer, starts, sampling, length=length, seed=seed
            ):
                for line, token in zip(lines, tokens, strict=True):
                    if token is not None:
                        line.append(token)
    return [_spell(model.tokenizer, s, line) for s, line in zip(starts, lines, strict=True)]


def write_pieces(
    model: Model, prompt: str, length: int | None, sampling: Sampling, seed: int | None
) -> Iterator[str]:
    """The continuation of one prompt, each piece as soon as it is certain."""
    start = read_prompt(model.tokenizer, prompt)
    return _pieces(model, start, length, sampling, seed)


def search(model: Model, prompt: str, length: int, sampling: Sampling, width: int) -> str:
    """The most probable continuation that a beam search comes upon.

    Raises:
        ValueError: the width is less than 1, or settings of a draw are given.
    """
    if width < 1:
        raise ValueError(f"generate: beam must be at least 1, got {width}.")
    if sampling.top_k or sampling.top_p or sampling.temperature not in (0.0, 1.0):
        raise ValueError(
            "generate: a beam draws nothing, so that temperature, top_k and top_p do nothing. "
            "Leave them out, or give beam=1."
        )
    start = read_prompt(model.tokenizer, prompt)
    if not length:
        return ""
    with evaluating(model.network):
        line = beam_search(
            model.network, model.tokenizer, start, sampling, width=width, length=length
        )
    return _spell(model.tokenizer, start, line)


def _pieces(
    model: Model, start: Ids, length: int | None, sampling: Sampling, seed: int | None
) -> Iterator[str]:
    if length == 0:
        return
    decoder = model.tokenizer.decoder()
    decoder.feed(int(start[-1]))
    with evaluating(model.network):
        for (token,) in sample_tokens(
            model.network, model.tokenizer, [start], sampling, length=length, seed=seed
        ):
            if token is not None and (piece := decoder.feed(token)):
                yield piece
    if rest := decoder.flush():
        yield rest


def read_prompt(tokenizer: Tokenizer, prompt: str) -> Ids:
    """The tokens that a model reads before it continues a prompt, at least one.

    Raises:
        TypeError: the prompt is no text.
        ValueError: it holds unseen characters, or is empty where the model knows no beginning.
    """
    if not isinstance(prompt, str):
        raise TypeError(f"generate: a prompt must be text, got {type(prompt).__name__}.")
    ids = tokenizer.encode(prompt)
    if tokenizer.end is not None:
        # what stands before a document when training
        return np.concatenate([np.array([tokenizer.end], dtype=np.int32), ids])
    if not len(ids):
        try:
            return tokenizer.encode("\n")
        except ValueError as error:
            raise ValueError(
                "generate: the prompt is empty, and the model knows no line end to begin after. "
                "Give a prompt."
            ) from error
    return ids


def _spell(tokenizer: Tokenizer, start: Ids, line: Sequence[int]) -> str:
    # what came last before decides about a blank between words
    decoder = tokenizer.decoder()
    decoder.feed(int(start[-1]))
    return "".join([*(decoder.feed(token) for token in line), decoder.flush()])
