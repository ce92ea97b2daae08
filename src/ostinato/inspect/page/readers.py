"""What each task reads and answers: its input in words, its trace, its predictions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.inspect.page.gather import Wishes, add_spectrum, cut, fill, traced, width_of
from ostinato.inspect.page.material import Answer, Attention, Axis, Material, PageError
from ostinato.inspect.spectrum import spectrum

__all__ = ["READERS", "read"]


def read(model: Any, source: Any, wishes: Wishes) -> Material:
    """Let a fitted model read an input, and note what it did.

    Raises:
        PageError: the model is of a task that no reader knows, or the input is empty.
        ValueError: the input or a wish cannot be used.
    """
    task = model.SETTINGS.TASK
    reader = READERS.get(task)
    if reader is None:
        raise PageError(
            f"inspect: there is no view of a {task.replace('_', ' ')} yet; there are views of "
            f"{', '.join(name.replace('_', ' ') for name in READERS)}. "
            "ostinato.inspect.page.page_of_trace shows any trace."
        )
    before = model.training
    model.eval()
    try:
        return reader(model, source, wishes)
    finally:
        model.train(before)


def _language_model(model: Any, text: str, wishes: Wishes) -> Material:
    from ostinato.tasks.translator.tokens import spelled

    tokenizer = model.tokenizer
    material = Material("", "language model", "Which token comes next?", [], [])
    ids = cut(np.asarray(tokenizer.encode(text)), wishes, "tokens", material.notes)
    if len(ids) < 2:
        raise PageError(f"inspect: the text has {len(ids)} token(s). Give at least two.")
    labels = tuple(_named(tokenizer, spelled(tokenizer, [int(k)])[0], int(k)) for k in ids)
    joint = " " if model.settings.data.tokens == "words" else ""
    material.axes.append(Axis("tokens read", labels, joint))
    x = torch.as_tensor(ids.astype(np.int64), device=model.device)[:, None]

    def last(output: Any) -> Tensor:
        # nobody knows what comes next: its own first choice is taken for it
        return F.cross_entropy(output[0][-1], output[0][-1].argmax(-1))

    found = traced(model.network, wishes, x, loss=last)
    scores = found.output[0][:, 0].float().cpu()
    fill(material, found)
    width = width_of(model.network)
    add_spectrum(material, lambda k: spectrum(model.network, x, steps=k), width)
    told = scores.log_softmax(-1)
    best = told.topk(min(wishes.top, told.shape[-1]))
    for step in range(len(ids)):
        choices = tuple(
            (_named(tokenizer, spelled(tokenizer, [k])[0], k), float(np.exp(v)))
            for k, v in zip(best.indices[step].tolist(), best.values[step].tolist(), strict=True)
        )
        known = step + 1 < len(ids)
        chance = float(told[step, int(ids[step + 1])].exp()) if known else None
        material.answers.append(Answer(choices, labels[step + 1] if known else None, chance))
    nats = -np.mean([np.log(max(a.chance or 0, 1e-45)) for a in material.answers[:-1]])
    material.whole.append(f"{nats:.4f} nats a token on this text, from its second token on.")
    return material


def _named(tokenizer: Any, spelling: str, token: int) -> str:
    if token == tokenizer.stop:
        return "<end>"
    return "<unknown>" if token == tokenizer.unknown else spelling


def _tagger(model: Any, text: str, wishes: Wishes) -> Material:
    from ostinato.data.words import cut_words

    material = Material("", "tagger", "Which tag has the word?", [], [])
    words = tuple(cut(cut_words(" ".join(text.split())), wishes, "words", material.notes))
    if not words:
        raise PageError("inspect: there is no word in the text. Give a sentence.")
    material.axes.append(Axis("words read", words, " ", ("stack",)))
    batch = model._batch([words])

    def last(scores: Tensor) -> Tensor:
        # its own first choice is taken for what is right
        return F.cross_entropy(scores[-1], scores[-1].argmax(-1))

    found = traced(model.network, wishes, batch, loss=last, first="stack")
    fill(material, found)
    only = ["stack"]
    width = width_of(model.network.stack)
    add_spectrum(material, lambda k: spectrum(model.network, batch, steps=k, layers=only), width)
    with torch.no_grad():
        given = model.network.best(found.output, batch.lengths)[:, 0].tolist()
    shares = found.output[:, 0].float().softmax(-1).cpu()
    if model.network.crf is not None:
        material.question += " (Shares of the scores; the tags given are the random field's.)"
    tags = model.coder.tags
    best = shares.topk(min(wishes.top, shares.shape[-1]))
    for step, tag in enumerate(given):
        pairs = zip(best.indices[step].tolist(), best.values[step].tolist(), strict=True)
        choices = tuple((tags.entry(k), v) for k, v in pairs)
        material.answers.append(Answer(choices, tags.entry(tag), float(shares[step, tag])))
    material.whole.append(
        " ".join(f"{w}/{tags.entry(t)}" for w, t in zip(words, given, strict=True))
    )
    return material


def _classifier(model: Any, source: Any, wishes: Wishes) -> Material:
    material = Material("", "classifier", "Which label has the whole?", [], [])
    coder = model.coder
    if coder.inputs.tokens:
        tokens = coder.encode(source)
        tokens = cut(tokens, wishes, "tokens", material.notes)
        labels = tuple(_pieces(coder.tokenizer, tokens, source))
        text = source if len(tokens) == len(coder.encode(source)) else " ".join(labels)
        batch = model._batch([text], [])
        axis = Axis("tokens read", labels, " " if model.settings.data.tokens == "words" else "")
    else:
        numbers = cut(_numbers(model, source), wishes, "steps", material.notes)
        labels = tuple(str(step) for step in range(1, len(numbers) + 1))
        batch = model._batch([numbers], [])
        axis = Axis("steps read", labels, " ")
    if not len(labels):
        raise PageError("inspect: the input is empty. Give a text or a row of numbers.")
    material.axes.append(axis)

    def sure(scores: Tensor) -> Tensor:
        told: Tensor = model.network.probabilities(scores)
        return -told[0].max().log()

    found = traced(model.network, wishes, batch, loss=sure)
    fill(material, found)
    width = width_of(model.network)
    add_spectrum(material, lambda k: spectrum(model.network, batch, steps=k), width)
    with torch.no_grad():
        told = model.network.probabilities(found.output)[0].cpu().numpy()
    best = model.best(told)
    material.whole.append(f"Label: {best if isinstance(best, str) else ', '.join(best) or 'none'}")
    order = np.argsort(-told)[: wishes.top]
    material.whole += [f"{model.labels[k]}: {told[k]:.4f}" for k in order]
    return material


def _pieces(tokenizer: Any, tokens: Any, text: str) -> list[str]:
    from ostinato.tasks.translator.tokens import pieces_of

    return pieces_of(tokenizer, text)[: len(tokens)]


def _numbers(model: Any, source: Any) -> Any:
    if isinstance(source, np.ndarray):
        return source
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"The model reads tables of numbers, and there is no file {path}.")
    rows, _ = next(iter(model.read(path)))
    return rows.inputs[0]


def _translator(model: Any, text: str, wishes: Wishes) -> Material:
    material = Material("", "translator", "Which piece is written?", [], [])
    line = " ".join(text.split())
    if not line:
        raise PageError("inspect: the line is empty. Give a line to translate.")
    wishes_now = Wishes(wishes.names, wishes.layers, wishes.max_steps, wishes.top, False)
    told: list[Any] = []

    def ask() -> None:
        told.extend(next(iter(model.translate([line], beam=1))))

    found = traced(model.network, wishes_now, call=ask)
    one = told[0]
    if len(one.source_pieces) > wishes.max_steps:
        raise PageError(
            f"inspect: the line has {len(one.source_pieces):,} pieces, more than the "
            f"{wishes.max_steps:,} that are shown. Give a shorter one, or --max-steps."
        )
    written = (*one.pieces, one.source_pieces[-1])
    joint = " " if model.settings.data.tokens == "words" else ""
    material.axes.append(Axis("pieces read", one.source_pieces, joint, ("encoder",)))
    material.axes.append(Axis("pieces written", written, joint, ("decoder",)))
    if one.weights is not None:
        weights = np.asarray(one.weights, dtype=np.float32)
        shape = weights.shape
        read = one.source_pieces[: shape[1]]
        material.attention.append(Attention("attention", weights, tuple(one.pieces), read))
    fill(material, found)
    if one.weights is not None:
        material.attention = material.attention[:1]
    material.whole.append(f"Translation: {one.text}")
    material.whole.append(f"Its log probability: {one.log_probability:.3f} (greedy search)")
    if wishes.gradients:
        material.notes.append("Gradients are not followed through a search.")
    return material


def _forecaster(model: Any, source: Any, wishes: Wishes) -> Material:
    material = Material("", "forecaster", "What comes?", [], [])
    asked = model.question(source)
    forecast = model.predict(source)
    labels = tuple(_times(forecast.clock, asked.labels[0]))
    if len(labels) > wishes.max_steps:
        raise PageError(
            f"inspect: the model reads {len(labels):,} rows, more than the {wishes.max_steps:,} "
            "that are shown. Give --max-steps."
        )
    material.axes.append(Axis("rows of the past", labels, " ", ("encoder",)))
    found = traced(model.network, wishes, call=asked.ask, loss=asked.loss)
    fill(material, found)
    width = width_of(model.network)
    add_spectrum(
        material, lambda k: spectrum(model, source, steps=k, layers=["network.encoder"]), width
    )
    material.notes.append(
        "States and gates are of the last window whose outcome is known, and the loss that is "
        "followed back is that of its forecast. The values at the top are of what follows the "
        "table."
    )
    spelled = forecast.clock.spell(forecast.times[0])
    for k, target in enumerate(forecast.targets):
        values = forecast.values[0, :, k]
        material.whole += [
            f"{target} at {time}: {value:.6g}" for time, value in zip(spelled, values, strict=True)
        ]
    if len(forecast.ids) > 1:
        material.notes.append(f"The table has {len(forecast.ids)} series; the first is shown.")
    return material


def _times(clock: Any, labels: Any) -> list[str]:
    """Times as a person reads them."""
    spelled: list[str] = clock.spell(np.array([int(label) for label in labels], dtype=np.int64))
    return spelled


READERS: dict[str, Callable[[Any, Any, Wishes], Material]] = {
    "language_model": _language_model,
    "tagger": _tagger,
    "classifier": _classifier,
    "translator": _translator,
    "forecaster": _forecaster,
}
