"""The session in which one text of a user's runs: a connection of its own, opened for it and closed after it.

What runs can be ended at any moment by `interrupt`: a request to cancel, repeated, since one that meets the server
between two statements is lost; after a second the backend is terminated, over another connection, by its process id
and start, so that it cannot be a later one. Whoever runs the statement sees it end, and only then goes on.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import Diagnostic

from pgqueue.worker.sql import statements
from pgqueue.worker.sql.driver import Driver
from pgqueue.worker.sql.failures import (
    CANCELED,
    SqlFailure,
    failure_of,
    failure_of_connecting,
    failure_told,
    time_is_up,
)
from pgqueue.worker.sql.notices import Notices

__all__ = ["Backend", "Interrupted", "Session", "Wishes"]

logger = logging.getLogger("pgqueue.worker")

_WATCH = ("client_connection_check_interval", "200ms")
"""How long a server goes on with a statement after the worker has died. Short, since what it commits then is there
twice when the statement has run again; the price is a system call each time.
"""
_TRIES = (0.5, 1.5)
"""Pauses between attempts to connect."""
_LONGEST_OPTIONS = 8000
"""A startup packet has at most 10,000 bytes."""
_SLACK = 0.02
"""Seconds after which the clock here does what the server's statement_timeout has not done."""
_ABOUT = 0.05
"""Seconds by which the server's own limit may seem early."""
_POLITE = 1.0
"""Seconds of cancelling before the backend is terminated."""
_HOPELESS = 15.0
"""... and before the connection is given up: the server cannot be reached, or the backend hears nothing."""
_LEAVE_WITHIN = 5.0
_TERMINATED = "57P01"
_LONGEST_LIMIT = 2**31 - 1
_ESCAPED = re.compile(r"([\\\s])")


@dataclass(frozen=True, slots=True)
class Backend:
    """A server process; the number alone may have come to another one meanwhile."""

    pid: int
    start: datetime


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a job wants of its session."""

    name: str
    """Shown in pg_stat_activity."""
    role: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    read_only: bool = False

    def items(self) -> list[tuple[str, str]]:
        """Settings of the server in the order to make them, but for what it may not know."""
        made = list(self.settings.items())
        if self.read_only:
            made.append(("default_transaction_read_only", "on"))
        if self.role is not None:
            made.append(("role", self.role))
        return made


class Interrupted(Exception):
    """The session was interrupted, and the server has not said so by an error: nothing ran just then, say."""


class Session:
    """See `open`."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], dsn: str, wishes: Wishes, *, is_set: bool) -> None:
        self.driver = Driver(connection)
        self.notices = Notices()
        self.interrupted: str | None = None
        """Why, once it is."""
        self._connection = connection
        self._dsn = dsn
        self._wishes = wishes
        self._is_set = is_set
        self._backend: Backend | None = None
        self._over: asyncio.Event | None = None
        """While a statement is under way: set when it has ended."""
        self._interrupter: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ends_at = math.inf
        self._loop = asyncio.get_running_loop()
        self._last_words: SqlFailure | None = None
        connection.add_notice_handler(self._hear)

    @classmethod
    async def open(cls, dsn: str, wishes: Wishes) -> Session:
        """Connects, in three tries. The settings go with the connection, so that not even RESET or DISCARD undoes
        them; where that is refused (by a pooler, or because one of them is wrong) they are made by `prepare`, which
        says what is wrong with them. Raises SqlFailure.
        """
        for pause in (*_TRIES, None):
            try:
                return await cls._open(dsn, wishes)
            except psycopg.Error as error:
                if pause is None:
                    raise failure_of_connecting(error) from error
                await asyncio.sleep(pause)
        raise AssertionError  # the last try has no pause

    @classmethod
    async def _open(cls, dsn: str, wishes: Wishes) -> Session:
        options = _options(wishes)
        session: Session | None = None
        if len(options) <= _LONGEST_OPTIONS:
            try:
                session = cls(await _connect(dsn, wishes.name, options), dsn, wishes, is_set=True)
            except psycopg.OperationalError as error:
                logger.debug("connecting without options: %s", error)
        if session is None:
            session = cls(await _connect(dsn, wishes.name, None), dsn, wishes, is_set=False)
        try:
            await session._identify()
        except BaseException:
            session.close()
            raise
        return session

    async def _identify(self) -> None:
        ((pid, start),) = await self.driver.script(statements.identify(with_role=self._has_role))
        self._backend = Backend(int(pid or 0), datetime.fromisoformat(start or "").replace(tzinfo=UTC))

    @property
    def backend(self) -> Backend:
        """The server process this session has."""
        assert self._backend is not None  # `open` has asked
        return self._backend

    @property
    def _has_role(self) -> bool:
        return self._is_set and self._wishes.role is not None

    # -- before the statement ---------------------------------------------------------------------------------------

    async def end_other(self, other: Backend) -> bool:
        """Terminates another backend of this server; False when it is gone. Before `prepare`. Raises SqlFailure."""
        try:
            with self.statement():
                return bool(
                    await self.driver.script(statements.end_backend(other.pid, other.start, with_role=self._has_role))
                )
        except psycopg.Error as error:
            raise self._failure_of(error) from error

    async def prepare(self, limit: float | None) -> None:
        """Makes the settings, unless they came with the connection, and starts the clock: what runs is ended after
        `limit` seconds, whatever number of statements it is. Raises SqlFailure, Interrupted.
        """
        settings = [] if self._is_set else self._wishes.items()
        timeout = 0 if limit is None else min(max(1, round(limit * 1000)), _LONGEST_LIMIT)
        with self.statement():
            if not self._is_set:
                await self._watch_client()
            for name, value in [("statement_timeout", str(timeout)), *settings]:
                try:
                    await self.driver.fetch(statements.SET, (name.encode(), value.encode()))
                except psycopg.Error as error:
                    raise self._failure_of(error) from error
        if limit is not None:
            self._ends_at = monotonic() + limit
            self._timer = self._loop.call_later(limit + _SLACK, self.interrupt, "timeout")

    async def _watch_client(self) -> None:
        try:
            await self.driver.fetch(statements.SET, tuple(word.encode() for word in _WATCH))
        except psycopg.Error as error:
            logger.debug("the server does not look whether its client is there: %s", error)

    # -- the statement ----------------------------------------------------------------------------------------------

    @contextmanager
    def statement(self) -> Iterator[None]:
        """Around whatever runs: `interrupt` ends it. Raises Interrupted when that has been called already."""
        if self.interrupted is not None:
            raise Interrupted
        over = self._over = asyncio.Event()
        try:
            yield
        finally:
            over.set()
            self._over = None

    def failure(self, error: psycopg.Error, *, shift: int = 0) -> SqlFailure:
        """What this error of the statement means. `shift`: see `failure_of`."""
        if self.interrupted == "timeout" and error.sqlstate in (None, CANCELED, _TERMINATED):
            return time_is_up()
        failure = self._failure_of(error, shift=shift)
        if error.sqlstate == CANCELED and monotonic() > self._ends_at - _ABOUT:
            failure.document["type"] = "Timeout"
        return failure

    def _failure_of(self, error: psycopg.Error, *, shift: int = 0) -> SqlFailure:
        if error.sqlstate is None and self._last_words is not None:
            return self._last_words
        return failure_of(error, shift=shift)

    def _hear(self, told: Diagnostic) -> None:
        """What ends a session between two statements is no statement's error: libpq passes it on as a notice, and the
        next statement only finds the connection closed.
        """
        if told.severity_nonlocalized in ("FATAL", "PANIC"):
            self._last_words = failure_told(told)  # now: a notice is gone once it is heard
        else:
            self.notices.hear(told)

    def interrupt(self, why: str) -> None:
        """Ends what is under way, and whatever would come after it. Later reasons do not count."""
        if self.interrupted is None:
            self.interrupted = why
            if self._over is not None:
                self._interrupter = self._loop.create_task(self._end(self._over), name="pgqueue interrupt")

    async def _end(self, over: asyncio.Event) -> None:
        began = monotonic()
        pause = 0.02
        while not over.is_set():
            patience = monotonic() - began
            if patience < _POLITE:
                await self._cancel()
            elif patience < _HOPELESS:
                await self._terminate()
            else:
                logger.error("a statement cannot be ended: leaving its connection", extra={"pid": self.backend.pid})
                self.driver.sever()
            try:
                async with asyncio.timeout(pause):
                    await over.wait()
            except TimeoutError:
                pause = min(2 * pause, 0.25)

    async def _cancel(self) -> None:
        try:
            await self._connection.cancel_safe(timeout=_POLITE)
        except psycopg.Error as error:
            logger.debug("a statement could not be cancelled: %s", error)

    async def _terminate(self) -> None:
        try:
            other = await _connect(self._dsn, self._wishes.name, None)
            try:
                backend = self.backend
                await Driver(other).script(statements.end_backend(backend.pid, backend.start, with_role=False))
            finally:
                other.pgconn.finish()
        except psycopg.Error as error:
            logger.warning("a backend could not be terminated: %s", error, extra={"pid": self.backend.pid})

    # -- after it -----------------------------------------------------------------------------------------------------

    async def leave(self) -> None:
        """Gives up what the session holds and closes it. Closing alone would do, a moment later: the server ends a
        session when it gets to it, and until then others wait for its locks.
        """
        self._stop_clock()
        driver = self.driver
        try:
            async with asyncio.timeout(_LEAVE_WITHIN):
                if driver.has_left_open:
                    self.notices.add("WARNING", "the text ended inside a transaction, which was rolled back", "25P01")
                if not driver.is_idle:
                    await driver.fetch(statements.ROLLBACK)
                if driver.is_idle:
                    await driver.fetch(statements.DISCARD)
        except (psycopg.Error, TimeoutError) as error:
            logger.debug("a session was not left in order: %s", error)
        self.close()

    def close(self) -> None:
        """Closes the connection; a broken one too."""
        self._stop_clock()
        if self._interrupter is not None:
            self._interrupter.cancel()
        self._connection.pgconn.finish()

    def _stop_clock(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _options(wishes: Wishes) -> str:
    items = [_WATCH, *wishes.items()]
    return " ".join("-c " + _ESCAPED.sub(r"\\\1", f"{name}={value}") for name, value in items)


async def _connect(dsn: str, name: str, options: str | None) -> psycopg.AsyncConnection[Any]:
    given = conninfo_to_dict(dsn)
    wanted: dict[str, Any] = {
        "connect_timeout": 5,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
    }
    wanted = {key: value for key, value in wanted.items() if key not in given}
    wanted |= {"application_name": name[:63], "client_encoding": "UTF8"}
    if options:
        before = given.get("options") or os.environ.get("PGOPTIONS") or ""
        wanted["options"] = f"{before} {options}".strip()
    return await psycopg.AsyncConnection.connect(make_conninfo(dsn, **wanted), autocommit=True)
