"""What an App puts around its jobs: middleware, carried context variables, codecs. One object that the App, its tasks
and its handles share. No I/O of its own.

Enqueue, outside in: `before_enqueue` of all, `enqueue` of all, then the variables are taken and the args are sealed, so
that what a middleware sets or changes counts. Run, outside in: the args are opened, the variables set, `execute` of
all, the handler. Where there is nothing to put around, whoever asks `at_enqueue` or `at_run` takes the straight way.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar, Token
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from pgqueue import _layers
from pgqueue._calls import Call
from pgqueue._functions import FUNCTIONS
from pgqueue._json import JsonText, check, dumps, loads
from pgqueue._parents import Sources, with_sources
from pgqueue.codec import Codec, Sealer
from pgqueue.context import Context
from pgqueue.errors import CannotUnseal, InvalidArgument, note
from pgqueue.middleware import AnyMiddleware, JobRun, NewJob
from pgqueue.models import JSON, Enqueued, Job, ParentResult

if TYPE_CHECKING:
    from pgqueue._async.client import AsyncClient
    from pgqueue._bulk import HookedItem, Slice
    from pgqueue._calls import Calls
    from pgqueue._sync.client import Client
    from pgqueue.outcomes import Settlement
    from pgqueue.task import Task

__all__ = ["HEADER", "AppHooks", "Hooked"]

HEADER = "context"
"""The header under which variables travel."""

_UNSET: Any = object()
_NO_RESULTS: Mapping[str, JSON] = {}
_NO_SOURCES: Sources = {}
_Tokens: TypeAlias = "list[tuple[ContextVar[Any], Token[Any]]]"


class _Runnable(Protocol):
    @property
    def is_async(self) -> bool: ...


class _Runner(Protocol):
    def __call__(self, args: dict[str, JSON], context: Context, results: Mapping[str, JSON] = ..., /) -> Any: ...


@dataclass(frozen=True, slots=True)
class _Carried:
    var: ContextVar[Any]
    encode: Callable[[Any], JSON] | None
    decode: Callable[[Any], Any] | None


class Hooked:
    """The part of an App that registers hooks."""

    hooks: AppHooks

    def use(self, middleware: AnyMiddleware) -> None:
        """Puts a middleware (`pgqueue.middleware`) inside those that are there, around whatever is enqueued by way of
        the App and its tasks, and around their handlers, processors of rows and executors of keyed queues. Before a
        worker starts: it looks once. Raises InvalidArgument.
        """
        self.hooks.use(middleware)

    def carry(
        self,
        var: ContextVar[Any],
        name: str | None = None,
        encode: Callable[[Any], JSON] | None = None,
        decode: Callable[[Any], Any] | None = None,
    ) -> None:
        """Has the variable's value at the time of an enqueue travel with the job, in its header `context`, and set
        while the task's handler runs, and so for what that enqueues in its turn.

        One that is not set is not carried. `name`: in the header, by default the variable's. `encode` makes JSON of a
        value, `decode` the reverse. What is no JSON is refused at enqueue (NotSerialisable). Before a worker starts.
        Raises InvalidArgument.
        """
        self.hooks.carry(var, name, encode, decode)


class AppHooks:
    """One per App. `use` and `carry` are for when the program starts: workers look at it once, when they do.

    Raises InvalidArgument for what is no middleware or no codec.
    """

    def __init__(
        self,
        middleware: Iterable[AnyMiddleware] = (),
        codec: Codec | Sequence[Codec] | None = None,
        seal_errors: bool = False,
    ) -> None:
        self.sealer = Sealer(() if codec is None else codec if isinstance(codec, Sequence) else (codec,))
        if seal_errors and not self.sealer:
            raise InvalidArgument("seal_errors seals with a codec, and there is none", "App(codec=…, seal_errors=True)")
        self.seals_errors = seal_errors
        self._layers: list[_layers.Layer] = []
        self._carried: dict[str, _Carried] = {}
        self.at_enqueue = self.at_run = bool(self.sealer)
        for each in middleware:
            self.use(each)

    def use(self, middleware: AnyMiddleware) -> None:
        """Inside those that are there."""
        layer = _layers.Layer.of(middleware)
        self._layers.append(layer)
        self.at_enqueue |= any((layer.before_enqueue, layer.enqueue, layer.aenqueue))
        self.at_run |= any((layer.execute, layer.aexecute))

    def carry(
        self,
        var: ContextVar[Any],
        name: str | None,
        encode: Callable[[Any], JSON] | None,
        decode: Callable[[Any], Any] | None,
    ) -> None:
        """See `Hooked.carry`."""
        chosen = var.name if name is None else name
        if not isinstance(chosen, str) or not chosen:
            raise InvalidArgument(f"{chosen!r} cannot be the name of a carried variable", "it is a text")
        if chosen in self._carried:
            raise InvalidArgument(
                f"a variable is carried as {chosen!r} already", "give it another name: carry(var, name)"
            )
        self._carried[chosen] = _Carried(var, encode, decode)
        self.at_enqueue = self.at_run = True

    # -- enqueue --------------------------------------------------------------------------------------------------

    # `sources` says which arguments are results of parents: it is no part of what a middleware sees, so that one that
    # sets headers does not take them away.

    def enqueue(self, job: NewJob, client: Client, sources: Sources = _NO_SOURCES) -> Enqueued:
        """Raises what the middleware raises, and what the client does."""
        send = _layers.around_enqueue(self._layers, lambda job: client.run(self._call(job, client.calls, sources)))
        return send(_layers.prepared(self._layers, job))

    async def aenqueue(self, job: NewJob, client: AsyncClient, sources: Sources = _NO_SOURCES) -> Enqueued:
        """The same for async code."""

        async def last(job: NewJob) -> Enqueued:
            return await client.run(self._call(job, client.calls, sources))

        send = _layers.around_aenqueue(self._layers, last)
        return await send(_layers.prepared(self._layers, job))

    def _call(self, job: NewJob, calls: Calls, sources: Sources) -> Call[Enqueued]:
        document, parameters = self._finished(job, sources)
        _check_options(parameters)
        return calls.enqueue(args=document, **parameters)

    @property
    def may_change_jobs(self) -> bool:
        """Whether jobs that go in bulk may come out of a middleware with other keys and other parents."""
        return any(layer.before_enqueue is not None for layer in self._layers)

    def check_bulk(self, what: str = "enqueue_many") -> None:
        """Raises InvalidArgument when jobs made by `what` would pass by a middleware."""
        _layers.check_bulk(self._layers, what)

    def element(self, job: NewJob, sources: Sources = _NO_SOURCES) -> HookedItem:
        """An element of enqueue_many, with what it may share with its neighbours: all parameters but args and keys."""
        document, shared = self._finished(_layers.prepared(self._layers, job), sources)
        return document, shared.pop("unique_key", None), shared.pop("group_key", None), shared

    def slice_call(self, part: Slice, calls: Calls) -> Call[list[Enqueued]]:
        """The statement for elements that share all they may."""
        shared = cast("HookedItem", part[0])[3]
        _check_options(shared)
        unique, group = [item[1] for item in part], [item[2] for item in part]
        return calls.enqueue_each(
            args=[item[0] for item in part],
            unique_keys=None if unique.count(None) == len(part) else unique,
            group_keys=None if group.count(None) == len(part) else group,
            **shared,
        )

    def document(self, job: NewJob) -> dict[str, Any]:
        """An element of the SQL function enqueue_many, or a follow-up: with its args, and whatever else goes with it,
        as they are stored. `before_enqueue` has seen it, `enqueue` has not.
        """
        document, parameters = self._finished(_layers.prepared(self._layers, job))
        return {**parameters, "args": loads(document)}

    def _finished(self, job: NewJob, sources: Sources = _NO_SOURCES) -> tuple[JsonText, dict[str, Any]]:
        """The args as they are stored, and the other parameters of enqueue."""
        document = dumps(job.args, "argument")
        headers = with_sources(self._loaded(job.headers) if self._carried else job.headers, sources)
        parameters = {"kind": job.kind, "queue": job.queue, "headers": headers or None, **job.options}
        if not self.sealer:
            return document, parameters
        if parameters.get("unique_by") is not None and parameters.get("unique_key") is None:
            # the server would make the key of what is sealed: the same for all, or never the same
            parameters["unique_key"] = _derived_key(job, parameters.pop("unique_by"))
        return self.sealer.seal(document), parameters

    def _loaded(self, headers: dict[str, JSON]) -> dict[str, JSON]:
        """Headers with the variables that are set; what they say already stays. Raises NotSerialisable."""
        values: dict[str, JSON] = {}
        for name, carried in self._carried.items():
            value = carried.var.get(_UNSET)
            if value is _UNSET:
                continue
            values[name] = value if carried.encode is None else carried.encode(value)
            check(values[name], f"the carried variable {name!r}", scalars=True)
        if not values:
            return headers
        said = headers.get(HEADER, {})
        if not isinstance(said, dict):
            raise InvalidArgument(
                f"the header {HEADER!r} is no object, and this App carries variables there",
                "name that header otherwise",
            )
        return {**headers, HEADER: {**values, **said}}

    # -- run ------------------------------------------------------------------------------------------------------

    def around(self, run: Callable[[JobRun], Any], *, is_async: bool) -> Callable[[JobRun], Any]:
        """`run` with the middleware around; itself when none goes around it. Raises InvalidArgument when one has only
        the other of `execute` and `aexecute`.
        """
        return _layers.around_run(self._layers, run, is_async=is_async)

    def check_run(self, handlers: Iterable[_Runnable]) -> None:
        """Raises InvalidArgument when a middleware cannot go around all of these."""
        for is_async in {each.is_async for each in handlers}:
            self.around(_nothing, is_async=is_async)

    def runner(self, task: Task[..., Any]) -> _Runner:
        """What runs the task's jobs, given their args as they are stored, and beside them arguments that are results of
        parents, opened; of an async one it gives a coroutine.

        Raises InvalidArgument as `around` does. What is called raises CannotUnseal besides.
        """
        inner = self.around(
            lambda run: task.prepare(run.args, run.context if task.wants_context else None)(), is_async=task.is_async
        )
        open_args = self.sealer.open_args

        def call(args: dict[str, JSON], context: Context, results: Mapping[str, JSON] = _NO_RESULTS) -> Any:
            run = JobRun({**open_args(args), **results}, context)
            tokens = self._enter(context.headers)
            try:
                return inner(run)
            finally:
                _leave(tokens)

        async def acall(args: dict[str, JSON], context: Context, results: Mapping[str, JSON] = _NO_RESULTS) -> Any:
            run = JobRun({**open_args(args), **results}, context)
            tokens = self._enter(context.headers)
            try:
                return await cast("Awaitable[Any]", inner(run))
            finally:
                _leave(tokens)

        return acall if task.is_async else call

    def _enter(self, headers: dict[str, JSON]) -> _Tokens:
        """Sets the variables that a job brings. Raises what decoding one raises."""
        tokens: _Tokens = []
        said = headers.get(HEADER) if self._carried else None
        if isinstance(said, dict):
            for name, carried in self._carried.items():
                if name in said:
                    try:
                        value = said[name] if carried.decode is None else carried.decode(said[name])
                    except Exception as error:
                        note(error, f"raised by the decoding of the carried variable {name!r}")
                        _leave(tokens)
                        raise
                    tokens.append((carried.var, carried.var.set(value)))
        return tokens

    # -- what is stored -------------------------------------------------------------------------------------------

    def sealing(self, encode: Callable[[Any], JsonText | None]) -> Callable[[Any], JsonText | None]:
        """An encoder of results whose results are sealed; itself without a codec."""
        if not self.sealer:
            return encode
        seal = self.sealer.seal

        def encode_and_seal(value: Any) -> JsonText | None:
            text = encode(value)
            return None if text is None else seal(text)

        return encode_and_seal

    def sealed(self, settlement: Settlement, cause: BaseException | None) -> Settlement:
        """With its error sealed, if errors are; but what cannot be opened has to be seen by whoever has no key."""
        if not self.seals_errors or settlement.error is None or isinstance(cause, CannotUnseal):
            return settlement
        return replace(settlement, error=self.sealer.seal_error(settlement.error))

    def opened_parents(self, parents: list[ParentResult]) -> list[ParentResult]:
        """How parents ended, for a job that depends on them. Raises CannotUnseal for a result that cannot be opened."""
        opened, opened_error = self.sealer.open, self.sealer.open_error
        return [
            each
            if each.result is None and each.error is None
            else replace(each, result=opened(each.result), error=opened_error(each.error))
            for each in parents
        ]

    def opened(self, job: Job) -> Job:
        """A job for people to look at; what cannot be opened stays sealed."""
        if not self.sealer:
            return job
        return replace(
            job,
            args=self._shown_args(job.args),
            result=self._shown(job.result),
            error=self.sealer.open_error(job.error),
        )

    def _shown(self, document: JSON) -> JSON:
        try:
            return self.sealer.open(document)
        except CannotUnseal:
            return document

    def _shown_args(self, args: dict[str, JSON]) -> dict[str, JSON]:
        try:
            return self.sealer.open_args(args)
        except CannotUnseal:
            return args


def _derived_key(job: NewJob, names: Iterable[str]) -> str:
    """The unique key of a job whose args are sealed, of these arguments, of all if none is named: a digest."""
    chosen = set(names)
    args = {name: value for name, value in job.args.items() if name in chosen or not chosen}
    text = json.dumps(args, sort_keys=True, separators=(",", ":"))
    return f"{job.kind} {sha256(text.encode()).hexdigest()}"


def _nothing(run: JobRun) -> None:
    """Is never called."""


def _leave(tokens: _Tokens) -> None:
    for var, token in reversed(tokens):
        var.reset(token)


def _check_options(parameters: dict[str, Any]) -> None:
    known = FUNCTIONS["enqueue"].arguments.keys()
    unknown = parameters.keys() - known
    if unknown:
        raise InvalidArgument(f"{min(unknown)!r} is no option of a job", f"options: {', '.join(known)}")
