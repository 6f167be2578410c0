"""What runs jobs of SQL in a worker: the handlers of the kinds sql.script and sql.query, and their own few
connections to the queue, opened when the first such job comes.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from time import monotonic
from typing import Any, TypeVar

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from pgqueue._async.execute import execute
from pgqueue._calls import Call, Calls
from pgqueue._json import JsonText
from pgqueue.errors import Busy, ConnectionLost, PgQueueError, translate
from pgqueue.outcomes import Settlement
from pgqueue.worker.backoff import Backoff
from pgqueue.worker.job import Job
from pgqueue.worker.link import connection_string, describe
from pgqueue.worker.settings import Settings
from pgqueue.worker.sql.query import QueryTurn
from pgqueue.worker.sql.script import ScriptTurn
from pgqueue.worker.sql.sources import Sources
from pgqueue.worker.sql.turn import Turn
from pgqueue.worker.wire import JSON_START

__all__ = ["Engine", "SqlHandler"]

logger = logging.getLogger("pgqueue.worker")
T = TypeVar("T")

_CONNECTIONS = 4
_BUSY_FOR = 10.0
"""Seconds for which locks and time limits of the queue are tried again."""
_LOST_FOR = 30.0
"""... and lost connections; after that the server has given the jobs to others."""


class SqlHandler:
    """To the executors, the task of a kind. `on_more`: the job goes back because there is more of it to do."""

    __slots__ = ("_engine", "_on_more", "_turn")

    is_async = True
    is_sql = True
    patience: float | None = 30.0
    """The server may be slow to end a statement."""

    def __init__(
        self, engine: Engine, turn: Callable[[Engine, Job, dict[str, Any]], Turn[Any]], on_more: Callable[[str], None]
    ) -> None:
        self._engine = engine
        self._turn = turn
        self._on_more = on_more

    def encode(self, value: Any) -> JsonText | None:
        """Not called: what `run` gives is a settlement."""
        return None

    async def run(self, job: Job) -> Settlement:
        """The turn is a task of its own: who is cancelled here is the waiter, and the turn is told to stop."""
        turn = self._turn(self._engine, job, json.loads(job.args[JSON_START:]))
        task = asyncio.create_task(turn.run(), name=f"pgqueue {turn.word} {job.id}")
        current = asyncio.current_task()
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:
                if job.stop is None or job.stop == "timeout":  # the worker leaves
                    task.cancel()
                    raise
                turn.stop(job.stop)
                while current is not None and current.cancelling():
                    current.uncancel()
        settlement = task.result()
        if settlement.outcome == "release" and job.stop is None:
            self._on_more(job.queue)
        return settlement


class Engine:
    """One per worker.

    Args:
        may_prepare: whether the queue's connections keep prepared statements (no pooler is known to be in between).
        on_more: called with a queue in which there will be a job again.
    """

    def __init__(
        self,
        settings: Settings,
        calls: Calls,
        sources: Sources,
        *,
        may_prepare: Callable[[], bool],
        on_more: Callable[[str], None],
    ) -> None:
        self.calls = calls
        self.sources = sources
        self.handlers = {
            "sql.script": SqlHandler(self, ScriptTurn, on_more),
            "sql.query": SqlHandler(self, QueryTurn, on_more),
        }
        self._settings = settings
        self._may_prepare = may_prepare
        self._pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]] | None = None
        self._opening = asyncio.Lock()

    async def call(self, call: Call[T]) -> T:
        """Runs a call of the queue's, again when the server is busy or away. Raises PgQueueError."""
        began = monotonic()
        backoff = Backoff(first=0.05, most=2.0)
        while True:
            try:
                return await self._call(call)
            except (Busy, ConnectionLost) as error:
                limit = _BUSY_FOR if isinstance(error, Busy) else _LOST_FOR
                if monotonic() - began > limit:
                    raise
                delay = backoff.delay()
                logger.info("trying again in %.2f s: %s", delay, describe(error), extra={"sqlstate": error.sqlstate})
                await asyncio.sleep(delay)

    async def _call(self, call: Call[T]) -> T:
        try:
            pool = self._pool or await self._open()
            async with pool.connection() as connection:
                return await execute(connection, call)
        except PoolTimeout as error:
            raise ConnectionLost("no connection to the queue's database could be had in time") from error
        except psycopg.Error as error:
            raise translate(error) from error

    async def _open(self) -> AsyncConnectionPool[psycopg.AsyncConnection[Any]]:
        async with self._opening:
            if self._pool is None:
                conninfo = await self._conninfo()
                self._pool = AsyncConnectionPool(
                    conninfo,
                    min_size=0,
                    max_size=_CONNECTIONS,
                    timeout=self._settings.statement_timeout,
                    kwargs={"autocommit": True, "prepare_threshold": 5 if self._may_prepare() else None},
                    open=False,
                    name="pgqueue sql",
                )
                await self._pool.open()
            return self._pool

    async def _conninfo(self) -> str:
        """With the limits of the worker's other connections, unless a pooler refuses them. A pool by itself would only
        say that there are no connections.
        """
        settings = self._settings
        with_options = connection_string(settings.dsn, settings, "sql")
        try:
            await (await psycopg.AsyncConnection.connect(with_options)).close()
        except psycopg.OperationalError as error:
            if "startup parameter" not in str(error):
                raise
            return connection_string(settings.dsn, settings, "sql", options=False)
        return with_options

    async def close(self) -> None:
        """Closes the queue's connections. Does not raise."""
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                await pool.close(timeout=1.0)
            except (psycopg.Error, PgQueueError, TimeoutError) as error:
                logger.debug("closing the pool: %s", error)
