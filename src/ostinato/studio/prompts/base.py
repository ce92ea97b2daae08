"""What it is to ask a model on a page; each task has a prompt of its own kind."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ostinato.inspect.page.material import Answer, Attention
from ostinato.inspect.reading import Limits, Reading
from ostinato.studio.asked import Asked, AskedError
from ostinato.studio.holding import Holding

__all__ = ["LIMITS", "Prompt", "Row", "Told", "as_file"]

LIMITS = Limits()


@dataclass(frozen=True)
class Told:
    """An answer.

    Attributes:
        made: what was run, ready to be looked at.
        facts: plain values that the page shows besides.
        data: what drawings are made of.
    """

    made: Reading
    facts: Mapping[str, Any] = field(default_factory=dict)
    data: Any = None


@dataclass(frozen=True)
class Row:
    """An answer, and what the network said when it was run: as it is, or with units held.

    Attributes:
        told: the answer.
        answers: at each step of the first axis; () where steps have none.
        looks: where attention looked.
        whole: what the model says to all of the input, as lines.
    """

    told: Told
    answers: Sequence[Answer]
    looks: Sequence[Attention]
    whole: Sequence[str]


class Prompt:
    """How a model of a task is asked.

    Attributes:
        verb: what it does, as its tab is called.
        form: name of the part of the page that asks.
        fields: names of the fields of a request on which the answer depends.
        files: endings of files that can be opened instead of typing; () where none can.
    """

    verb: str = "Read"
    form: str = "text"
    fields: tuple[str, ...] = ("text",)
    files: tuple[str, ...] = ()

    def told(self, model: Any, asked: Asked, holding: Holding) -> Told:
        """Ask; whatever runs the network runs within `holding`.

        Raises:
            ValueError: what was asked cannot be used.
        """
        raise NotImplementedError

    def start(self, model: Any) -> dict[str, Any]:
        """What the form begins with, by name of its fields."""
        return {}

    def figures(self, plain: Row, held: Row | None) -> list[dict[str, Any]]:
        """Drawings of the answer as it is, and with units held: title, words and figure of each."""
        return []

    def opened(self, model: Any, name: str, content: bytes) -> dict[str, Any]:
        """What a file says, as fields of the form.

        Raises:
            ValueError: it cannot be read.
        """
        raise AskedError("Nothing is read from files here. Type it.")


@contextmanager
def as_file(name: str, content: bytes) -> Iterator[Path]:
    """Bytes as a file for readers of files; errors name it as the person did.

    Example:
        >>> with as_file("../a.txt", b"text") as path:
        ...     path.name, path.read_text()
        ('a.txt', 'text')
    """
    # of what a browser says only the last part counts
    own = Path(name.replace("\\", "/")).name or "file"
    with tempfile.TemporaryDirectory(prefix="ostinato-studio-") as folder:
        path = Path(folder) / own
        path.write_bytes(content)
        try:
            yield path
        except ValueError as error:
            raise AskedError(str(error).replace(folder + os.sep, "")) from error
