"""Which data a run was fitted on, as far as its folder tells."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ostinato.compare.trial import Asked
from ostinato.tasks.task import digest_of

__all__ = [
    "CompareError",
    "confirm",
    "missing_data",
    "nothing_held_out",
    "recorded",
    "refuse_validation",
    "told_of",
]


class CompareError(ValueError):
    """A comparison that cannot be made: of another task, on other data, without a test part."""


def confirm(model: Any, fingerprint: Callable[[], Iterable[bytes]], asked: Asked) -> bool:
    """See that the data are those that a run was fitted on.

    Args:
        model: of the run.
        fingerprint: the data as bytes, as fitting had them.
        asked: says which data were given.

    Returns:
        Whether its record says so. It cannot where data were given for it that the record does not
        know, or where there is no record.

    Raises:
        CompareError: the data are others, and nothing says what it was fitted on.
    """
    if recorded(model) is None:
        return False
    if recorded(model) == digest_of(fingerprint()):
        return True
    if asked.train is None:
        raise CompareError(
            "compare: these are not the data that the run was fitted on, so that there is nothing "
            f"to fit the simple models to{told_of(asked.folder)}. Give what it was fitted on, "
            "unchanged, with the same validation data; or, to compare on new data, also name that "
            "with --train (train)."
        )
    return False


def missing_data(error: OSError, folder: Path | None) -> CompareError:
    """The error of data that are not where they were said to be.

    Args:
        error: which names the file.
        folder: of the run.
    """
    return CompareError(
        f"compare: {error} Its record does not hold the data themselves{told_of(folder)}: name "
        "where the same files are now."
    )


def told_of(folder: Path | None) -> str:
    """How a run says that it was begun, in brackets; nothing where nothing tells.

    Example:
        >>> told_of(None)
        ''
    """
    path = None if folder is None else folder / "environment.json"
    if path is None or not path.is_file():
        return ""
    try:
        command = json.loads(path.read_text(encoding="utf-8"))["starts"][0]["command"]
        words = [Path(command[0]).name, *command[1:]]
    except (ValueError, KeyError, IndexError, TypeError):
        return ""
    return f" (it was begun by `{shlex.join(words)}`)"


def refuse_validation(asked: Asked, of: str, whole: str) -> None:
    """See that no validation data are given where they are a share of the training data.

    Args:
        asked: what is to be done.
        of: what the network is, e.g. "language model".
        whole: what it is a share of, e.g. "text".

    Raises:
        CompareError: they are.
    """
    if asked.validation is not None:
        raise CompareError(
            f"compare: the validation part of a {of} is a share of its {whole}. Leave validation "
            "out."
        )


def recorded(model: Any) -> str | None:
    """The fingerprint of the data that a run was fitted on; None where it is not recorded."""
    found: str | None = model.figures.get("data", {}).get("sha256")
    return found


def nothing_held_out() -> CompareError:
    """The error of a run that kept nothing for a test."""
    return CompareError(
        "compare: the run held nothing out of these data, so that there is nothing to compare on. "
        "Give data that it has not seen, and name what it was fitted on with --train (train)."
    )
