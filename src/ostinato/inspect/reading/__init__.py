"""What each task reads and answers: an input made ready for its network, for all pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ostinato.inspect.reading.base import Limits, Reading, ReadingError
from ostinato.inspect.reading.captions import captioner
from ostinato.inspect.reading.labels import classifier
from ostinato.inspect.reading.music import composer
from ostinato.inspect.reading.pairs import translator
from ostinato.inspect.reading.series import forecaster
from ostinato.inspect.reading.texts import language_model, tagger

__all__ = ["READERS", "Limits", "Reading", "ReadingError", "reading_of", "reads_text"]

Reader = Callable[[Any, Any, Limits], Reading]

READERS: dict[str, Reader] = {
    "language_model": language_model,
    "tagger": tagger,
    "classifier": classifier,
    "translator": translator,
    "forecaster": forecaster,
    "captioner": captioner,
    "composer": composer,
}

# those that read no text, but files of numbers or notes
_NO_TEXT = ("forecaster", "captioner", "composer")


def reads_text(model: Any) -> bool:
    """Whether a fitted model reads texts, and no numbers or notes."""
    task = model.SETTINGS.TASK
    return task not in _NO_TEXT and not (task == "classifier" and not model.coder.inputs.tokens)


def reading_of(model: Any, source: Any, limits: Limits | None = None) -> Reading:
    r"""Make an input ready for a fitted model.

    Args:
        model: of any task, in evaluation mode.
        source: what it reads. A text; of a classifier of numbers an array [T, I] or a table's name;
            of a forecaster a table or a `Stretch` of one; of a captioner a vector or a file of
            vectors; of a composer a piece or a file of one.
        limits: how much is read.

    Raises:
        ReadingError: there is no view of the task, or the input is empty.
        FileNotFoundError, ValueError: the input cannot be used.

    Example:
        >>> import ostinato as ost
        >>> lm = ost.LanguageModel.fit("to be or not to be\n" * 9, hidden_size=8, num_layers=1,
        ...     batch_size=1, chunk_length=8, max_steps=2, progress=False)
        >>> made = reading_of(lm, "to be")
        >>> made.axes[0].labels, made.question
        (('t', 'o', ' ', 'b', 'e'), 'Which token comes next?')
    """
    task = model.SETTINGS.TASK
    reader = READERS.get(task)
    if reader is None:
        raise ReadingError(
            f"there is no view of a {task.replace('_', ' ')} yet; there are views of "
            f"{', '.join(name.replace('_', ' ') for name in READERS)}. "
            "ostinato.inspect.page.page_of_trace shows any trace."
        )
    return reader(model, source, limits or Limits())
