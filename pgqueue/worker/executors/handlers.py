"""From a job's kind to a function that can be called with the job, and from what the function gave back to the job's
outcome.

Both ends of running a job, the same for every executor, in the order in which they happen.
"""

from __future__ import annotations

import inspect
import json
import logging
from asyncio import CancelledError
from collections.abc import Callable, Collection, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from pgqueue._json import JsonText
from pgqueue._parents import RESULTS, Sources, results_of, wanted
from pgqueue.context import Context
from pgqueue.errors import CannotUnseal, UnknownTask
from pgqueue.models import JSON
from pgqueue.outcomes import Cancel, Discard, Retry, Settlement, Snooze, settlement_of_error, settlement_of_outcome
from pgqueue.registry import App
from pgqueue.task import Task
from pgqueue.worker.events import Teller
from pgqueue.worker.job import Job
from pgqueue.worker.wire import JSON_START

if TYPE_CHECKING:
    from pgqueue.worker.keyed.handlers import KeyedHandler
    from pgqueue.worker.rows.handlers import RowHandler
    from pgqueue.worker.sql.engine import SqlHandler

__all__ = [
    "OUTCOMES",
    "AnyHandler",
    "Handler",
    "Handlers",
    "Reporter",
    "context_of",
    "current_context",
    "running_job",
    "settlement_of_exception",
    "settlement_of_stuck",
    "settlement_of_value",
]

logger = logging.getLogger("pgqueue.worker")

running_job: ContextVar[Job] = ContextVar("pgqueue running job")

# straight to the scanner in C: the text begins after a byte of version, and comes from PostgreSQL, so it is sound
_scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)
AnyHandler: TypeAlias = "Handler | SqlHandler | RowHandler | KeyedHandler"
"""What runs the jobs of one kind: a task of the App's, or a handler of ours."""
OUTCOMES = frozenset({Retry, Snooze, Cancel, Discard, Settlement})
"""What is no plain result. Handlers of ours return Settlements."""


def current_context() -> Context:
    """The Context of the job that runs here: in a handler, and in whatever it calls or awaits. Raises LookupError
    elsewhere.
    """
    try:
        job = running_job.get()
    except LookupError:
        raise LookupError("no job runs here: current_context() works in handlers and what they call") from None
    return context_of(job)


def context_of(job: Job) -> Context:
    """The Context of a job that runs, made when first asked for."""
    if job.context is None:
        _parse_headers(job)
        deadline = None
        if job.timeout is not None:
            deadline = datetime.now(UTC) + timedelta(seconds=job.started + job.timeout - monotonic())
        job.context = Context(job, job.runner.hooks, deadline=deadline)
        if job.stop is not None:
            job.context.mark_cancelled()
    context: Context = job.context
    return context


def _parse_headers(job: Job) -> None:
    if isinstance(job.headers, str):
        job.headers = _scan(job.headers, JSON_START)[0]


class Handler:
    """A task as the executors need it."""

    __slots__ = ("encode", "is_async", "run")

    is_sql = False
    """Whether the job is SQL, which has limits of its own and is interrupted rather than waited for."""
    patience: float | None = None
    """Seconds that a cancelled one may take to end; None: the worker's."""

    def __init__(self, task: Task[Any, Any]) -> None:
        """Raises InvalidArgument when the function's signature cannot be that of a task, or a middleware cannot go
        around it.
        """
        self.is_async = task.is_async
        self.encode = task.hooks.sealing(_encoder(task))
        self.run = _hooked_caller(task) if task.hooks.at_run else _caller(task)
        """Decodes the job's args and calls the function: its value, or the coroutine of an async one."""


def _encoder(task: Task[Any, Any]) -> Callable[[Any], JsonText | None]:
    general = task.encode_result
    if task.signature.returns is not None:
        return general

    def encode(value: Any) -> JsonText | None:
        # a number says what it is faster than an encoder can be made for it
        return cast(JsonText, str(value)) if type(value) is int else general(value)

    return encode


def _caller(task: Task[Any, Any]) -> Callable[[Job], Any]:
    scan, start = _scan, JSON_START
    signature = task.signature
    run_filled = _filled_caller(task)
    kinds = {parameter.kind for parameter in inspect.signature(task.fn).parameters.values()}
    if signature.context is None and kinds.isdisjoint(_BY_POSITION):
        # the usual function, without a detour
        function, decode = task.fn, signature.decode
        if signature.converters:

            def run_converted(job: Job) -> Any:
                if job.headers is not None and RESULTS in job.headers:
                    return run_filled(job)
                return function(**decode(scan(job.args, start)[0]))

            return run_converted

        fitting: set[tuple[str, ...]] = set()
        """Names of arguments that were found to fit; bounded, for they come from outside."""

        def run_plain(job: Job) -> Any:
            if job.headers is not None and RESULTS in job.headers:
                return run_filled(job)
            args = scan(job.args, start)[0]
            names = tuple(args)
            if names not in fitting:
                decode(args)
                if len(fitting) < 100:
                    fitting.add(names)
            return function(**args)

        return run_plain

    prepare = task.prepare
    wants_context = task.wants_context

    def run(job: Job) -> Any:
        if job.headers is not None and RESULTS in job.headers:
            return run_filled(job)
        return prepare(scan(job.args, start)[0], context_of(job) if wants_context else None)()

    return run


def _filled_caller(task: Task[Any, Any]) -> Callable[[Job], Any]:
    """For jobs whose headers name arguments that are results of parents."""
    prepare, wants_context = task.prepare, task.wants_context

    def start(job: Job, results: dict[str, JSON]) -> Any:
        args = _scan(job.args, JSON_START)[0]
        return prepare({**args, **results}, context_of(job) if wants_context else None)()

    return _with_results(start, is_async=task.is_async)


def _hooked_caller(task: Task[Any, Any]) -> Callable[[Job], Any]:
    scan, start, run = _scan, JSON_START, task.hooks.runner(task)
    run_filled = _with_results(
        lambda job, results: run(scan(job.args, start)[0], context_of(job), results), is_async=task.is_async
    )

    def call(job: Job) -> Any:
        if job.headers is not None and RESULTS in job.headers:
            return run_filled(job)
        return run(scan(job.args, start)[0], context_of(job))

    return call


def _with_results(start: Callable[[Job, dict[str, JSON]], Any], *, is_async: bool) -> Callable[[Job], Any]:
    """`start` given the arguments that are results of parents, which are asked for first."""

    def run(job: Job) -> Any:
        sources = _sources(job)
        return start(job, {} if sources is None else results_of(sources, job.runner.hooks.parents(job)))

    async def arun(job: Job) -> Any:
        sources = _sources(job)
        return await start(job, {} if sources is None else results_of(sources, await job.runner.hooks.aparents(job)))

    return arun if is_async else run


def _sources(job: Job) -> Sources | None:
    _parse_headers(job)
    return wanted(job.headers)


class Handlers(dict[str, "AnyHandler | None"]):
    """Kind → what runs it, None for a kind the app does not know. `ours` come before the app's."""

    def __init__(self, app: App, ours: Mapping[str, AnyHandler] | None = None) -> None:
        """Raises InvalidArgument when one of the app's functions cannot be a handler."""
        super().__init__({kind: Handler(task) for kind, task in app.tasks.items()})
        self.update(ours or {})
        self._app = app

    def __missing__(self, kind: str) -> AnyHandler | None:
        task = self._app.tasks.get(kind)
        if task is None:
            return None  # not remembered: the app may register it later
        try:
            handler = Handler(task)
        except Exception:
            logger.exception("a task registered late cannot be run", extra={"kind": kind})
            return None
        self[kind] = handler
        return handler

    def unknown(self, job: Job) -> Settlement:
        """The failure of a job whose kind has no task here."""
        known = ", ".join(sorted(self._app.tasks)[:20]) or "none"
        return settlement_of_error(UnknownTask(f"this worker has no task of kind {job.kind!r}", f"it has: {known}"))


def settlement_of_value(job: Job, value: Any, handler: AnyHandler) -> Settlement:
    """What a handler that returned has decided. A result that cannot be stored is not going to be better next time:
    discarded.
    """
    if type(value) is Settlement:
        return value
    if job.stop == "timeout":
        return _overdue(job, None)
    try:
        if type(value) in OUTCOMES:
            return settlement_of_outcome(value)
        return Settlement("succeeded", None if value is None else handler.encode(value))
    except Exception as error:
        return settlement_of_error(error, "discard")


def settlement_of_exception(job: Job, error: BaseException) -> Settlement:
    """What a handler that raised amounts to, given why it may have been stopped."""
    match job.stop:
        case "cancel":
            return (
                Settlement("cancelled")
                if isinstance(error, CancelledError)
                else settlement_of_error(error, "cancelled")
            )
        case "timeout":
            return _overdue(job, error)
        case "shutdown":
            return Settlement("release")
        case _:
            # whoever comes next has no other keys: see docs/design/decisions.md
            return settlement_of_error(error, "discard" if isinstance(error, CannotUnseal) else "failed")


def settlement_of_stuck(job: Job, stack: str) -> Settlement:
    """The end of a job whose handler does not end. `stack`: where it is."""
    if job.stop == "cancel":
        return Settlement("cancelled")
    if job.stop != "timeout":
        return Settlement("release")
    return _overdue(job, None, f"The handler could not be stopped. It was here:\n{stack}" if stack else "")


def _overdue(job: Job, cause: BaseException | None, note: str = "") -> Settlement:
    error = TimeoutError(f"ran longer than its timeout of {job.timeout or 0:g} s")
    error.__cause__ = cause
    if note:
        error.add_note(note)
    return settlement_of_error(error, "timeout")


_WORDS = {
    "timeout": "timed out",
    "retry": "to be tried again",
    "snooze": "snoozed",
    "release": "given back",
    "discard": "failed for good",
}
_LEVELS = {"failed": logging.WARNING, "timeout": logging.WARNING, "retry": logging.WARNING, "discard": logging.ERROR}


class Reporter:
    """Tells the log and the hook how jobs end; plain successes only when somebody listens that closely."""

    __slots__ = ("_counts", "_ours", "_tell")

    def __init__(self, tell: Teller, ours: Collection[str] = ()) -> None:
        self._tell = tell
        self._ours = ours
        self._counts: dict[str, int] = {}

    def take_counts(self) -> dict[str, int]:
        """Outcome → how many since the last call, successes left out."""
        counts, self._counts = self._counts, {}
        return counts

    @property
    def is_verbose(self) -> bool:
        """Whether every success is to be reported."""
        return self.has_hook or logger.isEnabledFor(logging.DEBUG)

    @property
    def has_hook(self) -> bool:
        """Whether anybody wants to know when jobs start."""
        return self._tell.hook is not None

    def started(self, job: Job) -> None:
        """A job begins to run; call only when verbose."""
        self._tell("job_started", job_id=job.id, kind=job.kind)

    def ended(self, job: Job, error: BaseException | None = None) -> None:
        """A job has its outcome."""
        outcome = job.outcome
        if outcome != "succeeded":
            self._counts[outcome] = self._counts.get(outcome, 0) + 1
        level = _LEVELS.get(outcome, logging.DEBUG)
        if job.kind in self._ours:
            level = min(level, logging.INFO)  # SQL that fails is its author's business
        elif level == logging.WARNING and job.attempt >= job.max_attempts:
            level = logging.ERROR
        if logger.isEnabledFor(level):
            logger.log(
                level,
                "job %s",
                _WORDS.get(outcome, outcome),
                exc_info=error if level >= logging.WARNING else None,
                extra={
                    "job_id": job.id,
                    "kind": job.kind,
                    "queue": job.queue,
                    "attempt": job.attempt,
                    "duration_ms": round((monotonic() - job.started) * 1000, 3) if job.started else None,
                    "outcome": outcome,
                },
            )
        self._tell("job_ended", job_id=job.id, kind=job.kind, outcome=outcome)
