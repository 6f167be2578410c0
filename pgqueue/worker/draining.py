"""Ending when there is nothing left to do (`--drain`)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from pgqueue._calls import Calls
from pgqueue.errors import PgQueueError
from pgqueue.worker.background import Crash, background
from pgqueue.worker.hands import Hands
from pgqueue.worker.link import Link, describe

__all__ = ["Draining"]

logger = logging.getLogger("pgqueue.worker")


# Those that may bring work; the others can take long, and are for whoever leads.
_DUTIES = ("rescue", "promote", "schedules", "expire", "dependents", "admit")
_PATIENCE = 5.0
_PAUSE = 0.05


class Draining:
    """When the worker is idle, one pass of the upkeep that may bring work, since what is due but not yet in its queue
    counts as work; idle again, it is the end. Jobs that are due later do not keep it.

    Args:
        link: for that pass; opened when it is time.
        look_again: makes the worker poll everything.
        on_drained: there is nothing left.
        on_crash: called with a sentence should this itself fail.
    """

    def __init__(
        self,
        calls: Calls,
        link: Link,
        hands: Hands,
        *,
        look_again: Callable[[], None],
        on_drained: Callable[[], None],
        on_crash: Crash,
    ) -> None:
        self._calls = calls
        self._link = link
        self._hands = hands
        self._look_again = look_again
        self._on_drained = on_drained
        self._on_crash = on_crash
        self._looked_at = -1
        """How many jobs had been done when upkeep was last done for this."""
        self._task: asyncio.Task[None] | None = None

    def idle(self) -> None:
        """Nothing is in hand, and a sweep of every queue has found nothing."""
        if self._task is not None:
            return
        if self._looked_at == self._hands.done:
            self._on_drained()
        else:
            self._task = background(self._look_everywhere(), "draining", self._on_crash)

    async def stop(self) -> None:
        """Forget about it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self._link.close()

    async def _look_everywhere(self) -> None:
        try:
            await self._link.open()
            await self._upkeep()
        except PgQueueError as error:
            logger.warning("upkeep before the end of draining: %s", describe(error), extra={"sqlstate": error.sqlstate})
        self._looked_at = self._hands.done
        self._task = None
        self._look_again()

    async def _upkeep(self) -> None:
        """One pass; while another is under way somewhere, there is none to be had."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _PATIENCE
        while not await self._link.call(self._calls.maintain(_DUTIES)):
            if loop.time() > until:
                logger.warning("upkeep before the end of draining: another pass takes too long to wait for")
                return
            await asyncio.sleep(_PAUSE)
