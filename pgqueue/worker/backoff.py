"""Waiting times that grow, with jitter, for everything that is tried again for ever: connections, children, busy
settlements.
"""

from __future__ import annotations

import random

__all__ = ["Backoff", "jittered"]


def jittered(seconds: float, spread: float = 0.25) -> float:
    """`seconds` give or take `spread` of it, so that many processes which started together do not stay in step."""
    return seconds * random.uniform(1 - spread, 1 + spread)


class Backoff:
    """Delays of first, 2 x first, 4 x first ... at most `most` seconds, each drawn between half of that and all of
    it.
    """

    __slots__ = ("_first", "_most", "_next", "failed")

    def __init__(self, first: float = 0.1, most: float = 10.0) -> None:
        self._first = first
        self._most = most
        self._next = first
        self.failed = False
        """For the user's own use; `reset` makes it false."""

    def delay(self) -> float:
        """Seconds to wait before the next try."""
        now, self._next = self._next, min(self._next * 2, self._most)
        return random.uniform(now / 2, now)

    def reset(self) -> None:
        """Call after a success: the next failure starts small again."""
        self._next = self._first
        self.failed = False
