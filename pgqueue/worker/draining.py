"""Ending when there is nothing left to do (`--drain`)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from pgqueue.errors import PgQueueError
from pgqueue.worker.background import Crash, background
from pgqueue.worker.hands import Hands
from pgqueue.worker.link import describe
from pgqueue.worker.upkeep import Upkeep

__all__ = ["Draining"]

logger = logging.getLogger("pgqueue.worker")


class Draining:
    """When the worker is idle, one pass of upkeep, since what is due but not yet in its queue counts as work; idle
    again, it is the end.

    Args:
        look_again: makes the worker poll everything.
        on_drained: there is nothing left.
    """

    def __init__(
        self,
        hands: Hands,
        upkeep: Upkeep,
        *,
        look_again: Callable[[], None],
        on_drained: Callable[[], None],
        on_crash: Crash,
    ) -> None:
        self._hands = hands
        self._upkeep = upkeep
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

    def stop(self) -> None:
        """Forget about it."""
        if self._task is not None:
            self._task.cancel()

    async def _look_everywhere(self) -> None:
        try:
            await self._upkeep.once()
        except PgQueueError as error:
            logger.warning("upkeep before the end of draining: %s", describe(error), extra={"sqlstate": error.sqlstate})
        self._looked_at = self._hands.done
        self._task = None
        self._look_again()
