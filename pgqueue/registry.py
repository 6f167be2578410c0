"""App and Task: functions registered under a kind, and jobs made from calls of them.

    app = App()

    @app.task(queue="mail", max_attempts=3)
    def send(to: str, template: str = "welcome") -> int: ...

    send.enqueue("ada@example.org")                         # on a connection of the App's own
    send.on(connection).enqueue("ada@example.org")          # in the caller's transaction
    send.options(delay=60, priority=5).enqueue("ada@example.org")

Importing this and registering tasks opens nothing and imports no driver.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, Unpack, overload

from pgqueue._calls import Call
from pgqueue._clients import Clients
from pgqueue._hooks import AppHooks, Hooked
from pgqueue._sqlfiles import validate_schema
from pgqueue.codec import Codec
from pgqueue.context import Context, ContextHooks
from pgqueue.cron import Cron, Missed, declarations
from pgqueue.errors import InvalidArgument, UnknownTask
from pgqueue.handle import JobHandle, JobHandles
from pgqueue.keyed import Executor, KeyedExecutors, KeyedItem
from pgqueue.keyed import seconds as keyed_seconds
from pgqueue.middleware import AnyMiddleware, NewJob
from pgqueue.models import JSON, Enqueued, OnDuplicate, OnParentFailure, UniqueUntil
from pgqueue.options import Backoff, FollowUps, Key, OptionValues, Seconds, TaskOptions
from pgqueue.rows import BatchDone, Kind, Processor, Processors, Row
from pgqueue.task import Task

if TYPE_CHECKING:
    from pgqueue._async.batches import AsyncBatches
    from pgqueue._async.client import AsyncClient
    from pgqueue._async.keyed import AsyncKeyedQueue
    from pgqueue._sync.batches import Batches
    from pgqueue._sync.client import Client
    from pgqueue._sync.keyed import KeyedQueue
    from pgqueue.stores import ObjectStore

__all__ = ["App", "Backoff", "Context", "ContextHooks", "JobHandle", "JobHandles", "Task", "TaskOptions"]

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


class _Decorator(Protocol):
    """`@app.task(...)`: four kinds of function, one kind of task."""

    @overload
    def __call__(self, fn: Callable[Concatenate[Context, P], Awaitable[R]], /) -> Task[P, R]: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def __call__(self, fn: Callable[Concatenate[Context, P], R], /) -> Task[P, R]: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def __call__(self, fn: Callable[P, Awaitable[R]], /) -> Task[P, R]: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Task[P, R]: ...


class App(Hooked):
    """A set of tasks, and the database their jobs go to.

    `dsn`: libpq connection string or URL; None: asked of `pgqueue.config.resolve_dsn` at first use. `queue`: the queue
    of tasks that name none. Connections are opened at first use, `pool_size` at most for each of sync and async use.
    `datasources`: databases that scripts and queries may name, as connection strings by name, for the workers that run
    this App; they are not stored. `listen`: whether waiting for results may LISTEN (on `listen_dsn`, when `dsn` leads
    to a transaction pooler; give listen=False when there is only the pooler). `prepare_threshold`: psycopg's; None
    behind a pooler that does not know prepared statements. `job_logs`: what a task writes to `Context.logger` is kept
    in its job's log as well, from INFO on. `name`: under which schedules are declared; None: the module that makes the
    App. Give two Apps of one module names, or each removes the other's schedules.

    `middleware`: see `use`. `codec`: what args and results of tasks are sealed with, see `pgqueue.codec`; of several
    the first seals and all open. `seal_errors`: errors too, but for their type. Raises InvalidArgument.
    """

    def __init__(
        self,
        dsn: str | None = None,
        *,
        schema: str = "pgqueue",
        queue: str = "default",
        listen: bool = True,
        listen_dsn: str | None = None,
        prepare_threshold: int | None = 5,
        pool_size: int = 4,
        datasources: Mapping[str, str] | None = None,
        name: str | None = None,
        job_logs: bool = False,
        middleware: Iterable[AnyMiddleware] = (),
        codec: Codec | Sequence[Codec] | None = None,
        seal_errors: bool = False,
    ) -> None:
        self.schema = validate_schema(schema)
        self.hooks = AppHooks(middleware, codec, seal_errors)
        self.queue = queue
        self.job_logs = job_logs
        self.name = name or _module(sys._getframe(1).f_globals)
        self.tasks: dict[str, Task[..., Any]] = {}
        self._crons: list[Cron] = []
        self.processors = Processors()
        self.keyed_executors = KeyedExecutors()
        self.datasources: dict[str, str] = dict(datasources or {})
        self.clients = Clients(
            dsn,
            schema=schema,
            listen_dsn=listen_dsn,
            listen=listen,
            prepare_threshold=prepare_threshold,
            pool_size=pool_size,
            hooks=self.hooks,
        )

    @property
    def dsn(self) -> str | None:
        """The DSN given. May be set until the first connection is opened, or after `close`."""
        return self.clients.dsn

    @dsn.setter
    def dsn(self, dsn: str | None) -> None:
        self.clients.dsn = dsn

    @property
    def client(self) -> Client:
        """A sync client of the App's own, for everything that is no task: `app.client.pause_queue("mail")`."""
        return self.clients.client

    @property
    def aclient(self) -> AsyncClient:
        """An async client of the App's own, one for each event loop."""
        return self.clients.aclient

    @property
    def batches(self) -> Batches:
        """Row batches and slow queries, on the sync client."""
        return self.clients.client.batches

    @property
    def abatches(self) -> AsyncBatches:
        """The same on the async client."""
        return self.clients.aclient.batches

    def keyed_queue(self, queue: str, *, text: bool = False) -> KeyedQueue:
        """A keyed queue, on the sync client. With `text`, payloads and results are text, not JSON values."""
        return self.clients.client.keyed(queue, text=text)

    def akeyed_queue(self, queue: str, *, text: bool = False) -> AsyncKeyedQueue:
        """The same on the async client."""
        return self.clients.aclient.keyed(queue, text=text)

    def close(self) -> None:
        """Closes the sync connections the App has opened; a later call opens them anew."""
        self.clients.close()

    async def aclose(self) -> None:
        """Closes the connections the App has opened for the running event loop, and the sync ones."""
        await self.clients.aclose()

    # -- registering ----------------------------------------------------------------------------------------------

    @overload
    def task(self, fn: Callable[Concatenate[Context, P], Awaitable[R]], /) -> Task[P, R]: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def task(self, fn: Callable[Concatenate[Context, P], R], /) -> Task[P, R]: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def task(self, fn: Callable[P, Awaitable[R]], /) -> Task[P, R]: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def task(self, fn: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def task(
        self,
        kind: str | None = None,
        /,
        *,
        queue: str | None = None,
        priority: int = 0,
        delay: Seconds | None = None,
        unique_key: Key = None,
        group_key: Key = None,
        max_attempts: int | None = None,
        timeout: Seconds | None = None,
        backoff: Backoff | None = None,
        expires_in: Seconds | None = None,
        heartbeat: Seconds | None = None,
        headers: Mapping[str, JSON] | None = None,
        unique_by: Sequence[str] | None = None,
        unique_until: UniqueUntil | None = None,
        unique_for: Seconds | None = None,
        on_duplicate: OnDuplicate | None = None,
        on_parent_failure: OnParentFailure | None = None,
        on_success: FollowUps | None = None,
        on_error: FollowUps | None = None,
    ) -> _Decorator: ...
    def task(self, kind: Any = None, /, *, queue: str | None = None, **options: Any) -> Any:
        """Registers a function as a task: `@app.task`, or `@app.task("kind", queue=..., ...)`.

        The kind is what callers in SQL name, and defaults to the function's name. For the options see TaskOptions. A
        parameter annotated `pgqueue.Context` is filled in by whoever runs the job. Raises InvalidArgument for an
        unknown option, and when another function has the kind already.
        """
        if callable(kind):
            return self._register(kind, kind.__name__, TaskOptions(queue=self.queue))
        chosen = TaskOptions(queue=self.queue if queue is None else queue).changed(options)

        def decorate(fn: Callable[..., Any]) -> Task[..., Any]:
            return self._register(fn, fn.__name__ if kind is None else kind, chosen)

        return decorate

    def cron(
        self,
        cron: str,
        /,
        *,
        name: str | None = None,
        args: Mapping[str, Any] | None = None,
        time_zone: str = "UTC",
        missed: Missed = "one",
        starts_at: datetime | None = None,
        ends_at: datetime | None = None,
    ) -> Callable[[F], F]:
        """Schedules a task: `@app.cron("*/5 * * * *")` above or below `@app.task`. The task's options are those of its
        jobs; `args` are its arguments by name. `name`: the schedule's, by default the task's kind; a second one of the
        same task needs its own. For the rest see `Client.schedule`.

        Whether all this is right is found out when a worker starts, and reported in its log: see `sync_schedules`.
        """

        def decorate(target: F) -> F:
            self._crons.append(Cron(target, cron, name, dict(args or {}), time_zone, missed, starts_at, ends_at))
            return target

        return decorate

    def schedules(self) -> list[dict[str, JSON]]:
        """What is declared with `cron`, as `sync_schedules` takes it."""
        return declarations(self._crons, self.tasks)

    def _register(self, fn: Callable[..., Any], kind: str, options: TaskOptions) -> Task[..., Any]:
        if not callable(fn) or inspect.isclass(fn) or inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
            raise InvalidArgument(
                f"{fn!r} cannot be a task", "decorate a function, sync or async, that returns its result"
            )
        present = self.tasks.get(kind)
        if present is not None and (present.fn.__module__, present.fn.__qualname__) != (fn.__module__, fn.__qualname__):
            raise InvalidArgument(
                f"the kind {kind!r} is taken by {present.fn.__module__}.{present.fn.__qualname__}",
                f'give one of them another: @app.task("{fn.__module__}.{fn.__name__}")',
            )
        task: Task[..., Any] = Task(self.clients, fn, kind, options)
        self.tasks[kind] = task
        return task

    def find(self, kind: str) -> Task[..., Any]:
        """The task registered under `kind`. Raises UnknownTask."""
        try:
            return self.tasks[kind]
        except KeyError:
            known = ", ".join(sorted(self.tasks)) or "none"
            raise UnknownTask(f"no task of kind {kind!r} is registered", f"registered: {known}") from None

    # -- row batches and slow queries -----------------------------------------------------------------------------

    def processor(
        self,
        app: str,
        op: str,
        *,
        mark_done: Callable[[BatchDone], Any] | None = None,
        store: ObjectStore | None = None,
    ) -> Callable[[F], F]:
        """Registers the function that processes the rows of an application's operation: `(Row) -> Success | Failed |
        Aborted | TryLater | JSON`, sync (it runs in a thread) or async. Op is lower-cased.

        `mark_done` is called, at least once, when a batch is over, however it ended; before that its output files go
        to the `store`, if there is one. Raises AlreadyRegistered, InvalidArgument.
        """
        return self._processor("batch", app, op, mark_done, store)

    def slow_query(
        self,
        app: str,
        op: str,
        *,
        mark_done: Callable[[BatchDone], Any] | None = None,
        store: ObjectStore | None = None,
    ) -> Callable[[F], F]:
        """The same for slow queries, whose Row has line 0."""
        return self._processor("slow_query", app, op, mark_done, store)

    def initializer(self, app: str) -> Callable[[F], F]:
        """Registers what makes the `init` of an application's rows: called, with the application's name if it has a
        parameter, once for each thread of a worker (once for all async processors), when it is first needed.

        If what it returns has `is_alive()`, that is asked before each use, and another one made when it is not; if it
        has `close()`, that is called at the end. Raises AlreadyRegistered.
        """

        def decorate(fn: F) -> F:
            self.processors.add_initializer(app, fn)
            return fn

        return decorate

    def _processor(
        self,
        kind: Kind,
        app: str,
        op: str,
        mark_done: Callable[[BatchDone], Any] | None,
        store: ObjectStore | None,
    ) -> Callable[[F], F]:
        def decorate(fn: F) -> F:
            processor: Callable[[Row], Any] = fn
            self.processors.add(Processor(kind, app, op, processor, mark_done, store))
            return fn

        return decorate

    # -- keyed queues ---------------------------------------------------------------------------------------------

    def keyed(
        self,
        queue: str,
        *,
        timeout: Seconds | None = None,
        concurrency: int | None = None,
        orphan: Seconds | None = 120.0,
        on_cancel: Callable[[KeyedItem], Any] | None = None,
        text: bool = False,
        process_id: str | None = None,
    ) -> Callable[[F], F]:
        """Registers the function that executes the items of a keyed queue: `(KeyedItem) -> JSON`, sync (it runs in a
        thread) or async.

        `timeout`: seconds an execution may take; then the item fails. `concurrency`: how many items of the queue may be
        active in the whole cluster; workers set it as the queue's max_running when they start. `orphan`: items without
        a deadline of their own are removed when nobody has asked for them for so long; None: never. `on_cancel`: called
        with an item whose execution is to end (cancelled, timed out, taken away), and with one that was removed because
        nobody asks for it. `text`: payloads and results are text. `process_id`: also execute the exclusive items of
        this process. Raises AlreadyRegistered, InvalidArgument.
        """
        limit, deadline = keyed_seconds("timeout", timeout), keyed_seconds("orphan", orphan)

        def decorate(fn: F) -> F:
            executor: Callable[[KeyedItem], Any] = fn
            self.keyed_executors.add(
                Executor(queue, executor, limit, concurrency, deadline, on_cancel, text, process_id)
            )
            return fn

        return decorate

    def queues(self) -> list[str]:
        """Where jobs of what is registered here are: what a worker serves unless told otherwise."""
        tasks = [task.settings.queue for task in self.tasks.values()]
        named = [*tasks, *self.processors.queues(), *self.keyed_executors.lines()]
        return list(dict.fromkeys(named)) or [self.queue]

    # -- jobs of any kind -----------------------------------------------------------------------------------------

    def enqueue(
        self, kind: str, args: Mapping[str, JSON] | None = None, **options: Unpack[OptionValues]
    ) -> JobHandle[Any]:
        """A job of a kind whose code need not be here. `args` is plain JSON. SQL function: enqueue."""
        client = self.clients.client
        if self.hooks.at_enqueue:
            return self._handle(self.hooks.enqueue(self._job(kind, args, options), client))
        return self._handle(client.run(self._call(kind, args, options)))

    async def aenqueue(
        self, kind: str, args: Mapping[str, JSON] | None = None, **options: Unpack[OptionValues]
    ) -> JobHandle[Any]:
        client = self.clients.aclient
        if self.hooks.at_enqueue:
            return self._handle(await self.hooks.aenqueue(self._job(kind, args, options), client))
        return self._handle(await client.run(self._call(kind, args, options)))

    def handle(self, id: int) -> JobHandle[Any]:
        """A handle for a job known by its id, for its result as plain JSON. Asks nothing of the database."""
        return JobHandle(self.clients, id, False)

    def _call(self, kind: str, args: Mapping[str, JSON] | None, options: OptionValues) -> Call[Enqueued]:
        return self.clients.calls.enqueue(kind, args, **self._parameters(options))

    def _job(self, kind: str, args: Mapping[str, JSON] | None, options: OptionValues) -> NewJob:
        return NewJob.of(kind, {} if args is None else args, self._parameters(options))

    def _parameters(self, options: OptionValues) -> dict[str, Any]:
        chosen = TaskOptions(queue=self.queue).changed(options)
        if callable(chosen.unique_key) or callable(chosen.group_key):
            raise InvalidArgument(
                "here unique_key and group_key are strings", "keys made by a function belong to tasks"
            )
        return {**chosen.shared(), "unique_key": chosen.unique_key, "group_key": chosen.group_key}

    def _handle(self, answer: Enqueued) -> JobHandle[Any]:
        return JobHandle(self.clients, answer.id, answer.created)


def _module(namespace: Mapping[str, Any]) -> str:
    name = str(namespace.get("__name__", "app"))
    return Path(str(namespace.get("__file__", "app"))).stem if name == "__main__" else name
