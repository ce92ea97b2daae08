"""Ills of the texts that are written for another text, or for a vector."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ostinato.doctor.checks.registry import check
from ostinato.doctor.checks.remedies import learn
from ostinato.doctor.findings import Finding, NotThere, Remedy, Severity
from ostinato.doctor.hands.base import Written
from ostinato.doctor.patient import Patient

__all__ = ["unseen", "written"]

# share of the texts, and how often the true ones may be so
_MOST, _SELDOM = 0.5, 0.25
_SHORT, _LONG = 0.5, 2.0


@check("texts that are empty, endless, copies, or always the same", "translator", "captioner")
def written(patient: Patient) -> Finding | None:
    """What it writes for some inputs, always the most probable token."""
    patient.need_sound()
    hands: Any = patient.hands
    batches = unseen(patient)
    with patient.still():
        texts = hands.written(batches)
    for find in (_empty, _endless, _copied, _same, _length):
        found = find(patient, texts)
        if found is not None:
            return found
    return None


def unseen(patient: Patient) -> Sequence[Any]:
    """What it has not seen, if there is anything."""
    try:
        return patient.held
    except NotThere:
        return patient.batches


def _share(texts: Sequence[Written], ill: Callable[[Written], bool]) -> float:
    return sum(map(ill, texts)) / max(len(texts), 1)


def _said(title: str, told: str, share: float, texts: Sequence[Written], remedy: Remedy) -> Finding:
    return Finding(
        "written",
        Severity.SEVERE,
        title,
        told,
        remedy,
        {"share": share, "texts": len(texts)},
    )


def _empty(patient: Patient, texts: Sequence[Written]) -> Finding | None:
    share = _share(texts, lambda one: not one.given)
    if share <= _MOST or _share(texts, lambda one: not one.right) > _SELDOM:
        return None
    told = f"{share:.0%} of {len(texts):,} texts that it wrote are empty: they end at once."
    return _said("Its texts end at once", told, share, texts, learn(patient))


def _endless(patient: Patient, texts: Sequence[Written]) -> Finding | None:
    share = _share(texts, lambda one: not one.ended)
    if share <= _MOST:
        return None
    longest = max(len(one.given) for one in texts)
    right = max(len(one.right) for one in texts)
    told = (
        f"{share:.0%} of {len(texts):,} texts that it wrote did not end before the longest length "
        f"that is allowed, {longest:,} tokens; the longest true one has {right:,}."
    )
    return _said("Its texts never end", told, share, texts, learn(patient))


def _copied(patient: Patient, texts: Sequence[Written]) -> Finding | None:
    share = _share(texts, lambda one: bool(one.source) and one.given == one.source)
    truly = _share(texts, lambda one: bool(one.source) and one.right == one.source)
    if share <= _MOST or truly > _SELDOM:
        return None
    told = (
        f"{share:.0%} of {len(texts):,} texts that it wrote are their source to the letter, which "
        f"is right for {truly:.0%}."
    )
    remedy = Remedy(
        "See that the files are of two languages, and not one of them twice:",
        command="paste SOURCE TARGET | head",
    )
    return _said("It copies the source", told, share, texts, remedy)


def _same(patient: Patient, texts: Sequence[Written]) -> Finding | None:
    given, right = (Counter(getattr(one, side) for one in texts) for side in ("given", "right"))
    text, count = given.most_common(1)[0]
    share = count / len(texts)
    truly = right.most_common(1)[0][1] / len(texts)
    if share <= _MOST or truly > max(_SELDOM, share / 2) or len(right) < 2:
        return None
    told = (
        f"{share:.0%} of {len(texts):,} texts that it wrote are {_spelled(text)[:60]!r}; of the "
        f"true ones, the most frequent is {truly:.0%}."
    )
    return _said("It writes one text for everything", told, share, texts, learn(patient))


def _spelled(tokens: Sequence[str]) -> str:
    """Tokens as a text: words with blanks between them, signs and pieces as they are.

    Example:
        >>> [_spelled(some) for some in (["a", "day"], ["a", " ", "b"], ["a", " da", "y"])]
        ['a day', 'a b', 'a day']
    """
    words = any(len(token) > 1 for token in tokens) and not any(" " in token for token in tokens)
    return (" " if words else "").join(tokens).strip()


def _length(patient: Patient, texts: Sequence[Written]) -> Finding | None:
    given, right = (sum(len(getattr(one, side)) for one in texts) for side in ("given", "right"))
    ratio = given / max(right, 1)
    if _SHORT <= ratio <= _LONG:
        return None
    told = (
        f"{len(texts):,} texts that it wrote have {given:,} tokens, the true ones {right:,}: "
        f"{ratio:.2f} times as many."
    )
    title = "Its texts are too long" if ratio > 1 else "Its texts are too short"
    return _said(title, told, ratio, texts, learn(patient))
