"""Whether threads should share the units of a few rows, which makes them meet at every step.

On an idle machine a meeting takes a fraction of a microsecond. Where other programs hold the
processors it can take milliseconds, since a thread that is waited for may not be running. So a walk
that took far longer than its arithmetic has one thread work alone for a while. The results
are the same, bit for bit.
"""

from __future__ import annotations

import time

__all__ = ["Sharing", "sharing"]

# multiply-adds that one thread does in a second, and seconds for a meeting: both on the slow side
_RATE, _MEETING, _START = 10e9, 2e-6, 300e-6


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
