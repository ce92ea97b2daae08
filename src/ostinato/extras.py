"""Libraries that are not installed with Ostinato unless asked for: one error, which says how."""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = ["MissingExtraError", "needed"]


class MissingExtraError(ModuleNotFoundError):
    """A library is missing that an extra of Ostinato installs."""


def needed(library: str, *, extra: str, why: str) -> ModuleType:
    """Import a library that belongs to an extra.

    Args:
        library: as it is imported, e.g. "sklearn.linear_model".
        extra: what installs it, e.g. "baselines".
        why: the beginning of the message, e.g. "Pictures".

    Raises:
        MissingExtraError: it is not installed.

    Example:
        >>> needed("nowhere.at_all", extra="plot", why="Pictures")
        Traceback (most recent call last):
        ostinato.extras.MissingExtraError: Pictures need nowhere, which is not installed. Run: pip
        install "ostinato[plot]"
    """
    top = library.partition(".")[0]
    try:
        return importlib.import_module(library)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != top:
            raise
        raise MissingExtraError(
            f'{why} need {top}, which is not installed. Run: pip install "ostinato[{extra}]"',
            name=library,
        ) from None
