"""Waiting for results: a notification when there is one, a poll in any case.

Async waiters share one listening connection per event loop. A sync waiter has one to itself while it waits, and polls
when too many do. The two have nothing to gain from being one source text, so this file is not generated. Correct with
LISTEN off, behind a pooler and through restarts of the server: notifications only make it quicker.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
from psycopg.rows import tuple_row

from pgqueue._calls_base import Call
from pgqueue._waiting_keyed import KeyedListener, KeyedWaiter
from pgqueue.config import resolve_dsn
from pgqueue.errors import ConnectionLost, PgQueueError, ResultTimeout, UnknownJob
from pgqueue.models import FINAL_STATES, Result

if TYPE_CHECKING:
    from pgqueue._async.client import AsyncClient
    from pgqueue._sync.client import Client

__all__ = ["Ear", "ResultListener", "ResultWaiter", "hear", "next_pause"]

_log = logging.getLogger("pgqueue.results")

_FIRST_POLL = 0.02
_FIRST_POLL_LISTENING = 0.25
_LONGEST_POLL = 1.0
_LONGEST_POLL_HEARD = 20.0  # once a notification has come in, the polls only guard against one that gets lost
_LASTING = 60.0  # seconds for which the server remembers our interest
_LINGER = 5.0  # seconds for which the shared listener stays when nobody waits any more


def _next(pause: float, longest: float = _LONGEST_POLL) -> float:
    """The pause after this one: growing, and jittered, so that many waiters do not march in step."""
    return min(pause * 1.6, longest) * random.uniform(0.75, 1.0)


def next_pause(pause: float, *, is_listening: bool) -> float:
    """The pause of a sync waiter after this one, 0 for the first."""
    return _next(pause or (_FIRST_POLL_LISTENING if is_listening else _FIRST_POLL))


def _timed_out(job: int, timeout: float | None) -> ResultTimeout:
    return ResultTimeout(
        f"job {job} has not ended within {timeout:g} s", f"it goes on; what it waits for: pgqueue job why {job}"
    )


# -- sync -------------------------------------------------------------------------------------------------------------


class ResultWaiter:
    """Waits with the connections of one client: each waiter listens on one from the pool, or on one of its own when
    `listen_dsn` says where; `listeners` of them at most, and the others poll. Listens on nothing that is the caller's.
    """

    def __init__(
        self, client: Client, *, listen: bool, listen_dsn: str | None, dsn: str | None, listeners: int
    ) -> None:
        self._client = client
        self._listen = listen
        self._listen_dsn = listen_dsn
        self._slots = threading.BoundedSemaphore(listeners)
        self.items = KeyedWaiter(client, self)
        """Waits for items of keyed queues."""

    def wait(self, job: int, timeout: float | None) -> Result:
        """Blocks until the job is final. Raises ResultTimeout, UnknownJob, and what the client raises."""
        deadline = None if timeout is None else time.monotonic() + timeout
        client = self._client
        result = client.result(job)
        if result.is_final:
            return result
        with contextlib.ExitStack() as stack:
            connection, _ = self.listen_for(job, stack)
            # The first look follows at once: a job that ended before we listened has told nobody.
            pause = 0.0
            while True:
                remaining = None if deadline is None else deadline - time.monotonic()
                if remaining is not None and remaining <= 0:
                    raise _timed_out(job, timeout)
                step = pause if remaining is None else min(pause, remaining)
                if connection is None:
                    time.sleep(step)
                elif hear(connection, str(job), step) is None:
                    connection = None
                try:
                    result = (client if connection is None else client.on(connection)).result(job)
                except ConnectionLost as error:
                    _log.warning("cannot ask for the result of job %s, trying on: %s", job, error)
                if result.is_final:
                    return result
                pause = next_pause(pause, is_listening=connection is not None)

    def close(self) -> None:
        """Nothing is kept open between waits."""

    def listen_for(self, job: int, stack: contextlib.ExitStack) -> tuple[psycopg.Connection[Any] | None, str | None]:
        """A connection that listens for the job until the stack unwinds, and the job's state; None when it has to do
        without.
        """
        if not self._listen or not self._slots.acquire(blocking=False):
            return None, None
        stack.callback(self._slots.release)
        try:
            return stack.enter_context(self._listening(job))
        except (psycopg.Error, PgQueueError) as error:
            _log.info("cannot listen for the end of job %s, polling: %s", job, error)
            return None, None

    @contextmanager
    def _listening(self, job: int) -> Iterator[tuple[psycopg.Connection[Any], str | None]]:
        client = self._client
        calls = client.calls
        holder = (
            psycopg.connect(self._listen_dsn, autocommit=True)
            if self._listen_dsn is not None
            else client.pool().connection()
        )
        with holder as connection:
            watch = calls.watch([job], _LASTING)
            states = watch.decode(_at_once(connection, f"listen {calls.done_channel}", watch))
            try:
                yield connection, states.get(job)
            finally:
                if not connection.closed:
                    with contextlib.suppress(psycopg.Error):  # then the session is gone, and its interest with it
                        _at_once(connection, f"unlisten {calls.done_channel}", calls.unwatch())


def _at_once(connection: psycopg.Connection[Any], first: LiteralString, call: Call[Any]) -> list[Any]:
    """Two statements in one message, and the rows of the second. Such a message has no parameters, so the client writes
    them into the text.
    """
    with psycopg.ClientCursor(connection, row_factory=tuple_row) as cursor:
        cursor.execute(f"{first}; {call.sql}", call.params)
        cursor.nextset()
        return cursor.fetchall()


def hear(connection: psycopg.Connection[Any], payload: str, timeout: float) -> bool | None:
    """Returns when the job's notification comes (True) or time is up (False); None when the connection is lost: poll
    from then on.
    """
    try:
        for notice in connection.notifies(timeout=timeout):
            if notice.payload == payload:
                return True
    except psycopg.OperationalError as error:
        _log.info("lost the listening connection, polling: %s", error)
        return None
    return False


# -- async ------------------------------------------------------------------------------------------------------------


class Ear:
    """One waiter's: made by `ResultListener.hearing`."""

    __slots__ = ("_listener", "_pause", "told")

    def __init__(self, listener: ResultListener) -> None:
        self.told = asyncio.Event()
        self._listener = listener
        self._pause = 0.0

    async def listen(self, at_most: float = math.inf) -> bool:
        """Returns when the end is told (True), or when it is time to look all the same, after `at_most` seconds at the
        latest (False).
        """
        self._pause = self._listener.next_pause(self._pause)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(self._pause, at_most)):
                await self.told.wait()
        is_told = self.told.is_set()
        self.told.clear()
        return is_told


class ResultListener:
    """Hears for all waiters of one event loop. Its task runs while somebody waits, and a little longer.

    One connection serves them all, however many there are; `listeners` is for the sync twin.
    """

    def __init__(
        self, client: AsyncClient, *, listen: bool, listen_dsn: str | None, dsn: str | None, listeners: int
    ) -> None:
        self._client = client
        self._listens = listen
        self._dsn = dsn if listen_dsn is None else listen_dsn
        self._waiters: dict[int, set[asyncio.Event]] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._listening = False
        self._heard = False  # until a notification has come in there may be a pooler between that swallows them
        self.items = KeyedListener(client, self)
        """Waits for items of keyed queues."""

    async def wait(self, job: int, timeout: float | None) -> Result:
        """Waits until the job is final. Raises ResultTimeout, UnknownJob, and what the client raises."""
        try:
            async with asyncio.timeout(timeout):
                result = await self._client.result(job)
                return result if result.is_final else await self._wait(job)
        except TimeoutError:
            raise _timed_out(job, timeout) from None

    async def _wait(self, job: int) -> Result:
        with self.hearing(job) as ear:
            while True:
                await ear.listen()
                try:
                    result = await self._client.result(job)
                except ConnectionLost as error:
                    _log.warning("cannot ask for the result of job %s, trying on: %s", job, error)
                else:
                    if result.is_final:
                        return result

    @contextmanager
    def hearing(self, job: int) -> Iterator[Ear]:
        """Listens for the end of a job inside the block."""
        ear = Ear(self)
        self._waiters.setdefault(job, set()).add(ear.told)
        try:
            self._start()
            yield ear
        finally:
            self._waiters[job].discard(ear.told)
            if not self._waiters[job]:
                del self._waiters[job]

    def next_pause(self, pause: float) -> float:
        """How long to listen before the next look."""
        first = _FIRST_POLL_LISTENING if self._listening else _FIRST_POLL
        return _next(pause or first, _LONGEST_POLL_HEARD if self._heard else _LONGEST_POLL)

    def _start(self) -> None:
        if self._listens:
            self._wake.set()
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._run(), name="pgqueue results")

    def _release(self, job: int) -> None:
        for told in self._waiters.get(job, ()):
            told.set()

    async def aclose(self) -> None:
        """Ends the listening; who still waits polls."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    # -- the listening task ---------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Listens until nobody has waited for a while, through losses of the connection: the waiters poll meanwhile."""
        pause = _FIRST_POLL_LISTENING
        while True:
            try:
                await self._listen()
                return
            except (psycopg.Error, PgQueueError, OSError) as error:
                _log.warning("cannot listen for results, polling: %s", error)
            finally:
                self._listening = self._heard = False
            if not self._waiters:
                return
            await asyncio.sleep(pause)
            pause = _next(pause, _LONGEST_POLL_HEARD)

    async def _listen(self) -> None:
        connection = await psycopg.AsyncConnection.connect(
            resolve_dsn(self._dsn).dsn,
            autocommit=True,
            prepare_threshold=self._client.prepare_threshold,
            fallback_application_name="pgqueue",
        )
        async with connection:
            on = self._client.on(connection)
            connection.add_notify_handler(lambda notice: self._final(notice.payload))
            await connection.execute(f"listen {self._client.calls.done_channel}")
            self._listening = True
            watched: dict[int, float] = {}  # job → when our interest must be renewed
            idle_since: float | None = None
            while True:
                now = time.monotonic()
                watched = {job: until for job, until in watched.items() if until > now and job in self._waiters}
                new = self._waiters.keys() - watched.keys()
                if new:
                    await self._watch(on, new)
                    watched.update(dict.fromkeys(new, now + _LASTING / 2))
                if self._waiters:
                    idle_since = None
                elif idle_since is None:
                    idle_since = now
                elif now - idle_since >= _LINGER:
                    await on.unwatch()
                    return
                await self._readable(connection)
                self._drain(connection)

    async def _watch(self, on: AsyncClient, jobs: Iterable[int]) -> None:
        try:
            states = await on.watch(jobs, _LASTING)
        except UnknownJob:
            # One of them is gone, which the waiter will find out for itself, and the call did nothing for the others.
            states = {}
            for job in jobs:
                try:
                    states.update(await on.watch([job], _LASTING))
                except UnknownJob:
                    self._release(job)
        for job, state in states.items():
            if state in FINAL_STATES:
                self._release(job)

    async def _readable(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Returns when the server has sent something, somebody new waits, or a little time has passed.

        The reader goes on and off with each wait: psycopg uses the same slot of the event loop while it runs a
        statement.
        """
        loop = asyncio.get_running_loop()
        descriptor = connection.fileno()
        loop.add_reader(descriptor, self._wake.set)
        try:
            async with asyncio.timeout(_LINGER):
                await self._wake.wait()
        except TimeoutError:
            pass
        finally:
            loop.remove_reader(descriptor)
        self._wake.clear()

    def _drain(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Takes what came in while no statement ran. Raises psycopg.OperationalError when that is the end."""
        connection.pgconn.consume_input()
        while (notice := connection.pgconn.notifies()) is not None:
            self._final(notice.extra.decode())

    def _final(self, payload: str) -> None:
        self._heard = True
        if payload.isdecimal():
            self._release(int(payload))
