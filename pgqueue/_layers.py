"""Chains of middleware: whose turn it is, and who is to blame. No I/O."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pgqueue.errors import InvalidArgument, note
from pgqueue.middleware import AsyncEnqueue, AsyncRun, Enqueue, JobRun, Middleware, NewJob, Run
from pgqueue.models import Enqueued

__all__ = ["Layer", "around_aenqueue", "around_enqueue", "around_run", "check_bulk", "prepared"]

_Around: TypeAlias = Literal["enqueue", "execute"]
_METHODS = ("before_enqueue", "enqueue", "aenqueue", "execute", "aexecute")


@dataclass(frozen=True, slots=True)
class Layer:
    """One middleware: those of its methods that it has."""

    name: str
    before_enqueue: Callable[[NewJob], NewJob | None] | None
    enqueue: Callable[[NewJob, Any], Any] | None
    aenqueue: Callable[[NewJob, Any], Any] | None
    execute: Callable[[JobRun, Any], Any] | None
    aexecute: Callable[[JobRun, Any], Any] | None

    @classmethod
    def of(cls, middleware: object) -> Layer:
        """Raises InvalidArgument for what is no middleware."""
        found = {name: _own(middleware, name) for name in _METHODS}
        name = type(middleware).__name__
        if inspect.isclass(middleware) or not any(found.values()):
            raise InvalidArgument(
                f"{middleware!r} is no middleware", f"give an object with a method named {', '.join(_METHODS)}"
            )
        for method in ("before_enqueue", "enqueue", "execute"):
            if inspect.iscoroutinefunction(found[method]):
                other = "is called from sync code too" if method == "before_enqueue" else f"a{method} is the async one"
                raise InvalidArgument(f"{name}.{method} is a coroutine function", other)
        return cls(name, **found)


def _own(middleware: object, name: str) -> Any:
    """The method, unless it is only the one of the base."""
    if getattr(type(middleware), name, None) is getattr(Middleware, name):
        return None
    return getattr(middleware, name, None)


def _steps(layers: Iterable[Layer], around: _Around, *, is_async: bool) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Names and methods, innermost first. Raises InvalidArgument when one has only the other of the pair."""
    wanted, other = (f"a{around}", around) if is_async else (around, f"a{around}")
    for layer in reversed(list(layers)):
        method = getattr(layer, wanted)
        if method is not None:
            yield layer.name, method
        elif getattr(layer, other) is not None:
            raise InvalidArgument(
                f"the middleware {layer.name} has {other} and no {wanted}, which is called for here",
                f"define {wanted} as well; one that only returns what proceed(job) gives lets everything through",
            )


# -- enqueue ----------------------------------------------------------------------------------------------------------


def prepared(layers: Iterable[Layer], job: NewJob) -> NewJob:
    """The job as all `before_enqueue` want it."""
    for layer in layers:
        if layer.before_enqueue is not None and (other := layer.before_enqueue(job)) is not None:
            if not isinstance(other, NewJob):
                raise InvalidArgument(
                    f"{layer.name}.before_enqueue returned {other!r}",
                    "return None or a NewJob; to refuse the job, raise an exception",
                )
            job = other
    return job


def check_bulk(layers: Iterable[Layer], what: str) -> None:
    """Raises InvalidArgument when something would only go around single jobs."""
    for layer in layers:
        if layer.before_enqueue is None and (layer.enqueue or layer.aenqueue):
            raise InvalidArgument(
                f"{what} cannot go through the middleware {layer.name}: it has no before_enqueue",
                "define before_enqueue(job); one that returns None lets every job through",
            )


def around_enqueue(layers: Iterable[Layer], send: Enqueue) -> Enqueue:
    """`send` with all `enqueue` around."""
    for name, method in _steps(layers, "enqueue", is_async=False):
        send = _enqueue_step(name, method, send)
    return send


def around_aenqueue(layers: Iterable[Layer], send: AsyncEnqueue) -> AsyncEnqueue:
    """`send` with all `aenqueue` around."""
    for name, method in _steps(layers, "enqueue", is_async=True):
        send = _aenqueue_step(name, method, send)
    return send


def _enqueue_step(name: str, method: Callable[..., Any], inner: Enqueue) -> Enqueue:
    return lambda job: _answer(name, method(job, inner))


def _aenqueue_step(name: str, method: Callable[..., Any], inner: AsyncEnqueue) -> AsyncEnqueue:
    async def step(job: NewJob) -> Enqueued:
        return _answer(name, await method(job, inner))

    return step


def _answer(name: str, answer: Any) -> Enqueued:
    if not isinstance(answer, Enqueued):
        raise InvalidArgument(
            f"the middleware {name} returned {answer!r} for an enqueue",
            "return what proceed(job) gives; raise to refuse",
        )
    return answer


# -- run --------------------------------------------------------------------------------------------------------------


def around_run(layers: Iterable[Layer], run: Run, *, is_async: bool) -> Run:
    """`run` with all `execute`, or `aexecute`, around: `run` itself when there are none."""
    for name, method in _steps(layers, "execute", is_async=is_async):
        run = (_arun_step if is_async else _run_step)(name, method, run)
    return run


def _run_step(name: str, method: Callable[..., Any], inner: Run) -> Run:
    def step(job: JobRun) -> Any:
        from_within: BaseException | None = None

        def proceed(job: JobRun) -> Any:
            nonlocal from_within
            try:
                return inner(job)
            except BaseException as error:
                from_within = error
                raise

        try:
            return method(job, proceed)
        except Exception as error:
            if error is not from_within:
                _blame(name, error)
            raise
        finally:
            from_within = None  # it would hold its own traceback, and this frame, until the next collection

    return step


def _arun_step(name: str, method: Callable[..., Any], inner: AsyncRun) -> AsyncRun:
    async def step(job: JobRun) -> Any:
        from_within: BaseException | None = None

        async def proceed(job: JobRun) -> Any:
            nonlocal from_within
            try:
                return await inner(job)
            except BaseException as error:
                from_within = error
                raise

        try:
            return await method(job, proceed)
        except Exception as error:
            if error is not from_within:
                _blame(name, error)
            raise
        finally:
            from_within = None

    return step


def _blame(name: str, error: Exception) -> None:
    """Notes are part of a traceback: they reach the log and the job's error."""
    note(error, f"raised by the middleware {name}, not by the handler")
