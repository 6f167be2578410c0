"""Upkeep: while this worker leads, it runs the duties of `maintain`, each in its own statement, at its own pace.

Leading is a session lock on the listening connection and ends with it, so at most one worker does the work; that a
second one might for a moment harms nothing, every duty is safe to run twice. Without a session of our own (behind a
transaction pooler) nobody leads, and every worker runs the duties, less often: `maintain` itself lets only one pass
at a time through.

A duty that fails is logged and tried again when it is next due; the others go on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from pgqueue._calls import Calls
from pgqueue.errors import ConnectionLost, PgQueueError
from pgqueue.models import Duty
from pgqueue.worker.background import Crash, background
from pgqueue.worker.backoff import jittered
from pgqueue.worker.events import Teller
from pgqueue.worker.link import Link, describe
from pgqueue.worker.notify import Listener

__all__ = ["INTERVALS", "Upkeep"]

logger = logging.getLogger("pgqueue.worker")

INTERVALS = {
    "promote": 1.0,
    "schedules": 1.0,
    "expire": 1.0,
    "dependents": 1.0,
    "admit": 2.0,
    "rescue": 3.0,
    "tidy": 10.0,
    "results": 10.0,
    "blocks": 30.0,
    "retention": 60.0,
}
"""Seconds between two runs of a duty; those of `_HURRIED` come earlier when something is due earlier."""

_HURRIED = ("promote", "schedules", "dependents")

_CANDIDATE_EVERY = 3.0
_ALONE_SLOWER = 3.0
_SHORTEST = 0.05


class Upkeep:
    """Stands as a candidate, and leads when elected.

    Args:
        link: for the duties; opened only by the leader.
        listener: whose connection holds the lock, None when there is none.
        on_done: called with a duty that has changed something.
        on_crash: called with a sentence should the upkeep itself fail.
    """

    def __init__(
        self,
        calls: Calls,
        link: Link,
        listener: Listener | None,
        tell: Teller,
        on_done: Callable[[str], None],
        on_crash: Crash,
    ) -> None:
        self.leads = False
        self._calls = calls
        self._link = link
        self._listener = listener
        self._tell = tell
        self._on_done = on_done
        self._on_crash = on_crash
        self._session = 0
        self._hurried = asyncio.Event()
        self._due: dict[str, float] = {}
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = background(self._run(), "upkeep", self._on_crash)

    async def stop(self) -> None:
        """End; the lock goes with the listening connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.leads = False
        await self._link.close()

    async def _run(self) -> None:
        while True:
            try:
                if await self._may_work():
                    await self._pass()
                    await self._sleep(await self._pause())
                else:
                    await asyncio.sleep(jittered(_CANDIDATE_EVERY))
            except PgQueueError as error:
                logger.warning("upkeep: %s", describe(error), extra={"sqlstate": error.sqlstate})
                await asyncio.sleep(jittered(1.0))

    def hurry(self) -> None:
        """Something may have been scheduled for an earlier time than was known."""
        self._hurried.set()

    async def _sleep(self, seconds: float) -> None:
        self._hurried.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._hurried.wait()
        except TimeoutError:
            return
        # a moment, so that a burst of retries asks once
        await asyncio.sleep(_SHORTEST)

    async def _may_work(self) -> bool:
        listener = self._listener
        if listener is None:
            return True
        if self.leads and not (listener.usable and listener.session == self._session):
            self._follow()
        if not self.leads and listener.usable:
            session = listener.session
            if await listener.run(self._calls.try_lead()) and listener.session == session:
                self.leads = True
                self._session = session
                self._due.clear()
                logger.info("leading: upkeep runs here")
                self._tell("leading")
        return self.leads

    def _follow(self) -> None:
        self.leads = False
        logger.info("no longer leading")
        self._tell("following")

    async def _pass(self) -> None:
        if self._link.connection is None:
            await self._link.open()
        slower = 1.0 if self._listener is not None else _ALONE_SLOWER
        for name, interval in INTERVALS.items():
            if self._loop.time() < self._due.get(name, 0.0):
                continue
            self._due[name] = self._loop.time() + jittered(interval * slower, 0.1)
            try:
                for duty in await self._link.call(self._calls.maintain([name])):
                    self._note(duty)
            except ConnectionLost:
                raise
            except PgQueueError as error:
                logger.error(
                    "upkeep duty failed: %s", describe(error), extra={"duty": name, "sqlstate": error.sqlstate}
                )

    def _note(self, duty: Duty) -> None:
        if duty.error:
            logger.error("upkeep duty failed: %s", duty.error, extra={"duty": duty.duty})
        elif duty.done:
            logger.debug("upkeep", extra={"duty": duty.duty, "done": duty.done})
            self._on_done(duty.duty)

    async def _pause(self) -> float:
        """Until the next duty, the next scheduled job or the next schedule, whichever is first."""
        pause = min(self._due.values()) - self._loop.time()
        due: datetime | None = await self._link.call(self._calls.next_due())
        if due is not None:
            until = (due - datetime.now(due.tzinfo)).total_seconds()
            if until < pause:
                self._due.update(dict.fromkeys(_HURRIED, 0.0))
                pause = until
        return max(pause, _SHORTEST)
