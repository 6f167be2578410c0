"""Testing code that enqueues and code that is enqueued, on a real database: nothing is simulated but the worker and, if
you like, the clock.

    def test_order(connection):                            # a psycopg connection to a database with the schema
        place_order(connection, 7)                         # enqueues send_invoice on this connection
        assert_enqueued(connection, send_invoice, args={"order": 7})
        [job] = drain(app, connection)
        assert job.state == "succeeded"

        with fake_clock(connection, datetime(2030, 1, 1, tzinfo=timezone.utc)) as clock:
            clock.advance(3600)
            drain(app, connection, due=True)               # jobs scheduled for then

Everything works inside a transaction that the test rolls back in the end, on that one connection. Timeouts are not
enforced.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pgqueue._literals import timestamp
from pgqueue._sqlfiles import validate_schema
from pgqueue._sync import inline
from pgqueue._sync.client import Client
from pgqueue.errors import InvalidArgument
from pgqueue.models import JSON, Job
from pgqueue.options import Seconds

if TYPE_CHECKING:
    from psycopg import AsyncConnection, Connection

    from pgqueue.registry import App
    from pgqueue.task import Task

__all__ = ["FakeClock", "adrain", "assert_enqueued", "assert_not_enqueued", "drain", "enqueued", "fake_clock"]

_AT_MOST = 10_000


def drain(
    app: App,
    where: Connection[Any] | str | None = None,
    *,
    queues: Sequence[str] | None = None,
    until_empty: bool = True,
    due: bool = False,
    reraise: bool = False,
    at_most: int = _AT_MOST,
) -> list[Job]:
    """Runs jobs here and now, one after the other, and returns each as it is afterwards, in the order of their first
    run. Rows of batches, slow queries and their callbacks are jobs too: a slice of rows is one.

    `where`: a connection (in whatever transaction it is), a DSN, or None for the App's own. `queues`: None means all
    that the App's tasks, processors and keyed executors name. `until_empty`: go on with what the jobs enqueue and with
    retries that are due at once; False: only what is queued now. `due`: promote scheduled jobs whose time has come, by
    the clock or the fake one, first and between. `reraise`: raise what a handler or processor raises, after it was
    recorded. Jobs of queues that keep no history are run but not returned. Raises PgQueueError after `at_most` runs.
    SQL functions: register_worker, claim, settle, deregister_worker, maintain, job; for rows batch_context,
    batch_status, slow_query_status, output_file.
    """
    handlers = (*app.tasks.values(), *app.keyed_executors)
    if _in_event_loop() and (any(each.is_async for each in handlers) or app.processors.has_async):
        raise InvalidArgument("drain cannot run async functions inside a running event loop", "use: await adrain(...)")
    return inline.drain(app, where, queues, until_empty=until_empty, due=due, reraise=reraise, at_most=at_most)


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def adrain(
    app: App,
    where: AsyncConnection[Any] | str | None = None,
    *,
    queues: Sequence[str] | None = None,
    until_empty: bool = True,
    due: bool = False,
    reraise: bool = False,
    at_most: int = _AT_MOST,
) -> list[Job]:
    """`drain` for async tests: async handlers and processors run in this event loop, sync ones in threads."""
    from pgqueue._async import inline as ainline

    return await ainline.drain(app, where, queues, until_empty=until_empty, due=due, reraise=reraise, at_most=at_most)


def enqueued(
    where: Connection[Any],
    task: Task[..., Any] | str | None = None,
    *,
    queue: str | None = None,
    args: Mapping[str, JSON] | None = None,
    schema: str = "pgqueue",
) -> list[Job]:
    """The jobs that are waiting or running, oldest first: of this task or kind, in this queue, whose args contain
    these.

    `args` is compared as JSON, the way the job stores it; sealed ones are opened when a task is given. SQL functions:
    jobs, job.
    """
    kind = task if isinstance(task, str) or task is None else task.kind

    def matches(job: Job) -> bool:
        return args is None or all(name in job.args and job.args[name] == value for name, value in args.items())

    opened = None if isinstance(task, str) or task is None else task.hooks.opened
    return inline.waiting(Client(connection=where, schema=schema), matches, queue, kind, opened)


def assert_enqueued(
    where: Connection[Any],
    task: Task[..., Any] | str | None = None,
    *,
    queue: str | None = None,
    args: Mapping[str, JSON] | None = None,
    count: int | None = None,
    schema: str = "pgqueue",
) -> list[Job]:
    """Asserts that `enqueued(...)` finds `count` jobs (None: at least one), and returns them."""
    __tracebackhide__ = True
    found = enqueued(where, task, queue=queue, args=args, schema=schema)
    if len(found) != count if count is not None else not found:
        wanted = "at least one job" if count is None else f"{count} jobs"
        present = [
            f"  {job.id} {job.kind} in {job.queue} ({job.state}): {job.args}" for job in enqueued(where, schema=schema)
        ]
        listing = "\n".join(present) or "  nothing"
        raise AssertionError(
            f"expected {wanted} of {task or 'any kind'} in {queue or 'any queue'} with args {args}, "
            f"found {len(found)}; enqueued is:\n{listing}"
        )
    return found


def assert_not_enqueued(
    where: Connection[Any],
    task: Task[..., Any] | str | None = None,
    *,
    queue: str | None = None,
    args: Mapping[str, JSON] | None = None,
    schema: str = "pgqueue",
) -> None:
    """Asserts that `enqueued(...)` finds nothing."""
    __tracebackhide__ = True
    assert_enqueued(where, task, queue=queue, args=args, count=0, schema=schema)


class FakeClock:
    """The time every function of the schema believes on one connection."""

    def __init__(self, connection: Connection[Any], schema: str, at: datetime) -> None:
        self._connection = connection
        self._setting = f"{validate_schema(schema)}.now"
        self.set(at)

    def set(self, at: datetime) -> None:
        """Makes it that time (aware)."""
        self._tell(timestamp("at", at))
        self.at = at

    def advance(self, by: Seconds) -> datetime:
        """Moves the clock by seconds or a timedelta, and returns the new time."""
        self.set(self.at + (by if isinstance(by, timedelta) else timedelta(seconds=by)))
        return self.at

    def _tell(self, text: str | None) -> None:
        self._connection.execute("select set_config(%s, %s, false)", (self._setting, text or ""))


@contextmanager
def fake_clock(connection: Connection[Any], at: datetime, *, schema: str = "pgqueue") -> Iterator[FakeClock]:
    """Makes the functions of the schema believe it is `at`, on this connection until the block ends."""
    clock = FakeClock(connection, schema, at)
    try:
        yield clock
    finally:
        if not connection.closed and connection.info.transaction_status.name != "INERROR":
            clock._tell(None)
