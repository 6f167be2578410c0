"""Middleware: what goes around every job that is made, and around every job that is run.

    class Timing(Middleware):
        def execute(self, job: JobRun, proceed: Run) -> object:
            began = monotonic()
            try:
                return proceed(job)
            finally:
                print(job.kind, monotonic() - began)

        async def aexecute(self, job: JobRun, proceed: AsyncRun) -> object: ...

    app = App(middleware=[Timing()])

Any object with some of the five methods will do; `Middleware` is a base that says what they are given. The first one
given is the outermost. `execute` goes around sync handlers, in their threads, and `aexecute` around async ones, on the
event loop; `enqueue` around `task.enqueue`, `aenqueue` around `task.aenqueue`. Who has one of a pair needs the other as
soon as it is called for: nothing slips past a middleware because it came the other way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from pgqueue.context import Context
from pgqueue.errors import InvalidArgument
from pgqueue.models import JSON, Enqueued

__all__ = [
    "AnyMiddleware",
    "AroundAsyncEnqueue",
    "AroundAsyncExecute",
    "AroundEnqueue",
    "AroundExecute",
    "AsyncEnqueue",
    "AsyncRun",
    "BeforeEnqueue",
    "Enqueue",
    "JobRun",
    "Middleware",
    "NewJob",
    "Run",
]


_NESTED = (dict, list)


@dataclass(slots=True)
class NewJob:
    """A job that is about to be enqueued: the middleware's own copy, to be changed at will.

    `args` are JSON by parameter name, plain even if a codec will seal them. `headers` travel with the job. `options`
    are the other parameters of the SQL function enqueue, by name: priority, run_at, delay, unique_key, group_key … Keys
    that a function makes of the arguments are made by now.
    """

    kind: str
    args: dict[str, JSON]
    queue: str
    headers: dict[str, JSON]
    options: dict[str, Any]

    @classmethod
    def of(cls, kind: str, args: Mapping[str, JSON], parameters: Mapping[str, Any]) -> NewJob:
        """From the parameters of enqueue."""
        if not isinstance(args, Mapping):
            raise InvalidArgument(f"args must be a mapping, not {type(args).__name__}")
        # deep where jobs may share it: the options and headers of a task, the follow-ups of a bulk
        options = {name: deepcopy(value) if type(value) in _NESTED else value for name, value in parameters.items()}
        queue, headers = options.pop("queue"), options.pop("headers")
        return cls(kind, dict(args), queue, dict(headers or {}), options)


class JobRun:
    """A job that is about to run. `args` may be changed; for a slice of rows and the item of a keyed queue they are for
    reading only.

    What `context` says and does (progress, cancelled, deadline, logger …) is the handler's Context.
    """

    __slots__ = ("args", "context")

    def __init__(self, args: dict[str, JSON], context: Context) -> None:
        self.args = args
        self.context = context

    @property
    def id(self) -> int:
        return self.context.job_id

    @property
    def kind(self) -> str:
        return self.context.kind

    @property
    def queue(self) -> str:
        return self.context.queue

    @property
    def attempt(self) -> int:
        """From 1."""
        return self.context.attempt

    @property
    def max_attempts(self) -> int:
        return self.context.max_attempts

    @property
    def headers(self) -> dict[str, JSON]:
        return self.context.headers

    def __repr__(self) -> str:
        return f"<JobRun {self.id} {self.kind} attempt {self.attempt}>"


Enqueue: TypeAlias = Callable[[NewJob], Enqueued]
AsyncEnqueue: TypeAlias = Callable[[NewJob], Awaitable[Enqueued]]
Run: TypeAlias = Callable[[JobRun], Any]
AsyncRun: TypeAlias = Callable[[JobRun], Awaitable[Any]]


class BeforeEnqueue(Protocol):
    """Looks at every job before it is enqueued, however that is done: alone, in bulk, sync or async."""

    def before_enqueue(self, job: NewJob, /) -> NewJob | None:
        """Changes the job, or returns another in its place. To refuse it, raise: the caller gets the exception, and of
        `enqueue_many` no job stays.
        """


class AroundEnqueue(Protocol):
    """Goes around one enqueue of one job."""

    def enqueue(self, job: NewJob, proceed: Enqueue, /) -> Enqueued:
        """Returns what `proceed(job)` returns, the job's id; raises to refuse."""
        ...


class AroundAsyncEnqueue(Protocol):
    """The same for async code."""

    async def aenqueue(self, job: NewJob, proceed: AsyncEnqueue, /) -> Enqueued:
        """Returns what `await proceed(job)` returns."""
        ...


class AroundExecute(Protocol):
    """Goes around sync handlers, in the handler's thread."""

    def execute(self, job: JobRun, proceed: Run, /) -> Any:
        """Returns what the job is to end with: what `proceed(job)` gave, the handler's value or outcome (Retry, Snooze,
        Cancel, Discard), or something else. What the handler raises comes through `proceed`; what is raised here fails
        the job.
        """
        ...


class AroundAsyncExecute(Protocol):
    """Goes around async handlers, in the handler's task."""

    async def aexecute(self, job: JobRun, proceed: AsyncRun, /) -> Any:
        """`execute`, with `await proceed(job)`. A job that is stopped is cancelled here too: let that go on."""
        ...


AnyMiddleware: TypeAlias = BeforeEnqueue | AroundEnqueue | AroundAsyncEnqueue | AroundExecute | AroundAsyncExecute


class Middleware:
    """A base for middleware. What is not overridden counts as not there, and costs nothing."""

    def before_enqueue(self, job: NewJob, /) -> NewJob | None:
        """See BeforeEnqueue."""
        return None

    def enqueue(self, job: NewJob, proceed: Enqueue, /) -> Enqueued:
        """See AroundEnqueue."""
        return proceed(job)

    async def aenqueue(self, job: NewJob, proceed: AsyncEnqueue, /) -> Enqueued:
        """See AroundAsyncEnqueue."""
        return await proceed(job)

    def execute(self, job: JobRun, proceed: Run, /) -> Any:
        """See AroundExecute."""
        return proceed(job)

    async def aexecute(self, job: JobRun, proceed: AsyncRun, /) -> Any:
        """See AroundAsyncExecute."""
        return await proceed(job)
