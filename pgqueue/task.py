"""Task: one registered function, and how its calls become jobs."""

from __future__ import annotations

import copy
import inspect
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from contextlib import aclosing
from functools import cached_property, partial, update_wrapper
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeAlias, TypeVar, Unpack, overload

from pgqueue._bulk import Bulk, BulkItem, HookedItem, Slice, aslices, aslices_alike, slices, slices_alike
from pgqueue._calls import Call
from pgqueue._json import JsonText, dumps
from pgqueue._markers import Marker, taken_out
from pgqueue._parents import Sources, sources_of, with_sources
from pgqueue._signature import Signature, check_names
from pgqueue.context import Context
from pgqueue.convert import dumps_value
from pgqueue.errors import InvalidArgument
from pgqueue.handle import JobCount, JobHandle, JobHandles
from pgqueue.middleware import NewJob
from pgqueue.models import JSON, Enqueued
from pgqueue.options import Key, OptionValues, TaskOptions

if TYPE_CHECKING:
    from psycopg import AsyncConnection, Connection

    from pgqueue._async.client import AsyncClient
    from pgqueue._clients import Clients
    from pgqueue._hooks import AppHooks
    from pgqueue._sync.client import Client
    from pgqueue.flow import BoundCall

__all__ = ["Arguments", "Progress", "Task"]

_NO_NAMES: Mapping[str, Any] = {}

P = ParamSpec("P")
R = TypeVar("R")

Arguments: TypeAlias = "tuple[Any, ...] | Mapping[str, Any]"
"""One call's arguments in enqueue_many: by position, or by name."""
Progress: TypeAlias = Callable[[int], object]
"""Called by enqueue_many with the number of jobs enqueued so far."""
_NOT_OF_SCHEDULES = ("depends_on", "on_parent_failure")


class Task(Generic[P, R]):
    """Made by `@app.task`. `kind` is the job kind, `fn` the function, `settings` its options; calling the task calls
    the function.
    """

    def __init__(self, clients: Clients, fn: Callable[..., Any], kind: str, settings: TaskOptions) -> None:
        self.kind = kind
        self.fn = fn
        self.settings = settings
        check_names(fn, kind, "unique_by", settings.unique_by)
        self.is_async = inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(type(fn).__call__)
        self._clients = clients
        self._connection: Connection[Any] | AsyncConnection[Any] | None = None
        self._original: Task[P, R] = self
        update_wrapper(self, fn, updated=())

    def __repr__(self) -> str:
        return f"<Task {self.kind!r} of {self.fn.__module__}.{self.fn.__qualname__}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the function itself, here and now; no job, no conversion."""
        return self.fn(*args, **kwargs)

    # -- variants -------------------------------------------------------------------------------------------------

    def options(self, **changes: Unpack[OptionValues]) -> Task[P, R]:
        """The same task with other options: `task.options(delay=60).enqueue(...)`. Raises InvalidArgument."""
        settings = self.settings.changed(changes)
        if "unique_by" in changes:
            check_names(self.fn, self.kind, "unique_by", settings.unique_by)
        return self._variant(settings=settings)

    def s(self, *args: P.args, **kwargs: P.kwargs) -> BoundCall[R]:
        """This task, its options and these arguments, checked now and enqueued later: a step of a `chain`, a member of
        a `group`, an `on_success` or `on_error`. The placeholder `pgqueue.result` stands for an argument that is the
        result of the step before.

        Raises what `enqueue` raises for the arguments.
        """
        from pgqueue.flow import BoundCall

        return BoundCall(self, args, kwargs)

    def on(self, connection: Connection[Any] | AsyncConnection[Any]) -> Task[P, R]:
        """The same task, enqueuing on this psycopg connection, in the transaction it is in: roll back, and there is no
        job.

        `enqueue` wants a Connection, `aenqueue` an AsyncConnection. Nothing is committed for you.
        """
        return self._variant(_connection=connection)

    def _variant(self, **attributes: Any) -> Task[P, R]:
        other = copy.copy(self)
        other.__dict__.update(attributes)
        return other

    # -- enqueue --------------------------------------------------------------------------------------------------

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """A job that calls the function with these arguments, later, in a worker. SQL function: enqueue.

        Raises InvalidArgument when the arguments do not fit the signature or an option is out of range, NotSerialisable
        when JSON cannot carry one of them, ConnectionLost. Without `on(connection)` it is committed when this returns.
        """
        hooks = self._clients.hooks
        if hooks.at_enqueue:
            job, sources = self.job_and_sources(args, kwargs)
            return self._handle(hooks.enqueue(job, self._client(), sources))
        return self._handle(self._client().run(self._call(args, kwargs)))

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """`enqueue` for async code."""
        hooks = self._clients.hooks
        if hooks.at_enqueue:
            job, sources = self.job_and_sources(args, kwargs)
            return self._handle(await hooks.aenqueue(job, self._aclient(), sources))
        return self._handle(await self._aclient().run(self._call(args, kwargs)))

    @overload
    def enqueue_many(
        self, calls: Iterable[Arguments], *, progress: Progress | None = None, handles: Literal[True] = True
    ) -> JobHandles[R]: ...
    @overload
    def enqueue_many(
        self, calls: Iterable[Arguments], *, progress: Progress | None = None, handles: Literal[False]
    ) -> JobCount: ...
    def enqueue_many(
        self, calls: Iterable[Arguments], *, progress: Progress | None = None, handles: bool = True
    ) -> JobHandles[R] | JobCount:
        """A job for each element, a tuple of positional arguments or a mapping of named ones; all of them or none.

        The input may be of any length: it is sent in slices of bounded size, in one transaction, which is open while
        the input is read. On a connection of the App's own the next slice is made while the server works. With
        `on(connection)` it is the caller's transaction, with a savepoint around, and nothing is committed here.

        `progress` is called after each slice with how many jobs the server has taken so far; they are committed when
        this returns. Handles take nine bytes a job: `handles=False` keeps none and returns a JobCount.

        Raises what `enqueue` raises, naming the element, counted from 1. Whatever is raised, by the input and by
        `progress` too, there is no job then. SQL function: enqueue_each.
        """
        from pgqueue._sync.bulk import send_slices  # brings the driver

        if inspect.iscoroutinefunction(progress):
            raise InvalidArgument(
                "progress is a coroutine function, and nothing awaits here", "await task.aenqueue_many(...)"
            )
        bulk, kept = self._bulk(handles)
        parts = slices(calls, self._convert)
        if self.hooks.at_enqueue:
            parts = slices_alike(parts)
        send_slices(self._client(), parts, bulk, progress or _nobody)
        return kept if kept is not None else JobCount(bulk.jobs, bulk.created)

    @overload
    async def aenqueue_many(
        self,
        calls: Iterable[Arguments] | AsyncIterable[Arguments],
        *,
        progress: Progress | None = None,
        handles: Literal[True] = True,
    ) -> JobHandles[R]: ...
    @overload
    async def aenqueue_many(
        self,
        calls: Iterable[Arguments] | AsyncIterable[Arguments],
        *,
        progress: Progress | None = None,
        handles: Literal[False],
    ) -> JobCount: ...
    async def aenqueue_many(
        self,
        calls: Iterable[Arguments] | AsyncIterable[Arguments],
        *,
        progress: Progress | None = None,
        handles: bool = True,
    ) -> JobHandles[R] | JobCount:
        """`enqueue_many` for async code; the input may be an async iterable, `progress` an async function."""
        from pgqueue._async.bulk import send_slices

        async def report(jobs: int) -> None:
            if progress is not None and inspect.isawaitable(answer := progress(jobs)):
                await answer

        bulk, kept = self._bulk(handles)
        slicing = aslices(calls, self._convert)
        async with aclosing(aslices_alike(slicing) if self.hooks.at_enqueue else slicing) as parts:
            await send_slices(self._aclient(), parts, bulk, report)
        return kept if kept is not None else JobCount(bulk.jobs, bulk.created)

    # -- for whoever runs jobs --------------------------------------------------------------------------------------

    @property
    def signature(self) -> Signature:
        """What is known of the function's parameters, resolved at first use."""
        return self._original._signature

    @cached_property
    def _signature(self) -> Signature:
        return Signature.of(self.fn, self.kind, Context)

    @property
    def hooks(self) -> AppHooks:
        """What its App puts around jobs."""
        return self._clients.hooks

    @property
    def wants_context(self) -> bool:
        """Whether the function has a parameter annotated Context."""
        return self.signature.context is not None

    def bind(self, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> dict[str, JSON]:
        """The job's args for a call, typed values converted. Raises InvalidArgument, NotSerialisable."""
        return self.signature.bind(args, kwargs or {})

    def decode(self, args: dict[str, JSON]) -> dict[str, Any]:
        """A job's args as values by parameter name: the same dict when there is nothing to convert. Raises
        InvalidArgument.
        """
        return self.signature.decode(args)

    def prepare(self, args: dict[str, JSON], context: Context | None = None) -> Callable[[], Any]:
        """What runs the job when called (and, of an async function, awaited): the function with its arguments and
        context.

        Raises InvalidArgument when the args do not fit the signature. A task that `wants_context` must be given one.
        """
        positional, named = self.signature.call_arguments(args, context)
        return partial(self.fn, *positional, **named)

    def encode_result(self, value: Any) -> JsonText | None:
        """JSON text of what the function returned, None for None: an element of `settle`'s results. Raises
        NotSerialisable.
        """
        if value is None:
            return None
        return dumps_value(value, f"the result of task {self.kind!r}", self.signature.returns)

    def for_schedule(self, args: Mapping[str, Any]) -> dict[str, JSON]:
        """The parameters of the SQL function schedule that come from the task: its args, checked against the signature,
        its options and keys. Raises InvalidArgument.
        """
        # The same at each start, or it would undo what operators have changed: no codec, no middleware.
        options = self.settings.shared(hooked=False)
        del options["run_at"], options["delay"]
        for name in _NOT_OF_SCHEDULES:
            if options.pop(name) is not None:
                raise InvalidArgument(
                    f"a schedule's jobs cannot have {name}", "schedule a small task that enqueues this one"
                )
        if self.settings.unique_by is not None:
            options["unique_by"] = list(self.settings.unique_by)
        unique_key, group_key = self.keys((), args)
        return {
            **options,
            "args": self.signature.bind((), args),
            "unique_key": unique_key,
            "group_key": group_key,
        }

    # -- inside ---------------------------------------------------------------------------------------------------

    def _call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call[Enqueued]:
        settings = self.settings
        options = settings.shared()
        if settings.depends_on is None:
            document = self._document(args, kwargs)
        else:
            document, marks = self.document_and_marks(args, kwargs)
            options["headers"] = with_sources(settings.headers, self._sources(marks))
        unique_key, group_key = self.keys(args, kwargs)
        return self._clients.calls.enqueue(self.kind, document, unique_key=unique_key, group_key=group_key, **options)

    def keys(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[str | None, str | None]:
        """The unique key and the group key of a call."""
        settings = self.settings
        return (
            self._key(settings.unique_key, "unique_key", args, kwargs),
            self._key(settings.group_key, "group_key", args, kwargs),
        )

    def document_and_marks(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[JsonText, dict[str, Marker]]:
        """A call's args as JSON, and the placeholders that were among them. Raises InvalidArgument, NotSerialisable."""
        bound, marks = self._bound_and_marks(args, kwargs)
        return dumps(bound, "argument"), marks

    def _bound_and_marks(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[dict[str, JSON], dict[str, Marker]]:
        bound = self.signature.bind(args, kwargs)
        marks = taken_out(bound)
        unique_by = self.settings.unique_by
        if marks and unique_by is not None and (not unique_by or not marks.keys().isdisjoint(unique_by)):
            raise InvalidArgument(
                f"the unique key of task {self.kind!r} is made of {sorted(marks)[0]!r}, which is known only when the "
                "job runs",
                "name other arguments in unique_by, or give a unique_key",
            )
        return bound, marks

    def _sources(self, marks: Mapping[str, Marker]) -> Sources:
        """What placeholders stand for in a job of its own: the results of what the task's options name."""
        ids = [*(self.settings.parent_ids() or ())]
        return sources_of(marks, ids if isinstance(self.settings.depends_on, tuple) else ids[0])

    def _document(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> JsonText:
        return dumps(self.signature.bind(args, kwargs), "argument")

    def _key(self, key: Key, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str | None:
        if not callable(key):
            return key
        try:
            return key(*args, **kwargs)
        except TypeError as error:
            raise InvalidArgument(
                f"the {name} function of task {self.kind!r} failed: {error}", "it gets the arguments of the task itself"
            ) from error

    def job_and_sources(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[NewJob, Sources]:
        """The job of a call as middleware gets it, keys made, nothing carried or sealed yet; and which of its arguments
        are results of parents. Raises what `enqueue` raises before it asks the database.
        """
        shared = self.settings.shared()
        if self.settings.depends_on is None:
            return self._new_job(self.signature.bind(args, kwargs), shared, *self.keys(args, kwargs)), {}
        bound, marks = self._bound_and_marks(args, kwargs)
        return self._new_job(bound, shared, *self.keys(args, kwargs)), self._sources(marks)

    def _new_job(
        self, bound: dict[str, JSON], shared: dict[str, Any], unique_key: str | None, group_key: str | None
    ) -> NewJob:
        return NewJob.of(self.kind, bound, {**shared, "unique_key": unique_key, "group_key": group_key})

    @property
    def _convert(self) -> Callable[[Arguments], BulkItem]:
        # one set of follow-ups for all: sealed one by one, no two would be alike
        return partial(self._hooked_item, self.settings.shared()) if self.hooks.at_enqueue else self._item

    def _hooked_item(self, shared: dict[str, Any], call: Arguments) -> HookedItem:
        args, kwargs = _arguments(call)
        return self.hooks.element(self._new_job(self.bind(args, kwargs), shared, *self.keys(args, kwargs)))

    def _item(self, call: Arguments) -> BulkItem:
        args, kwargs = (call, _NO_NAMES) if type(call) is tuple else _arguments(call)
        return (self._document(args, kwargs), *self.keys(args, kwargs))

    def _bulk(self, handles: bool) -> tuple[Bulk, JobHandles[R] | None]:
        kept: JobHandles[R] | None = JobHandles(self._clients, self.signature.returns) if handles else None
        statement = self._slice_call
        if self.hooks.at_enqueue:
            self.hooks.check_bulk()
            statement = self._hooked_slice_call
        return Bulk(statement, None if kept is None else kept.add), kept

    def _hooked_slice_call(self, part: Slice) -> Call[list[Enqueued]]:
        return self.hooks.slice_call(part, self._clients.calls)

    def _slice_call(self, part: Slice) -> Call[list[Enqueued]]:
        settings = self.settings
        return self._clients.calls.enqueue_each(
            self.kind,
            [item[0] for item in part],
            unique_keys=None if settings.unique_key is None else [item[1] for item in part],
            group_keys=None if settings.group_key is None else [item[2] for item in part],
            **settings.shared(),
        )

    def _handle(self, answer: Enqueued) -> JobHandle[R]:
        return JobHandle(self._clients, answer.id, answer.created, self.signature.returns)

    def _client(self) -> Client:
        connection = self._connection
        if connection is None:
            return self._clients.client
        from psycopg import Connection

        if not isinstance(connection, Connection):
            raise InvalidArgument(
                "enqueue needs a psycopg Connection", "on an AsyncConnection: await task.on(connection).aenqueue(...)"
            )
        return self._clients.client.on(connection)

    def _aclient(self) -> AsyncClient:
        connection = self._connection
        if connection is None:
            return self._clients.aclient
        from psycopg import AsyncConnection

        if not isinstance(connection, AsyncConnection):
            raise InvalidArgument(
                "aenqueue needs a psycopg AsyncConnection", "on a Connection: task.on(connection).enqueue(...)"
            )
        return self._clients.aclient.on(connection)


def _arguments(call: Arguments) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    if isinstance(call, Mapping):
        return (), call
    if isinstance(call, tuple):
        return call, {}
    raise InvalidArgument(
        f"enqueue_many takes tuples or mappings of arguments, not {type(call).__name__}",
        "for one argument each: task.enqueue_many((value,) for value in values)",
    )


def _nobody(jobs: int) -> None:
    """Is told of the progress where nobody wants to know."""
