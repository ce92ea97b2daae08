"""Intervals corrected by the errors that were made, so that they hold what they promise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAST", "conformal_offset", "recent_offsets", "scores", "widths"]

Values = NDArray[np.float32]

# errors that must be known before they tell anything
LEAST = 20


def scores(lower: Values, upper: Values, actual: Values) -> Values:
    """How far each value lies outside of its interval, in widths of it; negative inside.

    The score of conformalised quantile regression, max(lower - y, y - upper) (Romano, Patterson and
    Candes 2019), here divided by upper - lower, so that a correction grows with the spread that
    it corrects. An interval without any width counts as one wide.

    Example:
        >>> one = np.ones(1, dtype=np.float32)
        >>> scores(0 * one, 2 * one, 3 * one).item(), scores(one, one, 4 * one).item()
        (0.5, 3.0)
    """
    found: Values = np.maximum(lower - actual, actual - upper) / widths(lower, upper)
    return found


def widths(lower: Values, upper: Values) -> Values:
    """Widths of intervals, 1 where they have none."""
    return np.where(upper > lower, upper - lower, np.float32(1))


def conformal_offset(errors: Values, level: float) -> Values:
    """How many widths to add at both ends of intervals so that a share `level` is inside.

    The ceil((n + 1) level)-th smallest score (Angelopoulos and Bates 2021, "A gentle introduction
    to conformal prediction"), or, where n is too small for that, the largest.

    Args:
        errors: scores, along the first axis; NaN where unknown.
        level: of the intervals.

    Returns:
        One for each place of the other axes; NaN where fewer than 20 scores are known.

    Example:
        >>> conformal_offset(np.arange(99, dtype=np.float32), 0.8).item()
        79.0
    """
    ranked = np.sort(errors, axis=0)
    known = (~np.isnan(errors)).sum(axis=0)
    rank = np.ceil((known + 1) * level).astype(np.int64).clip(1, np.maximum(known, 1)) - 1
    found = np.take_along_axis(ranked, rank[None], axis=0)[0]
    return np.where(known >= LEAST, found, np.nan)


def recent_offsets(errors: Values, level: float, windows: int, first: int) -> Values:
    """The same by the last forecasts whose outcome was known when each was made.

    Rolling-origin conformal prediction: Halkiewicz (2026), arXiv:2605.08422. Each step of the
    horizon has errors of its own: of step h, counted from 0, the last known one is that of the
    forecast h + 1 origins before.

    Args:
        errors: scores of forecasts from origins that follow each other, [n, H, Y].
        level: of the intervals.
        windows: how many forecasts count.
        first: the offsets of this forecast and those after it are asked for.

    Returns:
        [n - first, H, Y], NaN where too few are known.
    """
    count, horizon, targets = errors.shape
    found = np.full((count - first, horizon, targets), np.nan, dtype=np.float32)
    for step in range(horizon):
        own = np.full((windows, targets), np.nan, dtype=np.float32)
        own = np.concatenate([own, errors[:, step]])
        # what is known at origin k ends before k - step, which is place k - step + windows here
        view = np.lib.stride_tricks.sliding_window_view(own, windows, axis=0)
        places = np.arange(first, count) - step
        held = view[np.maximum(places, 0)]
        offsets = conformal_offset(np.moveaxis(held, -1, 0), level)
        offsets[places < 0] = np.nan
        found[:, step] = offsets
    return found
