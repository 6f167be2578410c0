"""The soft stop, once nothing more is claimed or started: what runs may finish; then it is cancelled; then let go."""

from __future__ import annotations

import asyncio
import logging

from pgqueue.outcomes import Settlement
from pgqueue.worker.executors import Executors
from pgqueue.worker.hands import Hands
from pgqueue.worker.job import RUNNING, Job
from pgqueue.worker.loop import ClaimLoop

__all__ = ["LAST_WORD", "Finishing"]

logger = logging.getLogger("pgqueue.worker")

LAST_WORD = 2.0
"""Seconds for a last statement when in a hurry."""
_NOTICE = 0.5
"""Seconds for sync handlers to see that they are cancelled, after the grace period."""


class Finishing:
    """Waits until everything in hand has been handed in, with less patience at each step. `hard`, once set, ends it."""

    def __init__(self, loop: ClaimLoop, hands: Hands, executors: Executors, hard: asyncio.Event) -> None:
        self._loop = loop
        self._hands = hands
        self._executors = executors
        self._hard = hard

    async def run(self, grace: float) -> None:
        """Returns when all is handed in or nothing more can be done about it."""
        finish = asyncio.create_task(self._loop.finish())
        try:
            if await self._finished(finish, grace):
                return
            self._cancel_running()
            if await self._finished(finish, _NOTICE):
                return
            self._let_go()
            if not await self._finished(finish, LAST_WORD):
                logger.error("ending with outcomes that were not handed in", extra={"jobs": len(self._hands.held)})
        finally:
            finish.cancel()

    async def _finished(self, finish: asyncio.Task[None], seconds: float) -> bool:
        hard = asyncio.create_task(self._hard.wait())
        await asyncio.wait({finish, hard}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        hard.cancel()
        return finish.done() or self._hard.is_set()

    def _cancel_running(self) -> None:
        running = self._running()
        logger.warning("the grace period is over: cancelling what runs", extra={"jobs": len(running)})
        for job in running:
            self._executors.stop(job, "shutdown")

    def _let_go(self) -> None:
        """Handlers that cannot be stopped end with the process, which is next; their jobs are given back now."""
        for job in self._running():
            self._executors.end(job, Settlement("release"))
        self._loop.poke()

    def _running(self) -> list[Job]:
        return [job for job in self._hands.held.values() if job.state == RUNNING]
