"""Looking again and again for what is not there yet: pauses that grow, up to as long as somebody is ready to wait."""

from __future__ import annotations

import asyncio
import random
import time

__all__ = ["Patience", "asleep", "sleep"]

_FIRST = 0.005
_LONGEST = 0.5

sleep = time.sleep


async def asleep(seconds: float) -> None:
    """`sleep` for async code."""
    await asyncio.sleep(seconds)


class Patience:
    """How long to wait, in seconds (None: for ever). Only the time between `missed` and `found` counts: a caller who
    takes long over what has been found loses nothing.
    """

    def __init__(self, timeout: float | None) -> None:
        self.timeout = timeout
        self._left = timeout
        self._since: float | None = None
        self._pause = _FIRST

    def missed(self) -> float | None:
        """How many seconds to pause before the next look; None when the time is over."""
        now = time.monotonic()
        if self._since is None:
            self._since, self._pause = now, _FIRST
        pause = self._pause * random.uniform(0.75, 1.0)
        self._pause = min(self._pause * 1.4, _LONGEST)
        if self._left is None:
            return pause
        left = self._left - (now - self._since)
        return min(pause, left) if left > 0 else None

    def found(self) -> None:
        """There it was: the next wait begins with short pauses again."""
        if self._since is not None and self._left is not None:
            self._left -= time.monotonic() - self._since
        self._since = None
