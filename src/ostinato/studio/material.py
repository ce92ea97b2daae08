"""A text made ready for the network of a task: what goes in, and what its answers mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ostinato.data.tokenizers import Tokenizer
from ostinato.data.words import WordTokenizer, cut_words
from ostinato.layers.sequence import SequenceLayer
from ostinato.studio.labels import label_of, most_probable, visible
from ostinato.studio.library import Loaded
from ostinato.tasks.classifier.task import Classifier
from ostinato.tasks.language_model.task import LanguageModel
from ostinato.tasks.language_model.writing import read_prompt
from ostinato.tasks.tagger.task import Tagger

__all__ = ["MOST_READ", "Material", "Ranked", "material", "readable"]

# steps of a text that are looked at, and of one that is read anew for each of its prefixes
MOST_READ = 2_000
_MOST_PREFIXES = 400
_SHOWN = 8
_SIDE_BY_SIDE = 64

# labels with their probabilities, the most probable first
Ranked = list[tuple[str, float]]


@dataclass(frozen=True)
class Material:
    """A text made ready.

    Attributes:
        module: the network.
        inputs: what it is called with.
        layers: name of the module in it that walks over the text.
        tokens: labels of the T steps.
        pieces: the text itself, cut into what each step reads; all of them make up the text.
        answers: from what the network returns to the ranked answers after each step.
        question: what an answer is: "next token", "tag" or "label so far".
        loss: from what the network returns to a number whose gradients tell what mattered: minus
            the log-probability of the best answer at the last step.
        surprise: from what the network returns to minus the log-probability that each token had
            before it was read, in nats; None where nothing was expected. None: the task expects
            nothing.
        cut: what of the text was left out, as a sentence, or "".
    """

    module: nn.Module
    inputs: tuple[Any, ...]
    layers: str
    tokens: tuple[str, ...]
    pieces: tuple[str, ...]
    answers: Callable[[Any], list[Ranked]]
    question: str
    loss: Callable[[Any], Tensor]
    surprise: Callable[[Any], list[float | None]] | None = None
    cut: str = ""


def readable(task: str) -> bool:
    """Whether a studio can show how a model of this task reads a text.

    Example:
        >>> readable("tagger"), readable("forecaster")
        (True, False)
    """
    return task in _MAKERS


def material(loaded: Loaded, text: str) -> Material:
    """Make a text ready for a model.

    Raises:
        ValueError: the text is empty or has unseen characters, or the task reads no text.
    """
    maker = _MAKERS.get(loaded.task)
    if maker is None:
        known = ", ".join(f"a {task.replace('_', ' ')}" for task in _MAKERS)
        raise ValueError(
            f"{loaded.key} is a {loaded.task.replace('_', ' ')}, which reads no text here. The "
            f"studio reads with {known}; its curves, settings and diagrams are shown all the same."
        )
    made: Material = maker(loaded.model, text)
    return made


def _of_language_model(model: LanguageModel, text: str) -> Material:
    tokenizer = model.tokenizer
    ids = read_prompt(tokenizer, text)
    kept = ids[:MOST_READ]
    labels, pieces = _spelled(tokenizer, kept)
    tokens = torch.as_tensor(kept, dtype=torch.int64)[:, None]

    def scores(output: Any) -> Tensor:
        found: Tensor = output[0][:, 0].float()
        return found

    def answers(output: Any) -> list[Ranked]:
        return [most_probable(tokenizer, p) for p in scores(output).softmax(-1)]

    def surprise(output: Any) -> list[float | None]:
        told = scores(output)[:-1].log_softmax(-1).cpu()
        return [None, *(-told[torch.arange(len(told)), tokens[1:, 0]]).tolist()]

    return Material(
        model.network,
        (tokens.to(model.device),),
        "stack",
        labels,
        pieces,
        answers,
        "next token",
        lambda output: -scores(output)[-1].log_softmax(-1).max(),
        surprise,
        _cut(len(ids), len(kept), f"{tokenizer.unit}s"),
    )


def _of_tagger(model: Tagger, text: str) -> Material:
    words = cut_words(text)
    if not words:
        raise ValueError("There is nothing to read. Give a sentence of at least one word.")
    kept = words[:MOST_READ]
    batch = model._batch([kept])
    tags = model.coder.tags.entry

    def answers(output: Tensor) -> list[Ranked]:
        told = output[:, 0].float().softmax(-1)
        best = model.network.best(output, batch.lengths)[:, 0].tolist()
        return [_ranked(p, tags, first) for p, first in zip(told, best, strict=True)]

    return Material(
        model.network,
        (batch,),
        "stack",
        tuple(kept),
        _spaced(text, kept),
        answers,
        "tag",
        lambda output: -output[-1, 0].float().log_softmax(-1).max(),
        cut=_cut(len(words), len(kept), "words"),
    )


def _of_classifier(model: Classifier, text: str) -> Material:
    coder = model.coder
    if coder.tokenizer is None:
        raise ValueError(
            "This classifier reads rows of numbers, not texts. Its curves, settings and diagrams "
            "are shown all the same; ask it with: ostinato classify."
        )
    if not any(isinstance(part, SequenceLayer) for part in model.network.modules()):
        raise ValueError(
            "This classifier has no recurrent layer (model.cell is none), so that there are no "
            "steps to look at. Fit one with a cell."
        )
    words = coder.words()
    coded = coder.encode(text, words)
    if not len(coded):
        raise ValueError("There is nothing to read. Give a text.")
    kept = coded[:_MOST_PREFIXES]
    labels, pieces = _shown(coder.tokenizer, text, kept)

    def answers(output: Any) -> list[Ranked]:
        # a step has no answer of its own: each prefix is read as if it were the whole text
        found: list[Ranked] = []
        for first in range(0, len(kept), _SIDE_BY_SIDE):
            ends = range(first + 1, min(first + _SIDE_BY_SIDE, len(kept)) + 1)
            rows = coder.batch([kept[:end] for end in ends], words=words).to(model.device)
            told = model.network.probabilities(model.network(rows))
            found += [_ranked(p, coder.labels.entry) for p in told]
        return found

    return Material(
        model.network,
        (coder.batch([kept], words=words).to(model.device),),
        "members.0.stack",
        labels,
        pieces,
        answers,
        "label so far",
        lambda output: -model.network.probabilities(output).log().max(),
        cut=_cut(len(coded), len(kept), f"{coder.tokenizer.unit}s"),
    )


def _shown(tokenizer: Tokenizer, text: str, ids: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Labels and pieces of the tokens of a text."""
    if isinstance(tokenizer, WordTokenizer):
        words = list(tokenizer.pieces(text))[: len(ids)]
        return tuple(map(visible, words)), _spaced(text, words)
    return _spelled(tokenizer, ids)


def _spelled(tokenizer: Tokenizer, ids: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    decoder = tokenizer.decoder()
    pieces = [decoder.feed(int(token)) for token in ids]
    pieces[-1] += decoder.flush()
    return tuple(label_of(tokenizer, int(token)) for token in ids), tuple(pieces)


def _ranked(p: Tensor, entry: Callable[[int], str], first: int | None = None) -> Ranked:
    """The most probable answers; `first` is put first, where a field over all steps chose it."""
    places = p.topk(min(_SHOWN, len(p))).indices.tolist()
    if first is not None:
        places = [first, *(place for place in places if place != first)][:_SHOWN]
    return [(entry(place), float(p[place])) for place in places]


def _spaced(text: str, words: Sequence[str]) -> tuple[str, ...]:
    """Each word with the blanks before it; what stands for a line end becomes one."""
    pieces, place = [], 0
    for word in words:
        at = text.find(word, place)
        if at < 0:
            pieces.append("\n")
            continue
        pieces.append(text[place : at + len(word)])
        place = at + len(word)
    return tuple(pieces)


def _cut(steps: int, kept: int, unit: str) -> str:
    if steps == kept:
        return ""
    return f"The text has {steps:,} {unit}; the first {kept:,} are read."


_MAKERS: dict[str, Callable[[Any, str], Material]] = {
    "language_model": _of_language_model,
    "tagger": _of_tagger,
    "classifier": _of_classifier,
}
