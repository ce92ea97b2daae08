"""What the page's script reads: one JSON object."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from ostinato.inspect.gradient_flow import Flow
from ostinato.inspect.page.figures import Plane, plane_of
from ostinato.inspect.page.material import Chart, Material, Track
from ostinato.inspect.page.pack import pack, packed_tracks
from ostinato.inspect.saturation import Saturation

__all__ = ["add_values", "as_json", "page_data"]

# attention beyond this many rows or columns is cut on the page
LOOKS = 120


def page_data(material: Material) -> tuple[dict[str, Any], list[str]]:
    """All of a page but the values, for which `add_values` finds room; and notes on what is cut."""
    notes: list[str] = []
    data = {
        "axes": [vars(axis) | {"chart": _chart(axis.chart)} for axis in material.axes],
        "tracks": [_track(track) for track in material.tracks],
        "answers": [
            {
                "c": [[label, _short(p)] for label, p in one.choices],
                "t": one.truth,
                "p": _short(one.chance),
            }
            for one in material.answers
        ],
        "question": material.question,
        "mode": material.mode,
        "charts": [_chart(chart) for chart in material.charts],
        "attention": [_attention(one, notes) for one in material.attention],
        "spectra": [
            {
                "title": title,
                "points": [[_short(v.real), _short(v.imag)] for v in values.tolist()],
                "words": words,
            }
            for title, values, words in material.spectra
        ],
    }
    return data, notes


def add_values(
    data: dict[str, Any], material: Material, *, budget: int, wanted: tuple[int, ...] = ()
) -> list[str]:
    """Put the values of all tracks into the page, and say what had to be left out."""
    packed, notes = packed_tracks(material.tracks, budget=budget, wanted=wanted)
    for told, one in zip(data["tracks"], packed, strict=True):
        told |= {"units": one.units, "low": one.low, "high": one.high, "data": one.data}
    return notes


def as_json(data: dict[str, Any]) -> str:
    """As text that can stand inside a script element, whatever it holds."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _track(track: Track) -> dict[str, Any]:
    state = track.kind in ("state", "output")
    plane = plane_of(track.values) if state else None
    return {
        "axis": track.axis,
        "layer": track.layer,
        "direction": track.direction,
        "name": track.name,
        "kind": track.kind,
        "title": track.title,
        "width": int(track.values.shape[1]),
        "plane": _plane(plane),
        "flow": _flow(track.flow),
        "saturation": _saturation(track.saturation),
    }


def _chart(chart: Chart | None) -> dict[str, Any] | None:
    if chart is None:
        return None
    lines = [vars(line) | {"values": [_short(v) for v in line.values]} for line in chart.lines]
    bands = [
        vars(band) | {"low": [*map(_short, band.low)], "high": [*map(_short, band.high)]}
        for band in chart.bands
    ]
    return vars(chart) | {"lines": lines, "bands": bands}


def _plane(plane: Plane | None) -> dict[str, Any] | None:
    if plane is None:
        return None
    points = [[_short(x), _short(y)] for x, y in plane.points.tolist()]
    return {"points": points, "shares": [_short(share) for share in plane.shares]}


def _flow(flow: Flow | None) -> dict[str, Any] | None:
    if flow is None:
        return None
    return {"norms": [_short(norm) for norm in flow.norms.tolist()], "words": flow.words()}


def _saturation(found: Saturation | None) -> dict[str, Any] | None:
    if found is None:
        return None
    low, high = (np.round(part, 4).tolist() for part in (found.low, found.high))
    return {"low": low, "high": high, "words": found.words().partition(": ")[2]}


def _attention(one: Any, notes: list[str]) -> dict[str, Any]:
    weights = one.weights[:LOOKS, :LOOKS]
    if weights.shape != one.weights.shape:
        notes.append(
            f"{one.name}: the first {weights.shape[0]} of {one.weights.shape[0]} rows and "
            f"{weights.shape[1]} of {one.weights.shape[1]} columns are shown."
        )
    data, low, high = pack(weights, "sigmoid")
    return {
        "name": one.name,
        "written": one.written[: weights.shape[0]],
        "read": one.read[: weights.shape[1]],
        "data": data,
        "low": low,
        "high": high,
    }


def _short(value: float | None) -> float | None:
    """Four digits that count: more would only make the page larger."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.4g}")
