"""What a worker does for the keyed queues it serves, beside executing their items: budgets when it starts, and orphans.

Orphans are looked for when something has been executed and when a claim has been answered: a worker that has nothing to
do asks for jobs now and then in any case, so there is no timer for it. The queue tells each to one caller, so workers
need not agree.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from time import monotonic

from pgqueue._hooks import AppHooks
from pgqueue.errors import InvalidArgument, PgQueueError
from pgqueue.keyed import KIND, Executor, KeyedExecutors
from pgqueue.models import KeyedReaped
from pgqueue.worker.background import Crash, background
from pgqueue.worker.job import Job
from pgqueue.worker.keyed.handlers import KeyedHandler
from pgqueue.worker.link import describe
from pgqueue.worker.sql import Engine

__all__ = ["Keyed"]

logger = logging.getLogger("pgqueue.worker")

_SELDOM = 1.0
"""Seconds between two looks at most often, unless a deadline is shorter than that."""


class Keyed:
    """One per worker.

    Args:
        queues: the queues of jobs this worker serves.
        hooks: what goes around executors.
        arm: watches a job's timeout.
        on_crash: called with a sentence should the reaping itself fail.
    """

    def __init__(
        self,
        executors: KeyedExecutors,
        engine: Engine,
        queues: Iterable[str],
        hooks: AppHooks,
        *,
        arm: Callable[[Job], None],
        on_crash: Crash,
    ) -> None:
        served = frozenset(queues)
        self._engine = engine
        self._served = [executor for executor in executors if served.intersection(executor.lines)]
        self._on_crash = on_crash
        self._pause = min([_SELDOM, *(each.orphan / 4 for each in self._served if each.orphan is not None)])
        self._next = 0.0
        self._task: asyncio.Task[None] | None = None
        self._handler = KeyedHandler(executors, engine, hooks, arm=arm, on_executed=self.look)
        self.handlers = {KIND: self._handler}

    async def prepare(self) -> None:
        """Sets the budgets that executors have and queues have not. Does not raise."""
        for executor in self._served:
            if executor.concurrency is not None:
                try:
                    await self._limit(executor, executor.concurrency)
                except PgQueueError as error:
                    logger.warning(
                        "the budget of a keyed queue could not be set: %s",
                        describe(error),
                        extra={"queue": executor.queue, "max_running": executor.concurrency},
                    )

    async def _limit(self, executor: Executor, concurrency: int) -> None:
        call, calls = self._engine.call, self._engine.calls
        for line in executor.lines:
            if (await call(calls.configure_queue(line, {}))).get("max_running") != concurrency:
                await call(calls.configure_queue(line, {"max_running": concurrency}))

    def look(self) -> None:
        """There is time to look for orphans, if it has not been done just now."""
        if self._served and self._task is None and monotonic() >= self._next:
            self._task = background(self._reap(), "reaping", self._on_crash)

    async def _reap(self) -> None:
        try:
            for executor in self._served:
                if executor.orphan is not None:
                    await self._reap_of(executor, round(executor.orphan * 1000))
        except PgQueueError as error:
            logger.warning("orphaned items could not be looked for: %s", describe(error))
        finally:
            self._next = monotonic() + self._pause
            self._task = None

    async def _reap_of(self, executor: Executor, orphan_ms: int) -> None:
        reaped = await self._engine.call(self._engine.calls.keyed_reap(executor.queue, None, orphan_ms))
        for each in reaped:
            logger.info(
                "an item that nobody asks for is removed",
                extra={"job_id": each.id, "queue": executor.queue, "key": each.key},
            )
            await self._tell(executor, each)

    async def _tell(self, executor: Executor, reaped: KeyedReaped) -> None:
        try:
            item = executor.item(reaped)
        except InvalidArgument as error:
            logger.warning("on_cancel is not called: %s", error, extra={"job_id": reaped.id})
            return
        await self._handler.tell_cancelled(executor, item)

    async def close(self) -> None:
        """Stops looking. Does not raise."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self._handler.close()
