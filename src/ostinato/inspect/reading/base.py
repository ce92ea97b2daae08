"""An input made ready for a network: what is run, along which steps, and what the answers mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from ostinato.inspect.page.material import Answer, Attention, Axis, Chart
from ostinato.inspect.spectrum import Spectrum, spectrum
from ostinato.inspect.trace import Trace, trace

__all__ = [
    "Cut",
    "Limits",
    "Reading",
    "ReadingError",
    "best_choices",
    "ranked",
    "spectra",
    "traced",
]


Truth = Literal["next", "written", "chosen"]


class ReadingError(ValueError):
    """There is nothing to read, or nobody who could; the message says why and what to do."""


@dataclass(frozen=True)
class Limits:
    """How much of an input is read, and how much is kept of each answer.

    Attributes:
        steps: a longer input is cut, or refused where a part of it means nothing.
        prefixes: the same, for what is answered by reading each beginning anew.
        top: choices of an answer.
    """

    steps: int = 2000
    prefixes: int = 400
    top: int = 8


@dataclass(frozen=True)
class Cut:
    """An input was longer than what is read of it.

    Attributes:
        steps: of the input.
        kept: of these.
        unit: what a step is, in the plural.
    """

    steps: int
    kept: int
    unit: str


@dataclass(frozen=True)
class Reading:
    """An input made ready.

    Attributes:
        task: what the model does, e.g. "language model".
        question: what the answers answer.
        module: the network.
        ask: runs it, and returns what it says.
        axes: the steps of its walks; the first is that of the answers.
        answers: from what it said to an answer for each step; () where steps have none.
        loss: from what it said to the number whose gradients tell what mattered; None: nothing that
            could be differentiated.
        pieces: the input itself, cut into what each step of the first axis reads; () where it is
            no text.
        truth: what stands as the truth of an answer: "next", the step that came next; "written",
            what was written at that step; "chosen", what the model chose there.
        whole: from what it said to what the model says to all of the input, as lines.
        attention: from what it said to where it looked.
        chart: from what it said to the numbers that were read, drawn in place of a text; None: it
            read none.
        outlook: charts of what is said to come.
        numbers: that the steps of the first axis hold, [T, I]; None: it reads none, or others.
        walked_once: names of modules whose steps have spectra; None: all.
        first: name of the module whose layers come first.
        cut: what of the input was left out.
        notes: what else there is to know.
    """

    task: str
    question: str
    module: nn.Module
    ask: Callable[[], Any]
    axes: tuple[Axis, ...]
    answers: Callable[[Any], Sequence[Answer]] = lambda said: ()
    loss: Callable[[Any], Tensor] | None = None
    pieces: tuple[str, ...] = ()
    truth: Truth = "chosen"
    whole: Callable[[Any], list[str]] = lambda said: []
    attention: Callable[[Any], list[Attention]] = lambda said: []
    chart: Callable[[Any], Chart | None] = lambda said: None
    outlook: Sequence[Chart] = ()
    numbers: NDArray[np.float32] | None = None
    walked_once: tuple[str, ...] | None = None
    first: str | None = None
    cut: Cut | None = None
    notes: tuple[str, ...] = field(default=())


def traced(made: Reading, *, gradients: bool = False, **options: Any) -> Trace:
    """Run the network, and keep what its layers did; `options` as of `ostinato.trace`.

    Example:
        >>> import torch
        >>> layer = nn.RNN(2, 3)
        >>> made = Reading("", "", layer, lambda: layer(torch.zeros(4, 1, 2)), ())
        >>> traced(made, only="state").values("h").shape
        (4, 1, 3)
    """
    return trace(
        made.module,
        call=made.ask,
        rows=[0],
        gradients=made.loss if gradients else None,
        training=False,
        first=made.first,
        **options,
    )


def spectra(made: Reading, steps: int) -> Spectrum:
    """Eigenvalues of so many steps, evenly spread over each walk."""
    return spectrum(
        made.module, steps=steps, layers=made.walked_once, call=made.ask, training=False
    )


def best_choices(
    p: Tensor, top: int, label: Callable[[int], str], first: int | None = None
) -> tuple[tuple[str, float], ...]:
    """The most probable of what is told by probabilities [V], with them.

    Args:
        p: probabilities.
        top: how many at most.
        label: of a number.
        first: this one comes first, whatever its probability: the one that was chosen.

    Example:
        >>> import torch
        >>> best_choices(torch.tensor([0.25, 0.75]), 1, "ab".__getitem__)
        (('b', 0.75),)
        >>> best_choices(torch.tensor([0.25, 0.75]), 1, "ab".__getitem__, first=0)
        (('a', 0.25),)
    """
    places = p.topk(min(top, len(p))).indices.tolist()
    if first is not None:
        places = [first, *(place for place in places if place != first)][:top]
    return tuple((label(place), float(p[place])) for place in places)


def ranked(
    shares: Tensor, top: int, label: Callable[[int], str], first: Sequence[int] | None = None
) -> list[tuple[tuple[str, float], ...]]:
    """`best_choices` of each row of [T, V]."""
    chosen: Sequence[int | None] = first or [None] * len(shares)
    rows = shares.detach().float().cpu()
    return [best_choices(p, top, label, one) for p, one in zip(rows, chosen, strict=True)]


def unwritten(scores: Tensor, token: int | None) -> Tensor:
    """Scores [..., V] with a token that is never written; None: there is none such.

    Example:
        >>> import torch
        >>> unwritten(torch.zeros(1, 3), 1).softmax(-1).tolist()
        [[0.5, 0.0, 0.5]]
    """
    if token is None:
        return scores
    return scores.index_fill(-1, scores.new_tensor([token]).long(), -math.inf)
