"""Whole sequences: every cell and shape, inference and training, against the usual way."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence

import torch

from measure import Contestant, Pace, Timing, alternate, difference
from ostinato.engine.fused import EngineWarning
from peak import Peak
from peers import jax_contestant, onnx_contestant
from report import Row
from subjects import SHAPES, Batch, Shape, Side, Subject, contest

__all__ = ["TOLERANCE", "Judge", "mean_rows", "whole_rows"]

# of float32 to float64, relative to the largest number of a tensor
TOLERANCE = 1e-5

_OVER_TORCH = {
    ("gru", True): (33, 14, 9, 4.5, 2.8, 2.5, 4),
    ("gru", False): (40, 8, 6, 3.7, 2.9, 2.7, 3.5),
    ("rnn", True): (14, 8, 5, 3.5, 2.4, 2.2, 3.5),
    ("lstm", True): (1.15,) * 7,
    ("lstm", False): (1.05,) * 7,
}
_OVER_LOOP = {
    Shape(1, 100, 32, 32): 30.0,
    Shape(1, 100, 128, 128): 30.0,
    Shape(32, 100, 128, 128): 7.0,
    Shape(64, 128, 256, 256): 3.0,
    Shape(64, 50, 512, 512): 3.0,
}
_MEANS = {("lstm", True): 1.6, ("lstm", False): 1.5}
_LARGE = (Shape(64, 128, 256, 256), Shape(64, 50, 512, 512))


class Judge:
    """Holds results to those of a reference in float64.

    A cell whose steps enlarge each rounding leaves even the float32 reference far from it; then
    a few times that distance is allowed.
    """

    def __init__(self, reference: Side, batch: Batch, *, train: bool) -> None:
        self.expected = contest(reference.exact(), batch.exact(), train=train).results()
        own = difference(contest(reference, batch, train=train).results(), self.expected)
        self.allowed = max(TOLERANCE, 4 * own)

    def objection(self, contestant: Contestant) -> str:
        """Why its speed is not to be told; empty where it may be."""
        with warnings.catch_warnings():
            warnings.simplefilter("error", EngineWarning)
            try:
                got = contestant.results()
            except EngineWarning as warning:
                return f"not fused: {warning}"
        far = difference(got, self.expected)
        if far <= self.allowed:
            return ""
        return f"{far:.1e} from float64, where {self.allowed:.1e} is allowed"


def whole_rows(subject: Subject, shape: Shape, pace: Pace, peak: Peak) -> Iterator[Row]:
    """Inference and training of one cell at one shape."""
    torch.manual_seed(0)
    sides = subject.build(shape.I, shape.H)
    batch = Batch(shape)
    for train in (False, True):
        ours, reference, *others = (contest(side, batch, train=train) for side in sides)
        row = Row("whole sequences", f"{subject.title} {_deed(train)}", str(shape))
        row.goal = _goal(subject, shape, train)
        judge = Judge(sides[1], batch, train=train)
        row.wrong = judge.objection(ours)
        if row.wrong:
            yield row
            continue
        if subject.over == "torch.nn":
            others += _peers(sides[1].module, batch, train)
        dropped = [other.name for other in others if judge.objection(other)]
        field = [ours, reference, *(other for other in others if other.name not in dropped)]
        large = train and shape in _LARGE
        if large:
            field.append(Contestant("peak", peak.run))
        timings = alternate(field, pace)
        share = timings.pop("peak", None)
        _fill(row, subject, timings, dropped)
        yield row
        against = _peer_row(row, subject.over, train)
        if against is not None:
            yield against
        if share is not None:
            yield _share_row(subject, shape, timings[ours.name], peak.operations / share.median)


def _deed(train: bool) -> str:
    return "training" if train else "inference"


def _goal(subject: Subject, shape: Shape, train: bool) -> float | None:
    if shape not in SHAPES:
        return None
    if subject.over == "Python loop":
        goal = _OVER_LOOP.get(shape)
        return goal and goal * (0.6 if subject.stages > 1 else 1.0)
    goals = _OVER_TORCH.get((subject.name, train))
    return goals and goals[SHAPES.index(shape)]


def _peers(layer: torch.nn.Module, batch: Batch, train: bool) -> list[Contestant]:
    found = [jax_contestant(layer, batch, train=train)]
    if not train:
        found.append(onnx_contestant(layer, batch))
    return [peer for peer in found if peer is not None]


def _fill(row: Row, subject: Subject, timings: dict[str, Timing], dropped: list[str]) -> None:
    row.times = {name: timing.median for name, timing in timings.items()}
    first = row.times.pop("batch first", None)
    if first is not None:
        row.times[subject.over] = min(row.times[subject.over], first)
    row.figure = row.times[subject.over] / row.times["ostinato"]
    row.note = ", ".join(f"{name}: another result" for name in dropped)


def _peer_row(row: Row, over: str, train: bool) -> Row | None:
    """Against the quickest of the others, where there are others."""
    others = {n: t for n, t in row.times.items() if n not in ("ostinato", over)}
    if not others:
        return None
    best = min(others, key=lambda name: others[name])
    times = {"ostinato": row.times["ostinato"], best: others[best]}
    figure = others[best] / row.times["ostinato"]
    return Row(
        "over other runtimes", row.what, row.case, times, figure, goal=None if train else 1.0
    )


def _share_row(subject: Subject, shape: Shape, timing: Timing, peak: float) -> Row:
    # each product of the forward walk has two of its size in the reverse
    operations = 2 * 3 * subject.multiply_adds(shape)
    row = Row("share of the machine's peak", f"{subject.title} training", str(shape), unit="%")
    row.times = {"ostinato": timing.median}
    row.figure = 100 * operations / timing.median / peak
    row.goal = 75.0 if subject.name in ("lstm", "gru") else 65.0
    row.note = f"{operations / timing.median / 1e9:.0f} of {peak / 1e9:.0f} GFLOP/s"
    return row


def mean_rows(subject: Subject, rows: Sequence[Row]) -> list[Row]:
    """Geometric means over the shapes, where all are there."""
    found = []
    for train in (False, True):
        what = f"{subject.title} {_deed(train)}"
        figures = [r.figure for r in rows if r.what == what and r.section == "whole sequences"]
        if len(figures) == len(SHAPES) and all(figures):
            mean = math.exp(sum(math.log(f) for f in figures if f) / len(figures))
            row = Row("geometric means over the shapes", what, f"over {subject.over}", figure=mean)
            row.goal = _MEANS.get((subject.name, train))
            found.append(row)
    return found
