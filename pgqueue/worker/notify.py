"""The listening connection: notifications in, and the session locks that only a session of one's own may hold.

A notification is a hint; polling finds everything without. What this connection is for:

- LISTEN on the two channels a worker hears: `wake` (a queue has work) and `worker` (payload: a worker's id; it should
heartbeat now).
- The sleeping lock: while it is held, an enqueue to these queues notifies. `rest(True)` takes it, `rest(False)` lets
it go.
- The leader's lock (`upkeep` takes it through `run`). Both locks die with the connection: `session` counts the
connections.

Nothing is locked before the connection has heard itself: a transaction pooler accepts LISTEN and never delivers, and
a session lock taken through one stays behind. In that case it is said once, and the worker polls.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Callable
from typing import Any, LiteralString, TypeVar

import psycopg

from pgqueue._calls import Call, Calls
from pgqueue.errors import ConnectionLost, PgQueueError
from pgqueue.worker.background import Crash, background
from pgqueue.worker.backoff import Backoff
from pgqueue.worker.events import Teller
from pgqueue.worker.link import Link, describe
from pgqueue.worker.settings import Settings

__all__ = ["Listener", "hears_itself"]

logger = logging.getLogger("pgqueue.worker")
T = TypeVar("T")

_ECHO_WITHIN = 1.0
_PROBE_EVERY = 15.0


class Listener:
    """Holds the listening connection for as long as the worker lives.

    Args:
        on_wake: called with a queue's name; runs on the event loop, must be quick.
        on_poke: called when the server wants a heartbeat now.
        on_change: called when something may have come unheard: the connection is there again, or gone, or the
        sleeping lock has just
            been taken and what was enqueued before was silent.
        on_crash: called with a sentence should the listener itself fail.
    """

    def __init__(
        self,
        settings: Settings,
        calls: Calls,
        tell: Teller,
        stopping: asyncio.Event,
        *,
        on_wake: Callable[[str], None],
        on_poke: Callable[[], None],
        on_change: Callable[[], None],
        on_crash: Crash,
    ) -> None:
        dsn = settings.dsn if settings.listen_dsn is None else settings.listen_dsn
        self.link = Link("listen", dsn, settings, tell, stopping)
        self.link.prepare = False
        self.link.on_notice = self._heard
        self.link.on_lost = self._broken
        self.usable = False
        self.asleep = False
        """The sleeping lock is held."""
        self.session = 0
        self.worker_id: int | None = None
        self._queues: list[str] = []
        self._calls = calls
        self._settings = settings
        self._tell = tell
        self._stopping = stopping
        self._on_wake = on_wake
        self._on_poke = on_poke
        self._on_change = on_change
        self._on_crash = on_crash
        self._wanted = False
        self._something = asyncio.Event()
        self._trouble: PgQueueError | None = None
        self._used = 0.0
        self._task: asyncio.Task[None] | None = None
        self._echo: tuple[str, asyncio.Future[None]] | None = None

    async def start(self, sender: Link, queues: list[str]) -> bool:
        """Connects, listens, and finds out whether notifications arrive: if not, closes again. Raises ConnectionLost
        when there is no server.
        """
        self._queues = queues
        await self.link.open()
        if not await self._listen_and_test(sender):
            await self.link.close()
            self._tell("polling", why="no echo")
            logger.warning(
                "notifications do not arrive (a transaction pooler?): polling every %.1f s instead; a direct listen_dsn"
                " would help",
                self._settings.poll_interval,
            )
            return False
        self.usable = True
        self.session += 1
        self._task = background(self._loop(), "listener", self._on_crash)
        self._tell("listening")
        self._on_change()
        return True

    async def stop(self) -> None:
        """Closes the connection, and with it lets go of every lock."""
        self.usable = self.asleep = False
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self.link.close()

    def rest(self, wanted: bool) -> None:
        """Take the sleeping lock, or let it go; soon, in the background."""
        if self.usable and wanted is not self._wanted:
            self._wanted = wanted
            self._something.set()

    async def run(self, call: Call[T]) -> T:
        """A statement on this connection, among notifications. Raises PgQueueError; a lost connection is restored
        in the background.
        """
        try:
            return await self.link.call(call)
        except ConnectionLost as error:
            self._broken(error)
            raise
        finally:
            self._used = asyncio.get_running_loop().time()

    def sever(self) -> None:
        """From another thread, while the event loop does not move: ends the session on the server, and its locks with
        it.

        The loop finds a broken connection when it moves again.
        """
        connection = self.link.connection
        if not self.usable or connection is None:
            return
        try:
            with socket.socket(fileno=os.dup(connection.fileno())) as twin:
                twin.shutdown(socket.SHUT_RDWR)
        except (OSError, psycopg.Error) as error:
            logger.warning("could not cut the listening session off: %s", describe(error))

    # -- hearing --------------------------------------------------------------------------------------------------

    async def _listen_and_test(self, sender: Link) -> bool:
        await self._listen()
        token = f"probe {secrets.token_hex(8)}"
        self._echo = token, asyncio.get_running_loop().create_future()
        try:
            await sender.fetch(
                "select pg_notify(%(channel)s, %(token)s)", {"channel": self._calls.worker_channel, "token": token}
            )
            async with asyncio.timeout(_ECHO_WITHIN):
                await self._echo[1]
        except TimeoutError:
            await self.link.fetch("unlisten *")
            return False
        finally:
            self._echo = None
        return True

    async def _listen(self) -> None:
        for channel in (self._calls.wake_channel, self._calls.worker_channel):
            statement: LiteralString = f"listen {channel}"
            await self.link.fetch(statement)
        self._used = asyncio.get_running_loop().time()

    def _heard(self, channel: str, payload: str) -> None:
        if channel == self._calls.wake_channel:
            self._on_wake(payload)
        elif payload == str(self.worker_id):
            self._on_poke()
        elif self._echo is not None and payload == self._echo[0] and not self._echo[1].done():
            self._echo[1].set_result(None)

    # -- keeping --------------------------------------------------------------------------------------------------

    def _broken(self, error: PgQueueError) -> None:
        if self.usable:
            self.usable = self.asleep = self._wanted = False
            self._trouble = error
            self._something.set()
            self._on_change()

    async def _loop(self) -> None:
        """One thing after another: restore what is broken, take or leave the sleeping lock, probe a connection that
        has long been silent.
        """
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            try:
                async with asyncio.timeout(_PROBE_EVERY):
                    await self._something.wait()
            except TimeoutError:
                if loop.time() - self._used >= _PROBE_EVERY:
                    await self._try(self._calls.version())
                continue
            self._something.clear()
            if self._trouble is not None:
                await self._restore(self._trouble)
            while self.usable and self.asleep is not self._wanted:
                await self._change(self._wanted)

    async def _change(self, asleep: bool) -> None:
        if not await self._try(self._calls.worker_sleep(self._queues) if asleep else self._calls.worker_wake()):
            return
        self.asleep = asleep
        self._tell("asleep" if asleep else "awake")
        if asleep:
            self._on_change()

    async def _try(self, call: Call[Any]) -> bool:
        try:
            await self.run(call)
        except PgQueueError as error:
            if self._trouble is None:
                logger.warning("listen connection: %s", describe(error), extra={"sqlstate": error.sqlstate})
                self._wanted = self.asleep
            return False
        return True

    async def _restore(self, error: PgQueueError) -> None:
        backoff = Backoff()
        while True:
            try:
                await self.link.close()
                await self.link.restore(error)
                await self._listen()
                break
            except PgQueueError as again:
                if self._stopping.is_set():
                    return
                error = again
                await asyncio.sleep(backoff.delay())
        self._trouble = None
        self.usable = True
        self.session += 1
        self._tell("listening")
        self._on_change()


async def hears_itself(link: Link, sender: Link, calls: Calls) -> bool:
    """Whether this link, not open yet, is a session of its own rather than one of a transaction pooler's: LISTEN on it,
    notify it from another, wait a second.
    """
    heard = asyncio.Event()
    token = f"probe {secrets.token_hex(8)}"
    link.on_notice = lambda _, payload: heard.set() if payload == token else None
    await link.open()
    channel = calls.worker_channel
    statement: LiteralString = f"listen {channel}"
    await link.fetch(statement)
    try:
        await sender.fetch("select pg_notify(%(channel)s, %(token)s)", {"channel": channel, "token": token})
        async with asyncio.timeout(_ECHO_WITHIN):
            await heard.wait()
    except TimeoutError:
        return False
    finally:
        await link.fetch("unlisten *")
    return True
