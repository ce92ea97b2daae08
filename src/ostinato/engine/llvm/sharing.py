"""Whether threads should share the units of a few rows, which makes them meet at every step, and
whether there should be more than one for so few rows.

On an idle machine a meeting takes a fraction of a microsecond, and what one thread has written
takes as long to reach the other: on some processors that is less than half of the step's
arithmetic, on some more. So both ways are tried, and the quicker one is kept. Where other programs
hold the processors a meeting can take milliseconds, since a thread that is waited for may not be
running. So a walk that took far longer than its arithmetic has one thread work alone for a while.
The results are the same, bit for bit.
"""

from __future__ import annotations

import math
import time
from typing import Any

__all__ = ["FEW", "Known", "Sharing", "Ways", "sharing"]

# multiply-adds that one thread does in a second, and seconds for a meeting: both on the slow side
_RATE, _MEETING, _START = 10e9, 2e-6, 300e-6
# rows up to which this is a question
FEW = 6
# walks that try both ways in turn, and walks until the slower way is tried again
_TRIES, _AGAIN = 8, 128
# a way's time is the median of late: it follows each walk by so much
_FOLLOW = 0.02


class Ways:
    """Learns which way is quicker for walks of one kind: to divide the work in some way, or not."""

    def __init__(self) -> None:
        self._times = [math.inf, math.inf]
        self._walks = 0

    def choose(self) -> bool:
        """Whether to divide it in the next walk."""
        walks = self._walks
        self._walks += 1
        if walks < _TRIES:
            return walks % 2 == 0
        # with nothing known: yes
        divided = self._times[True] <= self._times[False]
        return divided != (walks % _AGAIN == 0)

    def report(self, divided: bool, seconds: float) -> None:
        """Say how long a walk, or a step of one, took."""
        known = self._times[divided]
        if self._walks <= _TRIES:
            self._times[divided] = min(seconds, known)
        else:
            self._times[divided] *= 1 + (_FOLLOW if seconds > known else -_FOLLOW)


class Known(dict[Any, Ways]):
    """What is known of each kind of walk."""

    def __missing__(self, kind: Any) -> Ways:
        self[kind] = Ways()
        return self[kind]


class Sharing:
    """Tells whether to share, from how the last times went.

    Args:
        first: seconds for which one thread works alone after a bad time; each further one four
            times as long.
        longest: the most that this grows to.
    """

    def __init__(self, first: float = 2.0, longest: float = 600.0) -> None:
        self.first, self.longest = first, longest
        self._wait, self._again = first, 0.0

    def allowed(self) -> bool:
        return time.monotonic() >= self._again

    def report(self, seconds: float, steps: int, work: int) -> None:
        """Say how long a walk took whose steps have `work` multiply-adds each."""
        if seconds > _START + steps * (work / _RATE + _MEETING):
            self._again = time.monotonic() + self._wait
            self._wait = min(4 * self._wait, self.longest)
        else:
            self._wait = max(self.first, 0.99 * self._wait)


sharing = Sharing()
