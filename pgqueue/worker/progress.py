"""What handlers say about themselves while they run: `Context.progress`, on its way to `job_heartbeat`; what they log
goes to `joblogs`. And what they ask: how their parents ended.

The answer to progress may be that the job is no longer ours, or that it is to be cancelled; both are carried out like
the same words in a heartbeat. Progress is never worth failing a job for: what cannot be sent is logged.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

from pgqueue._calls import Call, Calls
from pgqueue._json import loads
from pgqueue._parents import PAGE
from pgqueue.errors import ConnectionLost, InvalidArgument, PgQueueError
from pgqueue.models import JSON, Heartbeat, ParentResult
from pgqueue.registry import App
from pgqueue.worker.executors import Executors
from pgqueue.worker.job import RUNNING, Job
from pgqueue.worker.joblogs import JobLogs
from pgqueue.worker.link import Link, describe
from pgqueue.worker.wire import JSON_START

__all__ = ["Progress"]

logger = logging.getLogger("pgqueue.worker")

_STORED_WITHIN = 30.0


class Progress:
    """The ContextHooks of a worker. `bind` must come before the first job runs."""

    def __init__(self, calls: Calls, logs: JobLogs, app: App) -> None:
        self.job_logs = app.job_logs
        self.log = logs.log
        self._opened = app.hooks.opened_parents
        self._calls = calls
        self._link: Link
        self._executors: Executors
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._latest: dict[int, tuple[Job, Call[Heartbeat]]] = {}
        """From handlers on the event loop: job id → what is to be sent; a newer value replaces an older one."""
        self._sender: asyncio.Task[None] | None = None

    def bind(self, link: Link, executors: Executors) -> None:
        """Whose connection carries it, and who stops jobs."""
        self._link = link
        self._executors = executors

    def progress(self, job: Any, value: JSON) -> None:
        """From a thread: returns when stored. On the event loop: is sent soon. Raises NotSerialisable."""
        call = self._calls.job_heartbeat(job.lease, job.id, value)
        if threading.get_ident() != self._loop_thread:
            asyncio.run_coroutine_threadsafe(self._send(job, call), self._loop).result(_STORED_WITHIN)
            return
        self._latest[job.id] = (job, call)
        if self._sender is None:
            self._sender = self._loop.create_task(self._send_latest(), name="pgqueue progress")

    async def aprogress(self, job: Any, value: JSON) -> None:
        """Returns when stored. Raises NotSerialisable."""
        self._latest.pop(job.id, None)
        await self._send(job, self._calls.job_heartbeat(job.lease, job.id, value))

    def parents(self, job: Any) -> list[ParentResult]:
        """For a handler in a thread. Raises PgQueueError, InvalidArgument on the event loop, CannotUnseal."""
        if threading.get_ident() == self._loop_thread:
            raise InvalidArgument("parents() would stop the event loop", "in an async handler: await ctx.aparents()")
        return asyncio.run_coroutine_threadsafe(self.aparents(job), self._loop).result()

    async def aparents(self, job: Any) -> list[ParentResult]:
        """For a handler on the event loop. Raises PgQueueError, CannotUnseal."""
        found: list[ParentResult] = []
        while True:
            page = await self._asked(self._calls.parents(job.id, found[-1].id if found else 0, PAGE))
            # the link that serves jobs leaves JSON as it comes
            found += self._opened(
                [
                    ParentResult(id, kind, state, reason, _parsed(result), _parsed(error))
                    for id, kind, state, reason, result, error in page
                ]
            )
            if len(page) < PAGE:
                return found

    async def _asked(self, call: Call[Any]) -> list[tuple[Any, ...]]:
        await self._link.open()
        try:
            return await self._link.fetch(call.sql, call.params)
        except ConnectionLost:  # it may have been lost long ago: worth another one
            await self._link.open()
            return await self._link.fetch(call.sql, call.params)

    async def _send_latest(self) -> None:
        try:
            while self._latest:
                await self._send(*self._latest.pop(next(iter(self._latest))))
        finally:
            self._sender = None

    async def _send(self, job: Job, call: Call[Heartbeat]) -> None:
        if job.state != RUNNING:
            return
        try:
            if self._link.connection is None:
                await self._link.open()
            answer = await self._link.call(call)
        except PgQueueError as error:
            logger.warning(
                "progress was not stored: %s", describe(error), extra={"job_id": job.id, "sqlstate": error.sqlstate}
            )
            return
        if not answer.alive:
            logger.warning(
                "the lease of a running job is lost: abandoned", extra={"job_id": job.id, "lease": job.lease}
            )
            self._executors.stop(job, "lost")
        elif answer.cancel_requested:
            self._executors.stop(job, "cancel")


def _parsed(text: str | None) -> JSON:
    return None if text is None else loads(text[JSON_START:])
