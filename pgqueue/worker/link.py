"""One connection of the worker's own to the server, made again for ever.

Whoever uses a link sees three kinds of failure: ConnectionLost (the statement may or may not have happened; call
`restore`, which returns when there is a connection again), Busy (it did not happen; try again later) and other
PgQueueErrors (it did not happen, and the same call will fail again). Every statement has its limit on the server
(statement_timeout, lock_timeout, given at connection) and, should the network swallow the answer, a somewhat longer
one here.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgqueue._calls import Call
from pgqueue.errors import ConnectionLost, PgQueueError, translate
from pgqueue.worker.backoff import Backoff
from pgqueue.worker.events import Teller
from pgqueue.worker.settings import Settings
from pgqueue.worker.wire import adapt

__all__ = ["Link", "connection_string", "describe"]

logger = logging.getLogger("pgqueue.worker")
T = TypeVar("T")

# A pooler between us and the server: the statement was not run, because its name belongs to somebody else there or to
# nobody.
_PREPARED_ELSEWHERE = ("42P05", "26000")
_READ_ONLY = "25006"
_SPOKEN_EVERY = 30.0


def connection_string(dsn: str, settings: Settings, role: str, *, options: bool = True) -> str:
    """`dsn` with what a worker's connection needs; what the DSN itself says wins, and its `options` are kept."""
    given = conninfo_to_dict(dsn)
    wanted: dict[str, Any] = {
        "connect_timeout": 5,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
        "fallback_application_name": f"pgqueue {role} {settings.name}"[:63],
    }
    wanted = {key: value for key, value in wanted.items() if key not in given}
    wanted["client_encoding"] = "UTF8"
    if options:
        before = given.get("options") or os.environ.get("PGOPTIONS") or ""
        limits = (
            f"-c statement_timeout={int(settings.statement_timeout * 1000)}"
            f" -c lock_timeout={int(settings.lock_timeout * 1000)}"
            " -c idle_in_transaction_session_timeout=60000"
        )
        wanted["options"] = f"{before} {limits}".strip()
    return make_conninfo(dsn, **wanted)


def describe(error: BaseException) -> str:
    """One line."""
    return " ".join(str(error).split()) or type(error).__name__


class Link:
    """A named connection. Statements of one link run one after another.

    `stopping`: once set, nothing is restored any more and `restore` raises ConnectionLost.
    """

    def __init__(
        self,
        role: str,
        dsn: str,
        settings: Settings,
        tell: Teller,
        stopping: asyncio.Event,
        *,
        for_jobs: bool = False,
    ) -> None:
        self.role = role
        self.prepare = settings.prepare
        self._dsn = dsn
        self._settings = settings
        self._tell = tell
        self._stopping = stopping
        self._for_jobs = for_jobs
        self._limit = settings.statement_timeout + 5
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._opening = asyncio.Lock()
        self._options = True

    @property
    def connection(self) -> psycopg.AsyncConnection[Any] | None:
        """The open connection."""
        return self._connection

    async def open(self) -> psycopg.AsyncConnection[Any]:
        """Connects, once. Raises ConnectionLost, PermissionDenied."""
        async with self._opening:
            return self._connection or await self._open()

    async def _open(self) -> psycopg.AsyncConnection[Any]:
        try:
            try:
                connection = await self._connect()
            except psycopg.OperationalError as error:
                if not (self._options and "startup parameter" in str(error)):
                    raise
                self._options = False
                logger.info(
                    "the server (a pooler?) takes no options at connection: statements have no time limit on its side",
                    extra={"link": self.role},
                )
                connection = await self._connect()
        except psycopg.Error as error:
            raise translate(error) from error
        self._connection = connection
        return connection

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        conninfo = connection_string(self._dsn, self._settings, self.role, options=self._options)
        connection = await psycopg.AsyncConnection.connect(conninfo, autocommit=True)
        if self._for_jobs:
            adapt(connection)
        return connection

    async def fetch(self, sql: LiteralString, params: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Runs one statement and returns its rows. Raises PgQueueError; after ConnectionLost the connection is
        closed.
        """
        connection = self._connection
        if connection is None:
            raise ConnectionLost(f"the {self.role} connection is not open")
        try:
            async with asyncio.timeout(self._limit):
                cursor = connection.cursor(binary=True)
                await cursor.execute(sql, params, prepare=self.prepare)
                return await cursor.fetchall() if cursor.description else []
        except TimeoutError as error:
            await self.close()
            raise ConnectionLost(f"no answer within {self._limit:.0f} s") from error
        except psycopg.Error as error:
            if self.prepare and error.sqlstate in _PREPARED_ELSEWHERE:
                self.prepare = False
                logger.warning(
                    "prepared statements do not work here (a transaction pooler?): going on without",
                    extra={"link": self.role, "sqlstate": error.sqlstate},
                )
                await self.close()
                raise ConnectionLost("the server does not know the statement this connection has prepared") from error
            wrapped = translate(error)
            if connection.closed or connection.broken or isinstance(wrapped, ConnectionLost):
                await self.close()
                if not isinstance(wrapped, ConnectionLost):
                    raise ConnectionLost(wrapped.message, wrapped.hint, wrapped.sqlstate) from error
            raise wrapped from error

    async def call(self, call: Call[T]) -> T:
        """Runs a Call of `pgqueue._calls`. On links `for_jobs`, JSON and intervals are not what a Call expects."""
        return call.decode(await self.fetch(call.sql, call.params))

    async def restore(self, error: PgQueueError) -> None:
        """Connects again, however long that takes. Raises ConnectionLost when the worker ends meanwhile."""
        loop = asyncio.get_running_loop()
        self._tell("disconnected", link=self.role)
        logger.warning("connection lost: %s", describe(error), extra={"link": self.role, "sqlstate": error.sqlstate})
        backoff = Backoff()
        since = spoken = loop.time()
        while True:
            if self._stopping.is_set():
                raise ConnectionLost("the worker is ending") from error
            try:
                await self.open()
                break
            except PgQueueError as failure:
                now = loop.time()
                if now - spoken >= _SPOKEN_EVERY:
                    spoken = now
                    logger.warning(
                        "still no connection: %s", describe(failure), extra={"link": self.role, "seconds": now - since}
                    )
            try:
                await asyncio.wait_for(self._stopping.wait(), backoff.delay())
            except TimeoutError:
                continue
        logger.info("connected again", extra={"link": self.role, "seconds": loop.time() - since})
        self._tell("connected", link=self.role)

    async def close(self) -> None:
        """Closes; a broken connection too."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
