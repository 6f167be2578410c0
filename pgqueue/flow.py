"""Jobs that depend on each other: chains, groups, and what comes after a group.

    chain(fetch.s(url), parse.s(pgqueue.result), store.s(pgqueue.result)).enqueue()

    pages = group(fetch.s(url) for url in urls)
    flow = pages.then(summarise.s(pgqueue.result, title="All of it")).enqueue()
    flow.result(timeout=60)

`task.s(...)` is a call: bound to its task and options, checked now, enqueued later. `pgqueue.result` stands for an
argument that is the result of the step before: what its function returned, read as the parameter's annotation says; a
list of them after a group, in the order of its members, with None for those that did not succeed (there are any only
with on_parent_failure="run"). A flow is enqueued as a whole or not at all. SQL functions: enqueue_many, enqueue_each.
"""

from __future__ import annotations

import copy
from array import array
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, Unpack, cast, overload

from pgqueue._flowplan import Before, Element, Numbers, Plan, check_pairs, given
from pgqueue._json import loads
from pgqueue._markers import ERROR, RESULT, Marker
from pgqueue.errors import InvalidArgument
from pgqueue.flowhandle import FlowHandle
from pgqueue.middleware import NewJob
from pgqueue.models import JSON, OnParentFailure
from pgqueue.options import OptionValues

if TYPE_CHECKING:
    from psycopg import AsyncConnection, Connection

    from pgqueue._clients import Clients
    from pgqueue.task import Task

__all__ = ["BoundCall", "Chain", "FlowHandle", "Group", "Step", "chain", "error", "group", "result"]

R = TypeVar("R")
S = TypeVar("S")
R_co = TypeVar("R_co", covariant=True)

# Any: they stand for arguments of every type.
result: Any = RESULT
error: Any = ERROR


class Step(Generic[R_co]):
    """What can be enqueued, and be a part of something larger. Its result is that of the jobs at its end."""

    __slots__ = ("_connection",)

    is_many = False
    """Whether it ends with several jobs, and its result is a list."""
    _connection: Connection[Any] | AsyncConnection[Any] | None

    def then(self, step: Step[S], *, on_parent_failure: OnParentFailure | None = None) -> Chain[S]:
        """This, and `step` when all jobs at the end of this have succeeded.

        `on_parent_failure`: what becomes of it when one of them fails or is cancelled: "cancel" it too (the default),
        "run" it all the same, or "wait" until that one has been retried.
        """
        return Chain(((self, None), (_step(step), on_parent_failure)))

    def on(self, connection: Connection[Any] | AsyncConnection[Any]) -> Self:
        """The same, enqueued on this psycopg connection, in the transaction it is in."""
        other = copy.copy(self)
        other._connection = connection
        return other

    def enqueue(self) -> FlowHandle[R_co]:
        """All of it, or nothing. In one statement up to about a thousand jobs, more in one transaction, which is open
        while generators of calls are read. Without `on(connection)` it is committed when this returns.

        Raises what `Task.enqueue` raises.
        """
        from pgqueue._sync.flow import send_plan  # brings the driver

        task, plan = self._plan()
        send_plan(_with(task, self._connection)._client(), plan)
        return FlowHandle(task._clients, plan)

    async def aenqueue(self) -> FlowHandle[R_co]:
        """`enqueue` for async code."""
        from pgqueue._async.flow import send_plan

        task, plan = self._plan()
        await send_plan(_with(task, self._connection)._aclient(), plan)
        return FlowHandle(task._clients, plan)

    def _plan(self) -> tuple[Task[..., Any], Plan]:
        task = self._first()
        walk = self._walk(Numbers(), None)
        return task, Plan(task._clients.calls, _of_one_app(walk, task._clients), task.hooks)

    def _first(self) -> Task[..., Any]:
        """A task, of the App that is to enqueue it all. Raises InvalidArgument when there is none."""
        raise NotImplementedError

    def _walk(self, numbers: Numbers, before: Before | None) -> Generator[Element, None, Before]:
        """The jobs, each after those it depends on; returns what a next step comes after."""
        raise NotImplementedError


class BoundCall(Step[R_co]):
    """A call of a task that is not enqueued yet; made by `task.s(...)`."""

    __slots__ = ("_args", "_kwargs", "document", "group_key", "marks", "task", "unique_key")

    def __init__(self, task: Task[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.task = task
        self.document, self.marks = task.document_and_marks(args, kwargs)
        self.unique_key, self.group_key = task.keys(args, kwargs)
        self._args = args
        self._kwargs = kwargs
        self._connection = task._connection

    def __repr__(self) -> str:
        given = [*map(repr, self._args), *(f"{name}={value!r}" for name, value in self._kwargs.items())]
        return f"<{self.task.kind}({', '.join(given)})>"

    def options(self, **changes: Unpack[OptionValues]) -> BoundCall[R_co]:
        """The same call with other options. Raises InvalidArgument."""
        return BoundCall(self.task.options(**changes), self._args, self._kwargs)

    def document_with(self, options: Mapping[str, Any]) -> dict[str, JSON]:
        """The element of enqueue_many."""
        keys = {"unique_key": self.unique_key, "group_key": self.group_key}
        return {"kind": self.task.kind, "args": loads(self.document), **given({**options, **keys})}

    def new_job_with(self, options: Mapping[str, Any]) -> NewJob:
        """The job as middleware gets it."""
        keys = {"unique_key": self.unique_key, "group_key": self.group_key}
        return NewJob.of(self.task.kind, loads(self.document), {**options, **keys})

    def check_follow_up(self, name: str, marker: Marker) -> None:
        """Raises InvalidArgument for what cannot stand in on_success or on_error, where one placeholder may."""
        if any(mark is not marker for mark in self.marks.values()):
            raise InvalidArgument(f"a call in {name} receives {marker!r}", "the other placeholder has no value there")
        if len(self.marks) > 1:
            raise InvalidArgument(f"a call in {name} takes {marker!r} as one argument, not as {len(self.marks)}")
        if self.task.settings.depends_on is not None:
            raise InvalidArgument(f"a call in {name} cannot depend on other jobs", "use chain(...) for that")

    def as_follow_up(self, name: str, hooked: bool = True) -> dict[str, JSON]:
        """The element of on_success or on_error (`name`), as it is to be stored: made when the job that it follows is
        enqueued. Raises what a middleware raises. `hooked`: see TaskOptions.shared.
        """
        hooks, options = self.task.hooks, self.task.settings.shared(hooked)
        if hooks.at_enqueue and hooked:
            hooks.check_bulk(name)
            document = given(hooks.document(self.new_job_with(options)))
        else:
            document = self.document_with(options)
        return {**document, "pass_as": next(iter(self.marks))} if self.marks else document

    def _first(self) -> Task[..., Any]:
        return self.task

    def _walk(self, numbers: Numbers, before: Before | None) -> Generator[Element, None, Before]:
        yield Element(self, before)
        own = array("q", (numbers.take(),))
        return Before(own, own, False)


class Chain(Step[R_co]):
    """Steps one after the other; made by `chain(...)` and `step.then(...)`."""

    def __init__(self, steps: Sequence[tuple[Step[Any], OnParentFailure | None]]) -> None:
        self._steps = tuple(steps)
        self._connection = steps[0][0]._connection
        self.is_many = steps[-1][0].is_many

    def __repr__(self) -> str:
        return f"<chain of {len(self._steps)} steps>"

    def then(self, step: Step[S], *, on_parent_failure: OnParentFailure | None = None) -> Chain[S]:
        longer: Chain[S] = Chain((*self._steps, (_step(step), on_parent_failure)))
        longer._connection = self._connection
        return longer

    def _first(self) -> Task[..., Any]:
        failure: InvalidArgument | None = None
        for step, _ in self._steps:
            try:
                return step._first()
            except InvalidArgument as error:
                failure = error
        assert failure is not None
        raise failure

    def _walk(self, numbers: Numbers, before: Before | None) -> Generator[Element, None, Before]:
        end = before
        for step, policy in self._steps:
            if end is not None and policy is not None:
                end = Before(end.waits, end.results, end.is_many, policy)
            end = yield from step._walk(numbers, end)
        assert end is not None
        return end


class Group(Step[list[R]]):
    """Steps side by side; made by `group(...)`. Its result is the list of theirs."""

    is_many = True

    def __init__(self, members: Iterable[Step[R]]) -> None:
        self._members: Iterable[Step[Any]] | None = members if isinstance(members, Iterator) else tuple(members)
        self._opening: Step[Any] | None = None
        self._connection = None

    def __repr__(self) -> str:
        return f"<group of {len(self._members)} steps>" if isinstance(self._members, tuple) else "<group>"

    def _first(self) -> Task[..., Any]:
        if self._opening is None:
            self._opening = next(iter(self._taken()), None)
        if self._opening is None:
            raise InvalidArgument("a flow without a call", "it needs one at least")
        return _step(self._opening)._first()

    def _taken(self) -> Iterable[Step[Any]]:
        if self._members is None:
            raise InvalidArgument(
                "this group was made of a generator, and has been enqueued", "make it of a list, to enqueue it again"
            )
        return self._members

    def _walk(self, numbers: Numbers, before: Before | None) -> Generator[Element, None, Before]:
        members = self._taken()
        if not isinstance(members, tuple):
            members, self._members = _again(self._opening, members), None
        waits, results = array("q"), array("q")
        for count, member in enumerate(members, 1):
            check_pairs(before, count)
            end = yield from _step(member)._walk(numbers, before)
            results.extend(end.results)
            waits.extend(end.waits)
        if waits == results:
            waits = results
        if not waits and before is not None:
            waits = before.waits  # so that what comes after a group without members still waits for what comes before
        return Before(waits, results, True)


def _again(first: Step[Any] | None, rest: Iterable[Step[Any]]) -> Iterator[Step[Any]]:
    if first is not None:
        yield first
    yield from rest


@overload
def chain(first: Step[R], /) -> Chain[R]: ...
@overload
def chain(first: Step[Any], second: Step[R], /) -> Chain[R]: ...
@overload
def chain(first: Step[Any], second: Step[Any], third: Step[R], /) -> Chain[R]: ...
@overload
def chain(first: Step[Any], second: Step[Any], third: Step[Any], fourth: Step[R], /) -> Chain[R]: ...
@overload
def chain(*steps: Step[Any]) -> Chain[Any]: ...
def chain(*steps: Step[Any]) -> Chain[Any]:
    """Each step when the one before has succeeded; `step.then(next, on_parent_failure=...)` says what else may happen.

    Raises InvalidArgument.
    """
    if not steps:
        raise InvalidArgument("a chain without a step", "chain(first.s(...), second.s(pgqueue.result))")
    return Chain([(_step(step), None) for step in steps])


@overload
def group(calls: Iterable[Step[R]], /) -> Group[R]: ...
@overload
def group(*calls: Step[R]) -> Group[R]: ...
def group(*calls: Any) -> Group[Any]:
    """Jobs side by side: `group(a.s(1), a.s(2))`, or of any iterable, `group(a.s(i) for i in range(1000))`. A generator
    is read when the flow is enqueued, once, and may be of any length. `group(...).then(step)` comes after all of them.
    """
    if len(calls) == 1 and not isinstance(calls[0], Step):
        return Group(calls[0] if isinstance(calls[0], Iterable) else (_step(calls[0]),))
    return Group(cast("tuple[Step[Any], ...]", calls))


def _step(given: Any) -> Step[Any]:
    """Raises InvalidArgument for what is none."""
    if not isinstance(given, Step):
        raise InvalidArgument(f"{given!r} is no call and no step of a flow", "bind a call: task.s(1)")
    return given


def _with(task: Task[..., Any], connection: Connection[Any] | AsyncConnection[Any] | None) -> Task[..., Any]:
    return task if connection is None else task.on(connection)


def _of_one_app(walk: Generator[Element, None, Before], clients: Clients) -> Generator[Element, None, Before]:
    """Raises InvalidArgument for a call whose jobs would go to another database."""
    while True:
        try:
            element = next(walk)
        except StopIteration as stop:
            return cast(Before, stop.value)
        if element.call.task._clients is not clients:
            raise InvalidArgument(f"{element.call!r} belongs to another App", "a flow is enqueued by one App")
        yield element
