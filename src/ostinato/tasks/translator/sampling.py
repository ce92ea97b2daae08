"""Scheduled sampling: how the share of true tokens falls while a decoder is trained."""

from __future__ import annotations

import math

__all__ = ["true_share"]


def true_share(decay: str | None, step: int, *, rate: float, floor: float = 0.0) -> float:
    r"""The probability with which a decoder reads the true token and not its own guess.

        linear       max(floor, 1 - i / k)
        exponential  max(floor, (1 - 1 / k)^i)
        sigmoid      max(floor, k / (k + exp(i / k)))

    Source: Bengio, Vinyals, Jaitly, Shazeer (2015), "Scheduled Sampling for Sequence Prediction
    with Recurrent Neural Networks", NeurIPS, arXiv:1506.03099, section 2.4. Its exponential decay
    is k^i with k < 1; here k is a number of steps in all three, and all have the floor that only
    its linear one has.

    Args:
        decay: "linear", "exponential" or "sigmoid"; None: always 1.
        step: i, updates so far.
        rate: k, in steps.
        floor: the least share.

    Example:
        >>> [round(true_share("linear", i, rate=100, floor=0.25), 2) for i in (0, 50, 500)]
        [1.0, 0.5, 0.25]
    """
    if decay is None:
        return 1.0
    if decay == "linear":
        share = 1 - step / rate
    elif decay == "exponential":
        share = math.exp(step * math.log1p(-1 / rate)) if rate > 1 else 0.0
    else:
        # beyond some 700 the exponential is no number any more
        share = rate / (rate + math.exp(min(step / rate, 700.0)))
    return max(floor, share)
