"""Training in segments that are walked twice: what `checkpoint_every` spares, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator

import torch

import ostinato
from measure import Pace, alternate, difference
from processes import in_child
from report import Row
from subjects import Batch, Shape, Side, contest
from whole import TOLERANCE

__all__ = ["segment_rows"]

_SECTION = "training in segments, checkpoint_every=True"
_KINDS = ("LSTM", "GRU")
_MEGA = 1e6


def segment_rows(pace: Pace, quick: bool) -> Iterator[Row]:
    """Memory by length, and time over the walk that keeps all."""
    for kind in _KINDS:
        for steps in (32,) if quick else (512, 8192):
            yield _memory(kind, Shape(16, steps, 128, 128))
    shapes = [Shape(64, 128, 256, 256), Shape(16, 1000, 128, 128), Shape(1, 10_000, 64, 64)]
    for kind in _KINDS:
        for shape in shapes[1:2] if quick else shapes:
            yield _time(kind, shape, pace)


def _memory(kind: str, shape: Shape) -> Row:
    """Bytes beyond the output and the gradient of x, which are as long as the sequence."""
    parts, whole = (in_child("memory", kind, whose, *shape) for whose in ("segments", "ostinato"))
    row = Row(_SECTION, f"{kind}, memory", str(shape), unit="MB", more=False)
    far = abs(parts["check"] / whole["check"] - 1)
    if far > TOLERANCE:
        row.wrong = f"gradients differ by {far:.1e}"
        return row
    result = 4 * shape.T * shape.B * (shape.H + shape.I)
    row.figure, kept = (max(found["bytes"] - result, 0) / _MEGA for found in (parts, whole))
    row.note = f"of {kept:.0f} MB, beyond y and the gradient of x"
    return row


def _time(kind: str, shape: Shape, pace: Pace) -> Row:
    torch.manual_seed(0)
    make = getattr(ostinato, kind)
    whole, parts = make(shape.I, shape.H), make(shape.I, shape.H, checkpoint_every=True)
    parts.load_state_dict(whole.state_dict())
    batch = Batch(shape)
    sides = [
        contest(Side(name, layer, lambda layer, x: layer(x)[0]), batch, train=True)
        for name, layer in (("segments", parts), ("whole", whole))
    ]
    row = Row(_SECTION, f"{kind}, time over keeping all", str(shape), more=False, goal=1.4)
    far = difference(sides[0].results(), sides[1].results())
    if far > TOLERANCE:
        row.wrong = f"{far:.1e} from the whole walk"
        return row
    row.times = {name: timing.median for name, timing in alternate(sides, pace).items()}
    row.figure = row.times["segments"] / row.times["whole"]
    return row
