"""AsyncClient: every public SQL function as a method.

The methods are made from those of `pgqueue._calls.Calls`, where their parameters, docstrings and answers are written:
this is the shell that does the I/O. So a function that gains a parameter is changed in one place, and the two clients
cannot drift apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from pgqueue._async.batches import AsyncBatches
from pgqueue._async.execute import execute, make_pool
from pgqueue._async.filtered import AsyncFiltered
from pgqueue._async.keyed import AsyncKeyedQueue
from pgqueue._async.query import AsyncQueryHandle
from pgqueue._async.script import AsyncScriptHandle
from pgqueue._calls import Call, Calls
from pgqueue._calls_sql import Document, OnWaitTimeout, QueryOptions, ScriptOptions
from pgqueue._waiting import ResultListener
from pgqueue.config import resolve_dsn
from pgqueue.errors import InvalidArgument, translate
from pgqueue.options import composed

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


class AsyncClient(AsyncFiltered):
    """The functions of one pgqueue schema.

    `AsyncClient(dsn)` opens a small pool at first use (None: the DSN of `pgqueue.config.resolve_dsn`),
    `AsyncClient(pool)` borrows connections from yours. `client.on(connection)` works on your connection, inside the
    transaction it is in, and never commits: if you roll back, nothing has happened. Set `prepare_threshold=None` behind
    a pooler that does not know prepared statements; `timeout` is how many seconds to wait for a connection.
    Waiting for the end of a job may LISTEN, on `listen_dsn` if that is given; say listen=False when there is only a
    transaction pooler.

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
        listen: bool = True,
        listen_dsn: str | None = None,
    ) -> None:
        self.calls = Calls(schema)
        self.connection = connection
        self._dsn = dsn_or_pool if isinstance(dsn_or_pool, str) else None
        self._given = None if isinstance(dsn_or_pool, str) else dsn_or_pool
        self._own: AsyncConnectionPool[Any] | None = None
        self._opening = asyncio.Lock()
        self.prepare_threshold = prepare_threshold
        self._max_size = max_size
        self._timeout = timeout
        self._listen = listen
        self._listen_dsn = listen_dsn
        self._results: ResultListener | None = None

    @property
    def schema(self) -> str:
        return self.calls.schema

    def on(self, connection: AsyncConnection[Any]) -> AsyncClient:
        """The same functions on the caller's connection, in its transaction."""
        client = AsyncClient.__new__(AsyncClient)
        client.__dict__.update(self.__dict__, connection=connection, _own=None, _results=None)
        return client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections this client has opened, if any; a later call opens others."""
        results, self._results = self._results, None
        if results is not None:
            await results.aclose()
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
                        prepare_threshold=self.prepare_threshold,
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

    def results(self) -> ResultListener:
        """What waits for jobs to end. Polls where the connections are the caller's: they are not to listen on."""
        if self._results is None:
            own = self.connection is None and self._given is None
            self._results = ResultListener(
                self,
                listen=self._listen and (own or self._listen_dsn is not None),
                listen_dsn=self._listen_dsn,
                dsn=self._dsn,
                # The rest of the pool stays free for other calls meanwhile.
                listeners=max(1, self._max_size // 2),
            )
        return self._results

    async def user(self) -> str:
        """The database user of the client's connections: who owns a script or query that names no owner."""
        if self.connection is not None:
            return str(self.connection.info.user)
        try:
            async with (await self.pool()).connection() as connection:
                return str(connection.info.user)
        except psycopg.Error as error:
            raise translate(error) from error

    async def query(
        self,
        sql: str,
        params: Sequence[Any] | None = None,
        *,
        on_wait_timeout: OnWaitTimeout = "continue",
        **options: Unpack[QueryOptions],
    ) -> AsyncQueryHandle:
        """Submits a query and returns the way to its result; for the options see `submit_query`. `on_wait_timeout`:
        what becomes of the query when a method of the handle has waited as long as it was told, "continue" or "cancel".
        On a connection of yours commit before you wait: until then nobody else knows of the query.
        """
        answer = await self.submit_query(sql, params, **composed(options))
        return AsyncQueryHandle(
            self, answer.id, answer.created, answer.reused, owner=options.get("owner"), on_wait_timeout=on_wait_timeout
        )

    def query_handle(
        self, id: int, *, owner: str | None = None, on_wait_timeout: OnWaitTimeout = "continue"
    ) -> AsyncQueryHandle:
        """A handle for a known id; with an `owner`, only for that owner's query. Asks nothing of the database."""
        return AsyncQueryHandle(self, id, False, False, owner=owner, asked=False, on_wait_timeout=on_wait_timeout)

    async def script(self, document: Document, **options: Unpack[ScriptOptions]) -> AsyncScriptHandle:
        """Submits a script and returns a handle on it; for the options see `submit_script`."""
        id = await self.submit_script(document, **composed(options))
        return AsyncScriptHandle(self, id, owner=options.get("owner"))

    def script_handle(self, id: int, *, owner: str | None = None) -> AsyncScriptHandle:
        """A handle for a known id; with an `owner`, only for that owner's script. Asks nothing of the database."""
        return AsyncScriptHandle(self, id, owner=owner)

    @property
    def batches(self) -> AsyncBatches:
        """Row batches and slow queries, with less to write than their functions."""
        return AsyncBatches(self)

    def keyed(self, queue: str, *, text: bool = False) -> AsyncKeyedQueue:
        """A keyed queue. Payloads, extras and results are JSON values; with `text`, text of any kind."""
        return AsyncKeyedQueue(self, queue, text=text)

    enqueue = _method(Calls.enqueue)
    enqueue_each = _method(Calls.enqueue_each)
    enqueue_many = _method(Calls.enqueue_many)
    parents = _method(Calls.parents)
    children = _method(Calls.children)
    group_status = _method(Calls.group_status)

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
    configure_group = _method(Calls.configure_group)
    groups = _method(Calls.groups)
    unblock_group = _method(Calls.unblock_group)
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
    log_lines = _method(Calls.log_lines)
    job_log = _method(Calls.job_log)
    job_timeline = _method(Calls.job_timeline)
    throughput = _method(Calls.throughput)
    queues = _method(Calls.queues)
    workers = _method(Calls.workers)
    why = _method(Calls.why)
    health = _method(Calls.health)
    version = _method(Calls.version)

    submit_script = _method(Calls.submit_script)
    script_report = _method(Calls.script_report)
    scripts = _method(Calls.scripts)
    cancel_script = _method(Calls.cancel_script)
    scripts_running = _method(Calls.scripts_running)
    configure_owner = _method(Calls.configure_owner)
    script_begin = _method(Calls.script_begin)
    script_end = _method(Calls.script_end)

    submit_query = _method(Calls.submit_query)
    query_status = _method(Calls.query_status)
    query_columns = _method(Calls.query_columns)
    query_batch = _method(Calls.query_batch)
    cancel_query = _method(Calls.cancel_query)
    query_begin = _method(Calls.query_begin)
    query_describe = _method(Calls.query_describe)
    query_put = _method(Calls.query_put)
    query_end = _method(Calls.query_end)

    batch_submit = _method(Calls.batch_submit)
    batch_submit_each = _method(Calls.batch_submit_each)
    batch_append = _method(Calls.batch_append)
    batch_append_each = _method(Calls.batch_append_each)
    batch_release = _method(Calls.batch_release)
    batch_status = _method(Calls.batch_status)
    batch_rows = _method(Calls.batch_rows)
    batch_abort = _method(Calls.batch_abort)
    batch_list = _method(Calls.batch_list)
    batch_context = _method(Calls.batch_context)
    batch_purge = _method(Calls.batch_purge)
    slow_query_submit = _method(Calls.slow_query_submit)
    slow_query_status = _method(Calls.slow_query_status)
    slow_query_abort = _method(Calls.slow_query_abort)
    output_file = _method(Calls.output_file)

    schedule = _method(Calls.schedule)
    unschedule = _method(Calls.unschedule)
    pause_schedule = _method(Calls.pause_schedule)
    resume_schedule = _method(Calls.resume_schedule)
    run_schedule = _method(Calls.run_schedule)
    schedules = _method(Calls.schedules)
    next_runs = _method(Calls.next_runs)
    sync_schedules = _method(Calls.sync_schedules)

    edit_job = _method(Calls.edit_job)
    failures = _method(Calls.failures)

    keyed_add = _method(Calls.keyed_add)
    keyed_add_and_claim = _method(Calls.keyed_add_and_claim)
    keyed_claim = _method(Calls.keyed_claim)
    keyed_claim_next = _method(Calls.keyed_claim_next)
    keyed_get = _method(Calls.keyed_get)
    keyed_cancel = _method(Calls.keyed_cancel)
    keyed_heartbeat = _method(Calls.keyed_heartbeat)
    keyed_merge_extra = _method(Calls.keyed_merge_extra)
    keyed_extend = _method(Calls.keyed_extend)
    keyed_ack = _method(Calls.keyed_ack)
    keyed_result = _method(Calls.keyed_result)
    keyed_result_by_id = _method(Calls.keyed_result_by_id)
    keyed_wait = _method(Calls.keyed_wait)
    keyed_state = _method(Calls.keyed_state)
    keyed_list = _method(Calls.keyed_list)
    keyed_keys = _method(Calls.keyed_keys)
    keyed_pending = _method(Calls.keyed_pending)
    keyed_active = _method(Calls.keyed_active)
    keyed_stalled = _method(Calls.keyed_stalled)
    keyed_orphaned = _method(Calls.keyed_orphaned)
    keyed_to_cancel = _method(Calls.keyed_to_cancel)
    keyed_reap = _method(Calls.keyed_reap)
    keyed_stage = _method(Calls.keyed_stage)
    keyed_truncate = _method(Calls.keyed_truncate)
    next_number = _method(Calls.next_number)
