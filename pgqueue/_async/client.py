"""AsyncClient: every public SQL function as a method.

The methods are made from those of `pgqueue._calls.Calls`, where their parameters, docstrings and answers are written:
this is the shell that does the I/O. So a function that gains a parameter is changed in one place, and the two clients
cannot drift apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from pgqueue._async.execute import execute, make_pool
from pgqueue._calls import Call, Calls
from pgqueue.config import resolve_dsn
from pgqueue.errors import InvalidArgument, translate

__all__ = ["AsyncClient"]

P = ParamSpec("P")
T = TypeVar("T")


def _method(call: Callable[Concatenate[Calls, P], Call[T]]) -> Callable[Concatenate[AsyncClient, P], Awaitable[T]]:
    """A method that runs what `call` describes."""

    @wraps(call)
    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.run(call(self.calls, *args, **kwargs))

    return method


def _session_method(
    call: Callable[Concatenate[Calls, P], Call[T]],
) -> Callable[Concatenate[AsyncClient, P], Awaitable[T]]:
    """A method whose effect stays with the database session, which the caller must hold therefore."""

    @wraps(call)
    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        if self.connection is None:
            raise InvalidArgument(
                f"{call.__name__} acts on one database session, and a pool has many", "call it on client.on(connection)"
            )
        return await self.run(call(self.calls, *args, **kwargs))

    return method


class AsyncClient:
    """The functions of one pgqueue schema.

    `AsyncClient(dsn)` opens a small pool at first use (None: the DSN of `pgqueue.config.resolve_dsn`),
    `AsyncClient(pool)` borrows connections from yours. `client.on(connection)` works on your connection, inside the
    transaction it is in, and never commits: if you roll back, nothing has happened. Set `prepare_threshold=None` behind
    a pooler that does not know prepared statements; `timeout` is how many seconds to wait for a connection.

    Every method raises the exceptions of `pgqueue.errors`. Safe for use by many tasks at once, but on one connection
    calls take turns.
    """

    def __init__(
        self,
        dsn_or_pool: str | AsyncConnectionPool[Any] | None = None,
        *,
        schema: str = "pgqueue",
        connection: AsyncConnection[Any] | None = None,
        prepare_threshold: int | None = 5,
        max_size: int = 4,
        timeout: float = 10,
    ) -> None:
        self.calls = Calls(schema)
        self.connection = connection
        self._dsn = dsn_or_pool if isinstance(dsn_or_pool, str) else None
        self._given = None if isinstance(dsn_or_pool, str) else dsn_or_pool
        self._own: AsyncConnectionPool[Any] | None = None
        self._opening = asyncio.Lock()
        self._prepare_threshold = prepare_threshold
        self._max_size = max_size
        self._timeout = timeout

    @property
    def schema(self) -> str:
        return self.calls.schema

    def on(self, connection: AsyncConnection[Any]) -> AsyncClient:
        """The same functions on the caller's connection, in its transaction."""
        client = AsyncClient.__new__(AsyncClient)
        client.__dict__.update(self.__dict__, connection=connection, _own=None)
        return client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the pool this client has opened, if any; a later call opens another."""
        pool, self._own = self._own, None
        if pool is not None:
            await pool.close()

    async def pool(self) -> AsyncConnectionPool[Any]:
        """The pool calls run on, opened if need be."""
        if self._given is not None:
            return self._given
        if self._own is None:
            async with self._opening:
                if self._own is None:
                    self._own = await make_pool(
                        resolve_dsn(self._dsn).dsn,
                        max_size=self._max_size,
                        timeout=self._timeout,
                        prepare_threshold=self._prepare_threshold,
                    )
        return self._own

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncClient]:
        """`async with client.transaction() as tx:` what tx does is done together or not at all: one transaction on one
        connection, a savepoint on the caller's. Raises ConnectionLost; what the block raises is left as it is.
        """
        inside = False
        try:
            async with AsyncExitStack() as stack:
                given = self.connection
                connection: AsyncConnection[Any] = (
                    await stack.enter_async_context((await self.pool()).connection()) if given is None else given
                )
                await stack.enter_async_context(connection.transaction())
                inside = True
                yield self.on(connection)
                inside = False
        except psycopg.Error as error:
            if inside:
                raise
            raise translate(error) from error

    async def run(self, call: Call[T]) -> T:
        """Runs a Call: what all methods do."""
        if self.connection is not None:
            return await execute(self.connection, call)
        try:
            async with (await self.pool()).connection() as connection:
                return await execute(connection, call)
        except psycopg.Error as error:
            raise translate(error) from error

    enqueue = _method(Calls.enqueue)
    enqueue_each = _method(Calls.enqueue_each)
    enqueue_many = _method(Calls.enqueue_many)

    register_worker = _method(Calls.register_worker)
    worker_heartbeat = _method(Calls.worker_heartbeat)
    deregister_worker = _method(Calls.deregister_worker)
    claim = _method(Calls.claim)
    settle = _method(Calls.settle)
    settle_and_claim = _method(Calls.settle_and_claim)
    job_heartbeat = _method(Calls.job_heartbeat)
    worker_sleep = _session_method(Calls.worker_sleep)
    worker_wake = _session_method(Calls.worker_wake)

    cancel = _method(Calls.cancel)
    retry = _method(Calls.retry)
    reschedule = _method(Calls.reschedule)
    set_priority = _method(Calls.set_priority)
    pause_queue = _method(Calls.pause_queue)
    resume_queue = _method(Calls.resume_queue)
    configure_queue = _method(Calls.configure_queue)
    configure = _method(Calls.configure)

    result = _method(Calls.result)
    watch = _session_method(Calls.watch)
    unwatch = _session_method(Calls.unwatch)
    wait = _method(Calls.wait)

    try_lead = _session_method(Calls.try_lead)
    stop_leading = _session_method(Calls.stop_leading)
    maintain = _method(Calls.maintain)
    next_due = _method(Calls.next_due)

    job = _method(Calls.job)
    jobs = _method(Calls.jobs)
    attempts = _method(Calls.attempts)
    queues = _method(Calls.queues)
    workers = _method(Calls.workers)
    why = _method(Calls.why)
    health = _method(Calls.health)
    version = _method(Calls.version)
