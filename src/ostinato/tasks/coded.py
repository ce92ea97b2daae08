"""Tasks whose run folder keeps one thing beside settings and weights: how their data are coded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from ostinato.tasks.stack import Build
from ostinato.tasks.task import Task

__all__ = ["VOCABULARY", "CodedTask"]

T = TypeVar("T", bound="CodedTask")

VOCABULARY = "vocabulary.json"


class CodedTask(Task):
    """A task that is built from a coder, its settings and a cell.

    Attributes:
        coder: from what is read to numbers and back; has `to_dict`, and its class `from_dict`.
    """

    # the class of the coder
    CODER: ClassVar[Any]
    coder: Any

    def texts(self) -> dict[str, str]:
        return {VOCABULARY: json.dumps(self.coder.to_dict(), ensure_ascii=False, indent=1)}

    @classmethod
    def restore(
        cls: type[T], settings: Any, texts: Mapping[str, str], cell: Build | None = None
    ) -> T:
        coder = cls.CODER.from_dict(json.loads(texts[VOCABULARY]))
        build: Any = cls
        restored: T = build(coder, settings, cell=cell)
        return restored
