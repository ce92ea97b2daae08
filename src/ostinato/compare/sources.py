"""Which data a run was fitted on, as far as its folder tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ostinato.compare.trial import Asked

__all__ = ["CompareError", "UNCONFIRMED", "confirm", "nothing_held_out", "recorded"]

UNCONFIRMED = (
    "The run's record does not confirm that the simple models learned from what the network was "
    "fitted on: see to it that they did."
)


class CompareError(ValueError):
    """A comparison that cannot be made: of another task, on other data, without a test part."""


def confirm(model: Any, digests: Callable[[], tuple[str, ...]], asked: Asked) -> bool:
    """See that the data are those that a run was fitted on.

    Args:
        model: of the run.
        digests: gives the fingerprints of the data, as fitting may have had them.
        asked: says which data were given.

    Returns:
        Whether its record says so. It cannot where data were given for it that the record does not
        know, or where there is no record.

    Raises:
        CompareError: the data are others, and nothing says what it was fitted on.
    """
    if recorded(model) is None:
        return False
    if recorded(model) in digests():
        return True
    if asked.train is None:
        raise CompareError(
            "compare: these are not the data that the run was fitted on, so that there is nothing "
            "to fit the simple models to. Give what it was fitted on, unchanged, with the same "
            "validation data; or, to compare on new data, also name that with --train (train)."
        )
    return False


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
