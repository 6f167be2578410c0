"""What handlers log about their jobs (`Context.log`), on its way to `log_lines`.

Lines are gathered for a second, or until a job has a hundred of them, and leave on a connection of their own, which is
opened when the first job logs something: claims and settlements do not wait for them. Only the outcome of a job with
lines does, until they are stored, for afterwards its lease is gone; then they leave at once. Lines are never worth
failing a job for: what cannot be sent is dropped and reported.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

from pgqueue._calls import Calls
from pgqueue.errors import ConnectionLost, PgQueueError, StaleLease
from pgqueue.models import JSON
from pgqueue.worker.background import Crash, background
from pgqueue.worker.hands import Hands
from pgqueue.worker.job import DONE, RUNNING, Job
from pgqueue.worker.link import Link, describe

__all__ = ["JobLogs"]

logger = logging.getLogger("pgqueue.worker")

_WITHIN = 1.0
_MANY = 100
"""Lines of a job that do not wait."""
_AT_ONCE = 1000
_AT_A_TIME = 50
"""Jobs to send for until it is looked anew whose turn it is."""
_AGAIN, _TRIES = 0.3, 5
"""Seconds between tries without a connection, and how many: outcomes cannot be handed in meanwhile either."""
_MOST = 10_000
"""Unsent lines of a job; a handler that logs faster than they can be stored loses the rest."""


class _Unsent:
    """Lines of one job."""

    __slots__ = ("dropped", "job", "lines", "since")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.lines: list[dict[str, JSON]] = []
        self.dropped = 0
        self.since = monotonic()


class JobLogs:
    """Gathers and sends.

    Args:
        link: for nothing else; opened here.
        on_sent: called when outcomes may have waited for lines that are stored now.
        on_crash: called with a sentence should the sending itself fail.
    """

    def __init__(self, calls: Calls, hands: Hands, link: Link, *, on_sent: Callable[[], None], on_crash: Crash) -> None:
        self._calls = calls
        self._link = link
        self._on_sent = on_sent
        self._on_crash = on_crash
        self._unsent: dict[int, _Unsent] = hands.unsent
        self._lock = threading.Lock()
        """Around what handlers in threads touch."""
        self._is_told = False
        """Whether the event loop knows that there is something."""
        self._full: dict[int, Job] = {}
        """Jobs whose log takes no more, while they are in hand."""
        self._held = hands.held
        self._misses = 0
        """Calls that failed, one after the other."""
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        hands.when_held_back = self.hurry

    def log(self, job: Job, line: dict[str, JSON]) -> None:
        """From any thread; never waits. What an ended or abandoned job has to say is dropped."""
        if job.state != RUNNING or self._full.get(job.id) is job:
            return
        with self._lock:
            unsent = self._unsent.get(job.id)
            if unsent is None or unsent.job is not job:
                unsent = self._unsent[job.id] = _Unsent(job)
            if len(unsent.lines) >= _MOST:
                unsent.dropped += 1
                return
            unsent.lines.append(line)
            is_many = len(unsent.lines) == _MANY
            if self._is_told and not is_many:
                return
            self._is_told = True
        if threading.get_ident() == self._loop_thread:
            self._soon(is_many)
            return
        try:
            self._loop.call_soon_threadsafe(self._soon, is_many)
        except RuntimeError:
            return  # the loop has closed: the process is ending

    def hurry(self) -> None:
        """An outcome waits for its job's lines, or the first of them have waited long enough."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is None:
            self._task = background(self._send_all(), "job logs", self._on_crash)

    async def close(self) -> None:
        """What is not sent yet is dropped."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self._link.close()

    def _soon(self, now: bool) -> None:
        if now:
            self.hurry()
        elif self._timer is None and self._task is None:
            self._timer = self._loop.call_later(_WITHIN, self.hurry)

    async def _send_all(self) -> None:
        while due := self._due():
            for unsent in due:
                await self._send(unsent)
            self._on_sent()
        self._task = None
        self._full = {id: job for id, job in self._full.items() if self._held.get(id) is job}
        with self._lock:
            self._is_told = bool(self._unsent)
        if self._is_told:
            self._soon(False)

    def _due(self) -> list[_Unsent]:
        """The next few whose lines go now. Whose outcome waits comes first."""
        before = monotonic() - _WITHIN
        with self._lock:
            due = [
                unsent
                for unsent in self._unsent.values()
                if unsent.job.state != RUNNING or unsent.since <= before or len(unsent.lines) >= _MANY
            ]
        due.sort(key=lambda unsent: unsent.job.state != DONE)
        return due[:_AT_A_TIME]

    async def _send(self, unsent: _Unsent) -> None:
        job = unsent.job
        with self._lock:
            lines, unsent.lines = unsent.lines[:_AT_ONCE], unsent.lines[_AT_ONCE:]
        if job.state not in (RUNNING, DONE):
            unsent.lines = []
        elif not await self._stored(unsent, lines):
            with self._lock:
                unsent.lines[:0] = lines
            await asyncio.sleep(_AGAIN)
        with self._lock:
            unsent.since = monotonic()
            if not unsent.lines and self._unsent.get(job.id) is unsent:
                del self._unsent[job.id]

    async def _stored(self, unsent: _Unsent, lines: list[dict[str, JSON]]) -> bool:
        """Whether there is nothing more to be done about these lines."""
        job = unsent.job
        facts: dict[str, Any] = {"job_id": job.id, "lines": len(lines)}
        try:
            if self._link.connection is None:
                await self._link.open()
            stored = await self._link.call(self._calls.log_lines(job.lease, job.id, lines))
        except StaleLease:
            logger.debug("lines of a job that was taken away are dropped", extra=facts)
            self._give_up(unsent)
            return True
        except PgQueueError as error:
            self._misses += 1
            if isinstance(error, ConnectionLost) and self._misses <= _TRIES:
                return False
            facts["sqlstate"] = error.sqlstate
            logger.warning("log lines were not stored: %s", describe(error), extra=facts)
            return True
        self._misses = 0
        if stored < len(lines):
            self._give_up(unsent)
        elif unsent.dropped:
            logger.warning("a job logs faster than its lines can be stored", extra={**facts, "dropped": unsent.dropped})
            unsent.dropped = 0
        return True

    def _give_up(self, unsent: _Unsent) -> None:
        """Nothing more is stored for this job."""
        self._full[unsent.job.id] = unsent.job
        with self._lock:
            unsent.lines = []
