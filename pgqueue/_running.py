"""Running one claimed job where we are: what `pgqueue.testing` shares between its sync and async doors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from pgqueue._parents import PAGE, results_of, wanted
from pgqueue.context import Context
from pgqueue.errors import CannotUnseal, InvalidArgument, UnknownTask
from pgqueue.keyed import Executor, KeyedItem, Merge
from pgqueue.middleware import JobRun
from pgqueue.models import JSON, ClaimedJob, KeyedItemInfo, ParentResult
from pgqueue.outcomes import Cancel, Discard, Retry, Settlement, Snooze, settlement_of_error, settlement_of_outcome

if TYPE_CHECKING:
    from pgqueue._async.client import AsyncClient
    from pgqueue._hooks import AppHooks
    from pgqueue._sync.client import Client
    from pgqueue.registry import App
    from pgqueue.task import Task

__all__ = [
    "AsyncHooks",
    "AsyncMerging",
    "Hooks",
    "Merging",
    "arun_handler",
    "prepare",
    "prepare_item",
    "run_handler",
    "run_item",
    "settlement_of_exception",
    "settlement_of_value",
    "wants_parents",
]


_AT_ONCE = 10_000


class Lines:
    """What jobs have logged, until it is sent: when they have ended."""

    def __init__(self, job_logs: bool) -> None:
        self.job_logs = job_logs
        self._lines: dict[tuple[int, int], list[dict[str, JSON]]] = {}

    def log(self, job: ClaimedJob, line: dict[str, JSON]) -> None:
        self._lines.setdefault((job.lease, job.id), []).append(line)

    def take(self) -> list[tuple[int, int, list[dict[str, JSON]]]]:
        """Lease, job and lines of each job, no more than one call may bring."""
        taken, self._lines = self._lines, {}
        return [(lease, job, lines[:_AT_ONCE]) for (lease, job), lines in taken.items()]


class Hooks(Lines):
    """Progress and log lines of jobs run by blocking code."""

    def __init__(self, client: Client, app: App) -> None:
        super().__init__(app.job_logs)
        self._client = client
        self._opened = app.hooks.opened_parents

    def progress(self, job: ClaimedJob, value: JSON) -> None:
        self._client.job_heartbeat(job.lease, job.id, value)

    async def aprogress(self, job: ClaimedJob, value: JSON) -> None:
        self.progress(job, value)

    def parents(self, job: ClaimedJob) -> list[ParentResult]:
        found: list[ParentResult] = []
        while page := self._client.parents(job.id, found[-1].id if found else 0, PAGE):
            found += self._opened(page)
            if len(page) < PAGE:
                break
        return found

    async def aparents(self, job: ClaimedJob) -> list[ParentResult]:
        return self.parents(job)

    def sent(self) -> None:
        """Stores what has been logged; blocking progress was stored when it returned."""
        for lease, job, lines in self.take():
            self._client.log_lines(lease, job, lines)


class AsyncHooks(Lines):
    """Progress and log lines of jobs run on an event loop: async handlers on it, sync ones in threads beside it."""

    def __init__(self, client: AsyncClient, app: App) -> None:
        super().__init__(app.job_logs)
        self._client = client
        self._opened = app.hooks.opened_parents
        self._loop = asyncio.get_running_loop()
        self._sending: set[asyncio.Task[None]] = set()

    def progress(self, job: ClaimedJob, value: JSON) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            asyncio.run_coroutine_threadsafe(self.aprogress(job, value), self._loop).result()
            return
        task = self._loop.create_task(self.aprogress(job, value))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def aprogress(self, job: ClaimedJob, value: JSON) -> None:
        await self._client.job_heartbeat(job.lease, job.id, value)

    def parents(self, job: ClaimedJob) -> list[ParentResult]:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run_coroutine_threadsafe(self.aparents(job), self._loop).result()
        raise InvalidArgument("parents() would stop the event loop", "in an async handler: await ctx.aparents()")

    async def aparents(self, job: ClaimedJob) -> list[ParentResult]:
        found: list[ParentResult] = []
        while page := await self._client.parents(job.id, found[-1].id if found else 0, PAGE):
            found += self._opened(page)
            if len(page) < PAGE:
                break
        return found

    async def sent(self) -> None:
        """Returns when all progress and all lines have been stored. Raises what storing raised."""
        await asyncio.gather(*self._sending)
        for lease, job, lines in self.take():
            await self._client.log_lines(lease, job, lines)


class Merging(Merge):
    """`merge_extra` of items run by blocking code."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def now(self, id: int, text: str) -> bool:
        return self._client.keyed_merge_extra(id=id, extra=text)

    async def soon(self, id: int, text: str) -> bool:
        return self.now(id, text)


class AsyncMerging(Merge):
    """`merge_extra` of items run on an event loop."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._loop = asyncio.get_running_loop()

    def now(self, id: int, text: str) -> bool:
        return asyncio.run_coroutine_threadsafe(self.soon(id, text), self._loop).result()

    async def soon(self, id: int, text: str) -> bool:
        return await self._client.keyed_merge_extra(id=id, extra=text)


def prepare_item(
    app: App, job: ClaimedJob, found: KeyedItemInfo | None, merge: Merge, hooks: Hooks | AsyncHooks
) -> tuple[Executor, Callable[[], Any]]:
    """The executor of a keyed item and what runs it. Raises UnknownTask, InvalidArgument."""
    executor = app.keyed_executors.find(job.queue)
    if executor is None or found is None:
        raise UnknownTask(f"no executor of the keyed queue {job.queue!r} is registered", "see App.keyed")
    item = executor.item(found, job.attempt, merge=merge)
    if not app.hooks.at_run:
        return executor, partial(executor.fn, item)
    return executor, partial(run_item, app.hooks, executor, item, _context(job, hooks))


def run_item(hooks: AppHooks, executor: Executor, item: KeyedItem, context: Context) -> Any:
    """Calls the executor with the middleware around: its value, or the coroutine of an async one."""
    run = JobRun({"key": item.key, "payload": item.payload}, context)
    return hooks.around(lambda _: executor.fn(item), is_async=executor.is_async)(run)


def wants_parents(job: ClaimedJob) -> bool:
    """Whether arguments of the job are results of its parents."""
    return wanted(job.headers) is not None


def prepare(
    app: App, job: ClaimedJob, hooks: Hooks | AsyncHooks, parents: Sequence[ParentResult] = ()
) -> tuple[Task[..., Any], Callable[[], Any]]:
    """The job's task and what runs it. Raises UnknownTask, InvalidArgument."""
    task = app.find(job.kind)
    context = partial(_context, job, hooks)
    sources = wanted(job.headers)
    results = {} if sources is None else results_of(sources, parents)
    if app.hooks.at_run:
        return task, partial(app.hooks.runner(task), job.args, context(), results)
    args = {**job.args, **results} if results else job.args
    return task, task.prepare(args, context() if task.wants_context else None)


def _context(job: ClaimedJob, hooks: Hooks | AsyncHooks) -> Context:
    return Context(job, hooks, deadline=None if job.timeout is None else datetime.now(UTC) + job.timeout)


def run_handler(task: Task[..., Any] | Executor, call: Callable[[], Any]) -> Any:
    """Runs a handler to its end, an async one in an event loop of its own."""
    if not task.is_async:
        return call()
    return asyncio.run(call())


async def arun_handler(task: Task[..., Any] | Executor, call: Callable[[], Any]) -> Any:
    """Runs a handler to its end: async here, sync in a thread."""
    return await call() if task.is_async else await asyncio.to_thread(call)


def settlement_of_value(app: App, task: Task[..., Any], value: Any) -> Settlement:
    """How to settle a job whose handler has returned this."""
    if isinstance(value, Retry | Snooze | Cancel | Discard):
        return settlement_of_outcome(value)
    try:
        return Settlement("succeeded", app.hooks.sealing(task.encode_result)(value))
    except Exception as error:  # a codec is the user's
        return settlement_of_error(error, "discard")


def settlement_of_exception(error: BaseException) -> Settlement:
    """How to settle a job that has raised, or that nobody here can run: tried again by its policy, as a worker does,
    unless its args cannot be opened.
    """
    return settlement_of_error(error, "discard" if isinstance(error, CannotUnseal) else "failed")
