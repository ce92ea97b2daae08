"""Values small enough for a page: a byte each, and of large layers the units that vary most."""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ostinato.inspect.page.material import Numbers, Track

__all__ = ["BUDGET", "Packed", "pack", "packed_tracks"]

# bytes of values on a page: a third more as base64, which leaves room under 5 MB for the rest
BUDGET = 3_000_000
_LEVELS = 254
_NOTHING = 255


@dataclass(frozen=True)
class Packed:
    """Values as bytes: v = low + byte * (high - low) / 254; 255 stands for NaN.

    Attributes:
        data: base64 of uint8 [T, units], row by row.
        low: value of byte 0.
        high: value of byte 254.
        units: numbers of the units that are kept.
    """

    data: str
    low: float
    high: float
    units: tuple[int, ...]


def pack(values: Numbers, function: str = "") -> tuple[str, float, float]:
    """Values [T, units] as (base64, low, high).

    Sigmoids are from 0 to 1 and what has no sign of its own is; all else is symmetric about 0, so
    that 0 is always shown alike.
    """
    finite = values[np.isfinite(values)]
    top = float(np.abs(finite).max()) if finite.size else 1.0
    top = max(top, 1e-12)
    signed = bool(finite.size) and float(finite.min()) < 0
    low, high = (-top, top) if signed else (0.0, top)
    if function == "sigmoid":
        low, high = 0.0, 1.0
    elif function == "tanh":
        low, high = -1.0, 1.0
    share = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / (high - low)
    steps = np.rint(np.clip(share, 0, 1) * _LEVELS).astype(np.uint8)
    steps[np.isnan(values)] = _NOTHING
    return base64.b64encode(np.ascontiguousarray(steps).tobytes()).decode("ascii"), low, high


def packed_tracks(
    tracks: Sequence[Track], *, budget: int = BUDGET, wanted: Collection[int] = ()
) -> tuple[list[Packed], list[str]]:
    """Pack tracks so that all together stay within a budget of bytes.

    Each gets an equal share; a track that needs less leaves the rest to the others. A track that
    does not fit keeps every step, and of its units those that vary most.

    Args:
        tracks: what is to be shown.
        budget: bytes of values, before base64.
        wanted: numbers of units that are kept in any case.

    Returns:
        The tracks, and notes on what was left out.
    """
    shares = _shares([track.values.size for track in tracks], budget)
    packed: list[Packed] = []
    cut: dict[tuple[int, int], list[Track]] = {}
    for track, share in zip(tracks, shares, strict=True):
        kept = _kept(track, share, wanted)
        data, low, high = pack(track.values[:, kept], track.function)
        packed.append(Packed(data, low, high, tuple(int(u) for u in track.units[kept])))
        if len(kept) < len(track.units):
            cut.setdefault((len(kept), len(track.units)), []).append(track)
    return packed, [_told(*counts, some) for counts, some in cut.items()]


def _told(kept: int, width: int, tracks: Sequence[Track]) -> str:
    names = ", ".join(dict.fromkeys(track.name for track in tracks))
    layers = ", ".join(dict.fromkeys(track.layer for track in tracks))
    return (
        f"{width - kept} of {width} units of {names} (layer {layers}): the {kept} that vary most "
        "are shown. --unit shows others, --data keeps all."
    )


def _shares(sizes: Sequence[int], budget: int) -> list[int]:
    """What each may take: small ones all they need, the others equal parts of what is left."""
    shares = [0] * len(sizes)
    left = budget
    order = sorted(range(len(sizes)), key=lambda k: sizes[k])
    for place, k in enumerate(order):
        shares[k] = min(sizes[k], left // (len(order) - place))
        left -= shares[k]
    return shares


def _kept(track: Track, share: int, wanted: Collection[int]) -> NDArray[np.int64]:
    """Columns of a track that fit in its share of bytes."""
    steps, width = track.values.shape
    count = width if not steps else max(1, min(width, share // steps))
    if count == width:
        return np.arange(width)
    spread = np.nan_to_num(track.values.astype(np.float64)).std(axis=0)
    asked = np.isin(track.units, list(wanted))
    # those asked for first, then by how much they vary
    order = np.lexsort((-spread, ~asked))
    return np.sort(order[: max(count, int(asked.sum()))])
