"""Rows longer than any that the network has learned to walk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.doctor.checks.data import batches_of
from ostinato.doctor.checks.registry import check
from ostinato.doctor.findings import Finding, NotAsked, Severity
from ostinato.doctor.patient import Patient

__all__ = ["lengths"]

# a row is far longer beyond this many times the longest that was trained on
_LONGER, _SHARE = 2.0, 0.01
# error of long rows over that of others, and batches of each that are asked
_WORSE, _ASKED = 1.1, 6


@check(
    "rows far longer than those trained on",
    "tagger",
    "classifier",
    "captioner",
    "translator",
    "composer",
)
def lengths(patient: Patient) -> Finding | None:
    """Rows far longer than those trained on, by the record of the run, and what they cost."""
    ward: Any = patient
    parts = ward.strange
    new = np.concatenate([_lengths(part) for part in parts])
    longest = ward.longest_trained
    if longest is None:
        longest = int(_lengths(ward.trained_on.train).max())
    share = float((new > _LONGER * longest).mean())
    if share <= _SHARE:
        return None
    long, usual = _errors(ward, parts, longest)
    told = ""
    if long is not None and usual is not None:
        told = (
            f" An answer of theirs costs {long:.4g}, one of rows no longer than that {usual:.4g}."
        )
    harmless = long is not None and usual is not None and long <= _WORSE * usual
    return Finding(
        "lengths",
        Severity.NOTE if harmless else Severity.WARNING,
        "Rows are far longer than those trained on",
        f"{share:.0%} of {len(new):,} rows are more than {_LONGER:g} times as long as the longest "
        f"that was trained on ({longest:,} steps); the longest has {int(new.max()):,}.{told}",
        patient.remedy(
            "See how much worse it does on long rows, and train on some, too:",
            f"ostinato eval {ward.folder or 'RUN'} FILE_OF_LONG_ROWS",
        ),
        {
            "longest_trained": longest,
            "longest": int(new.max()),
            "share": share,
            "error": long,
            "usual_error": usual,
        },
    )


def _lengths(part: Any) -> NDArray[np.int64]:
    if not hasattr(part, "lengths"):
        raise NotAsked("all its rows are of one length")
    found: NDArray[np.int64] = part.lengths
    return found


def _errors(ward: Any, parts: Sequence[Any], longest: int) -> tuple[float | None, float | None]:
    """The error of an answer in batches of long rows, and of usual ones; None: there are none."""
    long: list[Any] = []
    usual: list[Any] = []
    for batch in (batch for part in parts for batch in batches_of(part)):
        if int(batch.lengths.min()) > _LONGER * longest:
            long.append(batch)
        elif int(batch.lengths.max()) <= longest:
            usual.append(batch)
    ward.need_sound()
    with ward.still():
        return _error(ward, long[:_ASKED]), _error(ward, usual[:_ASKED])


def _error(ward: Any, batches: Sequence[Any]) -> float | None:
    told = [ward.hands.error(ward.brought(batch)) for batch in batches]
    count = sum(answers for _, answers in told)
    return sum(error for error, _ in told) / count if count else None
