"""What is looked at several times a second: whether what was claimed ahead can still start soon; and what to say of
the work now and then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import monotonic

from pgqueue.worker.executors import Executors
from pgqueue.worker.hands import Hands

__all__ = ["Patrol"]

logger = logging.getLogger("pgqueue.worker")

_EVERY = 0.25
_SUMMARY_EVERY = 30.0


class Patrol:
    """Gives back what was claimed ahead when no slot has come free for `give_back_after` seconds; logs a summary of
    the work.

    Args:
        give_back: returns everything that is not started to the queue.
    """

    def __init__(
        self, hands: Hands, executors: Executors, give_back_after: float, give_back: Callable[[], None]
    ) -> None:
        self._hands = hands
        self._executors = executors
        self._give_back_after = give_back_after
        self._give_back = give_back

    async def run(self) -> None:
        """For ever."""
        every = min(_EVERY, self._give_back_after / 2) or 0.01
        told, done = monotonic(), 0
        while True:
            await asyncio.sleep(every)
            now = monotonic()
            if self._is_stalled(now):
                self._hands.prefetch = 0
                self._give_back()
            if now - told >= _SUMMARY_EVERY:
                self._summarise(self._hands.done - done, now - told)
                told, done = now, self._hands.done

    def _is_stalled(self, now: float) -> bool:
        hands, executors = self._hands, self._executors
        return (
            executors.active >= hands.slots
            and executors.has_waiting()
            and now - hands.last_end >= self._give_back_after
        )

    def _summarise(self, jobs: int, seconds: float) -> None:
        others = self._executors.reporter.take_counts()
        if jobs:
            logger.info("working", extra={"jobs": jobs, "seconds": round(seconds), **others})
