"""One connection of the worker's own to the server, made again for ever.

Whoever uses a link sees three kinds of failure: ConnectionLost (the statement may or may not have happened; call
`restore`, which returns when there is a connection again), Busy (it did not happen; try again later) and other
PgQueueErrors (it did not happen, and the same call will fail again). Every statement has its limit on the server
(statement_timeout, lock_timeout, given at connection) and, should the network swallow the answer, a somewhat longer
one here. How statements travel is the business of `line`.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgqueue._calls import Call
from pgqueue.errors import ConnectionLost, PgQueueError, translate
from pgqueue.worker.backoff import Backoff
from pgqueue.worker.events import Teller
from pgqueue.worker.line import Answer, Line, Statement, numbered
from pgqueue.worker.settings import Settings
from pgqueue.worker.wire import adapt

__all__ = ["Link", "connection_string", "describe"]

logger = logging.getLogger("pgqueue.worker")
T = TypeVar("T")

# A pooler between us and the server: the statement was not run, because its name belongs to somebody else there or to
# nobody.
_PREPARED_ELSEWHERE = ("42P05", "26000")
_SPOKEN_EVERY = 30.0
_CANCEL_WITHIN = 1.0


def connection_string(dsn: str, settings: Settings, role: str, *, options: bool = True, is_durable: bool = True) -> str:
    """`dsn` with what a worker's connection needs; what the DSN itself says wins, and its `options` are kept.

    Not `is_durable`: commits do not wait for the disk.
    """
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
        before = str(given.get("options") or os.environ.get("PGOPTIONS") or "")
        limits = (
            f"-c statement_timeout={int(settings.statement_timeout * 1000)}"
            f" -c lock_timeout={int(settings.lock_timeout * 1000)}"
            " -c idle_in_transaction_session_timeout=60000"
        )
        if not is_durable and "synchronous_commit" not in before:
            limits += " -c synchronous_commit=off"
        wanted["options"] = f"{before} {limits}".strip()
    return make_conninfo(dsn, **wanted)


def describe(error: BaseException) -> str:
    """One line."""
    return " ".join(str(error).split()) or type(error).__name__


class Link:
    """A named connection. Statements of one link run one after another.

    `stopping`: once set, nothing is restored any more and `restore` raises ConnectionLost. `is_durable`: see
    `connection_string`.
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
        is_durable: bool = True,
    ) -> None:
        self.role = role
        self.prepare = settings.prepare
        self.on_notice: Callable[[str, str], None] | None = None
        """Gets the channel and payload of each notification; to be set before the connection is opened, as is the
        next.
        """
        self.on_lost: Callable[[PgQueueError], None] | None = None
        """Called when the connection is found to be lost, whether or not a statement is under way."""
        self._dsn = dsn
        self._settings = settings
        self._tell = tell
        self._stopping = stopping
        self._for_jobs = for_jobs
        self._is_durable = is_durable
        self._limit = settings.statement_timeout + 5
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._line: Line | None = None
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
        conninfo = connection_string(
            self._dsn, self._settings, self.role, options=self._options, is_durable=self._is_durable
        )
        connection = await psycopg.AsyncConnection.connect(conninfo, autocommit=True)
        if self._for_jobs:
            adapt(connection)
        return connection

    @property
    def _open_line(self) -> Line | None:
        # made late: until its first statement the connection may be used with psycopg's own cursors
        if self._line is None and self._connection is not None:
            self._line = Line(
                self._connection,
                limit=self._limit,
                prepare=self.prepare,
                on_notice=self.on_notice,
                on_lost=self._lost,
            )
        return self._line

    def send(self, statement: Statement, params: Mapping[str, str | None], answer: Answer) -> Line:
        """Runs one statement. What is returned explains the answer's error: see `reason`. Raises ConnectionLost when
        there is no connection, InvalidArgument for what cannot be sent.
        """
        line = self._open_line
        if line is None:
            raise ConnectionLost(f"the {self.role} connection is not open")
        try:
            line.send(statement, params, answer)
        except psycopg.DataError as error:
            raise translate(error) from error
        return line

    async def fetch(self, sql: LiteralString, params: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Runs one statement and returns its rows. Raises PgQueueError; after ConnectionLost the connection is
        closed. When the waiting is cancelled, so is the statement.
        """
        future: asyncio.Future[list[tuple[Any, ...]]] = asyncio.get_running_loop().create_future()

        def answer(rows: list[tuple[Any, ...]], error: psycopg.Error | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(rows)
            else:
                future.set_exception(error)

        line = self.send(numbered(sql), params or {}, answer)
        try:
            return await future
        except psycopg.Error as error:
            raise self.reason(error, line) from error
        except asyncio.CancelledError:
            if line is self._line and self._connection is not None:
                await _cancel(self._connection)
            raise

    def reason(self, error: psycopg.Error, line: Line) -> PgQueueError:
        """What an answer's error means. After ConnectionLost the connection it came from is closed."""
        if self.prepare and error.sqlstate in _PREPARED_ELSEWHERE:
            self.prepare = False
            logger.warning(
                "prepared statements do not work here (a transaction pooler?): going on without",
                extra={"link": self.role, "sqlstate": error.sqlstate},
            )
            self._drop(line)
            return ConnectionLost("the server does not know the statement this connection has prepared")
        wrapped = translate(error)
        if isinstance(wrapped, ConnectionLost):
            self._drop(line)
        elif line.is_closed:
            return ConnectionLost(wrapped.message, wrapped.hint, wrapped.sqlstate)
        return wrapped

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
                async with asyncio.timeout(backoff.delay()):
                    await self._stopping.wait()
            except TimeoutError:
                continue
        logger.info("connected again", extra={"link": self.role, "seconds": loop.time() - since})
        self._tell("connected", link=self.role)

    async def cancel(self) -> None:
        """The statement under way is to end; does not raise."""
        if self._connection is not None:
            await _cancel(self._connection)

    async def close(self) -> None:
        """Closes; a broken connection too."""
        self._drop(self._line)

    def _drop(self, line: Line | None) -> None:
        """Closes the connection this line is of, unless there is another already."""
        if line is not self._line:
            return
        self._line = None
        if line is not None:
            line.close()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.pgconn.finish()

    def _lost(self, error: psycopg.Error) -> None:
        self._drop(self._line)
        if self.on_lost is not None:
            self.on_lost(ConnectionLost(describe(error), None, error.sqlstate))


async def _cancel(connection: psycopg.AsyncConnection[Any]) -> None:
    try:
        await connection.cancel_safe(timeout=_CANCEL_WITHIN)
    except psycopg.Error as error:
        logger.debug("a statement could not be cancelled: %s", describe(error))
