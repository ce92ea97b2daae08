"""Units that follow a pattern: mark where it is, and see which units are on there, and where else.

Two questions. `find_units` ranks all units by how well their value alone tells marked steps from
others. `match_span` takes one span, keeps the units that are on throughout it and off around it,
and looks for other ranges where they are on together, as LSTMVis does: Strobelt, Gehrmann, Pfister,
Rush (2018), doi:10.1109/TVCG.2017.2744158. (There the ranges are ranked by a user's choice of
measures; here by the share of the units that are on, then by likeness of length.)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ostinato.inspect.saturation import alive
from ostinato.layers.tracing import Part, Trace

__all__ = ["FoundUnit", "Range", "SpanMatch", "find_units", "mark", "match_span"]

Mask: TypeAlias = NDArray[np.bool_]
# row, first step, and the step behind the last
Range: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True)
class FoundUnit:
    """One unit, and how well it tells marked steps from others.

    Attributes:
        layer, direction, name, unit: which.
        auc: probability that the unit is further on at a marked step than at another one, in
            [0.5, 1]; where it is lower when marked, `sign` is -1.
        sign: 1 if high values mean marked, -1 if low ones do.
        correlation: of its value with the mark, in [-1, 1].
        threshold: on from here (above it, or below it if `sign` is -1): what parts both kinds best.
        right: share of steps that the threshold tells right, the mean of both kinds.
    """

    layer: str
    direction: int
    name: str
    unit: int
    auc: float
    sign: int
    correlation: float
    threshold: float
    right: float

    def on(self, trace: Trace) -> Mask:
        """Where the unit is on, [T, B]."""
        part = trace.part(self.name, self.layer, self.direction)
        values = part.values[:, :, int(np.flatnonzero(part.units == self.unit)[0])]
        mask: Mask = (self.sign * values >= self.sign * self.threshold) & alive(trace, part)
        return mask

    def ranges(self, trace: Trace) -> list[Range]:
        """Where the unit is on, as ranges."""
        return _ranges(self.on(trace))

    def words(self) -> str:
        """The unit in a sentence."""
        side = "above" if self.sign > 0 else "below"
        where = " from the end" if self.direction else ""
        return (
            f"unit {self.unit} of {self.name} ({self.layer}{where}) is {side} {self.threshold:.3g} "
            f"inside the pattern: right at {self.right:.1%} of the steps, AUC {self.auc:.3f}."
        )


@dataclass(frozen=True)
class SpanMatch:
    """What `match_span` found.

    Attributes:
        units: those that are on throughout the span.
        matches: other ranges where they are on, the best first.
        shares: for each, the share of the units that is on, mean over its steps.
    """

    units: NDArray[np.int64]
    matches: tuple[Range, ...]
    shares: tuple[float, ...]


def mark(trace: Trace, pattern: str) -> Mask:
    """Steps whose labels a regular expression matches, in the text that the labels of a row make.

    Of a match with a group, the first group is marked.

    Args:
        trace: with labels.
        pattern: as of `re`.

    Returns:
        [T, B], for `find_units`.

    Raises:
        ValueError: there are no labels, nothing matches, or the pattern cannot be read.

    Example:
        >>> import torch
        >>> from ostinato import GRU
        >>> trace = GRU(1, 1).trace(torch.zeros(6, 1, 1), labels=["a(bc)d"])
        >>> mark(trace, r"[(]([^)]*)")[:, 0].tolist()
        [False, False, True, True, False, False]
    """
    if trace.labels is None:
        raise ValueError("mark: the trace has no labels. Trace a task, or give labels=.")
    try:
        compiled = re.compile(pattern, re.DOTALL)
    except re.error as error:
        raise ValueError(f"mark: {pattern!r} is no regular expression: {error}.") from error
    layer = trace.layers[0]
    marked = np.zeros((len(layer.steps), len(layer.rows)), dtype=bool)
    for row, labels in enumerate(trace.labels):
        ends = np.cumsum([len(label) for label in labels])
        for match in compiled.finditer("".join(labels)):
            start, stop = match.span(1 if compiled.groups else 0)
            if stop > start:
                first, last = np.searchsorted(ends, [start, stop - 1], side="right")
                marked[first : last + 1, row] = True
    if not marked.any():
        raise ValueError(f"mark: nothing matches {pattern!r}. Try another text or pattern.")
    return marked


def find_units(
    trace: Trace,
    marked: Mask,
    *,
    names: Sequence[str] | None = None,
    top: int = 10,
) -> list[FoundUnit]:
    """The units whose value best tells marked steps from others.

    Args:
        trace: of enough text that both kinds of steps are there.
        marked: [T, B], e.g. from `mark`.
        names: which values to look at; None: states.
        top: how many units to give.

    Raises:
        ValueError: the mask does not fit, or marks all steps or none.

    Example:
        >>> import torch
        >>> from ostinato import GRU
        >>> _ = torch.manual_seed(0)
        >>> marked = np.zeros((40, 1), dtype=bool)
        >>> marked[10:20] = marked[25:28] = True
        >>> x = torch.from_numpy(marked).float()[:, :, None]
        >>> best = find_units(GRU(1, 8).trace(x), marked, top=1)[0]
        >>> best.auc > 0.9
        True
    """
    parts = [
        part
        for part in trace.parts
        if (part.kind == "state" if names is None else part.name in names)
        and part.values.shape[:2] == marked.shape
    ]
    for name in names or ():
        trace.part(name)
    if marked.dtype != bool or not parts:
        shapes = sorted({part.values.shape[:2] for part in trace.parts})
        raise ValueError(
            f"find_units: marked must be bool, [T, B] as the layers have it {shapes}, got "
            f"{marked.dtype} {list(marked.shape)}."
        )
    found = [unit for part in parts for unit in _units(part, marked, alive(trace, part))]
    return sorted(found, key=lambda unit: -unit.auc)[:top]


def _units(part: Part, marked: Mask, valid: Mask) -> list[FoundUnit]:
    values, inside = part.values[valid].astype(np.float64), marked[valid]
    if inside.all() or not inside.any():
        raise ValueError(
            "find_units: both marked and other steps are needed, and all are of one kind."
        )
    aucs = _aucs(values, inside)
    spread = values.std(axis=0) * inside.std()
    covered = ((values - values.mean(axis=0)) * (inside - inside.mean())[:, None]).mean(axis=0)
    found = []
    for k, auc in enumerate(aucs):
        sign = 1 if auc >= 0.5 else -1
        threshold, right = _best_threshold(sign * values[:, k], inside)
        found.append(
            FoundUnit(
                part.layer,
                part.direction,
                part.name,
                int(part.units[k]),
                float(max(auc, 1 - auc)),
                sign,
                float(covered[k] / spread[k]) if spread[k] else 0.0,
                sign * threshold,
                right,
            )
        )
    return found


def _aucs(values: NDArray[np.float64], inside: Mask) -> NDArray[np.float64]:
    """Of each column, by the ranks of its values (ties share theirs)."""
    some, others = int(inside.sum()), int((~inside).sum())
    aucs = np.empty(values.shape[1])
    for k, column in enumerate(values.T):
        _, place, counts = np.unique(column, return_inverse=True, return_counts=True)
        ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
        aucs[k] = (ranks[inside].sum() - some * (some + 1) / 2) / (some * others)
    return aucs


def _best_threshold(values: NDArray[np.float64], inside: Mask) -> tuple[float, float]:
    """The value from which on most is marked and least of the others is; and how right it is."""
    order = np.argsort(-values, kind="stable")
    ordered, marks = values[order], inside[order]
    hits = np.cumsum(marks) / marks.sum()
    false = np.cumsum(~marks) / (~marks).sum()
    # a threshold cannot fall between equal values
    last = np.append(ordered[1:] != ordered[:-1], True)
    gain = np.where(last, hits - false, -1.0)
    best = int(gain.argmax())
    return float(ordered[best]), float((1 + gain[best]) / 2)


def match_span(
    trace: Trace,
    span: Range,
    *,
    name: str = "h",
    layer: int | str | None = None,
    direction: int = 0,
    threshold: float = 0.3,
    share: float = 1.0,
    around: bool = True,
) -> SpanMatch:
    """Ranges like a span that is marked: where the units that are on in it are on together.

    Args:
        trace: of the span and of what is searched.
        span: row, first step, and the step behind the last.
        name: whose values: a state.
        layer: number or name; None: the first that has it.
        direction: 0, or 1 for the walk from the end.
        threshold: a unit is on at this value or above.
        share: of the units that must be on at each step of a match, in (0, 1].
        around: take only units that are off just before and just behind the span.

    Raises:
        ValueError: the span is not there, the share is not in (0, 1], or no unit is on throughout
            the span.
    """
    part = trace.part(name, layer, direction)
    row, start, stop = span
    T, B = part.values.shape[:2]
    length = int(trace.layer(part.layer).lengths[row]) if 0 <= row < B else 0
    if not 0 <= start < stop <= length:
        raise ValueError(f"match_span: {span} is no range of steps. There are {T} steps, {B} rows.")
    if not 0 < share <= 1:
        raise ValueError(f"match_span: share must be in (0, 1], got {share}.")
    on = (part.values >= threshold) & alive(trace, part)[:, :, None]
    chosen = on[start:stop, row].all(axis=0)
    if around:
        for edge in (start - 1, stop):
            if 0 <= edge < length:
                chosen &= ~on[edge, row]
    if not chosen.any():
        raise ValueError(
            f"match_span: no unit of {name!r} is {threshold} or above throughout {span}"
            f"{' and below it around' if around else ''}. Lower the threshold, shorten the span, "
            "or give around=False."
        )
    shares = on[:, :, chosen].mean(axis=2)
    runs = [one for one in _ranges(shares >= share) if not _overlap(one, span)]
    means = {one: float(shares[one[1] : one[2], one[0]].mean()) for one in runs}
    runs.sort(key=lambda one: (-means[one], abs((one[2] - one[1]) - (stop - start))))
    return SpanMatch(part.units[chosen], tuple(runs), tuple(means[one] for one in runs))


def _overlap(one: Range, other: Range) -> bool:
    return one[0] == other[0] and one[1] < other[2] and other[1] < one[2]


def _ranges(mask: Mask) -> list[Range]:
    """Runs of True, row by row."""
    found = []
    for row, column in enumerate(mask.T):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], column.astype(np.int8), [0]])))
        found += [(row, int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return found
