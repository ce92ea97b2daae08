"""Rows, as classifiers read them: texts, or numbers at every step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ostinato.data.tables import rows_of
from ostinato.data.words import WordTokenizer
from ostinato.inspect.page.material import Answer, Axis
from ostinato.inspect.page.series import numbers_chart
from ostinato.inspect.reading.base import Cut, Limits, Reading, ReadingError, best_choices
from ostinato.inspect.reading.texts import name_of, spaced, spelled_out
from ostinato.layers.sequence import SequenceLayer
from ostinato.tasks.classifier.task import Classifier

__all__ = ["classifier", "numbers_in"]

# beginnings of a row that are read next to each other
_SIDE_BY_SIDE = 64


def classifier(model: Classifier, source: Any, limits: Limits) -> Reading:
    """A row; the answer at a step is what the row would be called if it ended there."""
    if not any(isinstance(part, SequenceLayer) for part in model.network.modules()):
        raise ReadingError(
            "this classifier has no recurrent layer (model.cell is none), so that there are no "
            "steps to look at. Fit one with a cell."
        )
    coder, network = model.coder, model.network
    texts = coder.inputs.tokens
    words = coder.words() if texts else None
    coded = coder.encode(source, words) if texts else _numbers(model, source)
    if not len(coded):
        raise ReadingError("the input is empty. Give a text or a row of numbers.")
    kept = coded[: limits.steps]
    labels, pieces = _shown(coder.tokenizer, source, kept) if texts else (_counted(kept), ())
    batch = coder.batch([kept], words=words).to(model.device)

    def told(ends: range) -> Tensor:
        rows = coder.batch([kept[:end] for end in ends], words=words).to(model.device)
        return network.probabilities(network(rows)).detach().cpu()

    def answers(said: Any) -> list[Answer]:
        if len(kept) > limits.prefixes:
            return []
        rows = (p for ends in _spans(len(kept)) for p in told(ends))
        return [Answer(best_choices(p, limits.top, coder.labels.entry)) for p in rows]

    def whole(said: Any) -> list[str]:
        p = network.probabilities(said)[0].detach().cpu()
        best = model.best(p.numpy())
        label = best if isinstance(best, str) else ", ".join(best) or "none"
        rows = best_choices(p, limits.top, coder.labels.entry)
        return [f"Label: {label}", *(f"{name}: {share:.4f}" for name, share in rows)]

    numbers = None if texts else np.asarray(kept, dtype=np.float32)
    unit = f"{coder.tokenizer.unit}s" if coder.tokenizer is not None else "steps"
    joint = "" if texts and model.settings.data.tokens != "words" else " "
    return Reading(
        "classifier",
        "Which label would the whole have, if it ended here?",
        network,
        lambda: network(batch),
        (Axis("tokens read" if texts else "steps read", labels, joint, ("members",)),),
        answers,
        lambda said: -network.probabilities(said)[0].max().log(),
        pieces,
        whole=whole,
        chart=lambda said: (
            None if numbers is None else numbers_chart(numbers, model.settings.data.values)
        ),
        numbers=numbers,
        cut=None if len(kept) == len(coded) else Cut(len(coded), len(kept), unit),
        notes=_notes(len(kept), limits),
    )


def numbers_in(text: str) -> NDArray[np.float32]:
    r"""Numbers that were typed, a step a line, [T, I]; signs between them are as one likes.

    Raises:
        ReadingError: something is no number, or lines have different counts; it names the line.

    Example:
        >>> numbers_in("0.5, 1\n2;3").tolist()
        [[0.5, 1.0], [2.0, 3.0]]
        >>> numbers_in("1 2\n3")
        Traceback (most recent call last):
        ostinato.inspect.reading.base.ReadingError: line 2 has 1 number(s), and the first has 2.
        Give as many on each line.
    """
    rows: list[list[float]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        signs = line.translate(str.maketrans(",;\t[]()", "       ")).split()
        if not signs:
            continue
        rows.append([_number(sign, number) for sign in signs])
        if len(rows[-1]) != len(rows[0]):
            raise ReadingError(
                f"line {number} has {len(rows[-1])} number(s), and the first has {len(rows[0])}. "
                "Give as many on each line."
            )
    return np.array(rows, dtype=np.float32).reshape(len(rows), len(rows[0]) if rows else 0)


def _number(sign: str, line: int) -> float:
    try:
        value = float(sign)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise ReadingError(f"line {line}: {sign!r} is no number. Give numbers, such as 0.5.")
    return value


def _numbers(model: Classifier, source: Any) -> Any:
    if isinstance(source, np.ndarray):
        model.coder.check_numbers(rows_of([source]))
        return source
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"The model reads tables of numbers, and there is no file {path}.")
    rows, _ = next(iter(model.read(path)))
    return rows.inputs[0]


def _shown(tokenizer: Any, text: str, ids: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Labels and pieces of the tokens of a text."""
    if isinstance(tokenizer, WordTokenizer):
        words = list(tokenizer.pieces(text))[: len(ids)]
        return tuple(words), spaced(text, words)
    return tuple(name_of(tokenizer, int(token)) for token in ids), spelled_out(tokenizer, ids)


def _counted(rows: Any) -> tuple[str, ...]:
    return tuple(str(step) for step in range(1, len(rows) + 1))


def _spans(steps: int) -> Iterator[range]:
    for first in range(1, steps + 1, _SIDE_BY_SIDE):
        yield range(first, min(first + _SIDE_BY_SIDE, steps + 1))


def _notes(steps: int, limits: Limits) -> tuple[str, ...]:
    if steps <= limits.prefixes:
        return ()
    return (
        f"Labels of the beginnings are left out: each is read anew, and {steps:,} are more than "
        f"{limits.prefixes:,}.",
    )
