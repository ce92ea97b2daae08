"""Vectors, as captioners read them, and the texts that they write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ostinato.data.captions import read_captions
from ostinato.inspect.page.material import Answer, Axis
from ostinato.inspect.reading.base import Limits, Reading, ReadingError, ranked, unwritten
from ostinato.inspect.reading.labels import numbers_in
from ostinato.inspect.reading.texts import name_of
from ostinato.tasks.beam import BeamSettings, Hypothesis, beam_search
from ostinato.tasks.captioner.data import layout_of
from ostinato.tasks.captioner.network import CaptionBatch
from ostinato.tasks.captioner.task import Captioner

__all__ = ["Caption", "captioner", "captions", "vector_in"]

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Caption:
    """A vector, and what is taken for its text.

    Attributes:
        vector: [F].
        tokens: of the text, without the end.
        ended: it was ended, and not cut at its longest.
    """

    vector: Vector
    tokens: tuple[int, ...]
    ended: bool = True


@torch.no_grad()
def captions(
    model: Captioner, vector: Vector, search: BeamSettings, *, longest: int | None = None
) -> list[Hypothesis]:
    """The best texts for a vector that a search comes upon, best first.

    Args:
        model: in evaluation mode.
        vector: [F].
        search: its width and penalties.
        longest: tokens at most; None: one and a half times the longest text of training.

    Raises:
        ReadingError: the vector has another width than those of training.
    """
    coder = model.coder
    _check(model, vector)
    unknown = coder.tokenizer.unknown
    return beam_search(
        model.network.step,
        model.network.begin(torch.from_numpy(vector)[None].to(model.device)),
        start=coder.end,
        end=coder.end,
        longest=[longest or coder.longest + coder.longest // 2 + 1],
        settings=search,
        forbidden=() if unknown is None else (unknown,),
    )[0]


def captioner(model: Captioner, source: Any, limits: Limits) -> Reading:
    """A vector, read together with its text: what greedy search writes, unless it is given.

    `source` is a `Caption`, a vector [F], numbers as text, or a file of vectors, of which the first
    is taken.
    """
    notes: tuple[str, ...] = ()
    if not isinstance(source, Caption):
        vector, notes = _vector(model, source)
        found = captions(model, vector, BeamSettings(1, length_penalty=0.0))[0]
        source = Caption(vector, found.tokens, found.ended)
        notes = (*notes, "The text is what greedy search wrote.")
    coder, network = model.coder, model.network
    tokens = source.tokens
    if len(tokens) + 1 > limits.steps:
        raise ReadingError(
            f"the text has {len(tokens) + 1:,} tokens, more than the {limits.steps:,} that are "
            "shown. Let fewer be written."
        )
    _check(model, source.vector)
    batch = coder.batch([source.vector], [np.array(tokens, dtype=np.int64)]).to(model.device)
    if not source.ended:
        batch = CaptionBatch(
            batch.vectors, batch.inputs[:-1], batch.targets[:-1], batch.lengths - 1
        )
    targets = batch.targets[:, 0]

    def name(token: int) -> str:
        return "<end>" if token == coder.end else name_of(coder.tokenizer, token)

    written = (*map(name, tokens), *(["<end>"] if source.ended else []))

    def answers(said: Tensor) -> list[Answer]:
        shares = said[:, 0].detach().softmax(-1).cpu()
        chances = shares[torch.arange(len(shares)), targets.cpu()].tolist()
        rows = ranked(shares, limits.top, name)
        return [Answer(*one) for one in zip(rows, written, chances, strict=True)]

    def whole(said: Tensor) -> list[str]:
        nats = float(F.cross_entropy(said[:, 0], targets, reduction="sum"))
        return [f"Text: {coder.decode(tokens)}", f"Its log probability: {-nats:.3f}"]

    joint = " " if model.settings.data.tokens == "words" else ""
    return Reading(
        "captioner",
        "Which token is written?",
        network,
        lambda: unwritten(network(batch).float(), coder.tokenizer.unknown),
        (Axis("tokens written", written, joint, ("stack",)),),
        answers,
        # what it wrote last is taken for what is right
        lambda said: F.cross_entropy(said[-1], targets[-1:]),
        truth="written",
        whole=whole,
        first="stack",
        notes=notes,
    )


def vector_in(model: Captioner, text: str) -> Vector:
    """A vector that was typed, [F]; line ends mean nothing.

    Raises:
        ReadingError: something is no number, or there are too few or too many.
    """
    vector = numbers_in(" ".join(text.split())).ravel()
    if not len(vector):
        raise ReadingError(f"there are no numbers. Give {model.coder.width}.")
    _check(model, vector)
    return vector


def _vector(model: Captioner, source: Any) -> tuple[Vector, tuple[str, ...]]:
    if isinstance(source, str) and not Path(source).is_file():
        if any(sign.isalpha() for sign in source.lower().replace("e", "")):
            raise FileNotFoundError(f"There is no file {source}. Give one, or the numbers.")
        return vector_in(model, source), ()
    if isinstance(source, (str, Path, Mapping)):
        path = Path(source) if isinstance(source, str) else source
        rows = read_captions(path, layout_of(model.settings.data), captioned=False)
        found = list(islice(rows, 2))
        if not found:
            raise ReadingError(f"{path} has no row. Give a file with a vector in it.")
        more = ("The file has several vectors; the first is shown.",) if len(found) > 1 else ()
        return found[0].vector, more
    return np.asarray(source, dtype=np.float32).ravel(), ()


def _check(model: Captioner, vector: Vector) -> None:
    if len(vector) != model.coder.width:
        raise ReadingError(
            f"the vector has {len(vector)} number(s), but the model was trained on "
            f"{model.coder.width}. Give as many."
        )
    if not np.isfinite(vector).all():
        raise ReadingError("a number of the vector is missing (NaN) or infinite. Give all.")
