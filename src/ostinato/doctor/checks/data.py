"""Ills of the data, as the network reads them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.doctor.checks.registry import check
from ostinato.doctor.findings import Finding, NotThere, Remedy, Severity
from ostinato.doctor.patient import Patient

__all__ = ["batches_of", "constant", "documents", "duplicates", "unknown"]

_READS_TOKENS = ("language_model", "tagger", "classifier", "translator")
_MANY_UNKNOWN, _MOST_UNKNOWN = 0.1, 0.3
# rows that are compared, at most
_ROWS = 200_000
_SOME_TWICE, _MANY_TWICE, _MOST_TWICE = 0.02, 0.1, 0.3
# tokens of a text, at most, and of a passage by kind of token
_TOKENS = 5_000_000
_PASSAGE = {"characters": 50, "subwords": 15, "words": 12}
# how often a mark stands on a line of its own, at least
_FEWEST_MARKS = 5
_MARK = re.compile(r"<\|?/?[A-Za-z_]+\|?>|\x0c|[-=*#~_%]{3,}|END")


@check("data whose tokens the model does not know", *_READS_TOKENS)
def unknown(patient: Patient) -> Finding | None:
    """Words or characters that are not in the vocabulary."""
    ward: Any = patient
    if ward.unreadable is not None:
        lost, total, signs = ward.unreadable
        return Finding(
            "unknown",
            Severity.SEVERE,
            "The model cannot read the data",
            f"{lost:,} of {total:,} characters are of {len(signs)} kind(s) that are not in its "
            f"vocabulary: {_shown(signs)}.",
            patient.remedy(
                "Give rare characters one token for all, so that others can be read, too.",
                min_count=2,
            ),
            {"unknown": lost, "tokens": total, "characters": signs},
        )
    patient.need_sound()
    batches = patient.held if ward.trained_on is not None else patient.batches
    pairs = [ward.hands.unknown(batch) for batch in batches]
    lost, total = (sum(column) for column in zip(*pairs, strict=True))
    share = lost / max(total, 1)
    if share <= _MANY_UNKNOWN:
        return None
    return Finding(
        "unknown",
        Severity.SEVERE if share > _MOST_UNKNOWN else Severity.WARNING,
        "Much of the data is unknown to the model",
        f"{lost:,} of {total:,} tokens ({share:.0%}) are not in its vocabulary, and are all read "
        "as the same one.",
        _know_more(patient),
        {"unknown": lost, "tokens": total, "share": share},
    )


@check("rows that are in the training part and beyond it", *_READS_TOKENS, "captioner", "composer")
def duplicates(patient: Patient) -> Finding | None:
    """Rows, or passages of a text, that were trained on and are scored."""
    ward: Any = patient
    if ward.unseen is None:
        raise NotThere("there are no data beside the training part")
    twice, count, what = _passages(ward) if patient.task == "language_model" else _same_rows(ward)
    if not count:
        raise NotThere("no row could be compared")
    share = twice / count
    if share <= _SOME_TWICE:
        return None
    return Finding(
        "duplicates",
        _severity(share, _MANY_TWICE, _MOST_TWICE),
        "It is judged on what it was trained on",
        f"{twice:,} of {count:,} {what} that were not meant to be trained on ({share:.0%}) "
        "stand in the training part, too. Scores on them tell nothing of new ones.",
        patient.remedy(
            "Take each only once, or keep like ones in one part, and score the model on a file "
            "that shares none:",
            f"ostinato eval {ward.folder or 'RUN'} FILE",
        ),
        {"twice": twice, "rows": count, "share": share},
    )


@check("columns that never change", "classifier", "forecaster")
def constant(patient: Patient) -> Finding | None:
    """Numbers that are the same at every step, and tell nothing."""
    ward: Any = patient
    lows: dict[str, float] = {}
    highs: dict[str, float] = {}
    count = 0
    for batch in patient.batches:
        for name, values in ward.hands.columns(batch).items():
            lows[name] = min(lows.get(name, np.inf), float(values.min()))
            highs[name] = max(highs.get(name, -np.inf), float(values.max()))
            count += values.numel()
    still = [name for name in lows if lows[name] == highs[name]]
    if not still:
        return None
    data = patient.settings.data
    settings = {}
    for setting in ("values", "past", "known"):
        named = list(getattr(data, setting, ()))
        if set(named) & set(still):
            settings[setting] = [name for name in named if name not in still]
    shown = ", ".join(still[:5]) + (f" and {len(still) - 5} more" if len(still) > 5 else "")
    return Finding(
        "constant",
        Severity.WARNING if patient.task == "forecaster" else Severity.NOTE,
        "Columns never change",
        f"{len(still)} of {len(lows)} numbers of a step have one value alone at all of "
        f"{count // len(lows):,} steps looked at: {shown}.",
        patient.remedy(
            "Leave them out." if settings else "Leave them out of the file.", **settings
        ),
        {"columns": still},
    )


@check("a text of many documents that is read as one", "language_model")
def documents(patient: Patient) -> Finding | None:
    """Marks between documents that nobody has told the model of."""
    ward: Any = patient
    if patient.settings.data.separator is not None:
        return None
    corpus = ward.data.train.corpus
    text = patient.module.tokenizer.decode(corpus.tokens[:_TOKENS].astype(np.int64))  # type: ignore[operator, union-attr]
    marks = Counter(line for line in text.split("\n") if _MARK.fullmatch(line.strip(" ")))
    if not marks:
        return None
    mark, count = marks.most_common(1)[0]
    if count < _FEWEST_MARKS:
        return None
    return Finding(
        "documents",
        Severity.NOTE,
        "Documents are read as one",
        f"The line {mark!r} stands {count:,} times in the training part, like a mark between "
        "documents; separator is not set, so the state is carried from one to the next.",
        patient.remedy("If it is one, start afresh there.", separator=mark.strip()),
        {"mark": mark, "count": count},
    )


def _severity(share: float, many: float, most: float) -> Severity:
    if share > most:
        return Severity.SEVERE
    return Severity.WARNING if share > many else Severity.NOTE


def _know_more(patient: Patient) -> Remedy:
    data, text = patient.settings.data, "Let the vocabulary know more."
    if (data.min_count or 1) > 1:
        return patient.remedy(text, min_count=1)
    if data.vocabulary_size is not None:
        return patient.remedy(text, vocabulary_size=2 * data.vocabulary_size)
    if getattr(data, "tokens", "") == "words":
        return patient.remedy(
            "Read pieces of words, of which new words are made.", tokens="subwords"
        )
    kind = {"tagger": "tags", "classifier": "labels"}.get(patient.task or "", "text")
    command = f"ostinato fit {kind} OLD NEW --out DIR"
    return Remedy("Fit on data of this kind, too:", command=command)


def batches_of(part: Any) -> Iterator[Any]:
    """All batches of a part, one after the other."""
    epoch = part.epoch(0) if hasattr(part, "epoch") else part
    return (epoch[k] for k in range(len(epoch))) if hasattr(epoch, "__getitem__") else iter(epoch)


def _rows(ward: Any, part: Any) -> Iterator[bytes]:
    rows = (row for batch in batches_of(part) for row in ward.hands.rows(batch))
    return (row for row in islice(rows, _ROWS) if row is not None)


def _same_rows(ward: Any) -> tuple[int, int, str]:
    """How many rows beyond the training part stand in it, too, and how many there are.

    Where each word is scored, rows count by their words: short ones are often alike.
    """
    seen = set(_rows(ward, ward.trained_on.train))
    rows = list(_rows(ward, ward.unseen))
    counts = [ward.hands.weight(row) for row in rows]
    twice = sum(count for row, count in zip(rows, counts, strict=True) if row in seen)
    return twice, sum(counts), ward.hands.weighed


def _passages(ward: Any) -> tuple[int, int, str]:
    """The same of passages of a text, by their fingerprints."""
    tokenizer = ward.model.tokenizer
    size = _PASSAGE[tokenizer.kind]
    seen = _fingerprints(ward.trained_on.train.corpus.tokens[:_TOKENS], size)
    new = _fingerprints(ward.unseen.corpus.tokens[:_TOKENS], size)[::size]
    return int(np.isin(new, seen).sum()), len(new), f"passages of {size} {tokenizer.kind}"


def _fingerprints(tokens: Sequence[int], size: int) -> NDArray[np.uint64]:
    """A number for each passage of `size` tokens: a polynomial of them, modulo 2^64.

    Example:
        >>> a = _fingerprints([1, 2, 3, 1, 2], 2)
        >>> bool(a[0] == a[3]), bool(a[0] == a[1])
        (True, False)
    """
    values = np.asarray(tokens).astype(np.uint64) + np.uint64(1)
    found = np.zeros(max(len(values) - size + 1, 0), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for k in range(size):
            found = found * np.uint64(0x9E3779B97F4A7C15) + values[k : k + len(found)]
    return found


def _shown(signs: Iterable[str]) -> str:
    signs = list(signs)
    told = " ".join(repr(sign)[1:-1] for sign in signs[:10])
    return told + (" ..." if len(signs) > 10 else "")
